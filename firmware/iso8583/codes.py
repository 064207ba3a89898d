"""Response codes (F39): what happened in a few words, and what to do now.

A row is: Chinese words, English words, action, who can help. The words fit a line of the screen. The action is what the
terminal does about it; a code that is not listed is a decline.

    approve           money moved
    approve-partial   money moved, maybe less than asked: F4 of the reply tells
    approve-notice    money moved, the card's bank wants to be asked
    decline           no money moved; another card, or another way to pay
    retry             no money moved; the same again may work
    retry-later       the same, after a while
    pin               the PIN was wrong: the same amount anew
    pick-up           keep the card if that is safe
    sign-on           new working keys, then again
    upload            offline transactions have to be sent again first

Source: reference/host.md §6; vectors/host/response_codes.json; reference/products.md §1.7. The words are ours.
"""

from collections import namedtuple

Code = namedtuple("Code", ("code", "zh", "en", "action", "help"))

APPROVED = "00"
SIGN_ON_CODES = ("77", "99", "A0")
REVERSED_CODES = ("00", "12", "25")  # with a valid MAC these end a reversal: undone, or nothing there to undo
LATER = ("sign-on", "retry-later", "upload")  # actions that say nothing final about a message that is sent again
UNDECIDED = ("09", "68", "98")  # nor do these: the card's bank has not answered the acquirer yet, and may have booked
UPLOADED_CODES = ("00", "94")  # these end the upload of an offline transaction

ISSUER, ACQUIRER, MERCHANT = "issuer", "acquirer", "merchant"

# Who can help -> words for the page.
HELP = {
    ISSUER: ("请持卡人联系发卡行", "Cardholder: ask your bank"),
    ACQUIRER: ("请联系收单机构", "Call the acquirer"),
    MERCHANT: ("请核对后重做", "Check and do it again"),
    "": ("", ""),
}

# Action -> words for the page.
ACTIONS = {
    "approve": ("交易成功", "Approved"),
    "approve-partial": ("请核对实收金额", "Check the amount"),
    "approve-notice": ("请向发卡行确认", "Confirm with the bank"),
    "decline": ("请换卡或换方式", "Use another card"),
    "retry": ("请重试", "Try again"),
    "retry-later": ("请稍后重试", "Try again later"),
    "pin": ("请重新输入密码", "Enter the PIN again"),
    "pick-up": ("请保留此卡", "Keep the card"),
    "sign-on": ("将重新签到", "Signing on again"),
    "upload": ("将重传离线交易", "Sending offline sales"),
}

