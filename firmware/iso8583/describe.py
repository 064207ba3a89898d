"""A message as lines that a person reads and a thief cannot use.

    0200 消费 Sale
    F2 主账号 PAN: 622262******0004
    F4 交易金额 Amount: 12.34
    F35 2磁道数据 Track 2: (37 digits)
    F55 IC卡数据域 Chip data: (140 bytes)
      9F26 Application Cryptogram: 1122334455667788

What is shown of a field is said by its mask in the table; chip data are masked tag by tag by `firmware.emv.tags`.
A message that cannot be read is shown by what is wrong with it, its length, and what may be said of what was read before:
its bytes may hold a card number anywhere.

Source: reference/host.md §8.3.
"""

from binascii import hexlify

from firmware.emv import tags
from firmware.emv.tlv import TlvError
from firmware.iso8583 import codes, subfields, unionpay
from firmware.iso8583.codec import Codec, Iso8583Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Class of the message, processing code, F60.1, condition code ("" any) -> name.
TRANSACTIONS = {
    ("02", "000000", "22", ""): ("消费", "Sale"),
    ("02", "000000", "22", "08"): ("MOTO消费", "MOTO sale"),
    ("02", "000000", "22", "18"): ("MOTO消费", "MOTO sale"),
    ("02", "000000", "22", "64"): ("分期消费", "Instalment sale"),
    ("02", "000000", "22", "65"): ("积分消费", "Points sale"),
    ("02", "000000", "54", "67"): ("预约消费", "Reservation sale"),
    ("02", "200000", "23", ""): ("消费撤销", "Void"),
    ("02", "200000", "23", "08"): ("MOTO消费撤销", "Void of MOTO sale"),
    ("02", "200000", "23", "18"): ("MOTO消费撤销", "Void of MOTO sale"),
    ("02", "200000", "23", "64"): ("分期消费撤销", "Void of instalment sale"),
    ("02", "200000", "23", "65"): ("积分消费撤销", "Void of points sale"),
    ("02", "200000", "53", "67"): ("预约消费撤销", "Void of reservation sale"),
    ("02", "310000", "01", ""): ("余额查询", "Balance"),
    ("02", "310000", "03", "65"): ("积分查询", "Points balance"),
    ("02", "200000", "25", ""): ("退货", "Refund"),
    ("02", "200000", "27", ""): ("脱机退货", "Offline refund"),
    ("02", "000000", "20", ""): ("预授权完成", "Completion"),
    ("02", "200000", "21", ""): ("预授权完成撤销", "Void of completion"),
    ("02", "000000", "24", ""): ("预授权完成通知", "Completion notice"),
    ("02", "000000", "30", ""): ("离线结算", "Offline sale"),
    ("02", "000000", "32", ""): ("结算调整", "Adjustment"),
    ("02", "000000", "34", ""): ("小费调整", "Tip"),
    ("02", "000000", "36", ""): ("脱机消费上送", "Offline chip sale"),
    ("02", "600000", "45", "91"): ("指定账户圈存", "Load from account"),
    ("02", "620000", "47", "91"): ("非指定账户圈存", "Load from another account"),
    ("02", "630000", "46", "91"): ("现金充值", "Cash load"),
    ("02", "170000", "51", "91"): ("现金充值撤销", "Void of cash load"),
    ("01", "030000", "10", ""): ("预授权", "Pre-authorisation"),
    ("01", "030000", "10", "60"): ("追加预授权", "Additional pre-authorisation"),
    ("01", "200000", "11", ""): ("预授权撤销", "Void of pre-authorisation"),
}

# Class of the message, F60.3 -> name.
MANAGEMENT = {
    ("08", "001"): ("签到", "Sign-on"),
    ("08", "003"): ("签到", "Sign-on"),
    ("08", "004"): ("签到", "Sign-on"),
    ("08", "005"): ("签到", "Sign-on"),
    ("08", "006"): ("签到", "Sign-on"),
    ("08", "401"): ("积分签到", "Points sign-on"),
    ("08", "002"): ("签退", "Sign-off"),
    ("08", "301"): ("回响测试", "Echo"),
    ("08", "360"): ("参数下载", "Parameters"),
    ("08", "361"): ("参数下载结束", "End of parameters"),
    ("08", "362"): ("状态上送", "Status upload"),
    ("08", "364"): ("程序下载", "Program download"),
    ("08", "365"): ("程序下载结束", "End of program download"),
    ("08", "370"): ("公钥下载", "Card scheme key"),
    ("08", "371"): ("公钥下载结束", "End of card scheme keys"),
    ("08", "372"): ("公钥查询", "List of card scheme keys"),
    ("08", "373"): ("国密公钥查询", "List of SM keys"),
    ("08", "380"): ("应用参数下载", "Card application"),
    ("08", "381"): ("应用参数下载结束", "End of card applications"),
    ("08", "382"): ("应用参数查询", "List of card applications"),
    ("08", "390"): ("黑名单下载", "Black list"),
    ("08", "391"): ("黑名单下载结束", "End of black list"),
    ("08", "394"): ("非接参数下载", "Contactless limits"),
    ("08", "395"): ("非接参数下载结束", "End of contactless limits"),
    ("08", "999"): ("主密钥下载", "Master key"),
    ("05", "201"): ("批结算", "Settlement"),
    ("03", "201"): ("批上送", "Batch upload"),
    ("03", "202"): ("批上送结束", "End of batch upload, not balanced"),
    ("03", "203"): ("芯片批上送", "Chip batch upload"),
    ("03", "204"): ("失败芯片上送", "Upload of failed chip"),
    ("03", "205"): ("芯片批上送", "Chip batch upload, not balanced"),
    ("03", "206"): ("失败芯片上送", "Upload of failed chip, not balanced"),
    ("03", "207"): ("批上送结束", "End of batch upload"),
    ("06", "951"): ("脚本通知", "Script result"),
}

