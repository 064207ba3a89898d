"""Which fields a request carries and which replies belong to it.

Pure functions: a draft or a record in, fields out. The codec knows how fields are written (`iso8583`), the
session when they travel (`session`). Source: host.md §2, §3, §6.
"""

import json
from binascii import a2b_base64, b2a_base64, hexlify, unhexlify

from firmware import calendar, schemes, verification
from firmware.emv import tlv
from firmware.emv.ask import Reply
from firmware.emv.outcome import CONTACTLESS_STRIPE, STRIPE
from firmware.iso8583 import codes, unionpay
from firmware.ledger import refund_key
from firmware.money import masked
from firmware.transactions import BY_NAME, ECHO, NOTICE, SALE, SCRIPT_RESULT, SIGN_OFF, SIGN_ON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.draft import Draft
    from firmware.emv.outcome import Outcome
    from firmware.ledger import Record
    from firmware.terminal import Terminal
    from firmware.transactions import Management, Transaction

    Fields = dict[int, Any]  # number: str or bytes, as the codec's table has it


def identity(terminal: "Terminal") -> "Fields":
    """F41 and F42: who asks."""
    return {41: terminal.parameter("terminal.number"), 42: terminal.parameter("merchant.number")}


def request(terminal: "Terminal", draft: "Draft", trace: str, tracks: "tuple[str, str] | None" = None) -> "tuple[str, Fields]":
    """The authorisation request of a draft: MTI and fields, F64 still empty. tracks: 2 and 3 as they are sent, where they
    are sent enciphered. A swiped card is named by its track alone (host.md §3)."""
    row = draft.row
    p = terminal.parameter
    fields = identity(terminal)
    fields[3] = row.processing
    if row.money:
        fields[4] = unionpay.amount(draft.fen)
    fields[11] = trace
    fields[22] = draft.entry + ("1" if draft.pin_block else "2")
    fields[25] = condition(draft)
    fields[49] = unionpay.CURRENCY
    fields[60] = _private60(row.kind, terminal.ledger.batch, draft.fallback, _partial(terminal, draft))
    card = draft.card
    track2, track3 = tracks or ((card.track2, card.track3) if card is not None else ("", ""))
    if draft.entry != STRIPE or not track2:
        fields[2] = draft.pan
        if draft.expiry:
            fields[14] = draft.expiry
    if card is not None:
        if card.sequence:
            fields[23] = card.sequence
        if track2:
            fields[35] = track2
        if track3:
            fields[36] = track3
        if card.tags and row.card == "full" and card.entry != CONTACTLESS_STRIPE:  # in stripe mode the code is in the track
            fields[55] = card.field55(unionpay.ONLINE_TAGS)
    if draft.pin_block:
        _put_pin(fields, draft.pin_block, p("host.pin_field"))
    if draft.pin_block or 35 in fields:
        fields[53] = _security(terminal, bool(draft.pin_block), tracks is not None)
    fields.update(_named(row, _undoes(draft)))
    if draft.periods:
        fields[62] = unionpay.instalment(draft.periods, p("instalment.project"))
    return row.mti, fields


def condition(draft: "Draft") -> str:
    """F25: the row's, or for what undoes transactions of several kinds that of its original."""
    original = draft.original
    if draft.row.same and original is not None:
        return BY_NAME[original["kind"]].condition
    return draft.row.condition


def _partial(terminal: "Terminal", draft: "Draft") -> bool:
    """Whether the bank may approve less than the amount."""
    return draft.row is SALE and bool(terminal.parameter("sale.partial"))


def _put_pin(fields: "Fields", block: bytes, where: str) -> None:
    """The PIN block where the host's profile wants it: F52, or for one of 16 bytes F59 (tag A1) or F63 (host.md §4, SM4)."""
    fields[26] = unionpay.PIN_CAPTURE
    if where == "52":
        fields[52] = block
        return
    fields[52] = bytes(8)
    name = b"A1" if where == "59" else b"SM"
    fields[int(where)] = name + b"%03d" % len(block) + block


def _security(terminal: "Terminal", pin: bool, enciphered: bool) -> str:
    """F53 (host.md §2): PIN format, kind of key, whether tracks are enciphered."""
    p = terminal.parameter
    kind = p("host.cipher_digit") or ("0" if p("host.key_kind") == unionpay.KEYS_SINGLE else "6")
    return unionpay.security(pin, enciphered, kind, p("host.pin_form") != "0-without-pan")


