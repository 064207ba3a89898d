"""What card and terminal approve between themselves: the sale, the notice that the bank is owed, and the books in between."""

import pytest

from emulator.world import MERCHANT, TERMINAL
from firmware.host.resolve import resolve
from tests.books import disagreements, openings
from tests.flows.scenarios import CANTEEN, DRAWN, HOME, OUT, PIN, SLIPS, SOLD, Shop, insert, off_line, on_line, pin, tap
from tests.flows.test_cut import RESOLVED_MS, Till, cut_short
from tests.flows.test_replies import listen

VOID = (("6 管理", "2"), ("请输入6位密码", "123456 ENTER"))
OWED = 60_000


@pytest.fixture
def shop():
    """A canteen: up to a thousand yuan nobody is asked."""
    return open_shop(CANTEEN)


def open_shop(parameters):
    shop = Shop(parameters=parameters)
    shop.log_in()
    shop.before = openings(shop.bank)
    return shop


def sold(shop, fen=1234):
    shop.sale(fen)
    insert("offline")(shop)
    shop.walk(*SOLD)
    return shop.record()


def agree(shop):
    return disagreements(shop.terminal.ledger, shop.store, shop.bank, TERMINAL, MERCHANT, shop.before) == []


def test_a_sale_that_the_card_approves_is_printed_before_the_bank_has_heard_of_it(shop):
    shop.link.down = "unreachable"
    record = sold(shop)
    assert (record["phase"], record["code"], record["owed"]) == ("approved", "Y1", True)
    assert "脱机批准:Y1" in shop.paper and shop.said(2) == "" and shop.bank.standing(TERMINAL) == []
    shop.link.down = None
    shop.settle()
    assert shop.said(2) == "0200 0210" and agree(shop)
    assert not shop.record()["owed"] and shop.record()["reference"]


def test_the_upload_says_that_it_is_one_and_brings_the_certificate(shop):
    texts, note = [], shop.acquirer.log
    shop.acquirer.log = lambda kind, text: (texts.append(text), note(kind, text))
    sold(shop)
    shop.settle()
    assert texts[0].startswith("→ 0200") and "上送" in texts[0]
    assert "3600000" in texts[0].replace(" ", "") and agree(shop)


def test_what_is_owed_is_said_in_the_menu_until_it_is_paid(shop):
    shop.link.down = "unreachable"
    sold(shop)
    shop.until("有未上送")
    shop.link.down = None
    shop.settle()
    shop.run(1_000)
    assert "有未上送" not in shop.text


def test_a_tap_that_is_proven_is_approved_here_too(shop):
    shop.sale(1234)
    tap("flash")(shop)
    shop.walk(*SLIPS)
    shop.settle()
    assert shop.seen[-1].why == "approved" and shop.record()["code"] == "Y1" and agree(shop)


def test_a_card_that_wanted_the_issuer_may_go_on_without_him(shop):
    shop = open_shop(DRAWN)
    shop.sale(1234)
    off_line(shop)
    insert("offline")(shop)
    shop.walk(OUT, ("请撕下", on_line), HOME)
    assert shop.record()["code"] == "Y3" and "脱机批准:Y3" in shop.paper
    shop.settle()
    assert shop.said(2) == "0200 0210" and agree(shop)


def test_nothing_is_approved_offline_once_the_request_has_left():
    """The bank may have booked it: Z3, and undone."""
    shop = open_shop(DRAWN)
    shop.rules.add("next on sale silence")
    shop.sale(1234)
    insert("offline")(shop)
    shop.walk(OUT, ("没有收到有效应答 已冲正", "ENTER"), HOME)
    assert (shop.seen[-1].why, shop.seen[-1].response, shop.record()["phase"]) == ("unreachable", "Z3", "reversed") and agree(shop)


def test_an_upload_that_is_not_answered_is_sent_again_and_booked_once(shop):
    shop.rules.add("next 2 on upload silence")
    sold(shop)
    shop.settle()
    assert shop.said(2) == "0200 0200 0200 0210" and len(shop.bank.standing(TERMINAL)) == 1 and agree(shop)


