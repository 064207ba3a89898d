"""A message as lines that a person reads and a thief cannot use.

    0200 消费 Sale
    F2 主账号 PAN: 622262******0004
    F4 交易金额 Amount: 12.34
    F35 2磁道数据 Track 2: (37 digits)
    F55 IC卡数据域 Chip data: (140 bytes)
      9F26 Application Cryptogram: 1122334455667788

What is shown of a field is said by its mask in the table; chip data are masked tag by tag by `firmware.emv.tags`.
A message that cannot be read is shown by what is wrong with it and its length: its bytes may hold a card number anywhere.

Source: reference/host.md §8.3.
"""

from binascii import hexlify

from firmware.emv import tags
from firmware.emv.tlv import TlvError
from firmware.iso8583 import codes, unionpay
from firmware.iso8583.codec import Codec, Iso8583Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Class of the message, processing code, F60.1 -> name.
TRANSACTIONS = {
    ("02", "000000", "22"): ("消费", "Sale"),
    ("02", "200000", "23"): ("消费撤销", "Void"),
    ("02", "310000", "01"): ("余额查询", "Balance"),
    ("02", "200000", "25"): ("退货", "Refund"),
    ("02", "000000", "20"): ("预授权完成", "Completion"),
    ("02", "200000", "21"): ("预授权完成撤销", "Void of completion"),
    ("02", "000000", "24"): ("预授权完成通知", "Completion notice"),
    ("02", "000000", "30"): ("离线结算", "Offline sale"),
    ("02", "000000", "36"): ("脱机消费上送", "Offline chip sale"),
    ("01", "030000", "10"): ("预授权", "Pre-authorisation"),
    ("01", "200000", "11"): ("预授权撤销", "Void of pre-authorisation"),
}

# Class of the message, F60.3 -> name.
MANAGEMENT = {
    ("08", "001"): ("签到", "Sign-on"),
    ("08", "003"): ("签到", "Sign-on"),
    ("08", "004"): ("签到", "Sign-on"),
    ("08", "002"): ("签退", "Sign-off"),
    ("08", "301"): ("回响测试", "Echo"),
    ("08", "360"): ("参数下载", "Parameters"),
    ("08", "370"): ("公钥下载", "Card scheme key"),
    ("08", "372"): ("公钥查询", "List of card scheme keys"),
    ("08", "380"): ("应用参数下载", "Card application"),
    ("08", "382"): ("应用参数查询", "List of card applications"),
    ("05", "201"): ("批结算", "Settlement"),
    ("03", "201"): ("批上送", "Batch upload"),
}


# F39 of a reversal's request: why.
REASONS = {
    unionpay.REASON_NO_ANSWER: "no answer",
    unionpay.REASON_MAC: "MAC wrong",
    unionpay.REASON_FAULT: "answer unreadable",
}


def title(mti: str, fields: dict) -> "tuple[str, str]":
    """What the message is, in Chinese and English: ("冲正 消费 应答", "Reversal Sale reply")."""
    private = str(fields.get(60, ""))
    key = (fields.get(3, ""), private[:2])
    family = mti[:2]
    if family == "04":
        zh, en = TRANSACTIONS.get(("02",) + key) or TRANSACTIONS.get(("01",) + key) or ("交易", "transaction")
        zh, en = "冲正 " + zh, "Reversal " + en
    else:
        known = TRANSACTIONS.get((family,) + key) or MANAGEMENT.get((family, private[8:11]))
        zh, en = known or ("报文", "Message")
    if mti[2:3] in ("1", "3"):
        zh, en = zh + " 应答", en + " reply"
    return zh, en


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


def describe_fields(
    mti: str, fields: dict, table: dict = unionpay.UNIONPAY, decode: "Callable[[bytes], str] | None" = None
) -> "list[str]":
    """The lines of an unpacked message. decode: bytes of a host's text to str, as `firmware.ports.Text` does."""
    lines = ["%s %s %s" % ((mti,) + title(mti, fields))]
    for field in sorted(fields):
        _, mask, zh, en = table.get(field, ("", "hide", "域%d" % field, "Field %d" % field))
        value = fields[field]
        lines.append("F%d %s %s: %s" % (field, zh, en, _value(mti, field, mask, value, decode)))
        if mask == "chip":
            try:
                lines.extend(["  " + line for line in tags.describe(value)])
            except TlvError:
                lines.append("  not TLV")
    return lines


def describe(message: bytes, codec: "Codec | None" = None, decode: "Callable[[bytes], str] | None" = None) -> "list[str]":
    """The lines of a packed message, or one line that says why it cannot be read. Never raises."""
    codec = codec or unionpay.codec()
    try:
        mti, fields = codec.unpack(message)
    except Iso8583Error as error:
        return ["unreadable message of %d bytes: %s" % (len(message), error)]
    return describe_fields(mti, fields, codec.table, decode)
