"""Selection by contacts against the vectors of emv-utils, and each rule of EMV Book 1, 12 by itself."""

import random
from binascii import hexlify, unhexlify

import pytest

from firmware.emv import apdu, ask, card, selection, tlv
from tests.card_settings import card_settings
from tests.firmware.test_tlv import vectors

VISA, ELECTRON = "A0000000031010", "A0000000032010"
DEBIT, CREDIT = "A000000333010101", "A000000333010102"


def hexes(text):
    return unhexlify(text.replace(" ", ""))


def upper(data):
    return hexlify(data).decode().upper()


def ok(tree):
    return tlv.encode(tree) + b"\x90\x00"


def settings_of(*rows, **more):
    return card_settings([row if isinstance(row, dict) else {"aid": row} for row in rows], **more)


class Chip:
    """Answers SELECT and READ RECORD of the directory from tables; `log` has the commands in hex."""

    def __init__(self, directory=(), names=(), pse=None):
        self.records = directory
        self.names = {hexes(name): answer for name, answer in names}
        self.following = {}
        self.log = []
        self.pse = ok(pse_fci()) if pse is None else pse

    def apdu(self, command):
        self.log.append(upper(command))
        if command[1] == 0xA4:
            name = command[5:-1]
            if name == apdu.PSE:
                return self.pse
            if command[3] == 2:
                answers = self.following.get(name, [])
                return answers.pop(0) if answers else b"\x6a\x82"
            return self.names.get(name, b"\x6a\x82")
        if command[1] == 0xB2 and command[2] <= len(self.records):
            return self.records[command[2] - 1]
        return b"\x6a\x83"


def pse_fci(name=apdu.PSE, file=b"\x01", table=None):
    inner = [(0x88, file)] if file is not None else []
    if table:
        inner.append((0x9F11, table))
    return [(0x6F, [(0x84, name), (0xA5, inner)])]


def fci(name, label=b"LABEL", priority=None, more=()):
    inner = [(0x50, label)] + list(more)
    if priority is not None:
        inner.append((0x87, bytes((priority,))))
    return ok([(0x6F, [(0x84, hexes(name)), (0xA5, inner)])])


def entry(name, label=b"LABEL", priority=None, more=()):
    fields = [(0x4F, hexes(name)), (0x50, label)] + list(more)
    if priority is not None:
        fields.append((0x87, bytes((priority,))))
    return (0x61, fields)


def record(*entries):
    return ok([(0x70, list(entries))])


def run(step, chip, answers=()):
    """The step's value, and the questions that it asked, each answered from `answers`, then with 0."""
    answers, asked, sent = list(answers), [], None
    while True:
        try:
            wants = step.send(sent)
        except StopIteration as done:
            return done.value, asked
        if isinstance(wants, ask.Choose):
            asked.append(wants)
            sent = answers.pop(0) if answers else 0
        else:
            sent = chip.apdu(wants)


def ended(step, chip, answers=()):
    with pytest.raises(card.Ended) as end:
        run(step, chip, answers)
    return end.value.why


def listed(chip, settings):
    found, _ = run(selection.candidates(settings), chip)
    return [upper(one.name) for one in found]


def selected(chip, settings, answers=()):
    """(name of the selected application, questions)."""

    def both():
        ranked = yield from selection.candidates(settings)
        return (yield from selection.select(ranked, settings))

    it, asked = run(both(), chip, answers)
    return upper(it.candidate.name), asked


# The vectors


class Replay:
    """The pairs of a vector, in order, GET RESPONSE and wrong lengths joined as a reader at APDU level does."""

    def __init__(self, apdus):
        self.pairs = joined(apdus)

    def apdu(self, command):
        expected, response = self.pairs.pop(0)
        assert upper(command) == expected
        return response


def joined(apdus):
    """(command, response) at APDU level: 61xx and the status of a warning followed by GET RESPONSE, 6Cxx by the repetition."""
    pairs = []
    warning = None
    for pair in apdus:
        command, response = ("".join(pair[half].split()).upper() for half in ("c", "r"))
        response = unhexlify(response)
        if command[2:8] == "C00000" and pairs:
            before, old = pairs[-1]
            if old[-2] != 0x61 and warning is None:
                warning = old[-2:]
            if response[-2] == 0x6C:
                continue
            pairs[-1] = (before, response[:-2] + (warning or response[-2:]) if len(response) > 2 else response)
            continue
        warning = None
        if pairs and pairs[-1][1][:1] == b"\x6c" and len(pairs[-1][1]) == 2:
            pairs[-1] = (pairs[-1][0], response)
            continue
        pairs.append((command, response))
    return pairs


