"""A host that answers wrongly, against everything that a terminal says to one: (kind, fault, span) from one seed.

    KINDS    every row of the table of transactions, sign-on, settlement, downloads, notices: how it is brought to its message
    FAULTS   what becomes of the answers on their way: bytes, times, connections, fields (signed anew, as a host would)
    SPANS    "once" the first answer; "ever" each of them, until it is over; "before" each answer to what comes before, with
             the host well again when the kind itself comes: for those faults with which an answer still counts (COUNT)

    run(kind, fault, span)   raises where it did not end as it must; -> names of the pages that ended it

What must hold, whatever the host did: home in bounded time, each page drawable, no fault, nothing left open or growing; and
with the host well again, whatever was unknown is known, the books agree to the fen, a sale is made and the batch settled.
"""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from drivers import card_file
from drivers.render import Renderer
from emulator.acquirer.keys import Engine
from emulator.world import HOST, TERMINAL
from firmware.emv import parameter_file
from firmware.host import download
from firmware.host import parameter_block as pb
from firmware.iso8583 import frame
from firmware.iso8583.codec import Codec, Iso8583Error
from firmware.iso8583.fields import UNIONPAY
from firmware.transactions import TABLE
from tests.flows.counter import Counter, tap

SPANS = ("once", "ever", "before")
SETTINGS = {
    "module.offline": True, "module.tip": True, "module.moto": True, "module.instalment": True, "sale.partial": True,
    "idle.lock_minutes": 240, "host.sign_on_hours": 168, "preauth_void.pin": False, "complete.pin": False,
    "complete_void.pin": False, "slip.next_copy_ms": 500, "stripe.pin": False,
}  # fmt: skip
MINUTE_MS = 60_000
# From the last key to the menu: a sign-on, three reversals, their pages; of a settlement each message three times.
MOST_MS = {"settlement": 45 * MINUTE_MS, "": 15 * MINUTE_MS}
MOST_LINES = 150  # of the log, for one kind
MOST_MESSAGES = 60
MOST_EVENTS = 3_000  # packets of a host that does not stop
RENDERER = Renderer((128, 64))
# A host that sends whatever can still be read: each field as long as the decoder takes it.
CODEC = Codec({number: (re.sub(r"\d+/", "", row[0]), *row[1:]) for number, row in UNIONPAY.items()})


class Shop(Counter):
    """A counter whose host has everything to give, and whose pages are looked at."""

    def __init__(self, seed=1):
        super().__init__(seed=seed)
        self.store.commit([("parameters", name, json.dumps(value).encode(), None) for name, value in SETTINGS.items()])
        host = self.acquirer.providers["Downloads"]
        host.offer(parameter_file.read(card_file.fetch())["applications"], self.shelf.authority_rows(), ["900001", "900002"])
        host.parameters = pb.block([("12", 30_000), ("18", True), ("23", 2)], pb.LAYOUT, self.ports["text"])
        host.limits = pb.limits_block(pb.ALL, [("FF8054", b"000000100000"), ("FF805D", b"1")])
        self.pages: list[str] = []
        self.flaws: list[str] = []
        self.inserted: list[str] = []
        show = self.display.show

        def looked_at(screen):
            self.flaws += [flaw for flaw in RENDERER.fits(screen) if flaw not in self.flaws]
            show(screen)

        self.display.show = looked_at

    def insert(self, name):
        self.inserted.append(name)
        super().insert(name)

    def step(self, until_ms):
        try:
            return super().step(until_ms)
        finally:
            if self.state and self.pages[-1:] != [self.state]:
                self.pages.append(self.state)


# -- what is said to the host

PIN_PAGES = ("EnterPin", "ChipPin")
BUSY = ("Authorise", "Working", "SignOff", "Download", "Settle", "PrintSlip", "PrintTrouble", "PrintSettlement")


