"""The ledger: phases, counters, totals, what a cut leaves behind."""

import itertools

import pytest

from emulator.standins.store import PowerCut, StandIn
from firmware.ledger import APPROVED, DECLINED, PAGE, PHASES, REPEATING, REVERSED, REVERSING, SENT, Ledger, LedgerError
from firmware.ports import StoreFull
from firmware.transactions import VOID

REPLY = {"code": "00", "reference": "123456789012", "authorisation": "654321"}


def draft(ledger, kind="sale", fen=1234, original=0):
    made = {"kind": kind, "trace": "%06d" % ledger.next_trace(), "fen": fen, "original": original}
    return made | ({"of_reference": "000000000001"} if kind == "refund" else {})


@pytest.fixture
def store():
    return StandIn()


@pytest.fixture
def ledger(store):
    return Ledger(store)


def sale(ledger, fen=1234):
    record = ledger.sent(draft(ledger, fen=fen), 1000)
    ledger.approved(record, REPLY)
    return record


def test_a_sale_costs_two_synced_commits_and_one_mark_that_is_not(store, ledger):
    before = store.commits
    record = sale(ledger)
    assert store.commits - before == 2
    ledger.printed(record, 2)
    store.power_cut()
    assert Ledger(store).get(record["id"])["slip"] is True, "the mark was not synced: the slip is offered once more"


def test_trace_numbers_go_up_are_committed_and_wrap_at_999999(store, ledger):
    assert [sale(ledger)["trace"] for _ in range(2)] == ["000001", "000002"]
    assert Ledger(store).next_trace() == 3
    ledger.note(trace=999_999)
    assert ledger.next_trace() == 1
    assert ledger.spend_trace() == "000001"


def test_what_was_sent_when_the_power_went_is_reversed(store, ledger):
    ledger.sent(draft(ledger), 1000)
    again = Ledger(store)
    again.resolve_cut()
    assert [r["phase"] for r in again.to_reverse()] == [REVERSING]
    again.reversed_(again.to_reverse()[0], {"code": "00"})
    assert again.to_reverse() == [] and again.last()["phase"] == REVERSED


def test_the_totals_count_what_was_approved_and_nothing_else(store, ledger):
    sale(ledger, 1000)
    sale(ledger, 250)
    ledger.declined(ledger.sent(draft(ledger), 1), {"code": "51"})
    ledger.unknown(ledger.sent(draft(ledger), 1), "98")
    assert ledger.totals() == {"sale": [2, 1250]} == Ledger(store).totals()


def test_a_void_holds_its_original_until_it_is_declined_or_reversed(ledger):
    first = sale(ledger)
    void = ledger.sent(draft(ledger, "void", original=first["id"]), 1)
    assert ledger.problem(ledger.get(first["id"]), VOID) == "void.already"
    with pytest.raises(LedgerError):
        ledger.sent(draft(ledger, "void", original=first["id"]), 1)
    ledger.unknown(void, "98")
    assert ledger.problem(ledger.get(first["id"]), VOID) == "void.already"
    ledger.reversed_(void, {"code": "00"})
    assert ledger.problem(ledger.get(first["id"]), VOID) == ""
    second = ledger.sent(draft(ledger, "void", original=first["id"]), 1)
    ledger.approved(second, REPLY)
    assert ledger.problem(ledger.get(first["id"]), VOID) == "void.already"


@pytest.mark.parametrize("phase,to", list(itertools.product(PHASES, PHASES)))
def test_only_the_moves_of_the_table_are_possible(ledger, phase, to):
    acts = {
        APPROVED: lambda r: ledger.approved(r, REPLY),
        DECLINED: lambda r: ledger.declined(r, {}),
        REVERSING: lambda r: ledger.unknown(r, "98"),
        REVERSED: lambda r: ledger.reversed_(r, {}),
        REPEATING: lambda r: ledger.unknown(r, "98"),
    }
    repeated = REPEATING in (phase, to) and not {phase, to} & {REVERSING, REVERSED}
    record = ledger.sent(draft(ledger, "refund" if repeated else "sale"), 1)
    if phase == REVERSED:
        acts[REVERSING](record)
    if {phase, to} >= {REPEATING} and not repeated:
        return  # what can be undone is never repeated, and the other way round
    if phase != SENT:
        acts[phase](record)
    if to == SENT:
        return
    if to in PHASES[phase]:
        acts[to](record)
        assert ledger.get(record["id"])["phase"] == to
    else:
        with pytest.raises(LedgerError):
            acts[to](record)
        assert ledger.get(record["id"])["phase"] == phase


def test_a_full_store_refuses_and_nothing_has_changed(store, ledger):
    sale(ledger)
    store.full = True
    before = dict(ledger.counters), ledger.totals(), ledger.last()
    with pytest.raises(StoreFull):
        ledger.sent(draft(ledger), 1)
    assert (dict(ledger.counters), ledger.totals(), ledger.last()) == before