def track_key(terminal: "Terminal") -> str:
    """Check value of the key that tracks are enciphered with until the next sign-on, hex; "" where each message has its own."""
    check = terminal.vault.check_value("track")
    return "" if check is None or terminal.parameter("host.keys") == "dukpt" else hexlify(check).decode()


def without_tracks(fields: "Fields", card: "tuple[str, str] | None") -> None:
    """Names the card of a message by number and expiry where its enciphered tracks did. ValueError when nobody knows them."""
    if card is None:
        raise ValueError("no card data")
    for number in (35, 36) if 52 in fields else (35, 36, 53):
        fields.pop(number, None)
    fields[2], expiry = card
    if expiry:
        fields[14] = expiry
    if 53 in fields:
        fields[53] = fields[53][:2] + "0" + fields[53][3:]


NONE6 = "000000"


def _undoes(draft: "Draft") -> "dict[str, str]":
    """How the original is named: by its record, or by what the operator typed of one that is in no record here."""
    original = draft.original
    if original is not None:
        names = {name: original.get(name, "") for name in ("trace", "batch", "reference", "authorisation", "at", "scheme")}
        names["date"] = original.get("host_date") or names["at"][4:8]
        return names
    if not draft.row.finds or not (draft.reference or draft.code):
        return {}
    return {"trace": NONE6, "batch": NONE6, "reference": draft.reference, "authorisation": draft.code, "at": "",
            "scheme": "", "date": draft.of_date}  # fmt: skip


def _named(row: "Transaction", undoes: "dict[str, str]") -> "Fields":
    """The fields that name the original, as the row's column `names` wants them (host.md §3)."""
    fields: Fields = {}
    for what in row.names if undoes else ():
        if what == "reference":
            fields[37] = _spaced(undoes["reference"] or "000000000000", 12)
        elif what == "code":
            if undoes["authorisation"]:
                fields[38] = _spaced(undoes["authorisation"], 6)
        elif what == "original":
            fields[61] = unionpay.original(undoes["batch"], undoes["trace"])
        elif what == "dated":
            fields[61] = unionpay.original(undoes["batch"], undoes["trace"], undoes.get("date", ""))
        elif what == "nothing":
            fields[61] = unionpay.original(NONE6, NONE6, "0000")
        elif what == "organisation":
            fields[63] = (undoes.get("scheme") or "000").encode()
    return fields


def _spaced(text: str, size: int) -> str:
    """A number of the host as it was before `kept_of_reply` took its spaces away."""
    return text + " " * (size - len(text))


def _private60(kind: str, batch: str, fallback: object, partial: bool = False) -> str:
    """F60 of a transaction. fallback: the stripe was read because the chip could not be. partial: the bank may approve less."""
    chip = unionpay.CHIP_FALLBACK if fallback else unionpay.CHIP_NORMAL
    return unionpay.financial(kind, batch, chip=chip, partial=partial)


def record(terminal: "Terminal", draft: "Draft", trace: str, sealed: bytes, who: bytes) -> "Record":
    """What the ledger keeps of a request: no track, no PIN block, the card number only as the vault's ciphertext.

    who: the vault's fingerprint of the card, by which its next sale is known again.
    """
    card = draft.card
    row = draft.row
    kept: Record = {
        "kind": row.name,
        "trace": trace,
        "fen": draft.fen,
        "at": terminal.calendar_stamp(),
        "operator": terminal.operator,
        "entry": draft.entry,
        "condition": condition(draft),
        "pin": bool(draft.pin_block),
        "cvm": draft.cvm,
        "who": hexlify(who).decode(),
        "free_fen": verification.free_fen(terminal, draft.pan),
        "pan": masked(draft.pan),
        "scheme": _scheme(draft),
        "sealed": b2a_base64(sealed).decode().strip(),
        "original": draft.original["id"] if draft.original is not None else 0,
    }
    undoes = _undoes(draft)
    if undoes:
        kept["undoes"] = undoes
    if row.holds == "refund":
        kept["of_reference"] = undoes["reference"] or refund_key(undoes)
    for name in ("tip_fen", "periods"):
        if getattr(draft, name):
            kept[name] = getattr(draft, name)
    if row.unknown == NOTICE and draft.code and draft.original is None:
        kept["authorisation"] = draft.code  # what the bank said by telephone
    if draft.fallback:
        kept["fallback"] = True
    if _partial(terminal, draft):
        kept["partial"] = True
    if card is not None:
        kept["sequence"] = card.sequence
        kept["signature"] = card.signature or bool(card.tags.get(0x95, bytes(5))[2] & NOT_VERIFIED)
        if card.tags and row.card == "full":
            kept.update(kept_of_chip(card))
    return kept