# Second digit of the message type, for what no table above knows.
CLASSES = {
    "1": ("授权", "Authorisation"),
    "2": ("金融", "Financial"),
    "3": ("文件", "File action"),
    "4": ("冲正", "Reversal"),
    "5": ("对账", "Reconciliation"),
    "6": ("管理", "Administrative"),
    "7": ("收费", "Fee collection"),
    "8": ("网络管理", "Network management"),
}
CODE_ENTRY = "03"  # F22: a code that the customer showed


# F39 of a reversal's request: why.
REASONS = {
    unionpay.REASON_NO_ANSWER: "no answer",
    unionpay.REASON_MAC: "MAC wrong",
    unionpay.REASON_FAULT: "answer unreadable",
}


def title(mti: str, fields: dict) -> "tuple[str, str]":
    """What the message is, in Chinese and English: ("冲正 消费 应答", "Reversal Sale reply")."""
    private = str(fields.get(60, ""))
    family = mti[:2]
    general = ("报文", "Message")
    if family == "04":
        zh, en = _transaction("02", fields) or _transaction("01", fields) or ("交易", "transaction")
        zh, en = "冲正 " + zh, "Reversal " + en
    elif family == "03" and 3 in fields and private[:2] != "00":  # a notice of before, uploaded again
        zh, en = _transaction("02", fields) or _transaction("01", fields) or ("交易", "transaction")
        zh, en = "批上送 " + zh, "Batch upload " + en
    elif family == "06":
        zh, en = MANAGEMENT.get((family, private[8:11])) or CLASSES["6"]
    else:
        known = _transaction(family, fields) or MANAGEMENT.get((family, private[8:11]))
        zh, en = known or CLASSES.get(mti[1:2]) or general
    if mti[2:3] in ("1", "3"):
        zh, en = zh + " 应答", en + " reply"
    return zh, en


def _transaction(family: str, fields: dict) -> "tuple[str, str] | None":
    key = (family, fields.get(3, ""), str(fields.get(60, ""))[:2])
    condition = fields.get(25, "")
    known = TRANSACTIONS.get(key + (condition,)) or TRANSACTIONS.get(key + ("",))
    if known and str(fields.get(22, ""))[:2] == CODE_ENTRY and family == "02":
        return "扫码" + known[0], "Code " + known[1].lower()
    return known


def printable(data: "bytes | str") -> str:
    """Printable ASCII as it is, everything else as a dot."""
    return "".join([chr(code) if 32 <= code < 127 else "." for code in (data.encode() if isinstance(data, str) else data)])


def _size(value: "str | bytes") -> str:
    return "(%d %s)" % (len(value), "bytes" if isinstance(value, bytes) else "digits")


