"""The rows of the shelf: every card, its applications, and what is wrong with it. UnionPay first.

A row is data; `shelf.py` draws its numbers and keys, `builder.py` makes the card. What a card is for is its title.
"""

from typing import Any, NamedTuple

from emulator.cards.profile import FULL, MCHIP, NOT, STRIPE_MODE, Profile

DEBIT, CREDIT, QUASI = (bytes.fromhex("A00000033301010" + digit) for digit in "123")
VISA, MASTERCARD = bytes.fromhex("A0000000031010"), bytes.fromhex("A0000000041010")
EVERY, BY_CHIP, BY_AIR, BY_STRIPE = ("contact", "contactless", "stripe"), ("contact",), ("contactless",), ("stripe",)

NEVER = ("0000000000", "0000000000", "0000000000")  # action codes of a card that leaves it to the terminal
LONG = ("unionpay-1984", "issuer-1984", "card-1984")
F4 = ("unionpay-1984-f4", "issuer-1408-f4", "card-1152-f4")
UNKNOWN = ("unionpay-unknown", "issuer-1024", "card-1024")
OF_VISA, OF_MASTERCARD = ("visa-1408", "issuer-1152-f4", "card-1024-f4"), ("mastercard-1152", "issuer-1024", "card-1024")

debit = Profile(DEBIT, "PBOC DEBIT", oda="dda")
credit = Profile(CREDIT, "PBOC CREDIT", oda="cda", format=0x77, pdol="9F1A025F2A02")
offline = debit._replace(iac=NEVER, offline_fen=50_000, oda="cda", format=0x77, rules="1F03")
visa = Profile(
    VISA, "VISA CREDIT", "visa", country="0840", currency="0840", oda="dda", chain=OF_VISA, quick=OF_VISA, version="008C"
)
mastercard = Profile(
    MASTERCARD, "MASTERCARD", "mastercard", country="0840", currency="0840", contactless=MCHIP, format=0x77, chain=OF_MASTERCARD,
    quick=(), habit="never", version="0002",
)  # fmt: skip


class Row(NamedTuple):
    """One card.

    applications   profiles;  digits: of its number;  expiry YYMM;  balance_fen at its bank
    service        of stripe and track 2;  faults: attributes of Card;  listed: on the terminal's exception file
    protocol       of its contacts;  directory: it has 1PAY.SYS.DDF01;  damaged: its stripe cannot be read
    """

    name: str
    title: str
    applications: "tuple[Profile, ...]" = (debit,)
    interfaces: "tuple[str, ...]" = EVERY
    digits: int = 19
    expiry: str = "3512"
    balance_fen: int = 10_000_000
    faults: "dict[str, Any]" = {}
    service: str = "220"
    listed: bool = False
    protocol: str = "T=0"
    directory: bool = True
    damaged: bool = False


def _debit(**changes):
    return (debit._replace(**changes),)


def _offline(**changes):
    return (offline._replace(**changes),)


