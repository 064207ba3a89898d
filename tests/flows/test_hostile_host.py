"""A hostile or broken host, at the port level: every kind of conversation, in virtual time. What is tried is in `hostile_host`;
here is a slice of it (each fault with one kind, each kind with several), and the money rules behind it, one by one.

The whole: `make campaign-host`.
"""

import json
from random import Random

import pytest

from emulator.world import HOST, MERCHANT, TERMINAL
from firmware.host import messages
from firmware.iso8583 import codes, frame, unionpay
from tests import hostile_host
from tests.flows.counter import Counter, tap
from tests.flows.test_replies import listen, of_type
from tests.flows.test_transactions import home, offline_sale, supervised
from tests.hostile_host import COUNT, FAULTS, KINDS, MINUTE_MS, Host, Shop, leftovers

MONEY = [name for name in KINDS if name in messages.BY_NAME and messages.BY_NAME[name].unknown != "notice"] + ["chip"]


def slice_of(cases, size, seed):
    """So many of the cases: each fault, each kind and each span among them, for as long as there is room."""
    chance = Random(seed)
    drawn, met = [], set()
    shuffled = sorted(cases, key=lambda case: chance.random())
    for fresh in (2, 1):
        for case in shuffled:
            new = {("kind", case[0]), ("fault", case[1])} - met
            if len(new) >= fresh and case not in drawn:
                drawn.append(case)
                met |= new
    return drawn + [case for case in shuffled if case not in drawn][: max(0, size - len(drawn))]


@pytest.mark.parametrize(
    ("kind", "fault", "span"), slice_of(hostile_host.cases(), 120, 4), ids=lambda word: word.replace(" ", "-")
)
def test_a_host_that_answers_wrongly_costs_time_and_nothing_else(kind, fault, span):
    hostile_host.run(kind, fault, span, whole=kind == "settlement")


def test_the_slice_has_every_fault_and_every_kind_in_it():
    drawn = slice_of(hostile_host.cases(), 120, 4)
    assert {kind for kind, _, _ in drawn} == set(KINDS) and {fault for _, fault, _ in drawn} == set(FAULTS)
    assert {span for _, _, span in drawn} == set(hostile_host.SPANS)


# -- whose answer it is

NOT_OURS = (
    "another trace", "another terminal", "another merchant", "another type", "another processing code", "no amount",
    "a larger amount", "a larger amount, in part", "nothing, in part", "MAC of noise", "MAC of zeros", "no MAC", "no code",
    "a code of controls", "a code of spaces", "earlier ones", "crosswise",
)  # fmt: skip


LATER_TRUE = ("another type", "earlier ones", "crosswise")  # an answer to the first try is one to a repetition


@pytest.mark.parametrize("fault", NOT_OURS)
def test_no_kind_takes_an_approval_that_is_not_its_own(fault):
    for kind in MONEY:
        if kind == "balance" and ("amount" in fault or "in part" in fault):
            continue  # it has none
        if fault in LATER_TRUE and kind in ("refund", "complete-notice"):
            continue
        pages = hostile_host.run(kind, fault, "ever")
        assert "NextCopy" not in pages and "ShowBalance" not in pages, (kind, pages)


@pytest.mark.parametrize("kind", ["sale", "refund"])
def test_an_answer_counts_whatever_it_has_besides(kind):
    for fault in COUNT:
        assert "NextCopy" in hostile_host.run(kind, fault, "once"), fault


@pytest.fixture
def shop():
    shop = Shop()
    shop.log_in()
    shop.run(3_000)
    return shop


def start(shop, fen=1234):
    shop.walk(("6 管理", "1"), ("请输入金额", "%d ENTER" % fen), ("请挥卡", tap("debit")))


def bent(shop, span="once", **changes):
    """The bank's answers with these fields."""
    return Host(shop, hostile_host.on_fields(**changes), span, Random(1))


def test_a_flood_of_other_replies_is_one_line_in_the_log(shop):
    Host(shop, FAULTS["thousands of others"], "once", Random(1))
    start(shop)
    shop.walk(("已冲正", None))
    assert sum("passed over" in text for _, text in shop.log.lines) == 1


def test_an_answer_on_another_connection_is_no_answer_to_either():
    """Two terminals of one process, whose answers the host exchanges."""
    one, other = Shop(1), Shop(2)
    for world in (one, other):
        world.log_in()
        world.run(3_000)
    swapped = []

    def take(host, answers):
        swapped.append(answers)
        return []

    for world in (one, other):
        Host(world, take, "once", Random(1))
        start(world)
        world.until(lambda world=world: world.state == "Authorise")
        world.run(2_000)
    for world, answers in ((one, swapped[1]), (other, swapped[0])):
        ticket = next(iter(world.link._open))
        world.link._hear(ticket, answers[0][1])
        world.walk(("已冲正", "ENTER"), ("6 管理", None))
        assert world.record()["phase"] == "reversed" and world.books_agree()


# -- approvals in part


