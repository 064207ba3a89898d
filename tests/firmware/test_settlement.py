"""The settlement without a host: its fields, its steps on disk, its plan, its papers."""

from random import Random

import pytest

from emulator.standins.store import PowerCut, StandIn
from firmware import settlement, settlement_slip, slip
from firmware.host import uploads
from firmware.iso8583 import batch
from firmware.iso8583.batch import Half, Item
from firmware.iso8583.codec import Iso8583Error
from firmware.ledger import Ledger
from firmware.ports import StoreFull
from firmware.screens.texts import Texts
from firmware.settlement import ASK, DONE, END, OPEN, SIGN_OFF, STEPS, UPLOAD, Settlement, SettlementError
from tests.firmware.test_tlv import vectors
from tests.flows.counter import Counter

# -- the fields

SETTLED = {"syn_settle_0500", "syn_settle_0510_balanced", "syn_settle_0510_unbalanced"}


def test_the_fields_of_the_collected_settlement_messages_are_read_and_built():
    ran = 0
    for case in vectors("../host/upmsg.json")["vectors"]:
        fields = case.get("input", {}).get("fields", {})
        if case["id"] in SETTLED:
            assert batch.totals(*batch.read_totals(fields["48"])) == fields["48"]
        elif case["id"] == "syn_batch_up_mag_0320":
            assert batch.items(batch.read_items(fields["48"])) == fields["48"]
        elif case["id"] == "syn_batch_up_ic_0320":
            result = batch.read_chip(bytes.fromhex(fields["62"]))
            assert batch.chip(result.kind, result.organisation, result.fen) == bytes.fromhex(fields["62"])
        elif case["id"] == "syn_batch_end_0320":
            assert batch.count(batch.read_count(fields["48"])) == fields["48"]
        else:
            continue
        ran += 1
    assert ran == 6


def test_the_totals_are_two_halves_and_a_reply_may_lack_the_second():
    ours = Half(2234, 2, 50, 1, "0")
    text = batch.totals(ours, batch.NOTHING)
    assert text == "000000002234" + "002" + "000000000050" + "001" + "0" + "0" * 31
    assert batch.read_totals(text) == (ours, batch.NOTHING) == batch.read_totals(text[:31] + "0000")
    assert batch.read_totals(text[:30] + "2" + text[31:])[0].flag == batch.UNBALANCED


def test_a_list_holds_up_to_eight_transactions_of_forty_digits():
    one = Item(batch.OTHER_CARDS, "000007", "4761739001010010", 1234)
    text = batch.items([one] * 8)
    assert len(text) == 322 and text[2:42] == "01" + "000007" + "0000" + "4761739001010010" + "000000001234"
    assert batch.read_items(text) == [one] * 8


@pytest.mark.parametrize(
    "build",
    [
        lambda: batch.totals(Half(-1, 0, 0, 0, "0"), batch.NOTHING),
        lambda: batch.totals(Half(10**12, 0, 0, 0, "0"), batch.NOTHING),
        lambda: batch.totals(Half(0, 1000, 0, 0, "0"), batch.NOTHING),
        lambda: batch.totals(Half(0, 0, 0, 0, "4"), batch.NOTHING),
        lambda: batch.items([]),
        lambda: batch.items([Item("00", "000001", "62", 1)] * 9),
        lambda: batch.items([Item("02", "000001", "62", 1)]),
        lambda: batch.items([Item("00", "1", "62", 1)]),
        lambda: batch.items([Item("00", "000001", "", 1)]),
        lambda: batch.items([Item("00", "000001", "6" * 21, 1)]),
        lambda: batch.count(10_000),
        lambda: batch.chip("62", "00", 1),
        lambda: batch.chip("61", "00", 10**12),
        lambda: batch.read_count(""),
    ],
)
def test_what_a_field_cannot_hold_is_refused(build):
    with pytest.raises(Iso8583Error):
        build()


def test_whatever_a_host_sends_is_read_or_refused_with_one_error():
    chance = Random(4)
    alphabet = "0123456789" * 3 + "D="
    for _ in range(3000):
        text = "".join(chance.choice(alphabet) for _ in range(chance.choice((0, 1, 4, 30, 31, 42, 61, 62, 82, 322))))
        for read in (batch.read_totals, batch.read_items, batch.read_count, lambda text: batch.read_chip(text.encode())):
            try:
                read(text)
            except Iso8583Error as error:
                assert len(text) < 9 or text not in str(error)


def test_the_totals_are_split_by_card_organisation_and_by_the_sign_of_the_kind():
    totals = {
        "CUP": {"sale": [2, 300], "void": [1, 100], "preauth": [4, 999]},
        "VIS": {"sale": [1, 70], "refund": [1, 20]},
        "AMX": {"tip": [1, 5]},
    }
    assert settlement.halves(totals) == (Half(300, 2, 100, 1, "0"), Half(75, 2, 20, 1, "0"))


