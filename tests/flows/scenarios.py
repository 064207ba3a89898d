"""Every card of the shelf, every way it is meant for, and what must come of it: one row a transaction.

    shop = walked(row)          the row carried out: a Shop, with what the kernels have said in `shop.seen`
    ROWS                        all rows; their names are unique

A row says what the people do between the amount and the menu, what the bank has got, and what card and terminal agree on in
the end. What it does not say is that of an ordinary sale of 12.34 that is approved.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from drivers import card_file
from emulator.cards.card import FAULTS
from firmware.emv import ask, contact, contactless, parameter_file
from tests.flows import counter

TAP, INSERT, SWIPE = "tap", "insert", "swipe"


class Seen(NamedTuple):
    """What a kernel, or its question to go online, said: the outcome's own fields, tags as upper-case hex."""

    status: str
    why: str
    start: str
    interface: str
    kernel: str
    cvm: str
    signature: bool
    response: str
    flags: "tuple[str, ...]"
    tvr: str
    tsi: str
    cvmr: str


def seen(outcome) -> Seen:
    """An outcome as it is now: what it holds of the card is forgotten later."""
    flags = tuple(name for name in ("scripts", "advice", "reverse", "fallback", "cvm_required") if getattr(outcome, name))
    return Seen(
        outcome.status, outcome.why, outcome.start, outcome.interface, outcome.kernel, outcome.cvm, outcome.signature,
        outcome.response, flags, outcome.hex_of(0x95), outcome.hex_of(0x9B), outcome.hex_of(0x9F34),
    )  # fmt: skip


def watched(flow, notes: list):
    """The same conversation; what comes of it is noted, and what goes online."""
    answer = None
    while True:
        try:
            step = flow.send(answer)
        except StopIteration as done:
            notes.append(seen(done.value))
            return done.value
        if isinstance(step, ask.GoOnline):
            notes.append(seen(step.outcome))
        answer = yield step


class Shop(counter.Counter):
    """A counter that notes what kernels say. parameters: what the store holds besides what a new device begins with."""

    def __init__(self, parameters=None, **settings):
        super().__init__(**settings)
        self.store.commit([("parameters", name, json.dumps(value).encode(), None) for name, value in (parameters or {}).items()])
        self.seen: list[Seen] = []
        self.pages: list[str] = []  # names of states, in order
        self.card = ""

    def step(self, until_ms):
        insert, touch = contact.insert, contactless.tap
        contact.insert = lambda *told: watched(insert(*told), self.seen)
        contactless.tap = lambda *told: watched(touch(*told), self.seen)
        try:
            return super().step(until_ms)
        finally:
            contact.insert, contactless.tap = insert, touch
            if self.state and self.pages[-1:] != [self.state]:
                self.pages.append(self.state)

    def said(self, since: int = 0) -> str:
        """What went to the bank and came back: "0200 0210"."""
        return " ".join(line.split()[1] for line in self.messages[since:] if line[:1] in "→←")

    def settle(self) -> None:
        """Until terminal and bank owe each other nothing."""
        ledger = self.terminal.ledger
        self.until(lambda: not ledger.to_reverse() and not ledger.notices(), within_ms=1_800_000)

    def sale(self, fen: int) -> None:
        """From the menu to the page that wants a card."""
        self.walk(("6 管理", "1"), ("请输入金额", "%d ENTER" % fen), ("消费", None))
        self.until(lambda: self.state == "PresentCard")
        self.run(150)  # the readers are asked


# -- what people do

def pin(shop: Shop) -> None:
    """The holder types his PIN."""
    shop.type(shop.shelf.card(shop.card).pin + " ENTER")


def second_pin(shop: Shop) -> None:
    """The PIN of the card's second application."""
    shop.type(shop.shelf.card(shop.card).applications[1].state.pin + " ENTER")


def pull(shop: Shop) -> None:
    shop.pull()


def tap(name: str) -> Callable[[Shop], None]:
    return _with(name, counter.tap(name))


def insert(name: str) -> Callable[[Shop], None]:
    return _with(name, lambda shop: shop.insert(name))


def swipe(name: str) -> Callable[[Shop], None]:
    return _with(name, lambda shop: shop.swipe(name))


def _with(name, act):
    def presented(shop):
        shop.card = name
        act(shop)

    return presented