@pytest.mark.parametrize("silent, left, said", [(True, 2, "0200"), (False, 0, "0200 0210 0200 0210")])
def test_a_round_of_uploads_ends_at_the_first_that_is_not_answered(shop, silent, left, said):
    shop.link.down = "unreachable"
    sold(shop, 100)
    sold(shop, 200)
    if silent:
        shop.rules.add("always on upload ignore")
    shop.link.down = None
    ends = []
    shop.terminal.tasks.start(resolve(shop.terminal), ends.append)
    shop.until(lambda: ends)
    assert ends == [left] and shop.said(2) == said and shop.terminal.ledger.owed == left


def test_nothing_of_the_card_is_kept_once_its_approval_is_written(shop):
    shop.sale(1234)
    insert("offline")(shop)
    shop.walk(OUT, ("请撕下", None))
    assert shop.terminal.open_draft.card.pan == "" and not shop.terminal.open_draft.card.tags


def test_a_pin_that_never_reached_the_bank_has_verified_nobody():
    shop = open_shop(DRAWN)
    shop.sale(1234)
    insert("debit")(shop)
    shop.walk(("密码: 取消", lambda shop: (off_line(shop), pin(shop))), OUT, ("请撕下", None))
    assert shop.record()["code"] == "Y3" and not shop.record()["pin"]
    assert "已验证密码" not in shop.paper and "持卡人签名" in shop.paper


def test_an_upload_that_the_bank_refuses_is_kept_with_its_code_and_not_sent_again(shop):
    shop.rules.add("next on upload decline 14")
    sold(shop)
    shop.settle()
    shop.run(RESOLVED_MS)
    assert shop.record()["refused"] == "14" and shop.said(2) == "0200 0210"
    assert shop.bank.standing(TERMINAL) == []


def test_an_upload_that_is_to_come_later_comes_later(shop):
    shop.rules.add("next on upload decline 96")
    sold(shop)
    shop.settle()
    assert shop.said(2) == "0200 0210 0200 0210" and not shop.record().get("refused") and agree(shop)


def test_a_card_that_was_online_since_is_believed_its_older_sale(shop):
    """Its counter has gone on; the older certificate is none the less good, once."""
    shop.link.down = "unreachable"
    sold(shop, 100)
    shop.link.down = None
    shop.rules.add("next on upload ignore")
    shop.sale(200_000)
    insert("offline")(shop)
    shop.walk(*SOLD)
    shop.settle()
    assert sorted(fen for _, _, fen in shop.bank.standing(TERMINAL)) == [100, 200_000] and agree(shop)


def test_two_halves_of_one_sale_are_added_up(shop):
    """Each is below the floor limit, both together are not."""
    sold(shop, 60_000 - 20_000)
    shop.sale(40_000)
    shop.walk(("消费", None))
    insert("offline")(shop)
    shop.walk(*SOLD)
    assert shop.seen[-1].tvr == "0000000000"
    shop.sale(70_000)
    insert("offline")(shop)
    shop.walk(*SOLD)
    assert shop.seen[-1].tvr == "0000008000" and shop.seen[-1].why == "host"
    shop.settle()
    assert agree(shop)


def to_void(shop, trace):
    shop.walk(*VOID, ("原凭证号", trace + " ENTER"), ("确认撤销", "ENTER"), ("插卡", lambda shop: shop.run(150)))
    insert("offline")(shop)


def test_a_sale_is_brought_to_the_bank_before_it_is_undone(shop):
    shop.link.down = "unreachable"
    record = sold(shop)
    shop.link.down = None
    to_void(shop, record["trace"])
    shop.walk(*SOLD)
    assert shop.said(2) == "0200 0210 0200 0210"
    assert shop.record()["kind"] == "void" and shop.bank.standing(TERMINAL) == [] and agree(shop)


def test_a_void_names_the_reference_that_its_sale_was_given_only_on_the_way(shop):
    shop.link.down = "unreachable"
    record = sold(shop)
    heard = listen(shop)
    shop.walk(*VOID, ("原凭证号", record["trace"] + " ENTER"), ("确认撤销", "ENTER"), ("插卡", lambda shop: shop.run(150)))
    shop.link.down = None
    insert("offline")(shop)
    shop.walk(*SOLD)
    upload, void = [fields for mti, fields in heard if mti == "0200"]
    assert upload[11] == record["trace"] and void[37] == shop.terminal.ledger.get(record["id"])["reference"] != "0" * 12
    assert agree(shop)


