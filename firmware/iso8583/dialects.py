"""Whole dialects as data: table, what holds for all its codings, and what travels around a message.

    unionpay        UnionPay POS, fields 2 to 64: packed digits, raw bytes; the table is `fields.UNIONPAY`
    unionpay-128    the same with a second bitmap and the fields 65 to 128 of 1987, for private extensions
    1987-ascii      ISO 8583:1987, everything in characters, bitmaps and bytes in hexadecimal
    1987-binary     the same table with packed digits and raw bytes
    1987-ebcdic     the same in EBCDIC, bitmaps and bytes raw
    1993-ascii      ISO 8583:1993 in characters: local time with the date, entry mode of 12 places, response of 3

A host that differs from its dialect is a few codings more, `codec("1987-ascii", {"1": "b8 raw", "55": "b...255"})`, and a
whole host is a profile that can be kept as JSON:

    {"dialect": "unionpay", "fields": {"62": "b...499 halves", "36": null}, "frame": {"header": false}}

Where a standard leaves a field to agreement its mask is "hide". Field 55 of 1987 is reserved there and holds chip data
everywhere: in the dialect of characters its length counts characters.

Source: ISO 8583:1987 table 6, ISO 8583:1993 table 7; reference/host.md §7. Names in Chinese are ours.
"""

from collections import namedtuple

from firmware.iso8583.codec import Codec
from firmware.iso8583.fields import UNIONPAY, changed, quirks
from firmware.iso8583.frame import Framing, framing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Dialect = namedtuple("Dialect", ("table", "words", "framing", "zh", "en"))