@pytest.mark.parametrize("after", [False, True], ids=["before it is written", "after"])
@pytest.mark.parametrize("fuse", range(1, 7))
def test_a_cut_at_any_commit_leaves_a_whole_ledger(store, fuse, after):
    """Sale, void, reversal of a void: whatever was cut, totals, counters and records say the same."""
    ledger = Ledger(store)
    store.fuse(fuse, after)
    try:
        first = sale(ledger, 1000)
        void = ledger.sent(draft(ledger, "void", 1000, first["id"]), 1)
        ledger.unknown(void, "98")
        ledger.reversed_(void, {"code": "00"})
        second = ledger.sent(draft(ledger, "void", 1000, first["id"]), 1)
        ledger.approved(second, REPLY)
    except PowerCut:
        pass
    again = Ledger(store)
    again.resolve_cut()
    records = again.newest(100)
    assert len(records) == again.counters["record"]
    assert sorted(int(r["trace"]) for r in records) == list(range(1, again.trace + 1))
    for kind in ("sale", "void"):
        approved = [r["fen"] for r in records if r["kind"] == kind and r["phase"] == APPROVED]
        assert again.totals().get(kind, [0, 0]) == [len(approved), sum(approved)]
    for record in records:
        assert again.by_trace(record["trace"])["id"] == record["id"]
        if record["kind"] == "sale" and record.get("void"):
            assert again.get(record["void"])["phase"] in (SENT, REVERSING, APPROVED)
    assert {r["id"] for r in again.to_reverse()} == {r["id"] for r in records if r["phase"] == REVERSING}


def test_the_list_is_newest_first_and_pages(ledger):
    for fen in range(1, 11):
        sale(ledger, fen)
    first = ledger.newest(4)
    assert [r["fen"] for r in first] == [10, 9, 8, 7]
    assert [r["fen"] for r in ledger.newest(4, first[-1]["id"])] == [6, 5, 4, 3]


# -- what card and terminal decide between themselves


def offline(ledger, fen=1234, who=""):
    record = draft(ledger, fen=fen) | {"who": who}
    ledger.offline(record, 1000)
    return record


def test_an_offline_sale_whose_slip_was_cut_off_is_offered_after_the_start(store, ledger):
    record = offline(ledger)
    store.power_cut()
    again = Ledger(store)
    assert [one["id"] for one in again.to_print()] == [record["id"]] and again.owed == 1


def test_an_upload_that_is_refused_in_a_later_batch_takes_nothing_from_that_batch(ledger):
    record = offline(ledger, 1000)
    ledger.note(batch=2)
    sale(ledger, 300)
    ledger.told("offline", record, {"code": "14"}, False)
    assert ledger.totals() == {"sale": [1, 300]} and ledger.owed == 0


def test_refused_uploads_are_counted_for_the_batch_they_belong_to(store, ledger):
    ledger.told("offline", offline(ledger), {"code": "14"}, False)
    assert ledger.refused_uploads == Ledger(store).refused_uploads == 1
    ledger.note(batch=2)
    assert ledger.refused_uploads == Ledger(store).refused_uploads == 0


def test_totals_that_are_counted_anew_leave_out_what_the_host_would_not_take(store, ledger):
    ledger.told("offline", offline(ledger, 1000), {"code": "14"}, False)
    sale(ledger, 300)
    store.commit([("totals", ledger.batch, b"?", None)])
    again = Ledger(store)
    assert again.damaged == ["totals"] and again.totals() == {"sale": [1, 300]}


def test_an_original_that_the_host_would_not_take_is_not_undone(ledger):
    record = offline(ledger)
    ledger.told("offline", record, {"code": "14"}, False)
    assert ledger.problem(ledger.get(record["id"]), VOID) == "void.not_approved"


def test_the_last_amount_of_a_card_is_that_of_its_newest_approved_sale(ledger):
    offline(ledger, 700, "a1")
    offline(ledger, 900, "b2")
    ledger.declined(ledger.sent(draft(ledger, fen=111) | {"who": "a1"}, 1), {"code": "51"})
    ledger.approved(ledger.sent(draft(ledger, "refund", 222) | {"who": "a1"}, 1), REPLY)
    assert (ledger.last_fen("a1"), ledger.last_fen("b2"), ledger.last_fen("c3")) == (700, 900, 0)


def test_the_results_of_scripts_are_owed_once_though_the_transaction_is_undone_afterwards(store, ledger):
    record = ledger.sent(draft(ledger) | {"script55": "DF31"}, 1)
    ledger.unknown(record, "06")
    ledger.reversed_(record, {"code": "00"})
    assert ledger.owed == len(ledger.notices()) == Ledger(store).owed == 1


def test_an_uploaded_sale_takes_the_hosts_reference_and_keeps_its_own_response(ledger):
    record = offline(ledger) | {"code": "Y1"}
    ledger.told("offline", record, {"code": "00", "reference": "123456789012", "authorisation": ""}, True)
    kept = ledger.get(record["id"])
    assert kept["reference"] == "123456789012" and "authorisation" not in kept and kept.get("code") != "00"


def test_sales_are_told_before_the_results_of_scripts(ledger):
    scripted = ledger.sent(draft(ledger) | {"script55": "DF31"}, 1)
    ledger.approved(scripted, REPLY)
    later = offline(ledger)
    assert [(what, one["id"]) for what, one in ledger.notices()] == [("offline", later["id"]), ("script", scripted["id"])]


