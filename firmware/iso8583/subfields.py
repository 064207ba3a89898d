"""What lies inside the private fields, as tables: by position, by tag, or as BER-TLV.

A layout is a head, then a group that repeats, or tags:

    head     parts by position; the last ones may be missing
    group    parts by position, again and again until the value ends
    tags     (size of a tag, size of a length in decimal digits, {tag: (mask, zh, en)}), as field 59 has them

A part is: name, size, mask, Chinese name, English name. The size is in characters of the value (digits, letters or bytes);
0 takes the rest. Masks are those of `fields`; a part with the mask "chip" is BER-TLV. Which layout a field has depends on the
message: type, management code (F60.3), condition code (F25); `RULES` lists that, the first that fits counts.

`split` is for whoever shows a message and takes what deployed hosts send; `join` is for whoever builds one and is strict.

Source: reference/host.md §2 (composite fields), §3, §5, §6.
"""

from collections import namedtuple

from firmware.iso8583.codec import Iso8583Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Split = list[tuple["Part", str | bytes]]

Part = namedtuple("Part", ("name", "size", "mask", "zh", "en"))
Layout = namedtuple("Layout", ("head", "group", "tags"))

PARTS_LIMIT = 400  # of one value


def _layout(head: "tuple[tuple[str, int, str, str, str], ...]", group: "tuple" = (), tags: "tuple | None" = None) -> Layout:
    return Layout(tuple([Part(*row) for row in head]), tuple([Part(*row) for row in group]), tags)


ENTRY = _layout((("22.1", 2, "", "输入方式", "Entry"), ("22.2", 1, "", "密码", "PIN")))
SECURITY = _layout((
    ("53.1", 1, "", "密码格式", "PIN format"), ("53.2", 1, "", "算法", "Cipher"), ("53.3", 1, "", "磁道加密", "Track enciphered"),
    ("53.4", 0, "", "保留", "Reserved"),
))  # fmt: skip
BALANCES = _layout((), (
    ("54.1", 2, "", "账户类型", "Account"), ("54.2", 2, "", "余额类型", "Kind"), ("54.3", 3, "", "货币", "Currency"),
    ("54.4", 1, "", "符号", "Sign"), ("54.5", 12, "hide", "金额", "Amount"),
))  # fmt: skip
PRIVATE = _layout((
    ("60.1", 2, "", "交易类型", "Kind"), ("60.2", 6, "", "批次号", "Batch"), ("60.3", 3, "", "管理码", "Management code"),
    ("60.4", 1, "", "终端能力", "Capability"), ("60.5", 1, "", "芯片条件", "Chip condition"),
    ("60.6", 1, "", "部分承兑", "Partial approval"), ("60.7", 3, "", "账户类型", "Account"), ("60.8", 0, "", "其他", "More"),
))  # fmt: skip
ORIGINAL = _layout((
    ("61.1", 6, "", "原批次号", "Original batch"), ("61.2", 6, "", "原流水号", "Original trace"),
    ("61.3", 4, "", "原日期", "Original date"), ("61.4", 2, "", "原授权方式", "Authorisation mode"),
    ("61.5", 11, "", "原授权机构", "Authorising institution"), ("61.6", 0, "", "其他", "More"),
))  # fmt: skip

_SIDE = (
    ("借记金额", "debit amount", 12), ("借记笔数", "debit count", 3), ("贷记金额", "credit amount", 12),
    ("贷记笔数", "credit count", 3), ("对账结果", "result", 1),
)  # fmt: skip


def _totals() -> "tuple[tuple[str, int, str, str, str], ...]":
    rows = []
    for group, (zh, en) in enumerate((("内卡", "UnionPay cards"), ("外卡", "Other cards"))):
        for place, (of_zh, of_en, size) in enumerate(_SIDE):
            rows.append(("48.%d" % (group * 5 + place + 1), size, "", zh + of_zh, "%s, %s" % (en, of_en)))
    return tuple(rows)