# Fields that are the same in 1987 and 1993.
_COMMON = {
    0: ("n4", "", "消息类型", "Message type"),
    1: ("b8", "", "位元表", "Bitmap"),
    2: ("n..19", "pan", "主账号", "PAN"),
    3: ("n6", "", "交易处理码", "Processing code"),
    4: ("n12", "", "交易金额", "Amount"),
    5: ("n12", "", "清算金额", "Settlement amount"),
    6: ("n12", "", "持卡人扣账金额", "Cardholder billing amount"),
    7: ("n10", "", "传输日期时间", "Transmission date and time"),
    8: ("n8", "", "持卡人扣账手续费", "Cardholder billing fee"),
    9: ("n8", "", "清算汇率", "Settlement conversion rate"),
    10: ("n8", "", "持卡人扣账汇率", "Cardholder billing conversion rate"),
    11: ("n6", "", "系统跟踪号", "STAN"),
    14: ("n4", "hide", "卡有效期", "Expiry"),
    16: ("n4", "", "兑换日期", "Conversion date"),
    17: ("n4", "", "受理日期", "Capture date"),
    18: ("n4", "", "商户类型", "Merchant type"),
    19: ("n3", "", "受理机构国家代码", "Acquirer country"),
    20: ("n3", "", "主账号国家代码", "PAN country"),
    21: ("n3", "", "发送机构国家代码", "Forwarder country"),
    23: ("n3", "", "卡序列号", "Card sequence number"),
    27: ("n1", "", "授权码长度", "Authorisation code length"),
    32: ("n..11", "", "受理机构标识码", "Acquirer"),
    33: ("n..11", "", "发送机构标识码", "Forwarder"),
    34: ("a..28", "hide", "扩展主账号", "PAN extended"),
    35: ("z..37", "hide", "2磁道数据", "Track 2"),
    36: ("z...104", "hide", "3磁道数据", "Track 3"),
    37: ("a12", "", "检索参考号", "Reference number"),
    38: ("a6", "", "授权码", "Authorisation code"),
    41: ("a8", "", "终端标识码", "Terminal"),
    42: ("a15", "", "商户标识码", "Merchant"),
    45: ("a..76", "hide", "1磁道数据", "Track 1"),
    47: ("a...999", "hide", "附加数据-国家", "Additional data, national"),
    48: ("a...999", "hide", "附加数据-私有", "Additional data, private"),
    49: ("a3", "", "交易货币代码", "Currency"),
    50: ("a3", "", "清算货币代码", "Settlement currency"),
    51: ("a3", "", "持卡人扣账货币代码", "Cardholder billing currency"),
    52: ("b8", "hide", "个人标识码数据", "PIN block"),
    54: ("a...120/255", "hide", "附加金额", "Additional amounts"),
    59: ("a...999", "hide", "自定义域59", "Reserved 59"),
    60: ("a...999", "hide", "自定义域60", "Reserved 60"),
    61: ("a...999", "hide", "自定义域61", "Reserved 61"),
    62: ("a...999", "hide", "自定义域62", "Reserved 62"),
    63: ("a...999", "hide", "自定义域63", "Reserved 63"),
    64: ("b8", "", "报文鉴别码", "MAC"),
    67: ("n2", "", "延期付款代码", "Extended payment code"),
    68: ("n3", "", "接收机构国家代码", "Receiver country"),
    69: ("n3", "", "清算机构国家代码", "Settlement institution country"),
    73: ("n6", "", "动作日期", "Action date"),
    74: ("n10", "", "贷记笔数", "Credits, number"),
    75: ("n10", "", "贷记冲正笔数", "Credits, reversal number"),
    76: ("n10", "", "借记笔数", "Debits, number"),
    77: ("n10", "", "借记冲正笔数", "Debits, reversal number"),
    78: ("n10", "", "转账笔数", "Transfers, number"),
    79: ("n10", "", "转账冲正笔数", "Transfers, reversal number"),
    80: ("n10", "", "查询笔数", "Inquiries, number"),
    81: ("n10", "", "授权笔数", "Authorisations, number"),
    86: ("n16", "", "贷记金额", "Credits, amount"),
    87: ("n16", "", "贷记冲正金额", "Credits, reversal amount"),
    88: ("n16", "", "借记金额", "Debits, amount"),
    89: ("n16", "", "借记冲正金额", "Debits, reversal amount"),
    97: ("x16", "", "净清算金额", "Net settlement amount"),
    98: ("a25", "", "收款人", "Payee"),
    100: ("n..11", "", "接收机构标识码", "Receiver"),
    101: ("a..17", "", "文件名", "File name"),
    102: ("a..28", "hide", "账户标识1", "Account 1"),
    103: ("a..28", "hide", "账户标识2", "Account 2"),
    104: ("a...100", "hide", "交易描述", "Transaction description"),
    128: ("b8", "", "报文鉴别码", "MAC"),
}


def _reserved(first: int, last: int) -> dict:
    return {n: ("a...999", "hide", "保留域%d" % n, "Reserved %d" % n) for n in range(first, last + 1)}


def _table(*parts: dict) -> dict:
    out: dict = {}
    for part in parts:
        out.update(part)
    return out


