"""The power goes: at every commit and between any two events, in virtual time. The books agree afterwards, always.

A case is a walk of a person, a moment at which the power goes, and what must hold when the device has been
switched on again and left alone: nobody logs in, and terminal and bank have the same to the fen.
"""

from random import Random

import pytest

from emulator.world import MERCHANT, TERMINAL, Lost
from tests.books import disagreements, openings
from tests.flows.counter import Counter, tap

RESOLVED_MS = 20 * 60_000  # switched on and left alone for so long
AGAIN = {"reversal.again_s": 60}


class Till(Counter):
    """A counter whose power can go before any step of the world, counted from `arm`."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.steps = 0
        self.cut_at = None
        self.before = openings(self.bank)

    def arm(self, cut_at=None):
        self.steps = 0
        self.cut_at = cut_at

    def step(self, until_ms):
        if self.machine is not None:
            if self.steps == self.cut_at:
                self.plug()
                self.cut = True
                return True
            self.steps += 1
        return super().step(until_ms)

    def again(self):
        """Card away, power on, and nobody there."""
        self.cut_at = None
        self.store.fuse(0)
        self.take()
        self.power_on()
        self.run(RESOLVED_MS)

    def differ(self):
        return disagreements(self.terminal.ledger, self.store, self.bank, TERMINAL, MERCHANT, self.before)


# -- the walks: from the menu to the menu


def sale(till):
    till.sell(1234)


def sale_with_pin(till):
    till.sell(100_001, pin=till.shelf.card("debit").pin)


def declined(till):
    till.rules.add("next on sale decline 51")
    till.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("51", "ENTER"), ("6 管理", None))


def unanswered(till):
    """A sale that the bank books and does not answer; its reversal is answered."""
    till.rules.add("next on sale silence")
    till.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("已冲正", "ENTER"), ("6 管理", None))


def unresolved(till):
    """The reversal is not answered at first either."""
    till.rules.add("next on sale silence")
    till.rules.add("next 3 on reversal silence")
    till.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("交易结果未知", "ENTER"), ("6 管理", None))
    till.run(RESOLVED_MS)


def unresolved_then_sign_on(till):
    """An open reversal, and new keys on their way."""
    till.rules.add("next on sale silence")
    till.rules.add("next 3 on reversal ignore")
    till.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("交易结果未知", "ENTER"))
    sign_on(till)
    till.run(RESOLVED_MS)


def to_void(till):
    till.walk(("6 管理", "2"), ("请输入6位密码", "123456 ENTER"), ("原凭证号", till.original + " ENTER"), ("确认撤销", "ENTER"), ("请挥卡", tap("debit")))


def void(till):
    to_void(till)
    till.walk(("请撕下", "ENTER"), ("6 管理", None))


def void_declined(till):
    till.rules.add("next on void decline 96")
    to_void(till)
    till.walk(("96", "ENTER"), ("6 管理", None))


def void_unanswered(till):
    till.rules.add("next on void silence")
    to_void(till)
    till.walk(("已冲正", "ENTER"), ("6 管理", None))


def sign_on(till):
    till.walk(("6 管理", "6"), ("签到", "1"), ("成功", "ENTER"), ("管理", "CANCEL"), ("6 管理", None))


WALKS = (sale, sale_with_pin, declined, unanswered, unresolved, unresolved_then_sign_on, void, void_declined, void_unanswered, sign_on)


def ready():
    """A till with one sale made, at the menu, everything quiet."""
    till = Till(parameters=AGAIN)
    till.log_in()
    till.sell(5678)
    till.original = till.record()["trace"]
    till.run(5_000)
    return till


def cut_short(till, walk):
    """Walks until the power goes. False when the walk came to its end before that."""
    try:
        walk(till)
    except Lost:
        if not till.cut:
            raise
    return till.cut


def length(walk):
    """Steps of the world and commits of the store that the walk takes when nothing is cut."""
    till = ready()
    commits = till.store.commits
    till.arm()
    walk(till)
    assert till.differ() == []
    return till.steps, till.store.commits - commits


def case(walk, arm, what):
    till = ready()
    arm(till)
    assert cut_short(till, walk), "%s: the power did not go" % what
    till.again()
    assert till.differ() == [], "%s: %s" % (what, till.differ())
    return till


@pytest.mark.parametrize("walk", WALKS)
def test_the_books_agree_whichever_event_the_power_goes_before(walk):
    steps, _ = length(walk)
    assert steps > 20
    for step in range(steps):
        case(walk, lambda till, step=step: till.arm(step), "before step %d" % step)


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_the_books_agree_whichever_commit_the_power_goes_at(walk, after):
    _, commits = length(walk)
    assert commits > 0
    for number in range(1, commits + 1):
        case(walk, lambda till, number=number: till.store.fuse(number, after), "at commit %d" % number)


MOODS = ("", "next 2 on reversal ignore", "next 4 on reversal silence", "next on reversal cut-after", "next on reversal late 40", "next on sign-on cut-after")


@pytest.mark.parametrize("seed", range(8))
def test_the_books_agree_when_the_power_goes_again_and_again(seed):
    """Random moments, also of the start that resolves; the line may be bad; afterwards the till sells as before."""
    chance = Random(seed)
    lengths = {}
    for _ in range(20):
        walk = chance.choice(WALKS)
        if walk not in lengths:
            lengths[walk], _ = length(walk)
        cuts = [chance.randrange(lengths[walk])] + [chance.randrange(60) for _ in range(chance.randrange(4))]
        mood = chance.choice(MOODS)
        what = "%s cut before steps %s with %r" % (walk.__name__, cuts, mood)
        till = ready()
        till.arm(cuts[0])
        assert cut_short(till, walk), what
        till.take()
        till.rules.clear()
        if mood:
            till.rules.add(mood)
        for cut in cuts[1:]:
            till.power_on()
            till.arm(cut)
            till.run(120_000)
            if not till.cut:
                till.plug()
        till.again()
        assert till.differ() == [], "%s: %s" % (what, till.differ())
        till.log_in()
        till.sell(99)
        assert till.differ() == [], "%s, then a sale: %s" % (what, till.differ())


def test_cuts_of_a_sale_leave_it_forgotten_reversed_or_approved():
    """That the cases above are not all the same: each end of a sale that was cut is among them."""
    steps, commits = length(sale)
    tills = [case(sale, lambda till, step=step: till.arm(step), "before step %d" % step) for step in range(steps)]
    tills += [case(sale, lambda till, n=n: till.store.fuse(n, True), "after commit %d" % n) for n in range(1, commits + 1)]
    ends = set()
    for till in tills:
        record = till.record()
        ends.add("forgotten" if record["fen"] == 5678 else record["phase"] + record.get("undone", ""))
    assert ends == {"forgotten", "approved", "reversed00", "reversed25"}


def test_what_has_left_when_the_power_goes_arrives_at_the_bank():
    till = ready()
    seen = len(till.messages)
    till.link.reach = lambda point: till.later(0, till.plug) if point == "link:sent" else None
    till.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")))
    assert [line for line in till.messages[seen:] if line.startswith("→ 0200")]
    till.link.reach = lambda point: None
    till.again()
    assert till.record()["phase"] == "reversed" and till.differ() == []