HOME = ("6 管理", None)
PIN_LEFT_OUT = ("密码: 取消", "ENTER")
OUT = ("请拔出卡片", pull)
SECOND_PIN = ("密码: 取消", second_pin)
SLIPS = (("请撕下", "ENTER"), HOME)
SOLD = (OUT, *SLIPS)
PIN = ("密码: 取消", pin)


def trouble(*words: str) -> tuple:
    """A card that will not do: what the page says, and that no money was taken."""
    return ((" ".join(("未扣款", *words)), "CANCEL"), HOME)


def refused(code: str) -> tuple:
    """The bank's no."""
    return (("交易失败 %s 未扣款" % code, "CANCEL"), HOME)


# -- what a terminal is set to

def rows(**changes: Any) -> dict:
    """Applications that differ from those of a new device."""
    applications = parameter_file.read(card_file.fetch())["applications"]
    return {"emv.aids": [{**row, **changes} for row in applications]}


def terminal(**tags: str) -> dict:
    return {"emv.terminal": {**parameter_file.read(card_file.fetch())["terminal"], **tags}}


def switches(**on: bool) -> dict:
    return {"emv.switches": on}


# A terminal of a canteen: up to a thousand yuan card and terminal decide alone.
CANTEEN = rows(floor_limit_fen=100_000, terminal_floor_limit_fen=100_000, ttq="76004080")

DRAWN = rows(floor_limit_fen=100_000, terminal_floor_limit_fen=100_000, target_percent=99, maximum_percent=99)

NOBODY_ASKED, ASKED = "", "0200 0210"


class Scenario(NamedTuple):
    """One transaction.

    card, way     of the shelf; TAP, INSERT, SWIPE         name      card and way, and what is special
    walk          (words of the page, what is done), from the card on
    why           of the last outcome                      said      messages to and from the bank
    tvr, tsi, cvmr, response   in the end, "" where no data are left; None: not looked at
    phase         of the record, "" for none               slip      words that its copies bear
    fen, parameters, rules (of the bank), faults (attributes of the card), profile (of its first application)
    before        done at the menu before the amount is typed
    """

    card: str
    way: str
    walk: tuple
    why: str = "host"
    tvr: "str | None" = "0000048000"
    tsi: "str | None" = "F800"
    cvmr: "str | None" = "420300"
    response: str = "00"
    said: str = ASKED
    phase: str = "approved"
    slip: "tuple[str, ...]" = ()
    note: str = ""
    fen: int = 1234
    parameters: dict = {}
    rules: "tuple[str, ...]" = ()
    faults: dict = {}
    profile: dict = {}
    before: "tuple[Callable[[Shop], None], ...]" = ()

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.way, self.card, self.note)))


def chip(card: str, walk: tuple = (PIN, *SOLD), **more: Any) -> Scenario:
    """By contacts, online, with an online PIN."""
    more.setdefault("slip", ("TVR:" + more.get("tvr", "0000048000"), "APP LABEL:") if more.get("phase", "approved") == "approved" else ())
    return Scenario(card, INSERT, walk, **more)


def refusal(card: str, why: str, words: str, **more: Any) -> Scenario:
    """By contacts, and the card or the terminal says no before anybody is asked."""
    walk = more.pop("walk", ()) + (OUT, *trouble(words))
    return Scenario(card, INSERT, walk, why, **{"tsi": "E800", "response": "Z1", "said": NOBODY_ASKED, "phase": "declined", **more})


def touch(card: str, walk: tuple = SLIPS, **more: Any) -> Scenario:
    """By contactless, online, without a PIN."""
    told = {"why": "arqc", "tvr": "0000000000", "tsi": "0000", "cvmr": "3F0000", "response": "", **more}
    told.setdefault("slip", ("免密免签", "APP LABEL:") if told.get("phase", "approved") == "approved" else ())
    return Scenario(card, TAP, walk, **told)


def no_touch(card: str, why: str, words: str, **more: Any) -> Scenario:
    """By contactless, and nobody is asked."""
    told = {"why": why, "said": NOBODY_ASKED, "phase": "declined", "response": "Z1", **more}
    return touch(card, trouble(words), **told)


def nothing(card: str, why: str, words: str, **more: Any) -> Scenario:
    """By contactless, and the card has not even said who it is."""
    return no_touch(card, why, words, **{"tvr": "", "tsi": "", "cvmr": "", "response": "", "phase": "", **more})