def vector_settings(data):
    return settings_of(
        *[{"aid": row["aid"], "partial": row["match"] == "partial"} for row in data["terminal"]["applications_in_order"]]
    )


# Outcomes of the vectors, and why ours end
ENDS = {"CARD_BLOCKED": "card-blocked", "NOT_ACCEPTED": "no-chip-application"}


def test_the_public_candidate_lists():
    data = vectors("candidate_list.json")
    settings = vector_settings(data)
    for case in data["cases"]:
        chip, expect = Replay(case["apdus"]), case["expect"]
        if expect["outcome"] in ENDS:
            assert ended(selection.candidates(settings), chip) == ENDS[expect["outcome"]], case["name"]
        else:
            found, _ = run(selection.candidates(settings), chip)
            must_ask = len(found) > 1 or found[0].confirm
            assert found and must_ask == expect["cardholder_selection_required"], case["name"]
            for one, theirs in zip(found, case.get("directory_entries_in_card_order", ()), strict=False):
                assert upper(one.name) == theirs["aid"] and one.label.decode() == theirs["label"]
                assert one.priority == int(theirs["priority"], 16)
        assert not chip.pairs, case["name"]


def number_of(one):
    return int(one.label.decode()[-1])


def test_the_public_final_selections():
    data = vectors("select_application.json")
    settings = vector_settings(data)
    everything = []
    for case in data["cases"]:
        chip, expect = Replay(case["apdus"]), case["expect"]
        if "select_index_in_remaining_list" not in case:
            everything, _ = run(selection.candidates(settings), chip)
            assert [number_of(one) for one in everything] == expect["remaining_apps_by_number"], case["name"]
            continue
        at, left = case["select_index_in_remaining_list"], expect["remaining_apps_by_number"]
        name = case["apdus"][0]["c"][10:-2]
        ranked = [one for one in everything if number_of(one) in left or upper(one.name) == name]
        step = selection.select(ranked, settings)
        assert len(next(step).names) == len(left) + 1
        again = step.send(at)
        assert isinstance(again, bytes)
        again = step.send(chip.apdu(again))
        assert (again.again, len(again.names)) == (True, len(left)), case["name"]
        assert [number_of(one) for one in ranked] == left, case["name"]
        assert not chip.pairs


# The directory


def test_several_entries_of_a_record_are_ranked_by_priority_and_then_by_place():
    chip = Chip(
        [
            record(entry(CREDIT, priority=0), entry(VISA, priority=2)),
            record((0x61, [(0x9D, b"DIRECTORY"), (0x50, b"More")]), entry(DEBIT, priority=1), entry("A0000000049999")),
            record(entry(ELECTRON, priority=2)),
        ]
    )
    settings = settings_of(ELECTRON, VISA, DEBIT, CREDIT)
    assert listed(chip, settings) == [DEBIT, VISA, ELECTRON, CREDIT]
    assert chip.log[1:] == ["00B2010C00", "00B2020C00", "00B2030C00", "00B2040C00"]


@pytest.mark.parametrize(
    "bad",
    [
        [(0x61, [(0x50, b"No name")])],
        [(0x61, [(0x4F, b"\xa0\x00\x00\x03")])],
        [(0x61, [(0x4F, bytes(17))])],
        [(0x61, [])],
        [(0x5A, b"what is that")],
    ],
)
def test_an_entry_that_is_not_well_formed_is_passed_over(bad):
    assert listed(Chip([record(*bad, entry(DEBIT))]), settings_of(DEBIT, VISA)) == [DEBIT]


def test_the_same_application_twice_is_one():
    chip = Chip([record(entry(DEBIT, b"first")), record(entry(DEBIT, b"second"))])
    found, _ = run(selection.candidates(settings_of(DEBIT)), chip)
    assert [one.label for one in found] == [b"first"]


def test_a_name_that_fits_two_rows_is_of_the_longer_row():
    settings = settings_of({"aid": "A000000333", "version": "0001"}, {"aid": DEBIT, "version": "0002"})
    found, _ = run(selection.candidates(settings), Chip([record(entry(DEBIT))]))
    assert [one.application.version for one in found] == [b"\x00\x02"]


