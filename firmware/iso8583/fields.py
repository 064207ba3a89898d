"""The fields of a UnionPay POS message.

A row is: coding, mask, Chinese name, English name. The coding ("n..19") is what `coding` explains: kind, length, and what a
host does differently.

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

    A field that `table` lacks gets the mask "hide". Rows 0 and 1 are the message type and the bitmap.
    `changed(UNIONPAY, {62: "b...499 halves"})`.
    """
    out = dict(table)
    for number, coding in codings.items():
        if coding is None:
            out.pop(number, None)
        else:
            row = table.get(number, ("", "hide", "域%d" % number, "Field %d" % number))
            out[number] = (coding,) + tuple(row[1:])
    return out


def quirks(value: "dict[str, str | None]", table: dict = UNIONPAY, words: str = "") -> dict:
    """`changed(table, ...)` of the JSON form {"62": "b...499 halves", "36": null}, as the parameter host.fields has it.

    ValueError names the field and says what of its coding is not understood. words: what the dialect says for all fields.
    """
    if not isinstance(value, dict):
        raise ValueError('takes a table like {"62": "b...499 halves"}')
    codings = {}
    for name, coding in value.items():
        number = int(name) if isinstance(name, str) and name in _NAMES else -1
        if number < 0:
            raise ValueError("field %s: not one of 2 to 128 (0 message type, 1 bitmap), 65 left out" % str(name)[:20])
        if number < 2 and coding is None:
            raise ValueError("field %s: every message has it" % name)
        codings[number] = coding
    if codings:
        from firmware.iso8583.codec import Codec  # only where a host differs

        out = changed(table, codings)
        Codec(changed({}, codings), words)
        return out
    return table


_NAMES = [str(number) for number in range(129) if number != 65]