def must_insert(card: str) -> Scenario:
    """A chip card that is swiped."""
    walk = (("芯片卡请插卡", "CANCEL"), ("交易已取消", "ENTER"), HOME)
    return Scenario(card, SWIPE, walk, "", None, None, None, "", NOBODY_ASKED, "")


def again(name: str) -> Callable[[Shop], None]:
    """The card comes out, and goes in once more."""

    def act(shop):
        shop.pull()
        shop.run(300)
        insert(name)(shop)

    return act


def off_line(shop: Shop) -> None:
    """The line is dead."""
    shop.link.down = "unreachable"


def on_line(shop: Shop) -> None:
    """The line is back, and somebody presses confirm."""
    shop.link.down = None
    shop.type("ENTER")


def tears(reader: str, after: int) -> Callable[[Shop], None]:
    """The card leaves after so many answers, once."""
    return lambda shop: setattr(getattr(shop, reader), "tear_after", after)


def before_it(card: str, way: str, walk: tuple, fen: int = 1234) -> Callable[[Shop], None]:
    """Another transaction before the one that counts."""

    def act(shop):
        shop.sale(fen)
        present(shop, card, way)
        shop.walk(*walk)

    return act


def present(shop: Shop, card: str, way: str) -> None:
    {TAP: tap(card), INSERT: insert(card), SWIPE: swipe(card)}[way](shop)


OFFLINE = {"why": "approved", "tvr": "0000000000", "tsi": "E800", "cvmr": "1F0302", "response": "Y1", "parameters": CANTEEN,
           "slip": ("脱机批准:Y1", "TC:", "TVR:")}  # fmt: skip
FLASH = {"why": "approved", "response": "Y1", "parameters": CANTEEN, "slip": ("脱机批准:Y1", "免密免签")}
BIG = 100_001  # one fen above what needs no PIN
ALONE = ("debit", "credit", "second", "cda", "long-keys", "f4-keys", "slow", "full", "insert-only", "international", "strict",
         "visa", "visa-offline", "mastercard", "mastercard-stripe")  # fmt: skip
TOUCHED = (
    "debit", "credit", "second", "offline-pin", "enciphered-pin", "pin-and-signature", "document", "pin-blocked", "last-try", "sda",
    "cda", "long-keys", "f4-keys", "unproven", "unknown-authority", "wrong-certificate", "wrong-signature", "two", "confirm",
    "no-directory", "first-refuses", "international", "service", "future", "version", "offline", "velocity", "new", "hash", "strict", "script",
    "second-refuses", "chip-refuses", "slow", "flash", "flash-wrong", "flash-online", "flash-contact", "visa", "visa-offline",
)  # fmt: skip
SWIPED = (
    "debit", "credit", "second", "expired", "poor", "pin-asking", "broken", "offline-pin", "enciphered-pin", "pin-and-signature",
    "signature", "document", "pin-blocked", "last-try", "sda", "cda", "long-keys", "f4-keys", "unproven", "unknown-authority",
    "wrong-certificate", "wrong-signature", "wrong-cryptogram", "two", "confirm", "no-directory", "first-refuses", "blocked-card",
    "blocked-application", "listed", "international", "service", "future", "version", "offline", "velocity", "new", "hash",
    "declines", "strict", "script", "second-refuses", "chip-dead", "chip-refuses", "slow", "torn", "full", "flash", "flash-wrong",
    "flash-online", "flash-contact", "insert-only", "visa", "visa-offline", "mastercard", "mastercard-stripe",
)  # fmt: skip

