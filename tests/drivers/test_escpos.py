import random

import pytest

from drivers import escpos
from drivers.escpos import PROFILES, begin, encode, plain_lines, raster, read_ask, read_mark, wrap

CSN = PROFILES["csn-a2"]
EPSON = PROFILES["epson-tm"]
RASTER = PROFILES["raster-58"]


def data(job, profile=CSN):
    return [chunk.data for chunk in encode(job, profile)]


def test_each_line_of_a_job_is_one_chunk():
    job = [("", "a"), ("feed", 0), ("rule", ""), ("picture", (8, [b"\x80"])), ("cut", "")]
    for profile in PROFILES.values():
        assert len(encode(job, profile)) == len(job)


def test_plain_text_is_sent_as_it_is():
    assert data([("", "SALE 12.34")]) == [b"SALE 12.34\n"]


def test_chinese_text_is_gb18030_in_chinese_mode():
    assert data([("", "消费 1")]) == [b"\x1c&\xcf\xfb\xb7\xd1 1\n\x1c."]


def test_modes_are_sent_when_they_change():
    assert data([("c", "a"), ("c", "b"), ("b", "c"), ("", "d")]) == [
        b"\x1ba\x01a\n", b"b\n", b"\x1ba\x00\x1bE\x01c\n", b"\x1bE\x00d\n",
    ]  # fmt: skip


def test_double_size_is_said_to_both_fonts_and_keeps_the_gap_below():
    assert data([("hw", "费"), ("", "a")]) == [
        b"\x1d!\x11\x1b3\x36\x1c&\x1c!\x0c\xb7\xd1\n\x1c!\x00\x1c.", b"\x1d!\x00\x1b3\x1ea\n",
    ]  # fmt: skip


def test_a_job_begins_from_a_known_state():
    assert begin(CSN) == b"\x1b@\x1b7\x0b\x78\x28\x1b3\x1e\x1c."
    assert begin(EPSON) == b"\x1b@\x1b3\x1e\x1c."
    assert begin(RASTER) == b"\x1b@\x1b3\x1e"


def test_only_a_printer_with_a_knife_is_told_to_cut():
    assert data([("cut", "")], CSN) == [b"\x1bd\x04"]
    assert data([("cut", "")], EPSON) == [b"\x1bd\x01\x1dV\x42\x00"]


def test_a_character_of_four_bytes_goes_only_where_the_printer_knows_it():
    assert data([("", "㐀")], CSN) == [b"?\n"]
    assert data([("", "㐀")], EPSON) == [b"\x1c&\x81\x39\xee\x39\n\x1c."]


def test_the_yen_sign_of_other_character_sets_is_the_chinese_one():
    assert data([("", "¥1")]) == data([("", "￥1")]) == [b"\x1c&\xa3\xa41\n\x1c."]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("12345678", ["12345678"]),
        ("123456789", ["12345678", "9"]),
        ("ab cdefghi", ["ab", "cdefghi"]),
        ("ab  cdefgh", ["ab", "cdefgh"]),
        ("银联银联银", ["银联银联", "银"]),
        ("a银联银联银", ["a银联银", "联银"]),
        ("银联 abcdef", ["银联", "abcdef"]),
        ("银联abcdef", ["银联", "abcdef"]),
        ("abcdefghijklmnopqrs", ["abcdefgh", "ijklmnop", "qrs"]),
    ],
)
def test_long_text_is_wrapped_at_words_and_beside_han_characters(text, lines):
    assert wrap(text, 8) == lines