# -- the steps on disk


@pytest.fixture
def store():
    return StandIn()


@pytest.fixture
def ledger(store):
    ledger = Ledger(store)
    sell(ledger)
    sell(ledger, 50)
    return ledger


def sell(ledger, fen=1234, **what):
    record = {"kind": "sale", "trace": "%06d" % ledger.next_trace(), "fen": fen, "scheme": "CUP", **what}
    ledger.sent(record, 1000)
    ledger.approved(record, {"code": "00", "reference": "%012d" % ledger.next_trace()})
    return record


WAY = (OPEN, ASK, UPLOAD, END, SIGN_OFF, DONE)


def step(kept, ledger, to):
    if to == OPEN:
        kept.begin(ledger, "20261120233000", "01")
    elif to == ASK:
        kept.asking(ledger)
    elif to == SIGN_OFF:
        kept.roll(ledger, SIGN_OFF)
    else:
        kept.turn(to)


def test_after_a_power_cut_the_settlement_is_at_the_step_that_was_written(store, ledger):
    kept = Settlement(store)
    for to in WAY[:-1]:
        step(kept, ledger, to)
        store.power_cut()
        again, ledger = Settlement(store), Ledger(store)
        assert again.running["step"] == to and again.frozen is (to != OPEN)
        assert again.running["totals"] == {"CUP": {"sale": [2, 1284]}}
        assert ledger.batch == ("000002" if to == SIGN_OFF else "000001")
    kept.turn(DONE)
    again = Settlement(store)
    assert again.running is None and again.last()["batch"] == "000001" and again.to_print() == again.last()


@pytest.mark.parametrize("after", [False, True])
def test_a_power_cut_in_the_commit_of_a_step_leaves_that_step_or_the_one_before_it(store, ledger, after):
    image = store.image()
    for place in range(len(WAY)):
        store.restore(image)
        kept, books = Settlement(store), Ledger(store)
        for to in WAY[:place]:
            step(kept, books, to)
        store.fuse(1, after)
        with pytest.raises(PowerCut):
            step(kept, books, WAY[place])
        store.fuse(0)
        there = WAY[place] if after else WAY[place - 1] if place else ""
        again, books = Settlement(store), Ledger(store)
        assert (again.running["step"] if again.running else "") == ("" if there == DONE else there)
        assert (books.batch == "000002") == (there in (SIGN_OFF, DONE)), "the batch rolls in the commit that ends it"


def test_only_the_steps_of_the_table_follow_each_other(store, ledger):
    kept = Settlement(store)
    with pytest.raises(SettlementError):
        kept.turn(ASK)
    kept.begin(ledger, "20261120233000", "01")
    with pytest.raises(SettlementError):
        kept.begin(ledger, "20261120233000", "01")
    for to in STEPS:
        if to not in STEPS[OPEN]:
            with pytest.raises(SettlementError):
                kept.turn(to)
    assert kept.running["step"] == OPEN


def test_before_the_host_has_heard_of_it_a_settlement_can_be_forgotten_and_not_later(store, ledger):
    kept = Settlement(store)
    kept.begin(ledger, "20261120233000", "01")
    kept.forget()
    assert kept.running is None and Settlement(store).running is None
    kept.begin(ledger, "20261120233000", "01")
    kept.asking(ledger)
    kept.forget()
    assert kept.running["step"] == ASK == Settlement(store).running["step"]


def test_the_totals_are_frozen_when_they_leave_and_not_before(store, ledger):
    kept = Settlement(store)
    kept.begin(ledger, "20261120233000", "01")
    late = sell(ledger, 7)
    kept.asking(ledger)
    assert kept.running["totals"] == {"CUP": {"sale": [3, 1291]}} and kept.running["last"] == late["id"]
    sell(ledger, 9)
    kept.asking(ledger)
    assert kept.running["totals"] == {"CUP": {"sale": [3, 1291]}}


def test_the_records_of_a_settlement_are_those_of_its_batch_for_ever(store, ledger):
    kept = Settlement(store)
    for to in WAY:
        step(kept, ledger, to)
    sell(ledger, 9)
    assert [record["fen"] for record in settlement.records_of(ledger, kept.last())] == [1234, 50]
    assert [record["fen"] for record in settlement.records_of(ledger, kept.snapshot(ledger, "", ""))] == [9]


def test_a_store_that_refuses_leaves_everything_as_it_was(store, ledger):
    kept = Settlement(store)
    store.full = True
    with pytest.raises(StoreFull):
        kept.begin(ledger, "20261120233000", "01")
    assert kept.running is None
    store.full = False
    for to in WAY[:4]:
        step(kept, ledger, to)
    store.full = True
    with pytest.raises(StoreFull):
        kept.roll(ledger, DONE)
    assert kept.running["step"] == END and ledger.batch == "000001"