ISO_1987 = _table(
    _COMMON,
    {
        12: ("n6", "", "受卡方所在地时间", "Local time"),
        13: ("n4", "", "受卡方所在地日期", "Local date"),
        15: ("n4", "", "清算日期", "Settlement date"),
        22: ("n3", "", "服务点输入方式码", "Entry mode"),
        24: ("n3", "", "网络国际标识", "Network identifier"),
        25: ("n2", "", "服务点条件码", "Condition code"),
        26: ("n2", "", "服务点PIN获取码", "PIN capture code"),
        28: ("x8", "", "交易费", "Transaction fee"),
        29: ("x8", "", "清算费", "Settlement fee"),
        30: ("x8", "", "交易处理费", "Transaction processing fee"),
        31: ("x8", "", "清算处理费", "Settlement processing fee"),
        39: ("a2", "", "应答码", "Response code"),
        40: ("a3", "", "服务限制码", "Service restriction code"),
        43: ("a40", "", "受卡方名称地址", "Merchant name"),
        44: ("a..25/99", "", "附加响应数据", "Additional response"),
        46: ("a...999", "hide", "附加数据-ISO", "Additional data, ISO"),
        53: ("n16", "", "安全控制信息", "Security control"),
        55: ("b...255/499 halves", "chip", "IC卡数据域", "Chip data"),
        66: ("n1", "", "结算代码", "Settlement code"),
        70: ("n3", "", "网络管理信息码", "Network management code"),
        71: ("n4", "", "报文编号", "Message number"),
        72: ("n4", "", "末报文编号", "Message number, last"),
        82: ("n12", "", "贷记处理费金额", "Credits, processing fee"),
        83: ("n12", "", "贷记交易费金额", "Credits, transaction fee"),
        84: ("n12", "", "借记处理费金额", "Debits, processing fee"),
        85: ("n12", "", "借记交易费金额", "Debits, transaction fee"),
        90: ("n42", "", "原始数据元", "Original data"),
        91: ("a1", "", "文件更新代码", "File update code"),
        92: ("a2", "", "文件安全代码", "File security code"),
        93: ("a5", "", "响应指示", "Response indicator"),
        94: ("a7", "", "服务指示", "Service indicator"),
        95: ("a42", "", "替换金额", "Replacement amounts"),
        96: ("b8", "hide", "报文安全码", "Message security code"),
        99: ("n..11", "", "清算机构标识码", "Settlement institution"),
    },
    _reserved(56, 58),
    _reserved(105, 127),
)

ISO_1993 = _table(
    _COMMON,
    {
        12: ("n12", "", "受卡方所在地日期时间", "Local date and time"),
        13: ("n4", "hide", "卡生效日期", "Effective date"),
        15: ("n6", "", "清算日期", "Settlement date"),
        22: ("a12", "", "服务点数据码", "Point of service data"),
        24: ("n3", "", "功能代码", "Function code"),
        25: ("n4", "", "报文原因代码", "Message reason"),
        26: ("n4", "", "受卡方业务代码", "Business code"),
        28: ("n6", "", "对账日期", "Reconciliation date"),
        29: ("n3", "", "对账指示", "Reconciliation indicator"),
        30: ("n24", "", "原始金额", "Original amounts"),
        31: ("a..99", "", "受理机构参考数据", "Acquirer reference"),
        39: ("n3", "", "动作代码", "Action code"),
        40: ("n3", "", "服务代码", "Service code"),
        43: ("a..99", "", "受卡方名称地址", "Merchant name"),
        44: ("a..99", "", "附加响应数据", "Additional response"),
        46: ("a...204", "hide", "手续费金额", "Fees"),
        53: ("b..48", "hide", "安全控制信息", "Security control"),
        55: ("b...255/499", "chip", "IC卡数据域", "Chip data"),
        56: ("n..35", "", "原始数据元", "Original data"),
        57: ("n3", "", "授权生命周期代码", "Authorisation life cycle"),
        58: ("n..11", "", "授权代理机构标识码", "Authorising agent"),
        66: ("a...204", "hide", "原始手续费金额", "Original fees"),
        70: ("n3", "", "授权代理机构国家代码", "Authorising agent country"),
        71: ("n8", "", "报文编号", "Message number"),
        72: ("a...999", "hide", "数据记录", "Data record"),
        82: ("n10", "", "查询冲正笔数", "Inquiries, reversal number"),
        83: ("n10", "", "付款笔数", "Payments, number"),
        84: ("n10", "", "付款冲正笔数", "Payments, reversal number"),
        85: ("n10", "", "收费笔数", "Fee collections, number"),
        90: ("n10", "", "授权冲正笔数", "Authorisations, reversal number"),
        91: ("n3", "", "目的机构国家代码", "Destination country"),
        92: ("n3", "", "发起机构国家代码", "Origin country"),
        93: ("n..11", "", "目的机构标识码", "Destination"),
        94: ("n..11", "", "发起机构标识码", "Origin"),
        95: ("a..99", "", "发卡机构参考数据", "Issuer reference"),
        96: ("b...499/999", "hide", "密钥管理数据", "Key management data"),
        99: ("a..11", "", "清算机构标识码", "Settlement institution"),
        105: ("n16", "", "贷记退单金额", "Credits, chargeback amount"),
        106: ("n16", "", "借记退单金额", "Debits, chargeback amount"),
        107: ("n10", "", "贷记退单笔数", "Credits, chargeback number"),
        108: ("n10", "", "借记退单笔数", "Debits, chargeback number"),
        109: ("a..84", "hide", "贷记费用", "Credits, fees"),
        110: ("a..84", "hide", "借记费用", "Debits, fees"),
    },
    _reserved(111, 127),
)

