"""How the shelf is laid out for a person: its groups, and what each card is there to show.

A card that stands in no group is among the others, without words: the shelf may grow before this page is told.
"""

from __future__ import annotations

from typing import NamedTuple


class Label(NamedTuple):
    """group, shows: (Chinese, English)."""

    group: tuple[str, str]
    shows: tuple[str, str]


OTHERS = Label(("其他", "Others"), ("", ""))

GROUPS: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
    ("银联借记卡", "UnionPay debit", (
        ("debit", "挥卡、插卡成功；刷卡会请它插卡", "by tap and by chip; swiped, it is sent to the slot"),
        ("second", "撤销时换卡会被拒绝；芯片用 T=1", "not the card of a void; its chip speaks T=1"),
        ("pin-asking", "任何金额都要输密码", "wants its PIN for any amount"),
        ("poor", "主机应答 51 余额不足", "the host declines: 51"),
        ("expired", "过期：不受理", "has expired: not accepted"),
    )),
    ("银联贷记卡", "UnionPay credit", (
        ("credit", "CDA 复合认证后联机", "proves itself by CDA, then goes online"),
        ("cda", "准贷记卡，CDA", "quasi-credit, CDA"),
        ("signature", "签名代替密码", "a signature instead of a PIN"),
        ("two", "借贷合一：插卡后选应用", "two applications: one is chosen"),
    )),
    ("手机", "Phones", (
        ("phone", "手机已验证持卡人：不再输密码", "has verified its holder itself: no PIN"),
        ("wallet", "先在手机上解锁，再挥一次", "unlock it first, then tap again"),
    )),
    ("持卡人验证", "The holder", (
        ("offline-pin", "脱机明文密码，由芯片核对", "the chip checks the PIN, in plain"),
        ("enciphered-pin", "脱机密文密码，由芯片核对", "the chip checks the PIN, enciphered"),
        ("pin-and-signature", "脱机密码并签名", "PIN to the chip, and a signature"),
        ("document", "终端允许时核对身份证件", "an identity document is looked at where the terminal may"),
        ("last-try", "密码只剩一次机会", "one try is left for the PIN"),
        ("pin-blocked", "脱机密码已锁定，改用下一种方法", "its PIN is blocked: the next method"),
    )),
    ("选择应用", "Choosing", (
        ("confirm", "要求持卡人确认应用", "wants its application confirmed"),
        ("no-directory", "没有目录：逐个名称查找，再选", "no directory: found name by name, then chosen"),
    )),
    ("受限的卡", "Restricted", (
        ("blocked-card", "整卡锁定：不能交易", "the card is blocked"),
        ("blocked-application", "应用锁定：没有可用的应用", "its application is blocked"),
        ("listed", "在黑名单中：挥卡不受理，插卡由主机定", "on the exception file: no tap; by chip the host decides"),
        ("service", "插卡：不允许购物", "by chip: may not buy goods"),
        ("future", "尚未生效", "not yet effective"),
        ("version", "应用版本与终端不同", "another version than the terminal's"),
        ("declines", "卡片自己拒绝", "the card itself declines"),
    )),
    ("卡片认证", "Proving the card", (
        ("sda", "只有静态认证", "static authentication only"),
        ("long-keys", "1984 位密钥", "keys of 1984 bits"),
        ("f4-keys", "公钥指数 65537", "public exponent 65537"),
        ("unproven", "不做脱机认证", "no offline authentication"),
        ("unknown-authority", "终端没有它的根密钥", "its authority is unknown here"),
        ("wrong-certificate", "发卡行证书是错的", "its issuer's certificate is wrong"),
        ("wrong-signature", "CDA 签名是错的", "its CDA signature is wrong"),
        ("wrong-cryptogram", "密文是错的：主机拒绝", "its cryptogram is wrong: the host declines"),
    )),
    ("脱机与风险", "Offline and risk", (
        ("offline", "终端允许时可脱机批准", "approves alone where the terminal may"),
        ("velocity", "连续脱机有次数上限，再多须联机", "offline in a row has its limit, then online"),
        ("new", "新卡：第一次联机", "new: online for the first time"),
        ("flash", "终端允许时挥卡脱机批准，fDDA", "approves a tap alone where the terminal may, fDDA"),
        ("flash-wrong", "脱机时 fDDA 签名错误：拒绝", "offline with a wrong fDDA: declined"),
        ("flash-online", "脱机时 fDDA 签名错误：转联机", "offline with a wrong fDDA: goes online"),
        ("flash-contact", "脱机时 fDDA 签名错误：请插卡", "offline with a wrong fDDA: insert it"),
        ("hash", "要求交易证书散列", "wants the hash of a TC"),
    )),
    ("发卡行", "The issuer", (
        ("strict", "发卡行认证失败就拒绝", "declines when the issuer is not proven"),
        ("script", "执行发卡行脚本", "does the issuer's scripts"),
        ("second-refuses", "主机批准后卡片拒绝：冲正", "refuses what the host approved: reversed"),
    )),
    ("有故障的卡", "Faulty", (
        ("chip-dead", "芯片失效：两次后改刷卡", "dead chip: after two tries, swipe it"),
        ("chip-refuses", "首次密文应答 6985：改刷卡", "refuses its first cryptogram: swipe it"),
        ("first-refuses", "首个应用不可用，换下一个", "its first application refuses: the next one"),
        ("broken", "芯片乱答", "its chip talks nonsense"),
        ("torn", "总是拿开太早", "always leaves too early"),
        ("slow", "很慢，但能成功", "slow, and goes through"),
        ("not-a-bank-card", "不是银行卡", "no bank card"),
    )),
    ("接口", "Interfaces", (
        ("insert-only", "有芯片，不能挥卡", "has a chip, cannot be tapped"),
        ("full", "挥卡走完整 PBOC", "the whole of PBOC by a tap"),
        ("stripe", "没有芯片，直接刷卡", "no chip: swipe it"),
        ("stripe-damaged", "磁条损坏，读不出", "its stripe cannot be read"),
    )),
    ("境外卡", "Foreign", (
        ("international", "境外发行的银联卡", "UnionPay, issued abroad"),
        ("visa", "Visa，挥卡或插卡", "Visa, by tap or chip"),
        ("visa-offline", "Visa，终端允许时可脱机批准", "Visa, approves alone where the terminal may"),
        ("mastercard", "Mastercard，M/Chip", "Mastercard, M/Chip"),
        ("mastercard-stripe", "Mastercard，非接磁条模式", "Mastercard, contactless stripe mode"),
    )),
)  # fmt: skip

LABELS = {name: Label((zh, en), (why, reason)) for zh, en, cards in GROUPS for name, why, reason in cards}


def order(names: tuple[str, ...]) -> list[str]:
    """The names as they lie on the shelf: by groups, those in none last."""
    return [name for name in LABELS if name in names] + [name for name in names if name not in LABELS]