def test_a_damaged_settlement_is_listed_and_passed_over(store, ledger):
    kept = Settlement(store)
    kept.begin(ledger, "20261120233000", "01")
    for value in (b"{", b"[]", b'{"step":"open"}', b'{"step":"x","batch":"000001","number":1}', b"\xff", b"[" * 5000):
        store.commit([("settlements", "0000000001", value, "running")])
        again = Settlement(store)
        assert again.running is None and again.damaged == ["0000000001"] and again.last() is None
        again.begin(ledger, "20261120233000", "01")
        assert again.running["number"] == 2
        store.commit([("settlements", "0000000002", None, None)])


def test_the_slip_is_owed_until_it_is_out(store, ledger):
    kept = Settlement(store)
    for _ in range(2):
        for to in WAY:
            step(kept, ledger, to)
    assert kept.to_print()["number"] == 2
    kept.printed(kept.to_print())
    assert kept.to_print() is None is Settlement(store).to_print() and kept.last()["slip"] is False


# -- the clock

DAY = 20_000 * 86_400


@pytest.mark.parametrize(
    ("time", "now_s", "moment"),
    [
        ("2330", DAY + 84_600, DAY + 84_600),
        ("2330", DAY + 84_599, DAY + 84_600 - 86_400),
        ("0000", DAY, DAY),
        ("", DAY, -1),
        ("2400", DAY, -1),
        ("1260", DAY, -1),
        ("12", DAY, -1),
    ],
)
def test_a_time_of_day_was_last_today_or_yesterday(time, now_s, moment):
    assert settlement.last_moment(time, now_s) == moment


def test_by_the_clock_it_is_done_once_a_day_and_never_long_after_its_time(store):
    kept = Settlement(store)
    assert not kept.is_due("2330", DAY), "whoever begins to look has missed nothing"
    assert not kept.is_due("2330", DAY + 84_599)
    assert kept.is_due("2330", DAY + 84_600) and Settlement(store).is_due("2330", DAY + 90_000)
    assert not kept.is_due("2330", DAY + 84_600 + settlement.LATE_S + 1)
    kept.done_by_clock("2330", DAY + 84_700)
    assert not kept.is_due("2330", DAY + 84_800) and kept.is_due("2330", DAY + 86_400 + 84_600)
    assert not kept.is_due("", DAY + 2 * 86_400)


# -- the plan

PLAIN = {"id": 1, "phase": "approved", "kind": "sale", "fen": 1, "trace": "000001"}


@pytest.mark.parametrize(
    ("what", "part"),
    [
        ({}, "stripe"),
        ({"chip55": "9F26"}, "chip"),
        ({"offline55": "9F26", "chip55": "9F26"}, "chip-offline"),
        ({"offline55": "9F26", "referral": True}, "offline"),
        ({"kind": "offline-sale"}, "offline"),
        ({"kind": "adjust"}, "offline"),
        ({"kind": "tip"}, "offline"),
        ({"kind": "refund"}, "refund"),
        ({"kind": "complete-notice"}, "notice"),
        ({"kind": "complete"}, "stripe"),
        ({"kind": "void", "chip55": "9F26"}, "stripe"),
        ({"kind": "preauth", "chip55": "9F26"}, ""),
        ({"adjusted": 2}, ""),
        ({"kind": "offline-sale", "refused": "14"}, ""),
        ({"phase": "declined", "code": "51", "chip55": "9F26"}, ""),
        ({"phase": "declined", "code": "Z1", "chip55": "9F26"}, "failed"),
        ({"phase": "reversed", "code": "00", "chip55": "9F26"}, "failed"),
        ({"phase": "reversed", "chip55": "9F26"}, ""),
        ({"phase": "declined", "code": "Z1"}, ""),
        ({"phase": "reversing"}, ""),
    ],
)
def test_each_record_is_uploaded_in_one_way_or_in_none(what, part):
    assert uploads.part_of({**PLAIN, **what}) == part


def test_the_upload_goes_on_behind_the_place_that_is_done():
    parts = [[5], [], list(range(10, 27)), [], [], [3, 4], []]
    whole = uploads.after(parts, None)
    assert [part for part, _ in whole] == [0, 2, 2, 2, 5, 5] and [len(numbers) for _, numbers in whole] == [1, 8, 8, 1, 1, 1]
    for done in range(len(whole)):
        place = [whole[done][0], whole[done][1][-1]]
        assert uploads.after(parts, place) == whole[done + 1 :]


# -- the papers


@pytest.fixture(scope="module")
def shop():
    counter = Counter()
    counter.log_in()
    return counter


RECORD = {"kind": "sale", "pan": "622588******1234", "entry": "02", "pin": False, "at": "20261120103400", "operator": "01"}


