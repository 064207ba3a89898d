"""Entry Point against the cases of libpay's type-approval style suite: selection and pre-processing."""

from binascii import hexlify, unhexlify

import pytest

from firmware.emv.contactless import tap
from firmware.emv.outcome import Outcome
from firmware.emv.settings import Request, Settings
from tests.firmware.test_tlv import vectors

LIMITS = (
    ("reader_ctls_txn_limit", "transaction_limit_fen"),
    ("reader_ctls_floor_limit", "floor_limit_fen"),
    ("terminal_floor_limit", "terminal_floor_limit_fen"),
    ("reader_cvm_reqd_limit", "cvm_limit_fen"),
    ("zero_amount_allowed", "zero_amount_allowed"),
    ("ext_selection_support", "extended_selection"),
    ("ttq", "ttq"),
)

# Cases that are not run here, by what they need.
RESTARTS = "a second activation with issuer data (Start B and D after an online request)"
COLLISION = "more than one card in the field: the reader driver's business"

# The entry names no kernel and several of the terminal's fit: which one is the terminal's choice, any of these is right.
FREE_CHOICE = {"2ED.007.00#2": ("21", "23"), "2ED.012.06/CASE02": ("2B", "03", "04")}


def settings_of(terminal, kind):
    rows = []
    for group in terminal["combination_sets"]:
        if kind not in group["transaction_types"]:
            continue
        for aid, kernel in group["aid_kernel"]:
            row = {"aid": aid, "kernel": kernel}
            for theirs, ours in LIMITS:
                if theirs in group["config"]:
                    row[ours] = group["config"][theirs]
            if group["config"].get("status_check_support"):
                row["status_check_fen"] = 1
            rows.append(row)
    return Settings(rows)


def why_not_run(case):
    activations = [event["kernel_activation"] for event in case["trace"] if "kernel_activation" in event]
    outcomes = [event["kernel_outcome"] for event in case["trace"] if "kernel_outcome" in event]
    if len(case["transactions"]) != 1 and case["transactions"] != "autorun":
        return "two transactions: run as its first"
    if any(outcome["outcome"] in ("online_request", "end_application") for outcome in outcomes) and len(activations) > 1:
        return RESTARTS
    if "Collision" in case["title"]:
        return COLLISION
    return ""


def run(case, terminal):
    """(SELECT names sent, [(aid, kernel, ttq, flags)] of the kernels started, outcome)."""
    auto = case["transactions"] == "autorun"
    what = terminal["autorun"] if auto else case["transactions"][0]
    kind = what.get("type") or what.get("transaction_type")
    amount = what["amount"] if auto else what["amount_authorised"]
    settings = settings_of(terminal, kind)
    answers = [(event["c_apdu"], event["r_apdu"]) for event in case["trace"] if "c_apdu" in event]
    verdicts = [event["kernel_outcome"]["outcome"] for event in case["trace"] if "kernel_outcome" in event]
    started, sent = [], []

    def kernel(settings, request, selected):
        it = selected.candidate.combination
        extension = selected.candidate.extension if it.application.extended_selection else b""
        flags = (it.status_check, it.zero_amount, it.cvm_exceeded, it.floor_exceeded)
        started.append((hexlify(selected.candidate.name + extension).decode().upper(), it.application.kernel, it.ttq, flags))
        return Outcome({"select_next": "select-next"}.get(verdicts[len(started) - 1], "approved"), "approved", "")
        yield

    kernels = {row.kernel: kernel for row in settings.applications}
    flow = tap(settings, Request(amount, "261120", "101500", bytes(4), 1, kind, what.get("amount_other", 0)), kernels)
    selects = [(command, answer) for command, answer in answers if command[2:4] == "A4"]
    response = None
    while True:
        try:
            command = flow.send(response)
        except StopIteration as done:
            return sent, selects, started, done.value
        sent.append(hexlify(command).decode().upper())
        response = unhexlify(selects[len(sent) - 1][1])


def cases():
    try:
        data = vectors("entry_point.json")
    except pytest.skip.Exception:
        return []
    return [pytest.param(case, data["terminal_settings"][case["terminal"]], id=case["id"]) for case in data["cases"]]


CASES = cases()


def test_the_public_cases_are_there():
    vectors("entry_point.json")
    ran = [case.values[0] for case in CASES if not why_not_run(case.values[0])]
    assert len(ran) >= 45


@pytest.mark.parametrize(("case", "terminal"), [case for case in CASES if not why_not_run(case.values[0])])
def test_a_public_case_selects_and_prepares_as_recorded(case, terminal):
    sent, selects, started, outcome = run(case, terminal)
    assert sent == [command for command, _ in selects]
    expected = [event["kernel_activation"] for event in case["trace"] if "kernel_activation" in event]
    if case["id"] in FREE_CHOICE:
        assert [aid for aid, _, _, _ in started] == [one["aid"] for one in expected]
        assert all(hexlify(kernel).decode().upper() in FREE_CHOICE[case["id"]] for _, kernel, _, _ in started)
        return
    assert [(aid, hexlify(kernel).decode().upper()) for aid, kernel, _, _ in started] == [
        (one["aid"], one["kernel_id"]) for one in expected
    ]
    if case["transactions"] != "autorun":  # without pre-processing there are no indicators
        names = ("status_check_requested", "zero_amount", "cvm_required_limit_exceeded", "floor_limit_exceeded")
        for (_, _, ttq, flags), one in zip(started, expected, strict=True):
            assert flags == tuple(one[name] for name in names)
            assert (ttq or bytes(4)).hex().upper() == one["ttq"]
    if not expected:
        assert outcome.status == "try-another-interface"