def test_a_longer_name_fits_only_where_the_row_lets_it():
    chip = Chip([record(entry(DEBIT + "01"), entry(CREDIT + "01"))])
    assert listed(chip, settings_of(DEBIT, {"aid": CREDIT, "partial": False})) == [DEBIT + "01"]


def test_a_row_that_is_not_for_contacts_is_never_asked_for():
    settings = settings_of({"aid": DEBIT, "contact": False}, CREDIT)
    assert ended(selection.candidates(settings), Chip([record(entry(DEBIT))])) == "no-chip-application"
    assert DEBIT not in "".join(chip_log(settings))


def chip_log(settings):
    chip = Chip(pse=b"\x6a\x82")
    ended(selection.candidates(settings), chip)
    return chip.log


@pytest.mark.parametrize(
    "pse",
    [
        b"\x6a\x82",
        b"\x62\x83",
        ok(pse_fci())[:-2] + b"\x62\x83",
        b"\x69\x85",
        b"\x90\x00",
        ok(pse_fci(file=None)),
        ok(pse_fci(file=b"\x00")),
        ok(pse_fci(file=b"\x0b")),
        ok(pse_fci(file=b"")),
        ok(pse_fci(name=b"2PAY.SYS.DDF01")),
        ok([(0x70, [])]),
        b"\x6f\x7f\x90\x00",
    ],
)
def test_a_directory_that_fails_in_any_way_is_followed_by_the_names(pse):
    chip = Chip([record(entry(VISA))], [(DEBIT, fci(DEBIT))], pse)
    assert listed(chip, settings_of(VISA, DEBIT)) == [DEBIT]


@pytest.mark.parametrize(
    "odd", [b"\x69\x81", b"\x90\x00", b"\x71\x00\x90\x00", b"\x70\x00\x70\x00\x90\x00", b"\x70\x05\x61\x90\x00", b"\x62\x00"]
)
def test_a_directory_whose_record_is_odd_is_followed_by_the_names(odd):
    chip = Chip([record(entry(VISA)), odd], [(DEBIT, fci(DEBIT))])
    assert listed(chip, settings_of(VISA, DEBIT)) == [DEBIT]


def test_a_directory_with_nothing_for_the_terminal_is_followed_by_the_names():
    chip = Chip([record(entry("A0000000049999"))], [(DEBIT, fci(DEBIT))])
    assert listed(chip, settings_of(VISA, DEBIT)) == [DEBIT]


def test_a_directory_without_end_is_read_only_so_far():
    chip = Chip([record(entry(DEBIT))] * 300)
    assert listed(chip, settings_of(DEBIT)) == [DEBIT]
    assert len(chip.log) == 1 + selection.MAX_RECORDS


def test_the_directory_is_not_asked_for_when_the_terminal_is_set_so():
    chip = Chip([record(entry(VISA))], [(DEBIT, fci(DEBIT))])
    assert listed(chip, settings_of(VISA, DEBIT, switches={"pse": False})) == [DEBIT]
    assert chip.log[0] == upper(apdu.select(hexes(VISA)))


# The names


def test_a_card_without_selection_is_the_end_whoever_is_asked_for():
    assert ended(selection.candidates(settings_of(DEBIT)), Chip(pse=b"\x6a\x81")) == "card-blocked"
    chip = Chip(names=[(DEBIT, b"\x6a\x81")], pse=b"\x6a\x82")
    assert ended(selection.candidates(settings_of(DEBIT)), chip) == "card-blocked"


def test_partial_names_are_asked_for_until_there_is_no_next_one():
    chip = Chip(names=[(VISA, fci(VISA + "01"))], pse=b"\x6a\x82")
    chip.following[hexes(VISA)] = [fci(VISA + "02"), fci(VISA + "03")[:-2] + b"\x62\x83", fci(VISA + "04")]
    assert listed(chip, settings_of(VISA)) == [VISA + "01", VISA + "02", VISA + "04"]
    assert chip.log[2] == "00A40402" + "07" + VISA + "00" and len(chip.log) == 6


def test_a_card_that_knows_no_next_one_is_not_blocked():
    chip = Chip(names=[(VISA, fci(VISA + "01"))], pse=b"\x6a\x82")
    chip.following[hexes(VISA)] = [b"\x6a\x81"]
    assert listed(chip, settings_of(VISA)) == [VISA + "01"]