def test_a_sale_that_the_bank_has_not_heard_of_is_not_undone(shop):
    shop.rules.add("next 2 on upload ignore")
    record = sold(shop)
    to_void(shop, record["trace"])
    shop.walk(OUT, ("原交易还没上送 原消费仍有效", "ENTER"), HOME)
    shop.settle()
    assert shop.record()["kind"] == "sale" and agree(shop)


def test_a_void_is_the_issuers_to_approve_and_never_the_cards(shop):
    """The card would say yes to an amount below the floor limit, and a dead line is no reason to believe it."""
    record = sold(shop)
    shop.settle()
    shop.link.down = "unreachable"
    to_void(shop, record["trace"])
    shop.walk(OUT, ("网络不通 原消费仍有效", "ENTER"), HOME)
    assert (shop.seen[-1].why, shop.seen[-1].response) == ("unreachable", "Z3")
    shop.link.down = None
    assert shop.record()["kind"] == "sale" and agree(shop)


def test_a_void_by_contactless_asks_for_an_online_cryptogram(shop):
    record = sold(shop)
    shop.settle()
    shop.walk(*VOID, ("原凭证号", record["trace"] + " ENTER"), ("确认撤销", "ENTER"), ("请挥卡", tap("offline")), *SLIPS)
    assert shop.seen[-1].why == "arqc" and shop.record()["kind"] == "void" and agree(shop)


def test_a_balance_is_not_the_cards_to_tell(shop):
    shop.walk(("6 管理", "3"), ("插卡", lambda shop: shop.run(150)))
    insert("offline")(shop)
    shop.card = "offline"
    shop.walk(PIN, OUT, ("余额查询 100,000.00", "CANCEL"), HOME)
    assert shop.said(2) == "0200 0210" and shop.record() is None


def test_the_same_card_a_second_time_is_another_sale(shop):
    sold(shop)
    sold(shop)
    shop.settle()
    assert len(shop.bank.standing(TERMINAL)) == 2 and agree(shop)


# -- the power


class Canteen(Till):
    def again(self):
        self.pull()
        super().again()


def walk(till):
    till.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("插卡", lambda till: till.run(200)))
    till.insert("offline")
    till.walk(*SOLD)
    till.run(RESOLVED_MS)


def ready():
    shop = Shop(parameters=CANTEEN)  # for its store: the parameters are there before the power is on
    rows = [("parameters", name, value, None) for name, value in shop.store.range("parameters")]
    till = Canteen(parameters={"reversal.again_s": 60})
    till.store.commit(rows)
    till.log_in()
    till.run(5_000)
    return till


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_the_books_agree_whichever_commit_the_power_goes_at(after):
    till = ready()
    commits = till.store.commits
    walk(till)
    commits = till.store.commits - commits
    assert commits >= 3 and till.differ() == []
    ends = set()
    for number in range(1, commits + 1):
        till = ready()
        till.store.fuse(number, after)
        assert cut_short(till, walk) or till.cut, "commit %d did not come" % number
        till.again()
        assert till.terminal.ledger.notices() == [], number
        assert till.differ() == [], "at commit %d: %s" % (number, till.differ())
        ends.add(till.record()["phase"] if till.record() else "")
    assert "approved" in ends


def test_an_upload_that_is_cut_short_by_the_power_is_sent_again():
    till = ready()
    till.link.reach = lambda point: till.later(0, till.plug) if point == "link:sent" else None
    till.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("插卡", lambda till: till.run(200)))
    till.insert("offline")
    with pytest.raises(AssertionError):
        walk_to_the_end(till)
    till.link.reach = lambda point: None
    till.again()
    assert till.differ() == [] and till.record()["phase"] == "approved" and till.terminal.ledger.notices() == []


def walk_to_the_end(till):
    till.walk(*SOLD)
    till.run(RESOLVED_MS)
    assert till.machine is not None
