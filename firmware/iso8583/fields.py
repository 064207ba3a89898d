"""The fields of a UnionPay POS message.

A row is: coding, mask, Chinese name, English name. The coding is written as the standards write it:

    n6        six digits, two to a byte, right-justified: an odd count has a 0 nibble in front
    n..19     up to 19 digits behind a length of one byte (2 digits); an odd count has a 0 nibble behind
    n...17    the same behind a length of two bytes (3 digits, one leading 0)
    z..37     like n.. with the track's separator as nibble D; an enciphered track holds any nibble
    a8        eight ASCII characters        -> str
    a...20    up to 20 of them              -> str
    b8 b..25  bytes as they are; text of a host (GBK) stays bytes
    n...17/60 up to 17 are sent, up to 60 are taken

and may be followed by what a host does differently:

    left, right     digits lie left or right in their bytes; the odd nibble is on the other side
    padF            the odd nibble is sent as F
    bytes           the length of n and z counts bytes, not digits
    halves          the length of b counts half bytes

The mask says what of a field may be shown: "" all, "pan" first 6 and last 4, "hide" only its length, "chip" card data
by tag, "keys" only the check values.

Source: reference/host.md §2 (table, rules, deviations).
"""

UNIONPAY = {
    2: ("n..19", "pan", "主账号", "PAN"),
    3: ("n6", "", "交易处理码", "Processing code"),
    4: ("n12", "", "交易金额", "Amount"),
    7: ("n10", "", "传输日期时间", "Transmission date and time"),
    11: ("n6", "", "流水号", "STAN"),
    12: ("n6", "", "受卡方所在地时间", "Local time"),
    13: ("n4", "", "受卡方所在地日期", "Local date"),
    14: ("n4", "hide", "卡有效期", "Expiry"),
    15: ("n4", "", "清算日期", "Settlement date"),
    22: ("n3 left", "", "服务点输入方式码", "Entry mode"),
    23: ("n3", "", "卡序列号", "Card sequence number"),
    24: ("n3", "", "网络国际标识", "Network identifier"),
    25: ("n2", "", "服务点条件码", "Condition code"),
    26: ("n2", "", "服务点PIN获取码", "PIN capture code"),
    32: ("n..11", "", "受理机构标识码", "Acquirer"),
    33: ("n..11", "", "发送机构标识码", "Forwarder"),
    35: ("z..37", "hide", "2磁道数据", "Track 2"),
    36: ("z...104", "hide", "3磁道数据", "Track 3"),
    37: ("a12", "", "检索参考号", "Reference number"),
    38: ("a6", "", "授权标识应答码", "Authorisation code"),
    39: ("a2", "", "应答码", "Response code"),
    40: ("b...999", "hide", "保留域", "Reserved"),
    41: ("a8", "", "终端标识码", "Terminal"),
    42: ("a15", "", "商户标识码", "Merchant"),
    43: ("b40", "", "受卡方名称地址", "Merchant name"),
    44: ("b..25/99", "", "附加响应数据", "Additional response"),
    46: ("b...999", "hide", "自定义域46", "Private 46"),
    47: ("b...999", "hide", "自定义域47", "Private 47"),
    48: ("n...322/999", "hide", "附加数据", "Private totals"),
    49: ("a3", "", "交易货币代码", "Currency"),
    52: ("b8", "hide", "个人标识码数据", "PIN block"),
    53: ("n16", "", "安全控制信息", "Security control"),
    54: ("a...20/120", "hide", "余额", "Balance"),
    55: ("b...255/999", "chip", "IC卡数据域", "Chip data"),
    56: ("b...512/999", "hide", "自定义域56", "Private 56"),
    57: ("b...999", "hide", "自定义域57", "Private 57"),
    58: ("b...100/999", "hide", "电子钱包数据", "Purse data"),
    59: ("b...999", "hide", "自定义域59", "Code payment data"),
    60: ("n...17/60", "", "自定义域60", "Type, batch, management code"),
    61: ("n...29/60", "", "原始信息域", "Original"),
    62: ("b...512/999", "keys", "自定义域62", "Keys, parameters"),
    63: ("b...163/999", "", "自定义域63", "Organisation, text"),
    64: ("b8", "", "报文鉴别码", "MAC"),
}


def changed(table: dict, codings: dict) -> dict:
    """A copy of `table` for a host that differs: codings {field: coding}, None where the host lacks the field.

    A field that `table` lacks gets the mask "hide". `changed(UNIONPAY, {62: "b...499 halves"})`.
    """
    out = dict(table)
    for number, coding in codings.items():
        if coding is None:
            out.pop(number, None)
        else:
            row = table.get(number, ("", "hide", "域%d" % number, "Field %d" % number))
            out[number] = (coding,) + tuple(row[1:])
    return out