@pytest.mark.parametrize("warning", [b"\x62\x00", b"\x62\x83", b"\x63\x00"])
def test_behind_a_partial_name_with_a_warning_the_next_one_is_asked_for(warning):
    chip = Chip(names=[(VISA, fci(VISA + "01")[:-2] + warning)], pse=b"\x6a\x82")
    chip.following[hexes(VISA)] = [fci(VISA + "02")]
    assert listed(chip, settings_of(VISA)) == [VISA + "02"]


def test_the_very_name_has_no_next_one():
    chip = Chip(names=[(VISA, fci(VISA))], pse=b"\x6a\x82")
    chip.following[hexes(VISA)] = [fci(VISA + "02")]
    assert listed(chip, settings_of(VISA)) == [VISA]


def test_the_very_name_is_found_behind_a_longer_one():
    chip = Chip(pse=b"\x6a\x82", names=[(VISA, fci(VISA + "01"))])
    chip.following[hexes(VISA)] = [fci(VISA + "02"), fci(VISA)]
    assert listed(chip, settings_of({"aid": VISA, "partial": False})) == [VISA]


def test_a_row_that_wants_the_very_name_takes_no_longer_one():
    chip = Chip(names=[(VISA, fci(VISA + "01"))], pse=b"\x6a\x82")
    assert ended(selection.candidates(settings_of({"aid": VISA, "partial": False})), chip) == "no-chip-application"


def test_a_card_that_always_has_a_next_one_is_left():
    chip = Chip(names=[(VISA, fci(VISA + "01"))], pse=b"\x6a\x82")
    chip.following[hexes(VISA)] = [fci(VISA + "01")] * 500
    assert listed(chip, settings_of(VISA)) == [VISA + "01"]
    chip.following[hexes(VISA)] = [fci(VISA + "%04d" % number) for number in range(500)]
    assert len(listed(chip, settings_of(VISA))) == selection.MAX_CANDIDATES
    assert len(chip.log) < 50


def test_a_blocked_application_is_not_in_the_list_and_alone_is_named_so():
    chip = Chip(names=[(DEBIT, fci(DEBIT)[:-2] + b"\x62\x83"), (CREDIT, fci(CREDIT))], pse=b"\x6a\x82")
    assert listed(chip, settings_of(DEBIT, CREDIT)) == [CREDIT]
    assert ended(selection.candidates(settings_of(DEBIT)), chip) == "blocked"
    assert ended(selection.candidates(settings_of(DEBIT)), Chip(names=[(DEBIT, b"\x62\x83")], pse=b"\x6a\x82")) == "blocked"


# The choice


def test_a_single_application_is_taken_unasked_and_confirmed_where_the_card_wants_it():
    def two(priority):
        return Chip([record(entry(DEBIT, priority=priority))], [(DEBIT, fci(DEBIT))])

    assert selected(two(0x01), settings_of(DEBIT)) == (DEBIT, [])
    name, asked = selected(two(0x81), settings_of(DEBIT))
    assert name == DEBIT and [(one.names, one.single, one.again) for one in asked] == [(["LABEL"], True, False)]
    name, asked = selected(two(0x01), settings_of(DEBIT, switches={"confirm": True}))
    assert name == DEBIT and len(asked) == 1


def test_among_several_the_holder_chooses_or_gives_up():
    chip = Chip([record(entry(DEBIT, b"One", 2), entry(CREDIT, b"Two", 1))], [(DEBIT, fci(DEBIT)), (CREDIT, fci(CREDIT))])
    name, asked = selected(chip, settings_of(DEBIT, CREDIT), [1])
    assert name == DEBIT and asked[0].names == ["Two", "One"] and not asked[0].single
    with pytest.raises(card.Ended) as end:
        selected(chip, settings_of(DEBIT, CREDIT), [None])
    assert end.value.why == "cancelled"