def kept_of(shop, **what):
    kept = shop.terminal.settlement.snapshot(shop.terminal.ledger, "20261120233000", "01")
    return {**kept, "number": 7, **what}


def text(job):
    return "\n".join(line for _, line in job if isinstance(line, str))


def flags(one, other):
    return [[0, 0, 0, 0, one], [0, 0, 0, 0, other]]


def test_the_totals_slip_names_each_kind_each_organisation_and_what_the_host_says(shop):
    totals = {"CUP": {"sale": [2, 300], "void": [1, 100]}, "VIS": {"sale": [1, 70]}, "AMX": {"refund": [1, 20]}}
    paper = text(settlement_slip.totals(shop.terminal, kept_of(shop, totals=totals, host=flags("1", "2"))))
    for words in (
        "测试",
        "结算总计单",
        "批次号:",
        "消费             2          3.00",
        "撤销             1         -1.00",
        "对账平",
        "对账不平",
        "VIS",
        "AMX",
    ):
        assert words in paper
    assert "净额:RMB 2.50" in paper and "差额" not in paper, "a host that names no sums shows no difference"
    assert "对账出错" in text(settlement_slip.totals(shop.terminal, kept_of(shop, totals=totals, host=flags("3", "1"))))


def test_the_difference_to_the_sums_of_the_host_is_on_the_slip(shop):
    host = [[1300, 3, 0, 0, "2"], [0, 0, 0, 0, "1"]]
    paper = text(settlement_slip.totals(shop.terminal, kept_of(shop, totals={"CUP": {"sale": [2, 300]}}, host=host)))
    assert "主机借记         3         13.00" in paper and "差额/DIFF       -1        -10.00" in paper


def test_before_a_settlement_the_totals_say_so_and_nothing_of_the_host(shop):
    kept = shop.terminal.settlement.snapshot(shop.terminal.ledger, "20261120233000", "01")
    paper = text(settlement_slip.totals(shop.terminal, kept))
    assert "交易汇总单" in paper and "对账" not in paper and "结算" not in paper


def test_details_and_lists_name_each_transaction_and_its_code(shop):
    ledger = shop.terminal.ledger
    first, second, third = (sell(ledger, fen, **RECORD) for fen in (100, 200, 300))
    kept = kept_of(shop, denied=[[second["id"], "96"]], unsent=[[third["id"], ""]], closed=2, left=[first["id"]])
    details = text(settlement_slip.details(shop.terminal, kept, 0))
    assert details.count("622588******1234 /S") == 3 and "3.00" in details
    lists = text(settlement_slip.failures(shop.terminal, kept))
    assert lists.index("未成功上送") < lists.index(third["trace"]) < lists.index("被平台拒绝") < lists.index(second["trace"])
    assert "应答码96" in lists and first["trace"] not in lists
    closing = text(settlement_slip.totals(shop.terminal, kept))
    assert "主管结账:对账不符" in closing and "未完成" in closing and "被平台拒绝" in closing and "主管签字" in closing


def test_a_long_batch_is_printed_in_parts_that_name_each_transaction_once(shop):
    ledger = shop.terminal.ledger
    while ledger.counters["record"] < 100:
        sell(ledger, 1, **RECORD)
    kept = kept_of(shop)
    jobs = [settlement_slip.details(shop.terminal, kept, part) for part in range(settlement_slip.parts(shop.terminal, kept))]
    assert len(jobs) == 3 and max(len(job) for job in jobs) < 100
    assert sum(text(job).count("/S") for job in jobs) == 100
    assert [("cut", "") in job for job in jobs] == [False, False, True]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_line_of_a_paper_is_wider_than_it(shop, language):
    terminal = shop.terminal
    most = {
        name: [999, 999_999_999]
        for name in ("sale", "void", "refund", "complete-notice", "complete-void", "offline-sale", "instalment")
    }
    host = [[1, 2, 3, 4, "2"], [1, 2, 3, 4, "3"]]
    record = sell(terminal.ledger, 999_999_999, **{**RECORD, "pan": "622588*********1234"})
    listed = [[record["id"], "96"]]
    kept = kept_of(
        shop, totals={"CUP": most, "VIS": most}, host=host, denied=listed, unsent=listed, closed=1, left=[record["id"]]
    )
    terminal.texts = Texts(language)
    try:
        for job in (
            settlement_slip.totals(terminal, kept, True),
            settlement_slip.failures(terminal, kept),
            settlement_slip.details(terminal, {**kept, "first": record["id"]}, 0),
        ):
            lines = [
                line
                for style, line in job
                if isinstance(line, str) and style != "cbh" and not line.endswith(("主管签字:", "Supervisor:"))
            ]
            assert [line for line in lines if slip.cells(line) > slip.WIDTH] == []
    finally:
        terminal.texts = Texts("zh")
