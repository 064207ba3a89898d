"""What must not happen around a card: that it pays twice, that an approval is taken back by a page, that what is owed is
forgotten, that a PIN is typed where nobody takes it."""

import pytest

from firmware import events
from tests.flows.counter import tap
from tests.flows.scenarios import CANTEEN, DRAWN, Shop, switches

MENU = ("6 管理", None)
SLIPS = (("请撕下", "ENTER"), MENU)
OUT = ("请拔出卡片", lambda shop: shop.pull())


def shop_of(**parameters):
    shop = Shop(parameters=parameters)
    shop.log_in()
    shop.run(2_000)
    return shop


def begin(shop, fen=1234):
    shop.walk(("6 管理", "1"), ("请输入金额", "%d ENTER" % fen), ("12.34" if fen == 1234 else "请", None))


def inserted(name):
    return lambda shop: shop.insert(name)


def test_a_card_left_in_the_slot_does_not_pay_for_the_next_customer():
    shop = shop_of(**CANTEEN)
    begin(shop)
    shop.walk(("请挥卡", inserted("offline")), ("请拔出卡片", "ENTER"), *SLIPS)
    begin(shop, 8800)
    shop.run(30_000)
    assert "请先取出前一张卡" in shop.text and len(shop.terminal.ledger.newest(9)) == 1
    shop.pull()
    shop.walk(("请挥卡 插卡", tap("debit")), *SLIPS)
    assert shop.record()["entry"] == "07" and shop.record()["fen"] == 8800


def test_a_card_that_is_in_the_slot_before_the_amount_is_typed_is_read_where_the_last_one_was_taken_out():
    shop = shop_of(**CANTEEN)
    begin(shop)
    shop.walk(("请挥卡", inserted("offline")), OUT, *SLIPS)
    shop.insert("offline")
    begin(shop, 8800)
    shop.walk(OUT, *SLIPS)
    assert shop.record()["fen"] == 8800 and shop.record()["entry"] == "05"


@pytest.mark.parametrize("name, way", [("flash", "tap"), ("offline", "insert")])
def test_no_page_takes_back_what_the_card_has_approved(name, way):
    shop = shop_of(**CANTEEN, **{"sale.confirm_after_tap": True})
    begin(shop)
    if way == "tap":
        shop.walk(("请挥卡", tap(name)), *SLIPS)
    else:
        shop.walk(("请挥卡", inserted(name)), OUT, *SLIPS)
    shop.run(120_000)
    assert shop.record()["phase"] == "approved" and shop.record()["code"] == "Y1" and shop.books_agree()


def test_above_the_limit_of_its_prefix_a_card_that_approves_is_asked_for_its_pin_and_its_bank_decides():
    shop = shop_of(**CANTEEN, **{"pin.free_bins": [["62", 1000]]})
    begin(shop)
    shop.walk(("请挥卡", tap("flash")), ("密码", "000000 ENTER"), ("55 密码错误 未扣款", "CANCEL"), MENU)
    assert shop.record()["phase"] == "declined" and shop.books_agree()
    begin(shop, 1000)
    shop.walk(("请挥卡", tap("flash")), *SLIPS)
    assert shop.record()["code"] == "Y1" and not shop.record()["pin"]


@pytest.mark.parametrize("code", ["03", "58"])
def test_a_terminal_that_the_host_turns_away_does_not_go_on_selling_offline(code):
    shop = Shop(parameters=DRAWN)
    shop.rules.add("always on sign-on decline " + code)
    shop.log_in()
    begin(shop)
    shop.walk(("请挥卡", inserted("offline")), OUT, ("主机应答码 未扣款", "ENTER"), MENU)
    assert shop.terminal.ledger.totals() == {}


def test_a_store_that_is_full_is_noticed_before_a_card_is_made_to_approve():
    shop = shop_of(**CANTEEN)
    shop.store.full = True
    shop.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("存储已满 未扣款", "CANCEL"))
    shop.store.full = False
    begin(shop)
    shop.walk(("请挥卡", tap("flash")), *SLIPS)
    assert shop.record()["phase"] == "approved"


def sold_offline(shop, fen=1234):
    begin(shop, fen)
    shop.walk(("请挥卡", tap("flash")), *SLIPS)
    return shop.record()