@pytest.mark.parametrize(
    "answer",
    [
        b"\x62\x83",
        b"\x6a\x82",
        b"\x90\x00",
        ok([(0x6F, [(0x85, hexes(DEBIT)), (0xA5, [])])]),
        ok([(0x6F, [(0x84, hexes(DEBIT))])]),
        ok([(0x6F, [(0x84, hexes(CREDIT)), (0xA5, [(0x50, b"Other")])])]),
        b"\x6f\x81\x90\x00",
    ],
)
def test_an_application_that_does_not_answer_as_it_must_is_dropped_and_the_other_is_offered_again(answer):
    chip = Chip([record(entry(DEBIT, b"One", 1), entry(CREDIT, b"Two", 2))], [(DEBIT, answer), (CREDIT, fci(CREDIT))])
    name, asked = selected(chip, settings_of(DEBIT, CREDIT), [0, 0])
    assert name == CREDIT
    assert [(one.names, one.again) for one in asked] == [(["One", "Two"], False), (["Two"], True)]


def test_when_none_is_left_the_reason_says_whether_they_were_blocked():
    def alone(answer):
        return Chip([record(entry(DEBIT))], [(DEBIT, answer)])

    def ends(answer):
        with pytest.raises(card.Ended) as end:
            selected(alone(answer), settings_of(DEBIT))
        return end.value.why

    assert ends(b"\x62\x83") == "blocked"
    assert ends(b"\x6a\x82") == "no-chip-application"
    assert ends(None) == "lost"


def test_the_card_may_have_a_longer_name_than_its_directory_says():
    chip = Chip([record(entry(DEBIT))], [(DEBIT, fci(DEBIT + "01"))])
    assert selected(chip, settings_of(DEBIT)) == (DEBIT, [])
    with pytest.raises(card.Ended):
        selected(chip, settings_of({"aid": DEBIT, "partial": False}))


# What the holder is shown


@pytest.mark.parametrize(
    ("preferred", "table", "label", "capabilities", "name"),
    [
        (b"Preferred", b"\x01", b"Label", "6000F0A001", "Preferred"),
        (b"Preferred", b"\x02", b"Label", "6000F0A001", "Label"),
        (b"Preferred", b"\x02", b"Label", "6000F0A002", "Preferred"),
        (b"Pr\xb3fer", b"\x02", b"Label", "6000F0A002", "Label"),
        (b"Pr\xe9f\xe9r\xe9", b"\x01", b"Label", "6000F0A001", "Préféré"),
        (b"Caf\xe9\x85\x9f\xa0", b"\x01", b"Label", "6000F0A001", "Café"),
        (b"Preferred", b"\x0a", b"Label", "6000F0A201", "Preferred"),
        (b"Preferred", b"\x0a", b"Label", "6000F0A101", "Label"),
        (b"Preferred", b"", b"Label", "6000F0A001", "Label"),
        (b"Preferred", b"\x00", b"Label", "6000F0A0FF", "Label"),
        (b"   ", b"\x01", b"La\x1bbel ", "6000F0A001", "Label"),
        (b"", b"\x01", b"", "6000F0A001", ""),
        (b"Preferred", b"\x01", b"Label", "6000", "Label"),
    ],
)
def test_the_preferred_name_is_shown_where_its_code_table_can_be(preferred, table, label, capabilities, name):
    assert selection.shown(preferred, table, label, hexes(capabilities)) == name


def test_the_code_table_of_the_directory_counts_for_its_entries_and_a_nameless_application_is_its_number():
    chip = Chip(
        [record(entry(DEBIT, b"Label", 1, [(0x9F12, b"Mine")]), entry(CREDIT, b"", 2))],
        [(DEBIT, fci(DEBIT))],
        ok(pse_fci(table=b"\x01")),
    )
    _, asked = selected(chip, settings_of(DEBIT, CREDIT))
    assert asked[0].names == ["Mine", CREDIT]


def test_a_card_that_answers_anything_leaves_candidates_or_a_reason():
    chance = random.Random(20261120)
    good = [ok(pse_fci()), record(entry(DEBIT, priority=0x81), entry(CREDIT)), fci(DEBIT), fci(CREDIT + "01"), b"\x6a\x83"]
    good += [b"\x62\x83", b"\x6a\x82", b"", b"\x90"]
    for _ in range(300):

        class Liar:
            def apdu(self, command):
                answer = bytearray(chance.choice(good))
                if answer and chance.random() < 0.4:
                    answer[chance.randrange(len(answer))] = chance.randrange(256)
                return bytes(answer)

        try:
            name, _ = selected(Liar(), settings_of("A000000333", VISA))
            assert name
        except card.Ended as end:
            assert end.why in card.REASONS