def _money(text: str) -> str:
    return "%d.%02d" % (int(text) // 100, int(text) % 100) if text.isdigit() else printable(text)


def _reason(code: str) -> str:
    return "%s %s" % (printable(code), REASONS.get(code, "unknown reason"))


def _code(code: str) -> str:
    if len(code) != 2:  # ISO 8583:1993 has three digits and other meanings
        return printable(code)
    row = codes.look_up(code)
    return "%s %s %s" % (printable(code), row.zh, row.en)


def _entry(text: str) -> str:
    entry, pin = unionpay.read_entry_mode(text)
    return "%s %s, %s" % (text, entry, "PIN not told" if pin is None else "PIN" if pin else "no PIN")


def _parts(read: "Callable[[str], tuple[str, ...]]") -> "Callable[[str], str]":
    def show(text: str) -> str:
        return " ".join([part for part in read(text) if part])

    return show


# Fields shown by their meaning.
SHOWN: "dict[int, Callable[[str], str]]" = {
    4: _money,
    22: _entry,
    39: _code,
    60: _parts(unionpay.read_private60),
    61: _parts(unionpay.read_original),
}


def _keys(mti: str, value: bytes) -> str:
    if value[: len(unionpay.SEQUENCE)] == unionpay.SEQUENCE:
        return printable(value)
    if mti == "0810" and len(value) in unionpay.KEY_BLOCKS:
        parts = ["%s check value %s" % (slot, hexlify(check).decode().upper()) for slot, _, check in unionpay.keys(value)]
        return "%s %s" % (_size(value), ", ".join(parts))
    return _size(value)


def _value(mti: str, field: int, mask: str, value: "Any", decode: "Callable[[bytes], str] | None") -> str:
    if mask == "pan":
        return tags.mask_digits(value)
    if mask == "keys":
        return _keys(mti, value)
    if mask:
        return _size(value)
    if field == 39 and mti[2:3] in ("0", "2"):
        return _reason(value)
    if field in SHOWN:
        try:
            return SHOWN[field](value)
        except Iso8583Error:
            return printable(value)
    if isinstance(value, str):
        return printable(value)
    # A PIN block under SM4 travels in the text field.
    if field == 63 and value[:2] == b"SM":
        return _size(value)
    text = printable(value)
    if text == "".join([chr(code) for code in value]):
        return text
    if decode and field != 64:
        return printable_text(decode(value))
    return hexlify(value).decode().upper()


def printable_text(text: str) -> str:
    """`text` without control characters."""
    return "".join([character if ord(character) >= 32 and ord(character) != 127 else "." for character in text])


def part_shown(mask: str, value: "str | bytes") -> str:
    """A part of a field, masked."""
    text = value if isinstance(value, str) else "".join([chr(code) if code < 128 else "." for code in value])
    if mask == "pan":
        digits = text.lstrip("0")
        return tags.mask_digits(digits) if digits.isdigit() else _size(value)
    return _size(value) if mask else printable(text)


def _lines_of_parts(mti: str, fields: dict, field: int) -> "list[str]":
    layout = subfields.layout_of(mti, fields, field)
    if layout is None or not fields[field]:
        return []
    try:
        parts = subfields.split(field, layout, fields[field])
    except Iso8583Error as error:
        return ["  " + error.why]
    lines = []
    for part, value in parts:
        if part.mask == "chip":
            lines.append("  %s %s %s:" % (part.name, part.zh, part.en))
            lines.extend(["  " + line for line in _lines_of_chip(value)])
        else:
            lines.append("  %s %s %s: %s" % (part.name, part.zh, part.en, part_shown(part.mask, value)))
    return lines


def _lines_of_chip(value: "Any") -> "list[str]":
    try:
        return ["  " + line for line in tags.describe(value)]
    except TlvError:
        return ["  not TLV"]


def knows_parts(table: dict) -> bool:
    """Whether what is inside the private fields of a table is known: of UnionPay's, and of hosts that write it otherwise."""
    return table.get(60, ("",))[1:] == unionpay.UNIONPAY[60][1:]


def describe_fields(
    mti: str,
    fields: dict,
    table: dict = unionpay.UNIONPAY,
    decode: "Callable[[bytes], str] | None" = None,
    parts: bool = False,
) -> "list[str]":
    """The lines of an unpacked message. decode: bytes of a host's text to str, as `firmware.ports.Text` does.

    A field that is hidden as a whole is shown by those of its parts that may be; with `parts` every field that has some is.
    """
    lines = ["%s %s %s" % ((mti,) + title(mti, fields))]
    ours = knows_parts(table)
    for field in sorted(fields):
        _, mask, zh, en = table.get(field, ("", "hide", "域%d" % field, "Field %d" % field))
        value = fields[field]
        lines.append("F%d %s %s: %s" % (field, zh, en, _value(mti, field, mask, value, decode)))
        if mask == "chip":
            lines.extend(_lines_of_chip(value))
        elif ours and (parts or mask in ("hide", "keys")):
            lines.extend(_lines_of_parts(mti, fields, field))
    return lines


def describe(
    message: bytes, codec: "Codec | None" = None, decode: "Callable[[bytes], str] | None" = None, parts: bool = False
) -> "list[str]":
    """The lines of a packed message, or one line that says why it cannot be read. Never raises."""
    codec = codec or unionpay.codec()
    try:
        mti, fields = codec.unpack(message)
    except Iso8583Error as error:
        image = " (%s)" % error.image if error.image else ""
        return ["unreadable message of %d bytes: %s%s" % (len(message), error, image)]
    return describe_fields(mti, fields, codec.table, decode, parts)
