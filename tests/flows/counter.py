"""A counter in a shop, for flow tests: what the person expects to see, and what he does then.

    counter.walk(
        ("操作员号", "01 ENTER"),
        ("请输入4位密码", "0000 ENTER"),
        ("6 管理", "1"),
        ("请输入金额", "1234 ENTER"),
        ("请挥卡", tap("debit")),
        ("请撕下", None),
    )

Each step waits, in virtual time, until the screen shows all the words of its text, and then does its part.
"""

from collections.abc import Callable

from emulator.world import World


def tap(name: str, hold_ms: int = 1500) -> Callable[["Counter"], None]:
    """Holds a card to the reader and takes it away again."""

    def act(counter):
        counter.place(name)
        counter.run(hold_ms)
        counter.take()

    return act


def tear(name: str, after_ms: int) -> Callable[["Counter"], None]:
    """Pulls the card away in the middle of its conversation."""
    return tap(name, after_ms)


class Counter(World):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.messages = []  # headings of what the bank has seen and sent, in order
        self.acquirer.log = lambda kind, text: self.messages.append(text.splitlines()[0])

    def walk(self, *steps: tuple) -> None:
        for words, act in steps:
            if self.display.asleep:
                self.type("BACK")  # a dark panel is lit by any key
            self.until(lambda words=words: all(word in self.text for word in words.split()))
            if isinstance(act, str):
                self.type(act)
            elif act is not None:
                act(self)

    def log_in(self, operator: str = "01", password: str = "0000") -> None:
        if self.machine is None:
            self.power_on()
        self.walk(("操作员号", operator + " ENTER"), ("请输入 位密码", password + " ENTER"))
        self.until(lambda: self.state == "Menu")

    def sell(self, fen: int, card: str = "debit", pin: str = "") -> None:
        """A whole sale, up to the menu again, both copies printed."""
        self.walk(("6 管理", "1"), ("请输入金额", "%d ENTER" % fen), ("请挥卡", tap(card)))
        if pin:
            self.walk(("密码", pin + " ENTER"))
        self.walk(("请撕下", "ENTER"), ("6 管理", None))

    def record(self) -> dict:
        """The newest record of the ledger."""
        return self.terminal.ledger.last()

    @property
    def paper(self) -> str:
        return self.printer.text