def home(shop, limit_ms=MOST_MS[""]):
    """Presses what a patient clerk would, up to the menu. -> names of the pages on the way."""
    began, since = shop.time_ms, max(0, len(shop.pages) - 1)
    while True:
        state = shop.state
        if state == "Menu" and shop.machine.state.name not in ("preauth", "other", "manage", "download", "net"):
            return shop.pages[since:]
        assert shop.time_ms - began <= limit_ms, "no way home in time from %s:\n%s" % (state, shop.text)
        if state == "TakeCard":
            shop.pull()
            shop.run(500)
        elif state in ("Login", "Locked"):
            shop.log_in()
        elif state in PIN_PAGES:
            shop.type(shop.shelf.card("strict" if "strict" in shop.inserted else "debit").pin + " ENTER")
        elif state == "Blocked" or state in ("SettleTrouble", "AskPrint", "Menu", "PresentCard", "AskRest"):
            shop.type("CANCEL")
        elif state not in BUSY:
            shop.type("ENTER")
        shop.run(1_000)


def supervised(shop, *steps):
    shop.walk(("请输入6位密码", "123456 ENTER"), *steps)


def tapped(shop):
    shop.until(lambda: shop.state == "PresentCard")
    tap("debit", 600)(shop)


def from_menu(shop, *digits):
    home(shop)
    for digit in digits:
        shop.type(digit)


def sale(shop):
    from_menu(shop, "1")
    shop.walk(("请输入金额", "1234 ENTER"))
    tapped(shop)


def chip_sale(shop):
    from_menu(shop, "1")
    shop.walk(("请输入金额", "2345 ENTER"), ("请挥卡", lambda shop: shop.insert("debit")))


def script_sale(shop):
    shop.rules.add("next on sale script pin-unblock")
    from_menu(shop, "1")
    shop.walk(("请输入金额", "2300 ENTER"), ("请挥卡", lambda shop: shop.insert("script")))


def refused_by_card(shop):
    """Approved by the bank, and then refused by the chip: what it has booked is undone."""
    shop.rules.add("next on sale wrong-arpc")
    from_menu(shop, "1")
    shop.walk(("请输入金额", "2200 ENTER"), ("请挥卡", lambda shop: shop.insert("strict")))


def void(shop):
    from_menu(shop, "2")
    supervised(shop, ("原凭证号", shop.trace + " ENTER"), ("确认撤销", "ENTER"))
    tapped(shop)


def named(shop, words, number, size):
    """The original by the number that the bank has given it, from the list where it has given none that can be typed."""
    if len(number) == size and number.isdigit():
        shop.walk((words, number + " ENTER"))
    else:
        shop.walk((words, "ENTER"))
        shop.until(lambda: shop.state == "PickOriginal")
        shop.type("1")


def refund(shop):
    from_menu(shop, "7")
    supervised(shop)
    named(shop, "原参考号", shop.reference, 12)
    shop.walk(("确认退货", "ENTER"), ("请输入金额", "500 ENTER"))
    tapped(shop)


def preauth(shop):
    from_menu(shop, "8", "1")
    shop.walk(("请输入金额", "10000 ENTER"))
    tapped(shop)


def on_code(digit, fen, supervisor=False):
    def act(shop):
        from_menu(shop, "8", digit)
        if supervisor:
            supervised(shop)
        named(shop, "原授权码", shop.code, 6)
        shop.walk(("确认", "ENTER"))
        if fen:
            shop.walk(("请输入金额", fen + " ENTER"))
        tapped(shop)

    return act


def complete_void(shop):
    from_menu(shop, "8", "5")
    supervised(shop, ("原凭证号", shop.trace + " ENTER"), ("确认撤销完成", "ENTER"))
    tapped(shop)


def balance(shop):
    from_menu(shop, "3")
    tapped(shop)


def typed_card(shop):
    card = shop.shelf.card("debit")
    shop.walk(("请输入卡号", card.pan + " ENTER"), ("有效期", card.expiry[2:] + card.expiry[:2] + " ENTER"))