def _scheme(draft: "Draft") -> str:
    """The original's, as the host has it; of a card that is new here as the card says."""
    if draft.original is not None and draft.original.get("scheme"):
        return str(draft.original["scheme"])
    return schemes.of_card(draft.card.aid if draft.card is not None else "", draft.pan)


NOT_VERIFIED = 0x80  # TVR byte 3: the holder was not verified, and signs


def kept_of_chip(card: "Outcome", cryptogram: str = "") -> "Record":
    """What the slip, a reversal and the settlement need of the chip. Asked again when the card has had its last word.

    cryptogram: that of the request, which the slip of an online transaction goes on naming (products.md §1.4, 20).
    """
    if not cryptogram and card.hex_of(0x9F26):
        cryptogram = CRYPTOGRAMS[card.tags.get(0x9F27, b"\x80")[0] >> 6] + ":" + card.hex_of(0x9F26)
    return {
        "reversal55": "" if card.entry == CONTACTLESS_STRIPE else hexlify(card.field55(unionpay.REVERSAL_TAGS)).decode(),
        "chip55": "" if card.entry == CONTACTLESS_STRIPE else hexlify(card.field55(unionpay.ONLINE_TAGS)).decode(),
        "cryptogram": cryptogram,
        "chip": chip_lines(card, cryptogram),
    }


# Chip lines of the slip (products.md §1.4, 20): name, tag. The cryptogram comes before them, by its kind.
CHIP = (
    ("TVR", 0x95), ("AID", 0x84), ("CSN", 0x5F34), ("TSI", 0x9B), ("ATC", 0x9F36), ("AIP", 0x82),
    ("UNPR NO", 0x9F37), ("TermCap", 0x9F33), ("IAD", 0x9F10), ("CVMR", 0x9F34),
)  # fmt: skip
CRYPTOGRAMS = ("AAC", "TC", "ARQC", "AC")  # by the two highest bits of 9F27
NAMES = (("APP LABEL", 0x50), ("APP NAME", 0x9F12))
LINE = 32


def printable(data: bytes) -> str:
    """The letters of a name that a card gives itself; what is none is left out."""
    return "".join([chr(b) for b in data if 32 <= b < 127])


def chip_lines(card: "Outcome", cryptogram: str) -> "list[str]":
    """The chip's data for the slip, two to a line where they fit."""
    parts = [cryptogram] if cryptogram else []
    parts += [name + ":" + card.hex_of(tag) for name, tag in CHIP if card.hex_of(tag)]
    for name, tag in NAMES:
        label = printable(card.tags.get(tag, b""))
        if label:
            parts.append(name + ":" + label)
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 1 + len(part) <= LINE:
            lines[-1] += " " + part
        else:
            lines.append(part)
    return lines


def card_data(pan: str, expiry: str) -> bytes:
    """What is sealed for the record, so that a void or a reversal can name the card after a restart."""
    return json.dumps([pan, expiry]).encode()


def sealed_of(record: "Record") -> bytes:
    """The ciphertext of the record's card data. ValueError when the record has none."""
    try:
        return a2b_base64(record["sealed"])
    except (KeyError, TypeError):
        raise ValueError("nothing sealed")


def parse_card_data(data: bytes) -> "tuple[str, str]":
    """(card number, expiry YYMM or ""). ValueError when it is not what `card_data` made."""
    pair = json.loads(data.decode())
    if not isinstance(pair, list) or len(pair) != 2 or not all([isinstance(part, str) for part in pair]):
        raise ValueError("no card data")
    return pair[0], pair[1]