def test_a_host_that_is_silent_about_script_results_still_gets_the_sales():
    shop = shop_of(**CANTEEN)
    shop.rules.add("next on sale script pin-unblock")
    shop.rules.add("always on script-result silence")
    begin(shop, 200_000)
    shop.walk(("请挥卡", inserted("script")))
    shop.until(lambda: shop.state == "ChipPin")
    shop.type(shop.shelf.card("script").pin + " ENTER")
    shop.walk(OUT, *SLIPS)
    sold_offline(shop)
    shop.run(600_000)
    assert [what for what, _ in shop.terminal.ledger.notices()] == ["script"]


def test_in_a_busy_shop_what_is_owed_goes_out_between_two_sales():
    shop = shop_of(**CANTEEN)
    sold_offline(shop)
    for _ in range(3):
        begin(shop, 60_000)
        shop.walk(("请挥卡", tap("debit")), *SLIPS)
    assert not shop.terminal.ledger.owed and shop.books_agree()


def test_what_found_no_line_goes_out_behind_the_first_sale_that_found_one():
    shop = shop_of(**CANTEEN, **{"reversal.again_s": 3600})
    shop.link.down = "unreachable"
    sold_offline(shop)
    shop.run(60_000)
    assert shop.terminal.ledger.owed
    shop.link.down = None
    begin(shop, 60_000)
    shop.walk(("请挥卡", tap("debit")), *SLIPS)
    shop.run(60_000)
    assert not shop.terminal.ledger.owed and shop.books_agree()


def test_a_sale_does_not_wait_for_a_notice_that_nobody_answers():
    shop = shop_of(**CANTEEN)
    shop.rules.add("always on upload ignore")
    sold_offline(shop)
    shop.until(lambda: any("→ 0200" in line for line in shop.messages))
    begin(shop, 60_000)
    shop.walk(("请挥卡", tap("debit")))
    began = shop.time_ms
    shop.walk(("请撕下", None))
    assert shop.time_ms - began < 10_000 and shop.record()["fen"] == 60_000


def test_a_sale_that_the_host_would_not_take_is_no_money_and_is_said():
    shop = shop_of(**CANTEEN)
    shop.rules.add("always on upload decline 14")
    sold_offline(shop)
    shop.run(120_000)
    shop.type("BACK")
    shop.until("上送被拒")
    assert shop.terminal.ledger.totals() == {"sale": [0, 0]} and shop.books_agree()
    shop.walk(("6 管理", "4"), ("交易明细", "1"), ("12.34 拒", "1"), ("银行拒收", None))
    shop.plug()
    shop.power_on()
    shop.run(2_000)
    assert shop.terminal.ledger.refused_uploads == 1 and shop.terminal.ledger.totals() == {"sale": [0, 0]}


def scripted(shop):
    shop.rules.add("next on sale script pin-unblock")
    begin(shop)
    shop.walk(("请挥卡", inserted("script")))
    shop.until(lambda: shop.state == "ChipPin")


def test_the_result_of_a_script_is_owed_in_the_same_commit_as_the_approval():
    shop = shop_of()
    scripted(shop)
    commits = []
    commit = shop.store.commit
    shop.store.commit = lambda rows, sync=True: (commits.append([row[0] for row in rows]), commit(rows, sync))
    shop.type(shop.shelf.card("script").pin + " ENTER")
    shop.walk(OUT, *SLIPS)
    assert [tables for tables in commits if "notices" in tables and "transactions" in tables and "totals" in tables]
    shop.store.commit = commit
    shop.run(120_000)
    assert shop.books_agree()


def test_what_came_up_on_the_way_to_the_host_asks_for_the_card_anew():
    shop = shop_of(**{"reversal.tries": 1, "reversal.again_s": 3600})
    shop.rules.add("next on sale silence")
    shop.rules.add("next on reversal silence")
    begin(shop, 500)
    shop.walk(("请挥卡", tap("debit")), ("交易结果未知", "ENTER"), MENU)
    shop.walk(("6 管理", "1"), ("有未冲正交易", "ENTER"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), *SLIPS)
    assert shop.record()["reversal55"] and shop.books_agree()