ROWS = (
    # -- by contacts, online
    *[chip(name) for name in ALONE],
    chip("debit", note="again, with the card left in a while", before=(before_it("debit", INSERT, (PIN, *SOLD)),), said="0200 0210 0200 0210"),
    chip("pin-asking", cvmr="020000"),
    chip("unproven", tvr="8000048000", tsi="7800"),
    chip("sda", tvr="0200048000"),
    chip("sda", note="of a forged issuer", faults={"wrong_certificate": True}, tvr="4200048000"),
    chip("unknown-authority", tvr="0800048000"),
    chip("wrong-certificate", tvr="0800048000"),
    chip("future", tvr="0020048000"),
    chip("version", tvr="0080048000"),
    chip("hash", tvr="0000048080"),
    chip("listed", tvr="1000048000"),
    chip("second", note="without a list of methods", profile={"rules": ""},
         walk=SOLD, tvr="2000008000", tsi="B800", cvmr="3F0000"),
    chip("debit", note="whose holder is not looked at", profile={"holder": False}, walk=SOLD, tvr="0000008000", tsi="B800", cvmr="3F0000"),
    chip("expired", (PIN, OUT, *refused("54")), why="host-declined", tvr="0040048000", response="54", phase="declined"),
    chip("poor", (PIN, OUT, *refused("51")), why="host-declined", response="51", phase="declined"),
    chip("wrong-cryptogram", (PIN, OUT, *refused("59")), why="host-declined", tsi="E800", response="59", phase="declined"),
    # -- the holder
    chip("offline-pin", tvr="0000008000", cvmr="410302"),
    chip("enciphered-pin", tvr="0000008000", cvmr="440302"),
    chip("enciphered-pin", note="and a signature", profile={"rules": "45031F03"}, tvr="0000008000", cvmr="450300", slip=("已验证密码", "持卡人签名")),
    chip("pin-and-signature", tvr="0000008000", cvmr="430300", slip=("已验证密码", "持卡人签名")),
    chip("signature", SOLD, tvr="0000008000", cvmr="1E0300", slip=("持卡人签名",)),
    chip("document", (("核对证件 身份证", "ENTER"), *SOLD), parameters=terminal(**{"9F33": "E0F9C8"}), tvr="0000008000", cvmr="600302",
         slip=("已核对证件",)),
    chip("document", SOLD, note="that the terminal does not look at", tvr="0000008000", cvmr="1F0302", slip=("无需密码和签名",)),
    chip("pin-blocked", tvr="0000248000"),
    chip("last-try", (("还剩1次", pin), *SOLD), tvr="0000008000", cvmr="410302"),
    chip("last-try", (("还剩1次", "000000 ENTER"), *SOLD), note="wrong", tvr="0000208000", cvmr="1F0302"),
    chip("script", tvr="0000008000", cvmr="410302"),
    chip("offline-pin", (("密码: 取消", "000000 ENTER"), ("密码错 还可试2次", pin), *SOLD), note="wrong, then right", tvr="0000008000", cvmr="410302"),
    *[chip(name, (PIN_LEFT_OUT, *SOLD), note="left out, %s" % kind, profile={"rules": rule}, tvr="0000888000", cvmr=rule + "01")
      for name, rule, kind in (("offline-pin", "0103", "plain"), ("pin-and-signature", "0303", "plain and signed"),
                               ("enciphered-pin", "0403", "enciphered"), ("enciphered-pin", "0503", "enciphered and signed"))],
    chip("document", (("核对证件 身份证", "CANCEL"), *SOLD), note="of somebody else", profile={"rules": "2003"},
         parameters=terminal(**{"9F33": "E0F9C8"}), tvr="0000808000", cvmr="200301"),
    chip("pin-asking", (PIN_LEFT_OUT, *SOLD), note="left out", tvr="0000888000", cvmr="020001"),
    chip("pin-asking", (PIN_LEFT_OUT, ("交易已取消", pull), HOME), note="left out, and may not be", parameters={"pin.bypass": False},
         why="cancelled", tvr="0000000000", tsi="C000", cvmr="3F0001", response="", said=NOBODY_ASKED, phase=""),
    chip("debit", SOLD, note="at a terminal without a PIN pad", parameters=terminal(**{"9F33": "E028C8"}), profile={"rules": "42001F03"},
         tvr="0000108000", cvmr="1F0302"),
    chip("debit", SOLD, note="with a method of the future", profile={"rules": "6A001F03"}, tvr="0000408000", cvmr="1F0302"),
    chip("debit", SOLD, note="whose rules say fail", profile={"rules": "0000"}, tvr="0000808000", cvmr="000001"),
    chip("debit", SOLD, note="with rules for nobody", profile={"rules": "1F04"}, tvr="0000808000", cvmr="3F0001"),
    # -- choosing
    chip("two", (("PBOC DEBIT PBOC CREDIT", "1"), PIN, *SOLD), slip=("PBOC DEBIT",)),
    chip("two", (("PBOC DEBIT PBOC CREDIT", "2"), SECOND_PIN, *SOLD), note="the second", slip=("PBOC CREDIT",)),
    chip("two", (("PBOC DEBIT PBOC CREDIT", "CANCEL"), OUT, ("交易已取消", "ENTER"), HOME), note="neither", why="cancelled",
         said=NOBODY_ASKED, phase="", tvr="0000000000", tsi="0000", cvmr="3F0000", response=""),
    chip("confirm", (("PBOC DEBIT 确认", "ENTER"), PIN, *SOLD)),
    chip("first-refuses", (("PBOC DEBIT PBOC CREDIT", "1"), ("不可用 PBOC CREDIT 确认", "ENTER"), SECOND_PIN, *SOLD), slip=("PBOC CREDIT",)),
    chip("no-directory", (("DEBIT ONE DEBIT TWO", "2"), SECOND_PIN, *SOLD), slip=("DEBIT TWO",)),
    refusal("blocked-card", "card-blocked", "卡片已被锁定", tvr="0000000000", tsi="0000", cvmr="3F0000", response="", phase=""),
    refusal("blocked-application", "blocked", "卡片已被锁定", tvr="0000000000", tsi="0000", cvmr="3F0000", response="", phase=""),
    # -- risk
    chip("offline", note="asked online", walk=SOLD, tvr="0000008000", cvmr="1F0302", slip=("无需密码和签名",)),
    chip("velocity", note="asked online", walk=SOLD, tvr="0000008000", cvmr="1F0302"),
    chip("new", note="asked online", walk=SOLD, tvr="0008008000", cvmr="1F0302"),
    chip("flash", note="asked online", walk=SOLD, tvr="0000008000", cvmr="1F0302"),
    chip("offline", SOLD, **OFFLINE),
    chip("new", SOLD, note="in a canteen", tvr="0008000000", cvmr="1F0302", parameters=CANTEEN),
    chip("velocity", SOLD, note="three in a row", tvr="0000004000", cvmr="1F0302", parameters={**CANTEEN, **switches(split_sale=False)},
         profile={"run": (2, 9)}, before=(before_it("velocity", INSERT, SOLD, 100), before_it("velocity", INSERT, SOLD, 101)), said=None),
    chip("velocity", SOLD, note="with limits of none in a row", tvr="0000006000", cvmr="1F0302", parameters=CANTEEN,
         profile={"run": (0, 0)}),
    chip("offline", SOLD, note="drawn", tvr="0000001000", cvmr="1F0302",
         parameters=DRAWN),
    chip("offline", SOLD, note="forced online", tvr="0000000800", cvmr="1F0302", parameters={**CANTEEN, **switches(force_online=True)}),
    refusal("service", "terminal", "终端拒绝交易", walk=(PIN,), tvr="0010048000", cvmr="420300"),
    refusal("declines", "aac", "卡片拒绝交易", walk=(PIN,), tvr="0000048000", cvmr="420300"),
    refusal("wrong-signature", "forged", "卡片验证不通过", walk=(PIN,), tvr="0400048000", cvmr="420300"),
    refusal("flash-wrong", "forged", "卡片验证不通过", tvr="0400008000", cvmr="1F0302"),
    refusal("flash-online", "forged", "卡片验证不通过", tvr="0400008000", cvmr="1F0302"),
    refusal("flash-contact", "forged", "卡片验证不通过", tvr="0400008000", cvmr="1F0302"),
    # -- completion
    chip("debit", note="with a wrong ARPC", rules=("next on sale wrong-arpc",), tvr="0000048040"),
    chip("debit", note="without an ARPC", rules=("next on sale no-arpc",), tsi="E800"),
    chip("strict", (PIN, OUT, ("交易未成功 卡片拒绝 已冲正 未扣款", "ENTER"), HOME), note="with a wrong ARPC", rules=("next on sale wrong-arpc",),
         why="card-declined", tvr="0000048040", said="0200 0210 0400 0410", phase="reversed"),
    chip("second-refuses", (PIN, OUT, ("交易未成功 卡片拒绝 已冲正 未扣款", "ENTER"), HOME), why="refused", said="0200 0210 0400 0410", phase="reversed"),
    chip("script", note="unblocked after it", rules=("next on sale script pin-unblock",), tvr="0000008000", tsi="FC00", cvmr="410302",
         said="0200 0210 0620 0630"),
    chip("script", note="unblocked before it", rules=("next on sale script-before pin-unblock",), tvr="0000008000", tsi="FC00", cvmr="410302",
         said="0200 0210 0620 0630"),
    chip("script", note="with a script nobody signed", rules=("next on sale wrong-script pin-unblock",), tvr="0000008010", tsi="FC00",
         cvmr="410302", said="0200 0210 0620 0630"),
    chip("script", note="refuses it before its last word", rules=("next on sale script-before pin-unblock",),
         faults={"refuses": {0x24: b"\x69\x85"}}, tvr="0000008020", tsi="FC00", cvmr="410302", said="0200 0210 0620 0630"),
    chip("script", (PIN, OUT, ("交易未成功 卡片拒绝 已冲正 未扣款", "ENTER"), HOME), note="blocked before its last word",
         rules=("next on sale script-before block-application",), why="card-declined", tvr="0000008000", tsi="FC00", cvmr="410302",
         said=None, phase="reversed"),
    chip("offline", (OUT, ("请撕下", on_line), HOME), note="and the line is dead", before=(off_line,), why="approved", tvr="0000001000", tsi="E800",
         cvmr="1F0302", response="Y3", parameters=DRAWN, slip=("脱机批准:Y3", "TC:")),
    chip("debit", (PIN, OUT, ("网络不通 未扣款", on_line), HOME), note="and the line is dead", before=(off_line,), why="unreachable", tsi="E800",
         response="Z3", said=NOBODY_ASKED, phase=""),
    chip("debit", (PIN, OUT, ("没有收到有效应答 已冲正", "ENTER"), HOME), note="and the bank is silent", rules=("next on sale silence",),
         why="unreachable", tsi="E800", response="Z3", said="0200 0400 0410", phase="reversed"),
    # -- fallback
    Scenario("chip-dead", INSERT, (("请再插", again("chip-dead")), ("芯片读不出 请刷卡", swipe("chip-dead")), PIN, ("请撕下", "ENTER"), HOME), "",
             None, None, None, "", slip=("/S", "持卡人签名")),
    Scenario("broken", INSERT, (OUT, ("请再插", insert("broken")), OUT, ("芯片读不出 请刷卡", swipe("broken")), PIN, *SLIPS), "malformed",
             "0000000000", "0000", "3F0000", "", slip=("/S",)),
    Scenario("chip-refuses", INSERT, (PIN, OUT, ("芯片读不出 请刷卡", swipe("chip-refuses")), PIN, *SLIPS), "chip-refused", "0000048000", "E800",
             "420300", "", slip=("/S",)),
    Scenario("not-a-bank-card", INSERT, (OUT, ("请刷卡", "CANCEL"), ("交易已取消", "ENTER"), HOME), "no-chip-application", "0000000000", "0000",
             "3F0000", "", NOBODY_ASKED, ""),
    chip("torn", (("卡片拔出太早", insert("torn")), PIN, *SOLD), before=(tears("chip", 3),)),
    # -- contactless, online
    *[touch(name) for name in TOUCHED],
    touch("debit", (PIN, *SLIPS), note="above the limit", fen=BIG, cvmr="020000", slip=("已验证密码",)),
    touch("pin-asking", (PIN, *SLIPS), cvmr="020000", slip=("已验证密码",)),
    touch("signature", cvmr="1E0000", slip=("持卡人签名",)),
    touch("phone", cvmr="010002", slip=("已在持卡人设备上验证",)),
    touch("phone", note="above the limit", fen=BIG, cvmr="010002", slip=("已在持卡人设备上验证",)),
    touch("wallet", (("请看手机提示", tap("wallet")), *SLIPS), cvmr="010002", slip=("已在持卡人设备上验证",)),
    touch("torn", (("请重新挥卡", tap("torn")), *SLIPS), before=(tears("reader", 3),)),
    touch("poor", refused("51"), phase="declined"),
    touch("wrong-cryptogram", refused("59"), phase="declined"),
    touch("full", (PIN, *SLIPS), tvr="0000048000", tsi="E800", cvmr="420300", slip=("已验证密码",)),
    touch("mastercard", tvr="0000008000", tsi="E000", cvmr="1F0302"),
    touch("mastercard-stripe", why="stripe-data"),
    touch("flash-online", why="tc", note="in a canteen", parameters=CANTEEN),
    # -- contactless, offline
    touch("flash", note="in a canteen", **FLASH),
    touch("visa-offline", note="in a canteen", **{**FLASH, "parameters": rows(floor_limit_fen=100_000, ttq="36004080")}),
    no_touch("flash-wrong", "unproven", "卡片拒绝交易", note="in a canteen", parameters=CANTEEN),
    touch("flash-contact", (("不能挥卡支付 请插卡", insert("flash-contact")), OUT, *trouble("卡片验证不通过")), why="forged", note="in a canteen",
          parameters=CANTEEN, tvr="0400000000", tsi="E800", cvmr="1F0302", response="Z1", said=NOBODY_ASKED, phase="declined"),
    touch("flash", (PIN, *SLIPS), note="above the limit", fen=BIG, cvmr="020000", slip=("已验证密码",)),
    # -- contactless, no
    no_touch("expired", "expired", "卡片已过期"),
    no_touch("listed", "listed", "黑名单"),
    no_touch("declines", "aac", "卡片拒绝交易"),
    nothing("broken", "malformed", "数据读不出"),
    nothing("blocked-card", "no-directory", "不是可受理的银行卡"),
    nothing("blocked-application", "no-application", "不是可受理的银行卡"),
    nothing("not-a-bank-card", "no-directory", "不是可受理的银行卡"),
    nothing("mastercard-stripe", "no-mode", "数据读不出", note="where stripe mode is off", parameters=terminal(DF811B="A0")),
    nothing("mastercard", "bad-signature", "卡片验证不通过", note="forged", faults={"wrong_signature": True}),
    touch("mastercard", (("不能挥卡支付 请插卡", insert("mastercard")), PIN, OUT, *trouble("卡片拒绝交易")), why="aac", note="that declines",
          faults={"declines": True}, tvr="0000048000", tsi="6800", cvmr="420300", response="Z1", said=NOBODY_ASKED, phase="declined"),
    touch("debit", (("不能挥卡支付", insert("credit")), PIN, *SOLD), why="host", note="that does not want to be tapped, and another", faults={"refuses": {0xA8: b"\x69\x84"}},
          slip=("APP LABEL:PBOC CREDIT",),
          tvr="0000048000", tsi="F800", cvmr="420300", response="00"),
    touch("full", (("不能挥卡支付", insert("full")), PIN, *SOLD), why="host", note="where only qPBOC is", parameters=rows(ttq="26004080"), slip=("APP LABEL:",),
          tvr="0000048000", tsi="F800", cvmr="420300", response="00"),
    touch("debit", (("金额超过挥卡限额 请插卡 刷卡", insert("debit")), PIN, *SOLD), why="host", note="above the reader's limit",
          parameters=rows(transaction_limit_fen=1000), slip=("APP LABEL:",), tvr="0000048000", tsi="F800", cvmr="420300", response="00"),
    # -- stripe
    *[must_insert(name) for name in SWIPED],
    Scenario("stripe", SWIPE, (PIN, *SLIPS), "", None, None, None, "", slip=("/S", "持卡人签名")),
    Scenario("stripe-damaged", SWIPE, (("磁条读不出 请再刷", "CANCEL"), ("交易已取消", "ENTER"), HOME), "", None, None, None, "", NOBODY_ASKED, ""),
)  # fmt: skip


@lru_cache(maxsize=None)
def _walked(name):
    return _walk(BY_NAME[name])


def walked(row: Scenario) -> Shop:
    """The row carried out, once: a shop that nothing is owed to, with `record`, `heard` (messages) and `seen` of it."""
    return _walked(row.name)


def _walk(row):
    shop = Shop(parameters=row.parameters)
    shop.log_in()
    card = shop.shelf.card(row.card)
    for name, value in row.faults.items():
        assert name in (*FAULTS, "refuses")
        setattr(card, name, value)
    if row.profile:
        card.applications[0].profile = card.applications[0].profile._replace(**row.profile)
    for rule in row.rules:
        shop.rules.add(rule)
    since = len(shop.messages)
    for act in row.before:
        act(shop)
    records, shop.seen[:], shop.pages[:] = shop.terminal.ledger.counters["record"], [], []
    shop.sale(row.fen)
    present(shop, row.card, row.way)
    shop.walk(*row.walk)
    shop.settle()
    shop.heard = shop.said(since)
    shop.made = shop.terminal.ledger.newest(1) if shop.terminal.ledger.counters["record"] > records else []
    return shop


BY_NAME = {row.name: row for row in ROWS}