def refund(ledger, fen=300, reference="123456789012", original=0):
    return ledger.sent(draft(ledger, "refund", fen, original) | {"of_reference": reference}, 1)


def test_a_second_refund_waits_until_the_first_is_known(store, ledger):
    first = refund(ledger)
    with pytest.raises(LedgerError):
        refund(ledger)
    ledger.unknown(first, "98")
    assert [one["id"] for one in Ledger(store).to_repeat()] == [first["id"]] and ledger.to_reverse() == []
    ledger.approved(first, REPLY)
    assert ledger.refunded("123456789012") == (0, 300)
    ledger.declined(refund(ledger), {})
    assert ledger.refunded("123456789012") == (0, 300) and ledger.totals()["refund"] == [1, 300]


def test_a_sale_that_was_refunded_cannot_be_voided(ledger):
    first = sale(ledger)
    ledger.approved(refund(ledger, 300, first["reference"], first["id"]), {"code": "00", "reference": "900000000001"})
    assert ledger.problem(ledger.get(first["id"]), VOID) == "void.refunded"
    assert ledger.by_reference("123456789012")["refunded_fen"] == 300


def test_what_changes_a_sale_stands_in_the_totals_in_its_place_until_it_is_refused(store, ledger):
    first = sale(ledger, 1000)
    tip = draft(ledger, "tip", 1100, first["id"])
    ledger.offline(tip, 1)
    assert ledger.totals() == {"sale": [0, 0], "tip": [1, 1100]} and ledger.get(first["id"])["adjusted"] == tip["id"]
    assert ledger.problem(ledger.get(first["id"]), VOID) == "void.adjusted"
    ledger.told("offline", tip, {"code": "05"}, False)
    assert ledger.totals() == {"sale": [1, 1000], "tip": [0, 0]} and ledger.problem(ledger.get(first["id"]), VOID) == ""
    assert Ledger(store).totals() == ledger.totals()


def test_totals_are_kept_by_scheme_and_the_host_has_the_last_word(ledger):
    ledger.approved(ledger.sent(draft(ledger) | {"scheme": "VIS"}, 1), REPLY)
    ledger.approved(ledger.sent(draft(ledger) | {"scheme": "VIS"}, 1), REPLY | {"organisation": "CUP"})
    assert ledger.totals_by_scheme() == {"VIS": {"sale": [1, 1234]}, "CUP": {"sale": [1, 1234]}}


def test_a_batch_that_is_rolled_begins_empty_even_under_a_number_that_was_used(store, ledger):
    old = sale(ledger)
    ledger.roll([("settlements", "000001", b"{}", None)])
    assert (ledger.batch, ledger.totals(), list(ledger.batch_records())) == ("000002", {}, [])
    assert [one["id"] for one in ledger.batch_records("000001")] == [old["id"]] and store.get("settlements", "000001") == b"{}"
    ledger.note(batch=1)
    assert ledger.totals() == {} and list(ledger.batch_records()) == [] and Ledger(store).totals() == {}
    assert ledger.problem(ledger.get(old["id"]), VOID) == "void.not_a_sale"


def test_the_answer_to_what_is_repeated_counts_in_the_batch_of_its_own(ledger):
    late = refund(ledger)
    ledger.unknown(late, "98")
    ledger.roll([])
    ledger.approved(late, REPLY)
    assert ledger.totals() == {} and ledger.totals("000001") == {"refund": [1, 300]}


def test_the_batch_number_after_999999_is_1(ledger):
    ledger.note(batch=999_999)
    ledger.roll([])
    assert ledger.batch == "000001"


def test_what_is_being_asked_for_right_now_is_not_called_unresolved(ledger):
    ledger.sent(draft(ledger), 1)
    assert len(ledger.to_reverse()) == 1 and ledger.unresolved() == []
    ledger.sent(draft(ledger, "refund"), 1)
    assert len(ledger.to_repeat()) == 1 and ledger.unanswered() == []


def test_the_totals_of_a_long_batch_are_counted_anew_to_the_last_record(store, ledger):
    for _ in range(PAGE):
        sale(ledger, 10)
    assert Ledger(store).totals() == {"sale": [PAGE, 10 * PAGE]}
    for more in (1, 2):
        sale(ledger, 10)
        store.commit([("totals", ledger.batch, b"{", None)])
        again = Ledger(store)
        assert again.damaged == ["totals"] and again.totals() == {"sale": [PAGE + more, 10 * (PAGE + more)]}


@pytest.mark.parametrize("kind", ["refund", "sale"])
def test_a_batch_without_an_approval_is_still_left_open_by_what_is_not_answered(ledger, kind):
    assert not ledger.left_open()
    record = ledger.sent(draft(ledger, kind), 1)
    ledger.unknown(record, "98")
    assert ledger.in_batch() == 0 and ledger.owed == 0 and ledger.left_open()
    if kind == "refund":
        ledger.declined(record, {})
    else:
        ledger.reversed_(record, {})
    assert not ledger.left_open()