def test_the_page_asks_for_a_pin_only_when_the_vault_listens():
    shop = Shop()
    shop.power_on()
    shop.run(2_000)
    shop.link.slow_ms = 0
    shop.rules.add("always on sign-on late 8")
    shop.type("01 ENTER 0000 ENTER")
    begin(shop)
    shop.walk(("请挥卡", inserted("debit")))
    shop.until(lambda: shop.state == "ChipPin")
    heard = []
    handle = shop.machine.handle
    shop.machine.handle = lambda event: (heard.append(event.value) if event.name == events.KEY else None, handle(event))
    assert "正在签到" in shop.text
    shop.until("密码")
    shop.type(shop.shelf.card("debit").pin + " ENTER")
    assert heard == []


def test_a_holder_who_was_not_verified_signs():
    shop = shop_of()
    begin(shop, 200_000)
    shop.walk(("请挥卡", inserted("pin-asking")))
    shop.until(lambda: shop.state == "ChipPin")
    shop.type("ENTER")
    shop.walk(OUT, *SLIPS)
    assert "持卡人签名" in shop.paper and "无需" not in shop.paper


def test_a_fallback_is_that_cards_alone():
    shop = shop_of(**{"fallback.tries": 1})
    begin(shop)
    shop.walk(("请挥卡", inserted("chip-dead")), ("芯片读不出 请刷卡", lambda s: (s.pull(), s.swipe("expired"))), ("卡片已过期", "ENTER"))
    shop.walk(("请挥卡 插卡", lambda s: s.swipe("debit")), ("芯片卡请插卡", tap("credit")), *SLIPS)
    assert "fallback" not in shop.record()


def test_a_page_that_waits_for_reversals_does_not_wait_for_notices():
    shop = shop_of(**CANTEEN, **{"reversal.tries": 1, "reversal.again_s": 3600})
    shop.rules.add("always on upload silence")
    sold_offline(shop)
    shop.rules.add("next on sale silence")
    shop.rules.add("next on reversal silence")
    begin(shop, 200_000)
    shop.walk(("请挥卡", tap("debit")), ("密码", shop.shelf.card("debit").pin + " ENTER"), ("交易结果未知", "ENTER"), MENU)
    shop.walk(("6 管理", "1"), ("有未冲正交易", "ENTER"), ("请输入金额", "CANCEL"))
    assert not shop.terminal.ledger.to_reverse() and shop.terminal.ledger.owed


def test_what_the_bank_agrees_to_by_telephone_is_sold_with_its_code_and_brought_to_the_host():
    shop = Shop(parameters=switches(referral=True))
    shop.log_in()
    shop.run(2_000)
    shop.rules.add("next on sale decline 01")
    begin(shop)
    shop.walk(("请挥卡", inserted("cda")))
    shop.until(lambda: shop.state == "ChipPin")
    shop.type(shop.shelf.card("cda").pin + " ENTER")
    shop.walk(("请致电发卡行 授权码", "123 ENTER"), ("授权码: 123", "456 ENTER"), OUT, *SLIPS)
    assert shop.record()["authorisation"] == "123456" and "授权码:123456" in shop.paper
    shop.run(120_000)
    assert shop.books_agree() and "→ 0220" in " ".join(shop.messages)


def test_a_stripe_reader_that_goes_is_not_asked_for_any_more():
    shop = shop_of()
    begin(shop)
    shop.until("请挥卡 插卡 或刷卡")
    shop.stripe.unplug()
    shop.until("请挥卡 或插卡")
    shop.walk(("请挥卡", tap("debit")), *SLIPS)


@pytest.mark.parametrize("name, typed", [("debit", "12"), ("offline-pin", "12"), ("debit", "")])
def test_a_card_pulled_while_its_pin_is_typed_is_missed_at_the_next_key(name, typed):
    shop = shop_of()
    begin(shop)
    shop.walk(("请挥卡", inserted(name)))
    shop.until(lambda: shop.state == "ChipPin")
    shop.type(typed)
    shop.pull()
    shop.run(200)
    shop.type("3")
    shop.walk(("卡片拔出太早 请挥卡", inserted(name)), ("密码", shop.shelf.card(name).pin + " ENTER"), OUT, *SLIPS)
    assert shop.record()["phase"] == "approved"