# In a packed dialect field 55 counts bytes as every other field of bytes does.
_BINARY_1987 = changed(ISO_1987, {55: "b...255/999"})
UNIONPAY_128 = _table({n: ISO_1987[n] for n in ISO_1987 if n > 65}, UNIONPAY)

_POS = Framing()
_PLAIN = Framing(tpdu_size=0, header_size=0)
_CHARACTERS = "ascii hex length=ascii"

DIALECTS = {
    "unionpay": Dialect(UNIONPAY, "", _POS, "银联POS", "UnionPay POS"),
    "unionpay-128": Dialect(UNIONPAY_128, "", _POS, "银联POS 128域", "UnionPay POS, 128 fields"),
    "1987-ascii": Dialect(ISO_1987, _CHARACTERS, _PLAIN, "ISO 8583:1987 字符", "ISO 8583:1987, characters"),
    "1987-binary": Dialect(_BINARY_1987, "", _PLAIN, "ISO 8583:1987 压缩", "ISO 8583:1987, packed"),
    "1987-ebcdic": Dialect(_BINARY_1987, "ebcdic length=ebcdic", _PLAIN, "ISO 8583:1987 EBCDIC", "ISO 8583:1987, EBCDIC"),
    "1993-ascii": Dialect(ISO_1993, _CHARACTERS, _PLAIN, "ISO 8583:1993 字符", "ISO 8583:1993, characters"),
}

_codecs: "dict[str, Codec]" = {}


def codec(name: str, differs: "dict[str, str | None] | None" = None) -> Codec:
    """The codec of a dialect; differs: what a host does otherwise, as `fields.quirks` takes it.

    ValueError for a dialect that is none, and for quirks that are not understood.
    """
    if name not in DIALECTS:
        raise ValueError("no dialect %r: %s" % (name[:20], ", ".join(sorted(DIALECTS))))
    dialect = DIALECTS[name]
    if differs:
        return Codec(quirks(differs, dialect.table, dialect.words), dialect.words)
    if name not in _codecs:
        _codecs[name] = Codec(dialect.table, dialect.words)
    return _codecs[name]


def profile(value: "dict[str, Any]") -> "tuple[str, Codec, Framing]":
    """(dialect, codec, framing) of a host's profile. ValueError names the part and what is wrong with it."""
    if not isinstance(value, dict):
        raise ValueError('a profile is a table like {"dialect": "unionpay", "fields": {}, "frame": {}}')
    for part in value:
        if part not in ("dialect", "fields", "frame"):
            raise ValueError("%s: a profile has dialect, fields, frame" % str(part)[:20])
    name = value.get("dialect", "unionpay")
    if not isinstance(name, str) or name not in DIALECTS:
        raise ValueError("dialect: one of %s" % ", ".join(sorted(DIALECTS)))
    try:
        made = codec(name, value.get("fields"))
    except ValueError as error:
        why = "fields: %s" % error
    else:
        try:
            return name, made, framing(value.get("frame", {}), DIALECTS[name].framing)
        except ValueError as error:
            why = "frame: %s" % error
    raise ValueError(why)