def reversal(terminal: "Terminal", record: "Record", pan: str, expiry: str) -> "tuple[str, Fields]":
    """0400 for a record: the request's fields without tracks, PIN and F37, the same trace number (host.md §6, 3)."""
    row = BY_NAME[record["kind"]]
    fields = _of_record(terminal, record, pan, expiry)
    fields[4] = unionpay.amount(record.get("asked_fen") or record["fen"])
    fields[11] = record["trace"]
    fields[60] = _private60(row.kind, record["batch"], record.get("fallback"), record.get("partial", False))
    named = _named(row, record.get("undoes", {}))
    fields.update({number: named[number] for number in named if number != 61 or row.processing == TAKES_BACK})
    chip = unhexlify(record.get("reversal55", ""))
    reason = record.get("reason", unionpay.REASON_NO_ANSWER)
    code = record.get("authorisation", "")
    return "0400", unionpay.reversal(fields, reason, _spaced(code, 6) if code else "", chip)


TAKES_BACK = "200000"  # processing code of what undoes another
OFFLINE_CHIP, OFFLINE_SALE = "36", "30"  # F60.1


def message_of(terminal: "Terminal", record: "Record", pan: str, expiry: str) -> "tuple[str, Fields]":
    """A transaction that the host has not heard of (host.md §3), with its own trace number: one that card and terminal
    approved (offline chip upload), one that the bank approved by telephone (offline sale with its code), a changed total."""
    row = BY_NAME[record["kind"]]
    fields = _of_record(terminal, record, pan, expiry)
    fields[11] = record["trace"]
    if record.get("offline55") and not record.get("referral"):
        fields[55] = unhexlify(record["offline55"])
        fields[60] = unionpay.financial(OFFLINE_CHIP, record["batch"], partial=False)
        return "0200", fields
    if record.get("authorisation"):
        fields[38] = _spaced(record["authorisation"], 6)
    kind = row.kind if row.unknown == NOTICE else OFFLINE_SALE
    fields[60] = unionpay.financial(kind, record["batch"], partial=False)
    fields[48] = "%012d" % record.get("tip_fen", 0)
    fields.update(_named(row, record.get("undoes", {})))
    return "0220", fields


def script_notice(terminal: "Terminal", record: "Record", pan: str, expiry: str, trace: str) -> "tuple[str, Fields]":
    """0620: what became of the issuer's scripts in the transaction of this record. trace: a number of its own."""
    fields = _of_record(terminal, record, pan, expiry)
    fields[11] = trace
    for field, name, size in ((37, "reference", 12), (38, "authorisation", 6)):
        if record.get(name):
            fields[field] = _spaced(record[name], size)
    fields[55] = unhexlify(record["script55"])
    fields[60] = unionpay.management(record["batch"], SCRIPT_RESULT.code)
    fields[61] = unionpay.original(record["batch"], record["trace"])
    return SCRIPT_RESULT.mti, fields


def _of_record(terminal: "Terminal", record: "Record", pan: str, expiry: str) -> "Fields":
    """What every notice about a transaction says of it."""
    row = BY_NAME[record["kind"]]
    fields = identity(terminal)
    fields[2] = pan
    fields[3] = row.processing
    fields[4] = unionpay.amount(record["fen"])
    if expiry:
        fields[14] = expiry
    fields[22] = record["entry"] + ("1" if record["pin"] else "2")
    if record.get("sequence"):
        fields[23] = record["sequence"]
    fields[25] = record.get("condition", row.condition)
    fields[49] = unionpay.CURRENCY
    if record.get("periods"):
        fields[62] = unionpay.instalment(record["periods"], terminal.parameter("instalment.project"))
    return fields


def management(terminal: "Terminal", row: "Management", trace: str = "", code: str = "") -> "tuple[str, Fields]":
    """A message of the second table of `transactions`: MTI and the fields that all of them have (host.md §3)."""
    fields = identity(terminal)
    if row.traced:
        fields[11] = trace
    fields[60] = unionpay.management(terminal.ledger.batch, row.code or code)
    return row.mti, fields


def sign_on(terminal: "Terminal", trace: str) -> "tuple[str, Fields]":
    """MTI and fields; besides who the device and its operator are. trace: six digits."""
    mti, fields = management(terminal, SIGN_ON, trace, terminal.parameter("host.key_kind"))
    fields[62] = unionpay.device(terminal.parameter("terminal.number"))
    fields[63] = unionpay.operator(terminal.operator or "01")
    return mti, fields