def test_a_void_is_never_taken_in_part(shop):
    hostile_host.sale(shop)
    home(shop)
    shop.trace = shop.record()["trace"]
    bent(shop, F39="10", F4="000000000001")
    hostile_host.void(shop)
    shop.walk(("已冲正", "ENTER"), ("6 管理", None))
    assert shop.record()["phase"] == "reversed" and shop.books_agree()


@pytest.mark.parametrize("kind", ["complete-notice", "refund"])
def test_an_approval_in_part_counts_as_such_in_a_repetition_too(shop, kind):
    prepare, act = KINDS[kind]
    prepare(shop)
    shop.rules.add("next on %s ignore" % kind)
    heard = []

    def answers(host, given):
        if given:
            heard.append(given)
        return [(delay, host.signed(answer, less) if messages_of(answer)[0] == "0230" else answer) for delay, answer in given]

    def less(fields):
        fields.update({39: "10", 4: "000000000077"})

    Host(shop, answers, "ever", Random(1))
    act(shop)
    shop.run(60_000)
    record = shop.record()
    assert record["phase"] == "approved" and (record["fen"], record["asked_fen"]) == (77, {"refund": 500}.get(kind, 9000))
    assert shop.terminal.ledger.totals()[kind] == [1, 77]


def messages_of(answer):
    return unionpay.codec().unpack(hostile_host.parts(answer).body)


# -- notices


def test_any_code_of_success_settles_a_notice(shop):
    shop.rules.add("next on offline-sale approve 11")
    offline_sale(shop)
    shop.until(lambda: not shop.terminal.ledger.notices())
    assert shop.books_agree() and not shop.terminal.ledger.refused_uploads


def test_a_notice_that_came_twice_is_booked_once(shop):
    shop.rules.add("next on offline-sale silence")
    offline_sale(shop)
    shop.until(lambda: not shop.terminal.ledger.notices(), within_ms=10 * MINUTE_MS)
    assert sum("→ 0220" in line for line in shop.messages) == 2 and shop.books_agree()
    assert [row[3] for row in shop.bank.standing_all(TERMINAL)] == [8000]


def test_a_notice_that_is_answered_with_79_is_sent_again(shop):
    shop.rules.add("next on offline-sale decline 79")
    offline_sale(shop)
    shop.until(lambda: not shop.terminal.ledger.notices(), within_ms=10 * MINUTE_MS)
    assert not shop.terminal.ledger.refused_uploads and shop.books_agree()


def test_code_79_has_the_notices_sent_at_once(shop):
    shop.rules.add("always on offline-sale ignore")
    offline_sale(shop)
    shop.run(40_000)  # one try has had its time, the next one waits
    shop.rules.clear()
    tried = sum("→ 0220" in line for line in shop.messages)
    shop.rules.add("next on sale decline 79")
    start(shop)
    shop.walk(("交易失败 79 将重传离线交易", None))
    assert sum("→ 0220" in line for line in shop.messages) == tried and shop.terminal.ledger.notices()
    shop.walk(("79", "ENTER"), ("6 管理", None))
    shop.run(1_000)
    assert not shop.terminal.ledger.notices() and shop.books_agree()


def test_a_refused_notice_is_listed_and_never_sent_again(shop):
    shop.rules.add("always on offline-sale decline 05")
    offline_sale(shop)
    shop.run(20 * MINUTE_MS)
    assert sum("→ 0220" in line for line in shop.messages) == 1
    assert shop.terminal.ledger.refused_uploads == 1 and shop.books_agree()
    shop.type("BACK")  # lights the panel
    shop.until("上送被拒")
    assert not shop.flaws, "the menu says so, and has room for it"


# -- reversals


@pytest.mark.parametrize(("parameter", "reason"), [(None, "06"), ("96", "96")])
def test_a_reversal_that_the_host_has_refused_goes_again_with_the_reason_of_its_profile(parameter, reason):
    counter = Counter(parameters={"reversal.refused_reason": parameter} if parameter else None)
    counter.log_in()
    counter.run(3_000)
    heard = listen(counter)
    counter.rules.add("next on sale silence")
    counter.rules.add("next on reversal decline 30")
    start(counter)
    counter.walk(("已冲正", None))
    assert [fields[39] for fields in of_type(heard, "0400")] == ["98", reason]


def test_a_short_authorisation_code_is_sent_back_as_it_came():
    counter = Counter()
    counter.log_in()
    counter.run(3_000)
    heard = listen(counter, lambda fields: fields.update({38: "12    ", 37: "AB          "}))
    counter.sell(1234)
    assert counter.record()["authorisation"] == "12" and counter.record()["reference"] == "AB"
    trace = counter.record()["trace"]
    counter.walk(("6 管理", "2"))
    supervised(counter, ("原凭证号", trace + " ENTER"), ("确认撤销", "ENTER"), ("请挥卡", tap("debit")), ("交易失败", None))
    sent = of_type(heard, "0200")[-1]  # this bank knows it by another one
    assert (sent[37], sent[38]) == ("AB          ", "12    ") and counter.books_agree()


def test_what_a_card_refuses_is_undone_though_its_bank_gave_a_short_code(shop):
    bent(shop, F38="12    ")
    hostile_host.refused_by_card(shop)
    shop.run(100)
    hostile_host.home(shop)
    assert shop.record()["phase"] == "reversed" and shop.books_agree()