_ROWS = (
    ("00", "交易成功", "Approved", "approve", ""),
    ("01", "须询问发卡行", "Refer to bank", "decline", ISSUER),
    ("02", "须询问发卡行", "Refer to bank, special", "decline", ISSUER),
    ("03", "商户未登记", "Merchant unknown", "decline", ACQUIRER),
    ("04", "银行要求没收此卡", "Bank wants the card", "pick-up", ACQUIRER),
    ("05", "发卡行不予承兑", "Not honoured", "decline", ISSUER),
    ("06", "发卡行处理出错", "Error at the bank", "decline", ISSUER),
    ("07", "银行要求没收此卡", "Bank wants the card", "pick-up", ACQUIRER),
    ("09", "银行仍在处理", "Still in progress", "retry", ""),
    ("10", "部分金额获准", "Partly approved", "approve-partial", MERCHANT),
    ("11", "交易成功，贵宾卡", "Approved, VIP", "approve", ""),
    ("12", "无效交易", "Invalid transaction", "decline", ISSUER),
    ("13", "金额无效", "Invalid amount", "retry", MERCHANT),
    ("14", "卡号无效", "Invalid card number", "decline", ISSUER),
    ("15", "查无发卡行", "No such issuer", "decline", ISSUER),
    ("19", "须重做交易", "Enter it again", "decline", ISSUER),
    ("20", "银行应答无效", "Invalid answer", "decline", ISSUER),
    ("21", "此卡未启用", "Card not active", "decline", ISSUER),
    ("22", "与主机状态不符", "State differs", "decline", ACQUIRER),
    ("23", "手续费不被接受", "Fee refused", "decline", ISSUER),
    ("25", "找不到原交易", "Original not found", "decline", ISSUER),
    ("30", "报文格式错", "Format error", "retry", ACQUIRER),
    ("31", "不受理此银行的卡", "Bank not served", "decline", ISSUER),
    ("33", "过期卡，应没收", "Expired, keep card", "pick-up", ISSUER),
    ("34", "涉嫌欺诈的卡", "Suspected fraud", "pick-up", ACQUIRER),
    ("35", "请联系收单行安保", "Ask security", "pick-up", ACQUIRER),
    ("36", "受限制的卡", "Restricted card", "pick-up", ISSUER),
    ("37", "请联系收单行安保", "Ask security", "pick-up", ACQUIRER),
    ("38", "密码错误次数过多", "Too many wrong PINs", "pick-up", ISSUER),
    ("39", "无信用账户", "No credit account", "decline", ISSUER),
    ("40", "银行不支持此交易", "Not supported", "decline", ISSUER),
    ("41", "挂失的卡", "Lost card", "pick-up", ACQUIRER),
    ("42", "账户类型不符", "No such account", "decline", ISSUER),
    ("43", "被窃的卡", "Stolen card", "pick-up", ACQUIRER),
    ("44", "无投资账户", "No investment acct", "decline", ISSUER),
    ("51", "余额不足", "Insufficient funds", "decline", ISSUER),
    ("52", "无支票账户", "No cheque account", "decline", ISSUER),
    ("53", "无储蓄账户", "No savings account", "decline", ISSUER),
    ("54", "此卡已过期", "Card has expired", "decline", ISSUER),
    ("55", "密码错误", "Wrong PIN", "pin", ISSUER),
    ("56", "查无此卡", "No record of card", "decline", ISSUER),
    ("57", "此卡不许做此交易", "Not allowed to card", "decline", ISSUER),
    ("58", "终端不许做此交易", "Not allowed here", "decline", ACQUIRER),
    ("59", "卡片校验未通过", "Card check failed", "decline", ISSUER),
    ("60", "须联系收单机构", "Ask the acquirer", "decline", ACQUIRER),
    ("61", "金额超过限额", "Over the limit", "decline", ISSUER),
    ("62", "受限制的卡", "Restricted card", "decline", ISSUER),
    ("63", "违反安全规定", "Security violation", "decline", ISSUER),
    ("64", "与原交易金额不符", "Amount not original", "decline", MERCHANT),
    ("65", "超过次数限制", "Over the count", "decline", ISSUER),
    ("66", "请联系收单行安保", "Ask security", "decline", ACQUIRER),
    ("67", "应没收此卡", "Keep the card", "pick-up", ACQUIRER),
    ("68", "银行应答超时", "Bank too late", "retry", ""),
    ("75", "密码错误次数过多", "Too many wrong PINs", "decline", ISSUER),
    ("77", "须重新签到", "Sign on needed", "sign-on", ""),
    ("79", "离线交易须重传", "Offline data differ", "upload", ""),
    ("90", "系统正在日切", "Day is changing", "retry-later", ""),
    ("91", "发卡行系统故障", "Bank out of order", "retry-later", ""),
    ("92", "发卡行无法连通", "Bank not reached", "retry-later", ""),
    ("93", "交易违反法规", "Against the law", "decline", ISSUER),
    ("94", "交易重复", "Duplicate", "retry-later", ACQUIRER),
    ("95", "对账出错", "Totals differ", "retry-later", ACQUIRER),
    ("96", "交换中心故障", "Switch out of order", "retry-later", ""),
    ("97", "终端未登记", "Terminal unknown", "decline", ACQUIRER),
    ("98", "收不到发卡行应答", "No answer from bank", "retry", ""),
    ("99", "密码格式错", "PIN format error", "sign-on", ""),
    ("A0", "报文校验错", "MAC error", "sign-on", ""),
    ("A1", "转账货币不一致", "Currencies differ", "decline", ISSUER),
    ("A2", "交易成功，待确认", "Approved, confirm", "approve-notice", ISSUER),
    ("A3", "账户不正确", "Account wrong", "decline", ISSUER),
    ("A4", "交易成功，待确认", "Approved, confirm", "approve-notice", ISSUER),
    ("A5", "交易成功，待确认", "Approved, confirm", "approve-notice", ISSUER),
    ("A6", "交易成功，待确认", "Approved, confirm", "approve-notice", ISSUER),
    ("A7", "拒绝，交换中心故障", "Declined by switch", "retry-later", ""),
    ("OT", "金额过小", "Amount too small", "decline", MERCHANT),
)

CODES = {row[0]: Code(*row) for row in _ROWS}

SUCCESS = tuple([row[0] for row in _ROWS if row[3].split("-")[0] == "approve"])


def look_up(code: str) -> Code:
    """The row of a response code; for one that is not listed a decline with words of its own."""
    return CODES.get(code) or Code(code, "交易失败", "Declined", "decline", ACQUIRER)


def to_repeat(code: str) -> bool:
    """Whether an answer leaves open what becomes of a message that is sent until it is answered for good."""
    return code not in UPLOADED_CODES and (code in UNDECIDED or look_up(code).action in LATER)


def approved(code: str) -> bool:
    """Whether money moved."""
    return code in SUCCESS
