import random

import pytest

from drivers import at
from drivers import modem_facts as facts
from drivers.at import DATA, ECHO, END, LINE, PROMPT, TORN, URC, Channel, Command

QIRD = r"\+QIRD: ?(?P<n>\d+).*"
RECEIVE = r"\+RECEIVE,\d+,(?P<n>\d+):?"
READ = Command("AT+QIRD=0,1500", r"\+QIRD: ?\d+.*")
CSQ = Command("AT+CSQ", r"\+CSQ: ?.*")


def channel():
    return Channel(r"RDY|\+CMTI: .*", (QIRD, RECEIVE), (r"\+CMT: .*", r"\+CMG[RL]: .*"))


def heard(data, command=None, line=None):
    """What is understood with the bytes all at once; the same must come of them one by one."""
    results = []
    for size in (len(data) or 1, 1, 3):
        line = channel()
        if command:
            line.begin(command)
        found = []
        for place in range(0, len(data), size):
            found += line.feed(data[place : place + size])
        results.append(found)
    assert results[0] == results[1] == results[2]
    return results[0]


def plain(found):
    """Results by whether they are good."""
    return [(what, value.ok if what == END else value) for what, value in found]


OK = (END, True)


def test_a_command_ends_in_a_carriage_return():
    assert channel().begin(CSQ) == b"AT+CSQ\r"


def test_the_rest_of_a_secret_command_is_not_in_it():
    secret = Command("AT+CPIN=", secret=True)
    assert channel().begin(secret) == b"AT+CPIN="
    assert repr(secret) == "Command('AT+CPIN=...')"
    assert plain(heard(b'AT+CPIN="1234"\r\r\nOK\r\n', secret)) == [(ECHO, None), OK]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n", [(LINE, "+CSQ: 20,99"), OK]),
        (b"AT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n", [(ECHO, None), (LINE, "+CSQ: 20,99"), OK]),
        (b"\r\n+CREG: 1\r\nAT+CSQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n", [(URC, "+CREG: 1"), (ECHO, None), (LINE, "+CSQ: 20,99"), OK]),
        (b"\r\n+CSQ: 20,99\r\n\r\n+CREG: 2\r\n\r\nOK\r\n", [(LINE, "+CSQ: 20,99"), (URC, "+CREG: 2"), OK]),
        (b"\r\n+CSQ: 20,99\r\n\r\n+CSQ: 21,99\r\n\r\nOK\r\n", [(LINE, "+CSQ: 20,99"), (URC, "+CSQ: 21,99"), OK]),
        (b"\0\r\n\0+C\0SQ: 20,99\r\n\r\nO\0K\r\n", [(LINE, "+CSQ: 20,99"), OK]),
        (b"+CSQ: 20,99\nOK\n", [(LINE, "+CSQ: 20,99"), OK]),
        (b"\r\nNOT OK\r\n\r\nOKAY\r\n\r\nOK\r\n", [(URC, "NOT OK"), (URC, "OKAY"), OK]),
        (b"\r\nSOME ERROR\r\n\r\nERROR\r\n", [(URC, "SOME ERROR"), (END, False)]),
        (b"\r\n\xff\xfe\r\nOK\r\n", [(URC, "\ufffd\ufffd"), OK]),
        (b"\r\nRDY\r\n\r\nOK\r\n", [(URC, "RDY"), OK]),
    ],
)
def test_lines_are_told_apart(data, found):
    assert plain(heard(data, CSQ)) == found


def test_without_a_command_everything_is_unasked():
    assert heard(b"\r\nOK\r\n\r\n+CSQ: 1,2\r\n") == [(URC, "OK"), (URC, "+CSQ: 1,2")]


@pytest.mark.parametrize(
    ("line", "kind", "code"),
    [
        ("ERROR", "", None),
        ("+CME ERROR: 10", "CME", 10),
        ("+CME ERROR:16", "CME", 16),
        ("+CME ERROR: SIM not inserted", "CME", 10),
        ("+CME ERROR: SIM busy", "CME", 14),
        ("+CMS ERROR: 500", "CMS", 500),
        ("+CME ERROR: a thing unheard of", "CME", None),
        ("+CME ERROR: 99999999999", "CME", None),
        ("ERROR: 4", "", 4),
    ],
)
def test_errors_have_their_number_however_they_are_told(line, kind, code):
    ((what, result),) = heard(b"\r\n" + line.encode() + b"\r\n", CSQ)
    assert (what, result) == (END, at.Result(False, line, kind, code))


def test_bytes_that_are_counted_may_hold_anything():
    payload = b'\r\nOK\r\n+QIURC: "closed",0\r\nERROR\r\n> \0\n'
    data = b"\r\n+QIRD: %d\r\n%b\r\n\r\nOK\r\n" % (len(payload), payload)
    assert plain(heard(data, READ)) == [(DATA, ("+QIRD: %d" % len(payload), payload)), OK]