TOTALS = _layout(_totals())
ITEMS = _layout(
    (("48.1", 2, "", "笔数", "Count"),),
    (
        ("48.2", 2, "", "卡组织", "Organisation"), ("48.3", 6, "", "流水号", "Trace"), ("48.4", 20, "pan", "卡号", "Card"),
        ("48.5", 12, "", "金额", "Amount"),
    ),
)  # fmt: skip
COUNT = _layout((("48.1", 0, "", "上送总笔数", "Count of what was uploaded"),))
TIP = _layout((("48.1", 12, "", "小费", "Tip"),))
UPLOADED = _layout((
    ("62.1", 2, "", "标识", "Mark"), ("62.2", 2, "", "卡组织", "Organisation"), ("62.3", 2, "", "保留", "Reserved"),
    ("62.4", 12, "", "金额", "Amount"), ("62.5", 3, "", "货币", "Currency"),
))  # fmt: skip
INSTALMENTS = _layout((
    ("62.1", 2, "", "期数", "Instalments"), ("62.2", 30, "", "项目编码", "Project"), ("62.3", 1, "", "手续费方式", "Fee mode"),
))  # fmt: skip
ASKED = _layout((("62.1", 1, "", "标志", "Mark"), ("62.2", 2, "", "已收条数", "Received so far")))
ONE = _layout((("62.1", 0, "chip", "标识", "Which"),))
DOWNLOADED = _layout((("62.1", 1, "", "状态", "State"), ("62.2", 0, "chip", "数据", "Data")))
CODE = _layout((), (), (2, 3, {
    "A1": ("hide", "SM密码", "PIN block"), "A2": ("hide", "终端信息", "Terminal"), "A3": ("hide", "付款码", "Payment code"),
    "A4": ("", "付款凭证号", "Voucher"),
}))  # fmt: skip

# field, message types, management codes (F60.3), condition codes (F25): layout. Empty: any.
RULES: "tuple[tuple[int, tuple[str, ...], tuple[str, ...], tuple[str, ...], Layout], ...]" = (
    (22, (), (), (), ENTRY),
    (48, ("0500", "0510"), ("201",), (), TOTALS),
    (48, ("0320",), ("201",), (), ITEMS),
    (48, ("0320", "0330"), ("202", "207"), (), COUNT),
    (48, ("0200", "0220", "0320"), (), (), TIP),
    (53, (), (), (), SECURITY),
    (54, (), (), (), BALANCES),
    (59, (), (), (), CODE),
    (60, (), (), (), PRIVATE),
    (61, (), (), (), ORIGINAL),
    (62, ("0320",), ("203", "204", "205", "206"), (), UPLOADED),
    (62, ("0200",), (), ("64",), INSTALMENTS),
    (62, ("0820",), ("372", "382"), (), ASKED),
    (62, ("0800",), ("370", "380"), (), ONE),
    (62, ("0810", "0830"), ("370", "372", "380", "382"), (), DOWNLOADED),
)


def layout_of(mti: str, fields: dict, field: int) -> "Layout | None":
    """The layout that a field of this message has, None for a field that is one piece."""
    management = str(fields.get(60, ""))[8:11]
    condition = fields.get(25, "")
    for number, types, codes, conditions, layout in RULES:
        if number == field and (not types or mti in types):
            if (not codes or management in codes) and (not conditions or condition in conditions):
                return layout
    return None


def split(field: int, layout: Layout, value: "str | bytes") -> "Split":
    """[(part, value)] of a value; what is left of a part that is cut short is given as it is. Raises Iso8583Error."""
    if layout.tags is not None:
        return _split_tags(field, layout.tags, value)
    out: "Split" = []
    at = 0
    for part in layout.head:
        if at >= len(value):
            return out
        end = at + part.size if part.size else len(value)
        out.append((part, value[at:end]))
        at = end
    while layout.group and at < len(value):
        for part in layout.group:
            if at >= len(value) or len(out) > PARTS_LIMIT:
                raise Iso8583Error(field, None, "no whole number of items")
            out.append((part, value[at : at + part.size]))
            at += part.size
    if at > len(value) and layout.group:
        raise Iso8583Error(field, None, "no whole number of items")
    if at < len(value):
        out.append((Part("%d.+" % field, 0, "hide", "多余", "Too many"), value[at:]))
    return out