def test_wrapping_loses_nothing_and_never_exceeds_the_paper():
    chance = random.Random(5)
    for _ in range(300):
        text = "".join(chance.choice("ab1 -银联，") for _ in range(chance.randrange(60)))
        lines = wrap(text, 10)
        assert all(escpos.cells(line) <= 10 for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_picture_is_a_raster_in_the_middle_of_the_paper():
    assert raster([b"\x80"]) == b"\x1dv0\x00\x01\x00\x01\x00\x80"
    (picture,) = data([("picture", (12, [b"\xff\xff", b"\x00\x10"]))])
    assert picture == b"\x1dv0\x00\x19\x00\x02\x00" + bytes(23) + b"\xff\xf0" + bytes(24) + b"\x10"


def test_a_tall_picture_is_sent_in_bands():
    (picture,) = data([("picture", (384, [b"\x01" * 48] * 150))])
    assert [picture[at + 4 : at + 8] for at in (0, 64 * 48 + 8, 128 * 48 + 16)] == [
        b"\x30\x00\x40\x00", b"\x30\x00\x40\x00", b"\x30\x00\x16\x00",
    ]  # fmt: skip


@pytest.mark.parametrize("trap", [b"\x10\x04\x01", b"\x10\x04\x04", b"\x10\x05\x02", b"\x10\x14\x08"])
def test_no_picture_holds_a_real_time_command(trap):
    (across,) = data([("picture", (24, [trap] * 3))])
    (seam,) = data([("picture", (384, [bytes(47) + trap[:1], trap[1:] + bytes(46)]))])
    assert trap[:2] not in across
    assert trap[:2] not in seam
    assert b"\x11" + trap[1:2] in across


def test_text_is_drawn_for_a_printer_without_a_font():
    chunk, empty, high = encode([("", "消费"), ("", ""), ("bh", "1")], RASTER)
    assert chunk.data[:8] == b"\x1dv0\x00\x06\x00\x18\x00"
    assert chunk.data[-3:] == b"\x1bJ\x06"
    assert chunk.dots == 30
    assert empty == (b"\x1bJ\x1e", 30)
    assert high.dots == 54


def test_control_characters_never_reach_the_wire():
    everything = "".join(map(chr, [*range(32), 127, *range(128, 160), 0x2028, 0x200B, 0xFEFF, 0xD800]))
    for profile in (CSN, EPSON):
        (line,) = data([("", everything[:10]), ("", everything)], profile)[1:]
        assert set(line) <= set(b" ?\n")


def test_plain_lines_are_what_a_person_reads():
    assert plain_lines("c", "银联", CSN) == [" " * 14 + "银联"]
    assert plain_lines("cw", "银联", CSN) == [" " * 12 + "银联"]
    assert plain_lines("feed", 2, CSN) == ["", ""]
    assert plain_lines("rule", "", CSN) == ["-" * 32]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("121212", "ok"), ("161212", "cover-open"), ("321272", "paper-out"), ("121272", "paper-out"), ("125212", "too-hot"),
        ("52521e", "too-hot"), ("12121e", "paper-low"), ("123212", "silent"), ("121a12", "silent"), ("1212", None),
        ("ffffff", None), ("000000", None), ("12121212", None),
    ],
)  # fmt: skip
def test_real_time_answers_are_read(answer, status):
    assert read_ask(bytes.fromhex(answer)) == status


@pytest.mark.parametrize(
    ("byte", "status"),
    [(0, "ok"), (8, "ok"), (4, "paper-out"), (0x40, "too-hot"), (0x44, "paper-out"), (0x12, None), (255, None)],
)
def test_an_answer_to_esc_v_is_read(byte, status):
    assert read_mark(byte, CSN) == status


@pytest.mark.parametrize(
    ("byte", "status"), [(0, "ok"), (3, "paper-low"), (0x0C, "paper-out"), (0x0F, "paper-out"), (0x12, None), (0x80, None)]
)
def test_an_answer_to_gs_r_is_read(byte, status):
    assert read_mark(byte, EPSON) == status


def test_any_answer_is_a_status_or_none():
    chance = random.Random(8)
    known = (None, "ok", "paper-low", "paper-out", "cover-open", "too-hot", "silent")
    for _ in range(2_000):
        assert read_ask(chance.randbytes(chance.randrange(6))) in known
    for profile in PROFILES.values():
        assert all(read_mark(byte, profile) in known for byte in range(256))