@pytest.mark.parametrize("payload", [b"\n", b"\n\n", b"\r\n", b"\r", b"\0"])
def test_the_first_of_counted_bytes_is_theirs_even_if_it_looks_like_the_end_of_a_line(payload):
    data = b"\r\n+QIRD: %d\r\n%b\r\nOK\r\n" % (len(payload), payload)
    assert plain(heard(data, READ)) == [(DATA, ("+QIRD: %d" % len(payload), payload)), OK]


def test_no_bytes_are_none():
    assert plain(heard(b"\r\n+QIRD: 0\r\n\r\nOK\r\n", READ)) == [(DATA, ("+QIRD: 0", b"")), OK]


def test_bytes_that_come_unasked_are_cut_out_of_an_answer():
    data = b"\r\n+CSQ: 20,99\r\n\r\n+RECEIVE,0,4:\r\nOK\r\n\r\nOK\r\n"
    assert plain(heard(data, CSQ)) == [(LINE, "+CSQ: 20,99"), (DATA, ("+RECEIVE,0,4:", b"OK\r\n")), OK]


def test_a_count_that_cannot_be_is_a_line_like_others():
    for count in (4097, 99999, 10**9, 10**4000):
        data = b"\r\n+QIRD: %d\r\n\r\nOK\r\n" % count if count < 10**9 else b"\r\n+QIRD: 1" + b"0" * 1500 + b"\r\n\r\nOK\r\n"
        assert plain(heard(data, READ))[-1] == OK


def test_bytes_that_do_not_come_are_given_up():
    line = channel()
    line.begin(READ)
    assert line.feed(b"\r\n+QIRD: 100\r\nonly") == [] and line.owing
    assert line.stalled() == [(TORN, "+QIRD: 100")] and not line.owing and line.stalled() == []
    assert plain(line.feed(b"\r\nOK\r\n")) == [OK]


def test_a_line_that_belongs_to_the_one_before_may_say_anything():
    data = b'\r\n+CMGL: 1,"REC READ"\r\nOK\r\n+CMGL: 2,"REC READ"\r\n\r\n+CMGL: 3,""\r\nRDY\r\n\r\nOK\r\n'
    every = Command('AT+CMGL="ALL"', r"\+CMGL: .*", many=True)
    assert plain(heard(data, every)) == [
        (LINE, '+CMGL: 1,"REC READ"\nOK'), (LINE, '+CMGL: 2,"REC READ"\n'), (LINE, '+CMGL: 3,""\nRDY'), OK,
    ]  # fmt: skip


def test_a_message_that_comes_in_the_middle_of_an_answer_is_none_of_it():
    data = b"\r\n+CMT: ,4\r\n+CSQ: 1,1\r\n\r\n+CSQ: 20,99\r\n\r\nOK\r\n"
    assert plain(heard(data, CSQ)) == [(URC, "+CMT: ,4\n+CSQ: 1,1"), (LINE, "+CSQ: 20,99"), OK]


SEND = Command("AT+QISEND=0,5", success="SEND OK", failure="SEND FAIL", prompt=True)


def test_a_prompt_has_no_end_of_line():
    line = channel()
    line.begin(SEND)
    assert line.feed(b"\r\n> ") == [(PROMPT, None)]
    assert plain(line.feed(b"\r\nSEND OK\r\n")) == [OK]


@pytest.mark.parametrize("data", [b"\r\n>", b"AT+QISEND=0,5\r\r\n> ", b"\r\n+CREG: 1\r\n\r\n> ", b"> \r\n", b"\xff\x00>"])
def test_a_prompt_is_seen_as_modems_write_it(data):
    assert [what for what, _ in heard(data, SEND)].count(PROMPT) == 1


def test_a_prompt_is_seen_once_and_not_where_none_is_expected():
    assert [what for what, _ in heard(b"\r\n> \r\n> \r\n", SEND)].count(PROMPT) == 1
    assert [what for what, _ in heard(b"\r\n> ", CSQ)] == []


@pytest.mark.parametrize(
    ("data", "good"), [(b"\r\nSEND FAIL\r\n", False), (b"\r\nERROR\r\n", False), (b"\r\nOK\r\n\r\nSEND OK\r\n", True)]
)
def test_a_command_ends_as_it_says_and_not_otherwise(data, good):
    assert plain(heard(data, SEND))[-1] == (END, good)


LATE = Command("AT+CIPSEND=0,5", r"\+CIPSEND: ?0,.*", late=True)


@pytest.mark.parametrize("data", [b"\r\nOK\r\n\r\n+CIPSEND: 0,5,5\r\n", b"\r\n+CIPSEND: 0,5,5\r\n\r\nOK\r\n"])
def test_an_answer_may_come_before_the_ok_or_behind_it(data):
    found = plain(heard(data, LATE))
    assert (LINE, "+CIPSEND: 0,5,5") in found and found[-1] == OK and len(found) == 2