# The first eight are drawn first, so that a seed gives them the numbers that it always gave.
FIRST = (
    Row("debit", "借记卡 Debit", expiry="3512", balance_fen=100_000_000),
    Row("credit", "贷记卡 Credit", (credit,), digits=16, expiry="3410", balance_fen=5_000_000),
    Row("second", "另一张借记卡 Second debit", expiry="3606", protocol="T=1"),
    Row("expired", "过期卡 Expired", expiry="2305"),
    Row("poor", "余额不足 Poor", expiry="3311", balance_fen=100),
    Row("pin-asking", "需输密码 Always PIN", _debit(habit="always PIN", rules="0200"), expiry="3409"),
    Row("phone", "手机闪付 Phone", _debit(label="UnionPay Pay", habit="device", contact=False), BY_AIR, expiry="3303"),
    Row("broken", "坏卡 Broken", faults={"garbage": True}),
)
ROWS = (
    *FIRST,
    # The holder
    Row("offline-pin", "脱机明文密码 Plain offline PIN", _debit(rules="410342031E031F03")),
    Row("enciphered-pin", "脱机密文密码 Enciphered offline PIN", _debit(rules="440341031F03", pin_key="pin-896")),
    Row("pin-and-signature", "密码加签名 Offline PIN and signature", _debit(rules="43031E031F03")),
    Row("signature", "签名卡 Signature", (credit._replace(rules="1E031F03", habit="always signature"),), digits=16),
    Row("document", "证件核对 Identity document", _debit(rules="60031F03", document="999999200001010000")),
    Row("pin-blocked", "密码锁定 PIN blocked", _debit(rules="410342031F03", tries_left=0)),
    Row("last-try", "最后一次密码 Last PIN try", _debit(rules="41031F03", tries_left=1)),
    # Proving the card
    Row("sda", "静态认证 SDA only", _debit(oda="sda")),
    Row("cda", "复合认证 CDA", (credit._replace(aid=QUASI, label="PBOC QUASI"),), digits=16),
    Row("long-keys", "1984 位密钥 1984-bit keys", _debit(chain=LONG, quick=LONG)),
    Row("f4-keys", "指数 65537 Exponent 65537", _debit(chain=F4, quick=F4, oda="cda", format=0x77)),
    Row("unproven", "无认证 No authentication", _debit(oda="", quick=())),
    Row("unknown-authority", "未知根密钥 Unknown authority", _debit(chain=UNKNOWN, quick=UNKNOWN)),
    Row("wrong-certificate", "证书错误 Wrong certificate", faults={"wrong_certificate": True}),
    Row("wrong-signature", "签名数据错误 Wrong CDA", (credit,), digits=16, faults={"wrong_signature": True}),
    Row("wrong-cryptogram", "密文错误 Wrong cryptogram", faults={"wrong_cryptogram": True}),
    # Choosing
    Row("two", "借贷合一 Debit and credit", (debit, credit._replace(priority=2))),
    Row("first-refuses", "首个应用不可用 First application refuses",
        (debit._replace(options="6985"), credit._replace(priority=2))),
    Row("confirm", "需持卡人确认 Wants confirmation", _debit(confirm=True)),
    Row("no-directory", "无目录 No directory", (debit._replace(aid=DEBIT + b"\x01", label="DEBIT ONE"),
                                                debit._replace(aid=DEBIT + b"\x02", label="DEBIT TWO")),
        directory=False),
    Row("blocked-card", "卡片锁定 Card blocked", faults={"blocked": True}),
    Row("blocked-application", "应用锁定 Application blocked", _debit(blocked=True)),
    # Restrictions and lists
    Row("listed", "黑名单卡 On the exception file", listed=True),
    Row("international", "境外卡 International", _debit(country="0840", currency="0840")),
    Row("service", "不允许消费 No goods allowed", _debit(usage="C000")),
    Row("future", "未生效 Not yet effective", _debit(effective="400101")),
    Row("version", "版本不同 Other version", _debit(version="0030")),
    # Risk management
    Row("offline", "脱机批准 Approves offline", _offline()),
    Row("velocity", "连续脱机 Offline in a row", _offline(run=(2, 4))),
    Row("new", "新卡 New card", _offline(run=(2, 4), seen=False)),
    Row("hash", "交易证书散列 TC hash", _debit(tc_hash=True)),
    Row("declines", "卡片拒绝 Declines", faults={"declines": True, "advice": 0x08}),
    # Completion
    Row("strict", "须认证发卡行 Wants the right ARPC", _debit(strict=True)),
    Row("script", "接受脚本 Takes scripts", _debit(rules="41031F03")),
    Row("second-refuses", "二次密文拒绝 Refuses the second cryptogram", faults={"refuses_second": b"\x69\x85"}),
    # The chip itself
    Row("chip-dead", "芯片失效 Dead chip", interfaces=("contact", "stripe"), faults={"dead": True}),
    Row("chip-refuses", "首次密文 6985 First cryptogram 6985", faults={"refuses": {0xAE: b"\x69\x85"}}),
    Row("slow", "慢卡 Slow", faults={"slow_ms": 300, "wtx": 2}),
    Row("torn", "读卡中断 Leaves too early", faults={"torn_at": 3}),
    # Contactless
    Row("full", "完整 PBOC 非接 Full PBOC over contactless", _debit(contactless=FULL)),
    Row("flash", "脱机闪付 Offline by contactless", _offline(quick=LONG, habit="never")),
    Row("flash-wrong", "闪付签名错误 Wrong fDDA", _offline(quick=LONG, habit="never"), faults={"wrong_signature": True}),
    Row("flash-online", "签名错误转联机 Wrong fDDA: online", _offline(habit="never", ctq="2000"),
        faults={"wrong_signature": True}),
    Row("flash-contact", "签名错误转插卡 Wrong fDDA: insert", _offline(habit="never", ctq="1000"),
        faults={"wrong_signature": True}),
    Row("insert-only", "仅限插卡 Chip by contacts only", interfaces=("contact", "stripe")),
    Row("wallet", "锁定的手机 Locked phone", _debit(label="UnionPay Pay", habit="device", contact=False), BY_AIR,
        faults={"locked": True}),
    # Others
    Row("visa", "Visa", (visa,), digits=16),
    Row("visa-offline", "Visa 脱机 Visa offline", (visa._replace(offline_fen=50_000, iac=NEVER),), digits=16),
    Row("mastercard", "Mastercard", (mastercard,), digits=16, service="201"),
    Row("mastercard-stripe", "Mastercard 磁条模式 Mastercard stripe mode", (mastercard._replace(contactless=STRIPE_MODE),),
        digits=16, service="201"),
    # Stripe
    Row("stripe", "纯磁条卡 Stripe only", _debit(contact=False, contactless=NOT), BY_STRIPE, digits=16, service="120"),
    Row("stripe-damaged", "磁条损坏 Damaged stripe", _debit(contact=False, contactless=NOT), BY_STRIPE, digits=16, service="120",
        damaged=True),
)  # fmt: skip
NO_BANK_CARD = ("not-a-bank-card", "借书证 Library card")
PREFIXES = {"unionpay": "62", "visa": "499999", "mastercard": "559999"}