def _split_tags(field: int, tags: tuple, value: "str | bytes") -> "Split":
    of_tag, of_length, names = tags
    data = value if isinstance(value, bytes) else value.encode()
    out: "Split" = []
    at = 0
    while at < len(data):
        begin = at + of_tag + of_length
        length = data[at + of_tag : begin]
        if len(length) < of_length or not length.isdigit() or begin + int(length) > len(data) or len(out) > PARTS_LIMIT:
            raise Iso8583Error(field, None, "no tag with its length at %d" % at)
        tag = "".join([chr(code) if 32 < code < 127 else "." for code in data[at : at + of_tag]])
        mask, zh, en = names.get(tag, ("hide", "未知", "unknown"))
        at = begin + int(length)
        out.append((Part("%d.%s" % (field, tag), 0, mask, zh, en), data[begin:at]))
    return out


def join(field: int, layout: Layout, values: "dict[str, Any]") -> "str | bytes":
    """The value made of {name of a part: str or bytes}; a group's parts are lists. Text unless a part is bytes.

    Parts may be missing only at the end. Raises Iso8583Error for a part that the layout lacks or that has another size.
    """
    known = [part.name for part in layout.head + layout.group]
    if layout.tags is not None:
        known = ["%d.%s" % (field, tag) for tag in layout.tags[2]]
    for name in values:
        if name not in known:
            raise Iso8583Error(field, None, "no part %s: it has %s" % (str(name)[:10], " ".join(known)))
    if layout.tags is not None:
        return _join_tags(field, layout.tags, values)
    pieces: "list[Any]" = []
    ended = ""
    for part in layout.head:
        if part.name not in values:
            ended = part.name
        elif ended:
            raise Iso8583Error(field, None, "%s is missing before %s" % (ended, part.name))
        else:
            pieces.append(_fit(field, part, values[part.name]))
    if layout.group:
        columns = [values.get(part.name, []) for part in layout.group]
        if min([len(column) for column in columns]) != max([len(column) for column in columns]):
            raise Iso8583Error(field, None, "every item needs all its parts")
        for item in range(len(columns[0])):
            pieces += [_fit(field, part, columns[place][item]) for place, part in enumerate(layout.group)]
    return _joined(field, pieces)


def _join_tags(field: int, tags: tuple, values: "dict[str, Any]") -> "str | bytes":
    of_tag, of_length, names = tags
    pieces: "list[Any]" = []
    for tag in sorted(names):
        value = values.get("%d.%s" % (field, tag))
        if value is not None:
            if len(value) >= 10**of_length:
                raise Iso8583Error(field, None, "%s is too long" % tag)
            head = tag + ("%0" + str(of_length) + "d") % len(value)
            pieces += [head.encode() if isinstance(value, bytes) else head, value]
    return _joined(field, pieces)


def _fit(field: int, part: Part, value: "Any") -> "Any":
    if not isinstance(value, (str, bytes)) or part.size and len(value) != part.size:
        raise Iso8583Error(field, None, "%s needs %d characters" % (part.name, part.size))
    return value


def _joined(field: int, pieces: "list[Any]") -> "str | bytes":
    if not pieces:
        raise Iso8583Error(field, None, "no part")
    if all([isinstance(piece, str) for piece in pieces]):
        return "".join(pieces)
    try:
        return b"".join([piece if isinstance(piece, bytes) else piece.encode() for piece in pieces])
    except UnicodeError:
        raise Iso8583Error(field, None, "not ASCII")