def test_half_an_answer_is_none_and_an_error_ends_it():
    assert heard(b"\r\nOK\r\n", LATE) == []
    assert plain(heard(b"\r\n+CIPSEND: 0,5,-1\r\n\r\nERROR\r\n", LATE))[-1] == (END, False)


def test_a_line_without_end_is_dropped_and_the_next_one_is_heard():
    line = channel()
    line.begin(CSQ)
    for _ in range(200):
        assert line.feed(b"x" * 1000) == []
    assert len(line._buffer) <= at.LONGEST_LINE + 1000
    assert plain(line.feed(b"\r\n+CSQ: 20,99\r\nOK\r\n")) == [(LINE, "+CSQ: 20,99"), OK]
    assert line.noise


def test_what_was_abandoned_answers_nobody():
    line = channel()
    line.begin(CSQ)
    line.abandon()
    assert line.feed(b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n") == [(URC, "+CSQ: 20,99"), (URC, "OK")]
    line.begin(READ)
    line.feed(b"\r\n+QIRD: 9\r\nabc")
    line.forget()
    assert not line.owing and line.feed(b"\r\nRDY\r\n") == [(URC, "RDY")]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ('+X: 1,"a,b", c ,', ["1", "a,b", "c", ""]),
        ("+X:", [""]),
        ('+X: "', ['"']),
        ('+X: """"', ['""']),
        ("no colon", [""]),
    ],
)
def test_values_are_taken_apart(line, values):
    assert at.fields(line) == values


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_understood_as_something_in_bounded_memory(seed):
    chance = random.Random(seed)
    words = (b"\r\n", b"\r", b"\n", b"+QIRD: 5\r\n", b"+QIRD: 4000\r\n", b"OK", b"ERROR", b"> ", b"+CMT: ,", b"+CME ERROR: ",
             b"+RECEIVE,0,70:\r\n", b'"', b",", b"AT+CSQ", b"+CSQ: 1,2", b"\0", b"RDY", b"SEND OK")  # fmt: skip
    line = channel()
    for _ in range(400):
        if chance.random() < 0.2:
            line.begin(chance.choice((CSQ, READ, SEND, LATE)))
        piece = chance.choice(words) if chance.random() < 0.7 else chance.randbytes(chance.randrange(200))
        for what, value in line.feed(piece):
            assert what in (LINE, END, URC, DATA, PROMPT, ECHO)
            if what in (LINE, URC):
                at.fields(value)
                for read in (facts.registration, facts.signal, facts.lte_signal, facts.operator):
                    read(value)
            facts.utc(str(value), "+32")
        if chance.random() < 0.05:
            line.stalled()
        assert len(line._buffer) <= at.LONGEST_DATA + at.LONGEST_LINE
    line.forget()
    line.begin(CSQ)
    assert plain(line.feed(b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n")) == [(LINE, "+CSQ: 20,99"), OK]


# What lines mean.


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('+CEREG: 2,1,"18BE","8608A7B",7', ("E", 1, "18BE", "8608A7B", "4G")),
        ('+CEREG: 5,"18BE","8608a7c",7', ("E", 5, "18BE", "8608A7C", "4G")),
        ("+CGREG: 2,1,2A11,B1C2D3,2", ("G", 1, "2A11", "B1C2D3", "3G")),
        ("+CGREG: 1,2A11,B1C2D3,2", ("G", 1, "2A11", "B1C2D3", "3G")),
        ("+CREG: 2", ("", 2, "", "", "")),
        ("+CREG: 0,3", ("", 3, "", "", "")),
        ("+CREG: 0, 10", ("", 10, "", "", "")),
        ('+CEREG: 2,1,"","",7', ("E", 1, "", "", "4G")),
    ],
)
def test_registration_is_read_in_both_forms(line, told):
    assert tuple(facts.registration(line)) == told


@pytest.mark.parametrize("line", ["+CEREG: x", "+COPS: 1", "+CEREG:", "+CEREG: 2,1,,,x"])
def test_what_is_no_registration_is_none(line):
    assert facts.registration(line) is None


@pytest.mark.parametrize(("line", "dbm", "bars"), [("+CSQ: 31,99", -51, 4), ("+CSQ: 0,0", -113, 0), ("+CSQ: 99,99", None, 0)])
def test_a_signal_is_dbm_and_bars(line, dbm, bars):
    assert (facts.signal(line), facts.bars(facts.signal(line))) == (dbm, bars)


@pytest.mark.parametrize(
    ("time", "zone", "utc"),
    [
        ("26/11/20,10:34:05", "+32", 1_795_142_045),
        ("2026/11/20,10:34:05", "+32", 1_795_142_045),
        ("26/11/20,02:34:05", None, 1_795_142_045),
        ("26/11/19,17:04:05", "-38", 1_795_142_045),
        ("80/01/06,00:00:00", "+00", None),
        ("26/02/31,00:00:00", "+99", None),
        ("26/11/20", "+32", None),
    ],
)
def test_a_network_tells_the_time_with_its_zone_in_quarters(time, zone, utc):
    assert facts.utc(time, zone) == utc