def offline_sale(shop):
    from_menu(shop, "9", "1")
    supervised(shop, ("请输入金额", "8000 ENTER"))
    typed_card(shop)
    shop.walk(("银行授权码", "123456 ENTER"), ("请核对金额", "ENTER"))


def adjust(shop):
    from_menu(shop, "9", "2")
    supervised(shop, ("原凭证号", shop.trace + " ENTER"), ("确认调整", "ENTER"), ("请输入金额", "9000 ENTER"))


def tip(shop):
    from_menu(shop, "9", "3")
    shop.walk(("原凭证号", shop.trace + " ENTER"), ("确认加小费", "ENTER"), ("请输入小费", "50"), ("合计", "ENTER"))


def moto(shop):
    from_menu(shop, "9", "4")
    shop.walk(("请输入金额", "2500 ENTER"))
    typed_card(shop)
    shop.walk(("请核对金额", "ENTER"))


def instalment(shop):
    from_menu(shop, "9", "5")
    shop.walk(("请输入金额", "60000 ENTER"), ("请选分期期数", "2"))
    tapped(shop)


def manage(*digits):
    return lambda shop: from_menu(shop, "6", *digits)


def settle(shop):
    from_menu(shop, "6", "9")
    shop.walk(("净额", "ENTER"))


def done(*acts):
    """Before the host goes wrong: these, each up to the menu, and what they leave is noted for what follows."""

    def prepare(shop):
        for act in acts:
            act(shop)
            home(shop)
        record = shop.record()
        if record is not None:
            shop.trace, shop.reference, shop.code = (record.get(name, "") for name in ("trace", "reference", "authorisation"))

    return prepare


def swiped(shop):
    from_menu(shop, "1")
    shop.walk(("请输入金额", "300 ENTER"), ("请挥卡", lambda shop: shop.swipe("stripe")))


def lasting(act):
    """With the host out of reach, so that what is owed to it stays owed."""

    def cut_off(shop):
        shop.link.down = "unreachable"
        act(shop)
        home(shop)
        shop.link.down = None

    return cut_off


KINDS: "dict[str, tuple[Callable[[Shop], None], Callable[[Shop], None]]]" = {
    "sale": (done(), sale),
    "void": (done(sale), void),
    "refund": (done(sale), refund),
    "preauth": (done(), preauth),
    "preauth-add": (done(preauth), on_code("6", "5000")),
    "preauth-void": (done(preauth), on_code("4", "", True)),
    "complete": (done(preauth), on_code("2", "8000")),
    "complete-notice": (done(preauth), on_code("3", "9000")),
    "complete-void": (done(preauth, lambda shop: done()(shop) or on_code("2", "8000")(shop)), complete_void),
    "balance": (done(), balance),
    "offline-sale": (done(), offline_sale),
    "adjust": (done(offline_sale), adjust),
    "tip": (done(sale), tip),
    "moto": (done(), moto),
    "instalment": (done(), instalment),
    # and whatever else there is to say
    "chip": (done(), chip_sale),
    "script": (done(), script_sale),
    "refused by the card": (done(), refused_by_card),
    "sign-on": (done(), manage("1")),
    "sign-off": (done(), manage("2", "ENTER")),
    "echo": (done(), manage("6", "3")),
    "settlement": (done(sale, swiped, chip_sale, lasting(offline_sale)), settle),
    **{name: (done(), manage("8", str(place + 1))) for place, name in enumerate(download.CODES)},
}
assert {row.name for row in TABLE} <= set(KINDS)


# -- what goes wrong


