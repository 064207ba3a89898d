"""Entry Point against the cases of libpay's type-approval style suite, each run in whole: every command, every kernel
activation, every user interface request; and its starts, by hand."""

import random
from binascii import hexlify, unhexlify

import pytest

from firmware.emv import apdu, ask, dol, entry, tlv
from firmware.emv.contactless import EntryPoint, tap
from firmware.emv.outcome import MESSAGES, ONLINE, Outcome, UiRequest
from firmware.emv.settings import Request, Settings
from tests.card_settings import UNIONPAY_ROWS, card_settings
from tests.firmware.test_tlv import vectors
from tests.portable.plain_card import AID, PlainCard, drive, hexes, ok

LIMITS = (
    ("reader_ctls_txn_limit", "transaction_limit_fen"),
    ("reader_ctls_floor_limit", "floor_limit_fen"),
    ("terminal_floor_limit", "terminal_floor_limit_fen"),
    ("reader_cvm_reqd_limit", "cvm_limit_fen"),
    ("zero_amount_allowed", "zero_amount_allowed"),
    ("ext_selection_support", "extended_selection"),
    ("ttq", "ttq"),
)
FLAGS = ("status_check_requested", "zero_amount", "cvm_required_limit_exceeded", "floor_limit_exceeded")
# byte, mask of the suite's own tag D1, in the order of FLAGS
D1_BITS = (0x10, 0x08, 0x20, 0x80)
STATUSES = {
    "approved": "approved", "declined": "declined", "online_request": "online", "end_application": "end-application",
    "request_online_pin": "online",
}  # fmt: skip
UI_STATUSES = {
    "not_ready": "not-ready", "idle": "idle", "ready_to_read": "ready", "processing": "processing",
    "card_read_successfully": "read-ok", "processing_error": "error",
}  # fmt: skip
UI_CODES = ("not-ready", "idle", "ready", "processing", "read-ok", "error")
NAMES = dict(MESSAGES)

# What no two runs say alike: date, time, unpredictable number, counter.
PASSING = (0x9A, 0x9F21, 0x9F37, 0x9F41)

# Merchant and terminal of the recorded run.
TERMINAL = {
    "9F01": "000123456789", "9F15": "3008", "9F16": "41434D452C20496E632E0900000000", "9F1A": "0276", "9F1C": "434F554E54455233",
    "9F1E": "3030303046453136", "9F33": "DEAD22", "9F35": "25", "9F40": "0200000000",
    "9F4E": hexlify(b"ACME Rocket-Powered Products, Inc., Fairfield, New Jersey, US").decode(),
}  # fmt: skip


def upper(value):
    return hexlify(value).decode().upper()


def status_of(outcome):
    return STATUSES.get(outcome["outcome"], outcome["outcome"].replace("_", "-"))


def settings_of(terminal, kind, currency):
    rows = []
    for group in terminal["combination_sets"]:
        if kind not in group["transaction_types"]:
            continue
        for aid, kernel in group["aid_kernel"]:
            row = {"aid": aid, "kernel": kernel, "version": "0203"}
            for theirs, ours in LIMITS:
                if theirs in group["config"]:
                    row[ours] = group["config"][theirs]
            if group["config"].get("status_check_support"):
                row["status_check_fen"] = 1
            rows.append(row)
    return Settings(rows, dict(TERMINAL, **{"5F2A": currency}))


def transactions_of(trace):
    """The events of each transaction."""
    parts = []
    for event in trace:
        if event.get("event") == "activate":
            parts.append([])
        if parts:
            parts[-1].append(event)
    return parts


def asked_ui(raw):
    """A user interface request of the suite's tag D5 or D6."""
    hold = raw[2] << 8 | raw[3]
    language = raw[4:6].decode() if raw[4] else ""
    value = hexlify(raw[7:13]).decode() if raw[6] else ""
    return UiRequest(NAMES[raw[0]], UI_CODES[raw[1] - 1], hold * 100, language, value)


def recorded_ui(ui):
    """As Run.show keeps it."""
    said = (NAMES[int(ui["msg_id"], 16)], UI_STATUSES[ui["status"]], ui["hold_time"] * 100)
    return said + (ui.get("language", ""), ui.get("value", ""))


def objects(data):
    """[(tag, value)] of objects with one byte of tag and one of length; a script in here is no TLV inside."""
    found = []
    while data:
        size = 2 + data[1]
        found.append((data[0], data[2:size]))
        data = data[size:]
    return found