# -- what is shown and printed


@pytest.mark.parametrize(("date", "time"), [("0000", "000000"), ("1332", "120000"), ("0230", "120000"), ("1120", "256161")])
def test_a_date_that_there_is_not_is_on_no_slip(shop, date, time):
    bent(shop, F13=date, F12=time)
    hostile_host.sale(shop)
    home(shop)
    assert "2026/11/20 10:3" in shop.paper and "%s/%s" % (date[:2], date[2:]) not in shop.paper.replace("11/20", "")
    assert shop.record()["host_date"] in ("", "1120") and shop.record()["host_time"] == "", (
        "nor what a void names its original by"
    )


def test_commands_in_a_text_of_the_host_print_nothing_but_characters(shop):
    bent(shop, F44=hostile_host.NOISE[:22], F63=b"CUP" + hostile_host.NOISE, F37="\x1b@" * 6, F38="\x1dV\x00123")
    hostile_host.sale(shop)
    home(shop)
    assert shop.record()["reference"] == shop.record()["authorisation"] == ""
    assert not set(shop.paper) & set(hostile_host.CONTROLS.replace("\n", ""))
    shop.walk(("6 管理", "4"), ("交易明细", "1"))
    shop.type("1")
    shop.run(100)
    assert hostile_host.RENDERER.fits(shop.screen) == []


@pytest.mark.parametrize("text", ["", "x", "1002156C99999999999", "1002156X000000000000", "1002156C00000000000A"])
def test_a_balance_that_is_none_is_shown_as_none(shop, text):
    bent(shop, F54=text or None)
    hostile_host.balance(shop)
    shop.walk(("密码", shop.shelf.card("debit").pin + " ENTER"))
    shop.until(lambda: shop.state == "ShowBalance")
    assert "--" in shop.text


def test_a_code_that_is_none_is_no_answer_and_never_a_decline(shop):
    bent(shop, F39="\x1b\x00")
    start(shop)
    shop.walk(("没有收到有效应答 已冲正", None))


# -- sign-on for ever


@pytest.mark.parametrize("word", ["77", "99", "A0", "requirement 3"])
def test_a_host_that_wants_a_sign_on_in_every_answer_is_not_asked_for_ever(shop, word):
    if word == "requirement 3":
        Host(shop, FAULTS[word], "ever", Random(1))
    else:
        shop.rules.add("always decline " + word)
    began = len(shop.messages)
    shop.run(10 * MINUTE_MS)
    assert len(shop.messages) == began, "nobody does anything"
    start(shop)
    hostile_host.home(shop)
    shop.run(60 * MINUTE_MS)
    sent = sum("→ 0800" in line for line in shop.messages[began:])
    assert sent <= 3 * 60 + 5, "%d sign-ons in an hour" % sent


# -- time and memory


@pytest.mark.parametrize(("first_ms", "every_ms"), [(0, 1_000), (29_000, 1)])
def test_a_line_that_drips_for_a_day_holds_nobody_longer_than_the_time_for_a_reply(shop, first_ms, every_ms):
    whole = frame.pack(bytes(5), bytes(6), bytes(4000))

    def drips():
        return lambda data: [(first_ms + every_ms * at, whole[at : at + 1]) for at in range(len(whole))]

    good = shop.link.hosts[HOST]
    shop.link.hosts[HOST] = drips
    began = shop.time_ms
    start(shop)
    shop.until("交易结果未知", within_ms=200_000)
    assert shop.time_ms - began <= 4 * 30_000 + 10_000
    shop.link.hosts[HOST] = good
    hostile_host.recover(shop)


def test_a_hundred_bad_sales_leave_no_more_behind_than_one(shop):
    host = Host(shop, FAULTS["ones"], "ever", Random(1))
    sizes = []
    for _ in range(100):
        hostile_host.from_menu(shop, "1")
        shop.run(1_000)
        if shop.state == "EnterAmount":
            shop.type("100 ENTER")
            hostile_host.tapped(shop)
        hostile_host.home(shop)
        sizes.append(leftovers(shop))
    assert max(sizes) <= tuple(most + 1 for most in sizes[0])
    assert sum(len(value) for _, value in shop.store.range("transactions")) < 4_000, (
        "one open reversal blocks what comes after it"
    )
    host.over = True
    hostile_host.recover(shop)


def test_the_bank_that_sends_the_refund_twice_gives_it_back_once(shop):
    prepare, refund = KINDS["refund"]
    prepare(shop)
    before = shop.bank.takings(MERCHANT)
    shop.rules.add("next on refund twice")
    refund(shop)
    hostile_host.home(shop)
    assert shop.bank.takings(MERCHANT) == before - 500 and shop.books_agree()


def test_every_code_of_the_table_is_two_letters_or_digits():
    assert all(messages._is_code(code) for code in codes.CODES)


def test_the_settings_of_the_shop_are_parameters_that_there_are():
    from firmware.parameters import check

    for name, value in hostile_host.SETTINGS.items():
        assert json.dumps(check(name, value))