class Host:
    """Stands between link and acquirer. fault(host, answers) -> answers; span of SPANS."""

    def __init__(self, shop, fault, span, chance):
        self.shop, self.fault, self.span, self.chance = shop, fault, span, chance
        self.over = False
        self.done = 0  # answers that the fault has seen
        self.said: list[bytes] = []  # what it has answered so far, oldest first
        shop.link.hosts[HOST] = self.open

    def open(self):
        receive = self.shop.acquirer.open().receive

        def answered(data):
            answers = receive(data)
            if self.over or self.span == "once" and self.done:
                return answers
            self.done += 1
            bent = self.fault(self, answers)
            self.said += [answer for _, answer in answers if answer]
            return bent

        return answered

    def signed(self, answer, change):
        """The answer with `change(fields)`, and a MAC that is right for it; as it was where it cannot be made."""
        packet = parts(answer)
        if packet is None:
            return answer
        mti, fields = CODEC.unpack(packet.body)
        change(fields)
        try:
            body = CODEC.pack(fields.pop(0, mti), {number: value for number, value in fields.items() if value is not None})
        except Iso8583Error as error:
            raise AssertionError("a fault that cannot be sent: %s" % error) from None
        if fields.get(64) is not None:
            body = body[:-8] + Engine().mac(self.shop.bank.terminal(TERMINAL).mac_key, body[:-8])
        return frame.pack(packet.tpdu, packet.header, body)


def parts(answer):
    deframer = frame.Deframer()
    deframer.feed(answer)
    return deframer.next()


def on_bytes(change):
    """change(bytes, chance) -> bytes, None for the end of the connection, or a list of (delay, bytes or None)."""

    def fault(host, answers):
        out = []
        for delay, answer in answers:
            bent = answer if answer is None else change(answer, host.chance)
            out += [(delay + more, piece) for more, piece in bent] if isinstance(bent, list) else [(delay, bent)]
        return out

    return fault


def on_fields(**changes):
    """Fields by number; a function is given chance and the value there (None where there is none). Only those that money or
    settlement ride on are changed where they are not there."""

    def fault(host, answers):
        def change(fields):
            for name, value in changes.items():
                number = int(name[1:])
                fields[number] = value(host.chance, fields.get(number)) if callable(value) else value

        return [(delay, answer if answer is None else host.signed(answer, change)) for delay, answer in answers]

    return fault


def drip(every_ms):
    return on_bytes(lambda answer, chance: [(every_ms * at, answer[at : at + 1]) for at in range(len(answer))])


def header_digit(digit):
    return on_bytes(lambda answer, chance: answer[:9] + bytes((answer[9] & 0xF0 | digit,)) + answer[10:])


def foreign(host, answer):
    """The same answer to another trace number, or of another terminal where it has none."""

    def other(fields):
        if 11 in fields:
            fields[11] = "%06d" % ((int(fields[11]) + 500_000) % 1_000_000)
        else:
            fields[41] = "KF999999"

    return host.signed(answer, other)


def foreigners(then_right):
    def fault(host, answers):
        out = []
        for delay, answer in answers:
            if answer is None:
                continue
            other = foreign(host, answer)
            out += [(delay + 5 * at, other) for at in range(MOST_EVENTS)] if not then_right else [(delay, other * 200)]
            if then_right:
                out.append((delay + 50, answer))
        return out

    return fault


def earlier(then_right):
    def fault(host, answers):
        late = [(0, answer) for answer in host.said[-20:]]
        return late + (answers if then_right else [])

    return fault


def crosswise(host, answers):
    """What belongs to this message comes on the next connection, in place of that one's."""
    waiting, host.kept = getattr(host, "kept", []), answers
    return waiting


def never_ending(host, answers):
    """A length that promises more than ever comes, and always one more byte."""
    return [(0, b"\x0f\xff" + bytes(30))] + [(300 * at, b"\x00") for at in range(1, 1_000)]


def rule(text):
    """The bank's own decision: nothing is booked."""

    def fault(host, answers):
        return answers

    fault.rule = text
    return fault


def rubbish(low, high, characters=None):
    """Bytes, or of text the characters."""

    def value(chance, was):
        size = chance.randrange(low, high + 1)
        return chance.randbytes(size) if characters is None else "".join([chance.choice(characters) for _ in range(size)])

    return value