def sign_off(terminal: "Terminal", trace: str) -> "tuple[str, Fields]":
    """MTI and fields. trace: six digits."""
    return management(terminal, SIGN_OFF, trace)


def echo(terminal: "Terminal") -> "tuple[str, Fields]":
    """MTI and fields."""
    return management(terminal, ECHO)


def issuer_reply(fields: "Fields", approved: bool) -> Reply:
    """What the kernel is told of a reply: its code, tag 91 and the scripts of its field 55. Raises tlv.TlvError."""
    tree = tlv.decode(fields.get(55, b""))
    scripts = tuple([(tag, tlv.encode(value)) for tag, value in tree if tag in (0x71, 0x72)])
    return Reply(fields.get(39, ""), approved, tlv.find(tree, 0x91) or b"", scripts)


def belongs(mti: str, sent: "Fields", reply_mti: str, reply: "Fields") -> bool:
    """Whether a reply is to this request at all. One of an earlier trace (late) is not, and is passed over."""
    if reply_mti != unionpay.reply_to(mti):
        return False
    return not (11 in sent and reply.get(11) != sent[11]) and reply.get(41) == sent[41]


UNECHOED = ("0620", "0320")  # messages whose reply may leave the amount out
NO_CODE = ("0500",)  # messages whose reply has no F39
PARTIAL = "10"  # the bank has approved less than it was asked for
IN_PART = ("10", "20", "22", "24", "25")  # F60.1 of what may be done in part; nothing is taken back in part, or told in part


def mismatch(mti: str, sent: "Fields", reply: "Fields") -> int:
    """The first field of a reply that contradicts the request, 0 for none. Such a reply is no answer."""
    if 3 in sent and reply.get(3, sent[3]) != sent[3]:
        return 3
    if 4 in sent and 4 in reply and reply[4] != sent[4]:
        less = reply.get(39) == PARTIAL and "0" * 12 < reply[4] < sent[4]
        if not (less and mti != "0400" and sent.get(60, "")[:2] in IN_PART):
            return 4
    if 4 in sent and 4 not in reply and mti not in UNECHOED:
        return 4
    if 39 not in reply and mti not in NO_CODE or not _is_code(reply.get(39, codes.APPROVED)):
        return 39
    code = reply.get(39, codes.APPROVED)
    settles = codes.approved(code) or code in codes.UPLOADED_CODES or mti == "0400" and code in codes.REVERSED_CODES
    if settles and reply.get(42) != sent[42]:
        return 42
    return 0


def _is_code(text: str) -> bool:
    """Whether F39 says anything: two letters or digits. What it says else is no answer."""
    return len(text) == 2 and all([c.isdigit() or c.isalpha() for c in text])


def in_part(record: "Record", reply: "Fields") -> "dict[str, int]":
    """What the ledger is told besides when the host has done a part of it: the amount, and what was asked for."""
    fen = int(reply.get(4, "0"))
    if reply.get(39) != PARTIAL or not 0 < fen < record["fen"]:
        return {}
    return {"asked_fen": record["fen"], "fen": fen}


def _number(text: str) -> str:
    """A number that the host gives, without the spaces behind it; "" for what nobody could read out or print."""
    text = text.rstrip(" \0")
    return text if all([" " <= c <= "~" for c in text]) else ""


def kept_of_reply(terminal: "Terminal", reply: "Fields") -> "dict[str, Any]":
    """What the ledger and the slip need of a reply. F44 holds the issuer's name or number, then the acquirer's, 11 bytes each.
    A date that there is not is left out: our own takes its place."""
    names = reply.get(44, b"")
    date, time = reply.get(13, ""), reply.get(12, "")
    decode = terminal.ports["text"].decode
    return {
        "code": reply.get(39, ""),
        "reference": _number(reply.get(37, "")),
        "authorisation": _number(reply.get(38, "")),
        "host_date": date if calendar.is_day(date) else "",
        "host_time": time if calendar.is_day(date, time) else "",
        "settled": reply.get(15, ""),
        "issuer": decode(names[:11]).strip(),
        "acquirer": decode(names[11:22]).strip(),
        "organisation": unionpay.read_organisation(reply.get(63, b""))[0],
        "host_text": decode(unionpay.read_organisation(reply.get(63, b""))[1]).strip(),
    }