class Run:
    """One transaction of a case: the terminal, the reader, and kernels that do as they were recorded to do."""

    def __init__(self, case, events, settings, request):
        self.case = case
        self.request = request
        self.apdus = [(event["c_apdu"], event["r_apdu"] or None) for event in events if "c_apdu" in event]
        self.activations = [event["kernel_activation"] for event in events if "kernel_activation" in event]
        self.verdicts = [event["kernel_outcome"] for event in events if "kernel_outcome" in event]
        self.shown = []
        self.auto = case["transactions"] == "autorun"
        kernels = dict.fromkeys([row.kernel for row in settings.applications], self.kernel)
        self.point = EntryPoint(settings, request, kernels)

    def show(self, ui):
        if ui is not None and ui.message != "present-card":
            self.shown.append((ui.message, ui.status, ui.hold_ms, ui.language, ui.value))

    def go(self):
        start = "B" if self.auto or "card_mode" in self.case else "A"
        reply = None
        while True:
            self.show(self.point.ui_before(start))
            if "card_mode" in self.case:
                self.show(entry.ONE_CARD)
                self.show(UiRequest("present-one-card", "ready"))
            outcome = drive(self.point.start(start, reply), self)
            self.show(outcome.ui)
            more = bool(self.activations) and outcome.start
            if outcome.status == ONLINE and (outcome.start == "C" or not more):
                self.show(entry.REMOVE)  # the field goes off
            if not more:
                return outcome
            start, reply = outcome.start, self.reply

    def apdu(self, command):
        assert self.apdus, "a command more than recorded"
        expected, answer = self.apdus.pop(0)
        sent = hexlify(command).decode().upper()
        if self.mask is not None and command[1] == 0xA8:
            sent, expected = [
                "".join(digit for at, digit in enumerate(text) if at // 2 not in self.mask) for text in (sent, expected)
            ]
        assert sent == expected
        return None if answer is None else unhexlify(answer)

    mask = None

    def kernel(self, settings, request, selected, restart):
        it = selected.candidate.combination
        free = self.check_activation(self.activations.pop(0), selected, restart)
        values = entry.activate(settings, request, selected, b"\x05").values()
        flags = (it.status_check, it.zero_amount, it.cvm_exceeded, it.floor_exceeded)
        first = sum(bit for bit, flag in zip(D1_BITS, flags, strict=True) if flag)
        values[0xD1] = bytes((first, 0x80 if restart else 0))
        values[0xD2] = bytes((int(selected.start, 16),))
        if restart is not None and restart.reply is not None:
            values[0x91] = restart.reply.issuer
            values.update(restart.reply.scripts)
        parts, self.mask = [], set()
        at = 5
        for tag, size in selected.pdol or []:
            part = dol.build([(tag, size)], values)
            if tag == 0x6F:
                part = tlv.encode(tlv.find(selected.fci, 0x6F) or selected.fci)[:size].ljust(size, b"\x00")
            elif tag in (0xD1, 0xD2, 0x71, 0x72):
                part = values.get(tag, b"")[:size].ljust(size, b"\x00")
            if tag in PASSING or (free and tag in (0xD1, 0x9F2A, 0x9F66)):
                self.mask.update(range(at, at + size))
            parts.append(part)
            at += size
        told = b"".join(parts)
        # The suite's own kernels send no command template round the values.
        answer = yield b"\x80\xa8\x00\x00" + (bytes((len(told),)) + told if told else b"") + b"\x00"
        said = dict(objects(answer[2:-2]))
        verdict = self.verdicts.pop(0)
        outcome = Outcome(status_of(verdict), "approved", "")
        outcome.start = verdict["start"] or ""
        outcome.ui = asked_ui(said[0xD5]) if 0xD5 in said else None
        outcome.ui_restart = asked_ui(said[0xD6]) if 0xD6 in said else None
        record = objects(unhexlify(verdict.get("data_record", "")))
        scripts = tuple((tag, value) for tag, value in record if tag != 0x91)
        issuer = dict(record).get(0x91, b"")
        self.reply = ask.Reply("00", True, issuer, scripts) if verdict["outcome"] == "online_request" else None
        return outcome

    def check_activation(self, expected, selected, restart):
        """Whether the kernel is another than the recorded one: where the entry names none and several of the terminal's fit,
        which one is the terminal's choice."""
        it = selected.candidate.combination
        assert hexlify(selected.name).decode().upper() == expected["aid"]
        assert (selected.start, restart is not None) == (expected["start"], expected["restart"])
        sent = restart.reply if restart is not None else None
        record = [(0x91, sent.issuer)] if sent is not None and sent.issuer else []
        record += list(sent.scripts) if sent is not None else []
        coded = b"".join(bytes((tag, len(value))) + value for tag, value in record)
        assert hexlify(coded).decode().upper() == expected.get("online_response", "")
        kernel = upper(it.application.kernel)
        if kernel != expected["kernel_id"]:
            fit = [one for one in self.point.ranked if one.order == selected.candidate.order]
            assert expected["kernel_id"] in [upper(one.combination.application.kernel) for one in fit]
            return True
        assert (it.ttq or bytes(4)).hex().upper() == expected["ttq"]
        flags = (it.status_check, it.zero_amount, it.cvm_exceeded, it.floor_exceeded)
        assert flags == tuple(expected[name] for name in FLAGS)
        return False


def cases():
    try:
        data = vectors("entry_point.json")
    except pytest.skip.Exception:
        return []
    return [pytest.param(case, data["terminal_settings"][case["terminal"]], id=case["id"]) for case in data["cases"]]


CASES = cases()


def test_the_public_cases_are_there():
    vectors("entry_point.json")
    assert len(CASES) >= 59


@pytest.mark.parametrize(("case", "terminal"), CASES)
def test_a_public_case_runs_as_recorded(case, terminal):
    parts = transactions_of(case["trace"])
    auto = case["transactions"] == "autorun"
    told = [terminal["autorun"]] if auto else case["transactions"]
    assert len(parts) == len(told)
    for events, what in zip(parts, told, strict=True):
        if "card_mode" in case:  # the recorded terminal was in autorun, its amount set beforehand
            what, auto = terminal["autorun"], True
        kind = what.get("type") or what.get("transaction_type")
        amount = what["amount"] if auto else what["amount_authorised"]
        request = Request(amount, "261120", "101500", bytes(4), 1, kind, what.get("amount_other", 0))
        run = Run(case, events, settings_of(terminal, kind, what.get("currency", "0000")), request)
        outcome = run.go()
        assert not run.apdus and not run.activations and not run.verdicts
        expected = [event["entry_point_outcome"] for event in events if "entry_point_outcome" in event][-1]
        assert outcome.status == status_of(expected)
        assert run.shown == [
            recorded_ui(event["ui_request"])
            for event in events
            if "ui_request" in event and event["ui_request"]["msg"] not in ("welcome", "present_card")
        ]


# The starts, by hand


class Kernel:
    """A kernel that asks for nothing and gives the outcomes of a list."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.seen = []

    def __call__(self, settings, request, selected, restart):
        self.seen.append((hexlify(selected.name).decode().upper(), selected.start, restart))
        outcome = Outcome(*self.outcomes.pop(0))
        outcome.ui = UiRequest(outcome.message, "read-ok")
        return outcome
        yield


GO_ON = ("online", "authorising", "arqc")
DONE = ("approved", "approved", "approved")
NEXT = ("select-next", "clear", "")
REPLY = ask.Reply("00", True, b"\x01" * 8)
ALL = card_settings()
SALE = Request(1234, "261120", "101500", bytes(4), 17)


def directory(*names):
    card = PlainCard()
    card.entries = [[(0x4F, hexes(name)), (0x87, bytes((at + 1,)))] for at, name in enumerate(names)]
    return card


def names_asked(card):
    return [hexlify(command[5:-1]).decode().upper() for command in card.log if command[1] == 0xA4]


def entry_point(*outcomes, settings=ALL):
    kernel = Kernel(*outcomes)
    return EntryPoint(settings, SALE, {b"\x07": kernel}), kernel


def test_an_application_that_hands_over_is_not_asked_again():
    point, kernel = entry_point(NEXT, DONE)
    card = directory(AID, "A000000333010102")
    assert drive(point.start(), card).status == "approved"
    assert names_asked(card)[1:] == [AID, "A000000333010102"]
    assert [start for _, start, _ in kernel.seen] == ["A", "A"]


def test_the_last_application_that_hands_over_ends_it():
    point, _ = entry_point(NEXT)
    outcome = drive(point.start(), PlainCard())
    assert (outcome.status, outcome.why) == ("end-application", "no-application")
    assert (outcome.ui.message, outcome.ui.status) == ("try-another-card", "error")


def test_a_restart_with_issuer_data_selects_the_same_application_without_the_directory():
    point, kernel = entry_point(GO_ON, DONE)
    card = directory(AID, "A000000333010102")
    drive(point.start(), card)
    card.log.clear()
    drive(point.start("B", REPLY), card)
    assert names_asked(card) == [AID]
    assert kernel.seen[1][2].reply is REPLY and kernel.seen[1][1] == "B"


def test_a_restart_with_issuer_data_on_another_card_ends_it():
    point, _ = entry_point(GO_ON)
    drive(point.start(), PlainCard())
    other = PlainCard()
    other.instead = {0: b"\x6a\x82"}
    outcome = drive(point.start("B", REPLY), other)
    assert (outcome.status, outcome.why) == ("end-application", "no-application")
    assert len(other.log) == 1


def test_a_restart_without_issuer_data_begins_with_the_directory():
    for reply in (None, ask.Reply("00", True)):
        point, kernel = entry_point(GO_ON, DONE)
        drive(point.start(), PlainCard())
        card = PlainCard()
        drive(point.start("B", reply), card)
        assert names_asked(card)[0] == hexlify(apdu.PPSE).decode().upper()
        assert kernel.seen[1][2] is not None and not kernel.seen[1][2].issuer_data


def test_a_restart_at_the_kernel_asks_the_card_nothing_else():
    point, kernel = entry_point(GO_ON, DONE)
    drive(point.start(), PlainCard())
    card = PlainCard()
    drive(point.start("D", REPLY), card)
    assert card.log == [] and kernel.seen[1][1] == "D"


def test_a_new_transaction_knows_nothing_of_the_last_one():
    point, kernel = entry_point(GO_ON, DONE)
    drive(point.start(), PlainCard())
    drive(point.start("A"), PlainCard())
    assert kernel.seen[1][2] is None


@pytest.mark.parametrize("start", ["C", "D", "E"])
def test_nothing_can_go_on_that_has_not_begun(start):
    with pytest.raises(ValueError, match="cannot be entered"):
        next(entry_point()[0].start(start))


def test_a_torn_tap_is_asked_for_again_and_the_second_is_a_restart():
    point, kernel = entry_point(DONE)
    assert point.ui_before("A").message == "present-card"
    card = PlainCard()
    card.instead = {1: None}
    outcome = drive(point.start(), card)
    assert (outcome.status, outcome.start, outcome.ui.status, outcome.ui.hold_ms) == ("try-again", "B", "not-ready", 1300)
    again = point.ui_before("B")
    assert (again.message, again.status) == ("try-again", "ready")
    assert drive(point.start("B"), PlainCard()).status == "approved"
    assert kernel.seen[0][2].start == "B"


def test_a_field_that_was_on_before_the_amount_looks_at_no_limit():
    settings = card_settings([dict(UNIONPAY_ROWS[0], transaction_limit_fen=100, ttq="26C04080")])
    point, _ = entry_point(DONE, settings=settings)
    assert drive(point.start("B"), PlainCard()).status == "approved"
    it = point.selected.candidate.combination
    assert it.ttq == hexes("26C04080") and not it.floor_exceeded


def test_what_is_shown_is_in_the_first_language_of_the_card():
    for said, language in ((b"zhen", "zh"), (b"EN", "en"), (b"\xff\xff", ""), (b"z", "")):
        card = PlainCard()
        card.instead = {1: ok([(0x6F, [(0x84, hexes(AID)), (0xA5, [(0x5F2D, said), (0x9F38, hexes("9F6604"))])])])}
        assert drive(entry_point(DONE)[0].start(), card).ui.language == language


def test_rows_without_a_kernel_are_for_contacts_alone():
    settings = card_settings([{"aid": AID}])
    assert entry.prepare(settings, SALE) == []
    assert drive(tap(settings, SALE), PlainCard()).why == "over-limit"


@pytest.mark.parametrize(
    ("limits", "amount_fen", "taken"),
    [
        ({"transaction_limit_fen": 1000}, 999, True),
        ({"transaction_limit_fen": 1000}, 1000, False),
        ({"transaction_limit_fen": 1000, "device_limit_fen": 5000}, 4999, True),
        ({"transaction_limit_fen": 1000, "device_limit_fen": 5000}, 5000, False),
        ({"device_limit_fen": 5000}, 999999999999, True),
        ({"zero_amount_allowed": False}, 0, False),
        ({"ttq": "2E004080"}, 0, False),
        ({"ttq": "2E004080"}, 1, True),
    ],
)
def test_a_row_takes_an_amount_or_leaves_it(limits, amount_fen, taken):
    request = Request(amount_fen, "261120", "101500", bytes(4), 1)
    assert bool(entry.prepare(card_settings([dict(UNIONPAY_ROWS[0], **limits)]), request)) == taken


def test_the_contactless_floor_is_exceeded_above_it_and_the_holder_verified_at_his_limit():
    row = dict(UNIONPAY_ROWS[0], floor_limit_fen=1000, cvm_limit_fen=1000)
    for amount_fen, floor, cvm in ((999, False, False), (1000, False, True), (1001, True, True)):
        (it,) = entry.prepare(card_settings([row]), Request(amount_fen, "261120", "101500", bytes(4), 1))
        assert (it.floor_exceeded, it.cvm_exceeded) == (floor, cvm)


def test_500_directories_of_noise_end_in_an_outcome():
    chance = random.Random(7)
    good = PlainCard().apdu(apdu.select(apdu.PPSE))
    for _ in range(500):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data) - 2)] = chance.randrange(256)
        card = PlainCard()
        card.instead = {0: bytes(data)}
        point, _ = entry_point(DONE)
        outcome = drive(point.start(), card)
        assert outcome.status in ("approved", "end-application")