def cut_at(share):
    return on_bytes(lambda answer, chance: [(0, answer[: int(len(answer) * share)]), (1, None)])


def bent_length(size):
    return on_bytes(lambda answer, chance: (size if size >= 0 else len(answer) - 2 + size).to_bytes(2, "big") + answer[2:])


def second_bitmap(answer, chance):
    return answer[:15] + bytes((answer[15] | 0x80,)) + answer[16:]


def any_bitmap(answer, chance):
    return answer[:15] + chance.randbytes(8) + answer[23:]


def one_bit(answer, chance):
    """Behind the header: of what is signed, or of what no money rides on."""
    bent = bytearray(answer)
    at = chance.randrange(8 * 13, 8 * len(answer))
    bent[at // 8] ^= 1 << at % 8
    return bytes(bent)


CONTROLS = "\x00\x07\x08\x0a\x0d\x1b\x1d\x7f"
NOISE = "\x1b@\x1dV\x00\x10\x14\x08".encode() + bytes(range(0x80, 0xFF))
DIGITS = "0123456789"


def more(chance, was):
    return None if was is None else "%012d" % (int(was) + 100)


FAULTS: "dict[str, Callable[..., Any]]" = {
    # nothing, the end, times
    "silence": on_bytes(lambda answer, chance: []),
    "end": on_bytes(lambda answer, chance: None),
    "late": on_bytes(lambda answer, chance: [(40_000, answer)]),
    "slow drip": drip(500),
    "quick drip": drip(20),
    "never ending": never_ending,
    # bytes
    "empty": on_bytes(lambda answer, chance: b""),
    "noise": on_bytes(lambda answer, chance: chance.randbytes(chance.randrange(1, 400))),
    "ones": on_bytes(lambda answer, chance: b"\xff" * 70_000),
    "zeros": on_bytes(lambda answer, chance: bytes(300)),
    "another protocol": on_bytes(lambda answer, chance: b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    "TLS alert": on_bytes(lambda answer, chance: b"\x15\x03\x01\x00\x02\x02\x46"),
    "in front": on_bytes(lambda answer, chance: chance.randbytes(3) + answer),
    "behind": on_bytes(lambda answer, chance: answer + chance.randbytes(30)),
    "length 0": bent_length(0), "length 1": bent_length(1), "length 20": bent_length(20), "length 4097": bent_length(4097),
    "length 65535": bent_length(65_535), "length less": bent_length(-3), "length more": bent_length(4_000),
    **{"cut at %d %%" % share: cut_at(share / 100) for share in (1, 5, 10, 30, 50, 80, 99)},
    "one bit": on_bytes(one_bit),
    "any body": on_bytes(lambda answer, chance: answer[:13] + chance.randbytes(len(answer) - 13)),
    "any bitmap": on_bytes(any_bitmap),
    "second bitmap": on_bytes(second_bitmap),
    "any TPDU": on_bytes(lambda answer, chance: answer[:2] + chance.randbytes(5) + answer[7:]),
    # whose answer it is
    "three times": on_bytes(lambda answer, chance: answer * 3),
    "thousands of others": foreigners(False),
    "others, then the right one": foreigners(True),
    "earlier ones": earlier(False),
    "earlier ones, then the right one": earlier(True),
    "crosswise": crosswise,
    "another trace": on_fields(F11=lambda chance, was: None if was is None else "%06d" % (int(was) % 999_999 + 1)),
    "no trace": on_fields(F11=None),
    "another terminal": on_fields(F41="KF999999"),
    "no terminal": on_fields(F41=None),
    "another merchant": on_fields(F42="9" * 15),
    "another type": on_fields(F0="0230"),
    "another processing code": on_fields(F3=lambda chance, was: None if was is None else "990000"),
    "no amount": on_fields(F4=None),
    "a larger amount": on_fields(F4=more),
    "a larger amount, in part": on_fields(F4=more, F39="10"),
    "nothing, in part": on_fields(F4=lambda chance, was: None if was is None else "0" * 12, F39="10"),
    # MAC
    "MAC of noise": on_bytes(lambda answer, chance: answer[:-8] + chance.randbytes(8)),
    "MAC of zeros": on_bytes(lambda answer, chance: answer[:-8] + bytes(8)),
    "no MAC": on_fields(F64=None),
    # codes
    "no code": on_fields(F39=None),
    "a code of controls": on_fields(F39="\x1b\x00"),
    "a code of spaces": on_fields(F39="  "),
    **{"always %s" % word: rule("decline " + word) for word in ("77", "99", "A0", "79", "96", "91", "ZZ", "05", "30")},
    "always 94": rule("on %s decline 94" % ",".join(("sale", "void", "preauth", "complete", "balance", "reversal", "sign-on"))),
    **{"requirement %d" % digit: header_digit(digit) for digit in range(10)},
    "requirement 15": header_digit(15),
    # fields
    "reference of controls": on_fields(F37=rubbish(12, 12, CONTROLS), F38=rubbish(6, 6, CONTROLS)),
    "short reference": on_fields(F37="AB          ", F38="12    "),
    "reference of spaces": on_fields(F37=" " * 12, F38=" " * 6),
    "reference of zero bytes": on_fields(F37="\x00" * 12, F38="\x00" * 6),
    "no reference": on_fields(F37=None, F38=None),
    "names of commands": on_fields(F44=NOISE[:22]),
    "long names": on_fields(F44=lambda chance, was: chance.randbytes(99)),
    "text of commands": on_fields(F63=b"CUP" + NOISE),
    "long text": on_fields(F63=lambda chance, was: b"CUP" + "交易".encode("gb18030") * 240),
    "text of noise": on_fields(F63=rubbish(0, 400)),
    "another code of success": on_fields(F39=lambda chance, was: "11" if was == "00" else was),
    "balance of noise": on_fields(F54=rubbish(1, 120, "0123CD \x1b")),
    "enormous balance": on_fields(F54="1002156C999999999999" * 6),
    "chip data of noise": on_fields(F55=rubbish(1, 300)),
    "scripts without end": on_fields(F55=bytes.fromhex("7203860100") * 51),
    "batch of noise": on_fields(F60=rubbish(0, 60, DIGITS)),
    "another batch": on_fields(F60=lambda chance, was: None if was is None else was[:2] + "000777" + was[8:]),
    "no batch": on_fields(F60=None),
    "original of noise": on_fields(F61=rubbish(0, 60, DIGITS)),
    "keys of noise": on_fields(F62=rubbish(40, 40)),
    "data of noise": on_fields(F62=rubbish(0, 500)),
    "more without end": on_fields(F62=lambda chance, was: b"2" + chance.randbytes(40)),
    "totals of noise": on_fields(F48=rubbish(0, 322, DIGITS)),
    "long totals": on_fields(F48="9" * 999),
    **{"date %s" % date: on_fields(F13=date, F12=time, F15=date)
       for date, time in (("0000", "000000"), ("1332", "256161"), ("0230", "120000"), ("9999", "999999"))},
    "no date": on_fields(F12=None, F13=None, F15=None),
    "another card": on_fields(F2="6200000000000000000", F14="0000", F35="6200000000000000000D0000", F52=bytes(8)),
}  # fmt: skip


# With these an answer is one all the same: what they change is not what an answer is known by.
COUNT = (
    "quick drip", "any TPDU", "three times", "others, then the right one", "earlier ones, then the right one",
    *["requirement %d" % digit for digit in range(10)], "requirement 15", "reference of controls", "short reference",
    "reference of spaces", "reference of zero bytes", "no reference", "names of commands", "long names", "text of commands",
    "long text", "text of noise", "another code of success", "balance of noise", "enormous balance", "original of noise",
    "totals of noise", "long totals", "date 0000", "date 1332", "date 0230", "date 9999", "no date", "another card",
)  # fmt: skip
assert set(COUNT) <= set(FAULTS)


# A bank that gives no code to a pre-authorisation refuses its completion: there is nothing to void.
NO_CODE = ("reference of controls", "short reference", "reference of spaces", "reference of zero bytes", "no reference")


def cases() -> "list[tuple[str, str, str]]":
    """Every (kind, fault, span) that there is."""
    every = [(kind, fault, span) for kind in KINDS for fault in FAULTS for span in SPANS]
    return [
        (kind, fault, span)
        for kind, fault, span in every
        if span != "before" or (fault in COUNT and not (kind == "complete-void" and fault in NO_CODE))
    ]


# -- one of them


def leftovers(shop):
    """What must not grow: tickets, connections, rows of work begun."""
    return len(shop.terminal.tickets), len(shop.link._open)


def run(kind: str, fault: str, span: str, seed: int = 1, whole: bool = False, shop: "Shop | None" = None) -> "list[str]":
    """One kind against one fault. whole: the batch is settled in the end. -> the pages that the fault led to.

    shop: a new one that somebody else wants to look at.
    """
    shop = shop or Shop(seed)
    shop.log_in()
    shop.run(3_000)
    prepare, act = KINDS[kind]
    bend = FAULTS[fault]
    if span == "before":
        host = Host(shop, bend, span, Random(seed))
    prepare(shop)
    shop.run(2_000)
    calm, lines, since, heard = leftovers(shop), len(shop.log.lines), len(shop.pages), len(shop.messages)
    if span == "before":
        host.over = True
    else:
        host = Host(shop, bend, span, Random(seed))
    if hasattr(bend, "rule"):
        shop.rules.add(("next " if span == "once" else "always ") + bend.rule)
    act(shop)
    shop.run(100)
    limit_ms = MOST_MS.get(kind, MOST_MS[""])
    home(shop, limit_ms)
    shop.run(5_000)  # what goes on behind the menu
    home(shop)
    pages = shop.pages[since:]
    told, asked = len(shop.log.lines) - lines, sum(line.startswith("→") for line in shop.messages[heard:])
    assert told <= MOST_LINES, "%d lines in the log" % told
    assert asked <= MOST_MESSAGES, "%d messages" % asked

    host.over = True
    shop.rules.clear()
    recover(shop)
    assert all(after <= before + 1 for after, before in zip(leftovers(shop), calm, strict=True)), "more is open than before"
    if whole:
        settle(shop)
        home(shop, MOST_MS["settlement"])
        assert not shop.terminal.settlement.running and shop.terminal.ledger.in_batch() == 0, "not settled"
        assert shop.books_agree(), "the books do not agree behind the settlement"
    assert not shop.flaws, shop.flaws
    assert "Fault" not in shop.pages and shop.terminal.reports == 0, "a fault"
    return pages


def recover(shop):
    """The host is well: nothing stays unknown, a sale is made, the books agree."""
    ledger = shop.terminal.ledger
    if shop.terminal.settlement.running is not None:
        from_menu(shop, "6", "9")
        shop.run(500)
        home(shop, MOST_MS["settlement"])
        assert shop.terminal.settlement.running is None, "the settlement does not end"
    for _ in range(60):
        if not ledger.to_reverse() and not ledger.to_repeat() and not ledger.notices():
            break
        shop.run(MINUTE_MS)
        home(shop)
    for _ in range(3):  # one that finds the keys or the batch changed is refused, and the next one is not
        sale(shop)
        if "NextCopy" in home(shop):
            break
    else:
        raise AssertionError("no sale any more:\n" + shop.text)
    shop.run(2 * MINUTE_MS)  # downloads that were asked for
    home(shop)
    assert shop.books_agree(), "the books do not agree"
    shop.run(2_000)
