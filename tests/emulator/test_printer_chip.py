import os
import pty
import random
import select
import tty

import pytest

from drivers import escpos
from emulator.chips.printer import BUFFER, KINDS, Head, PrinterChip
from emulator.paper import DOTS, LONGEST, ROW, Paper
from tests.toys import until

SLIP = [
    ("cbhw", "银联签购单"), ("", "商户 MERCHANT"), ("rule", ""), ("b", "卡号 622848******0013"),
    ("h", "RMB 12.34"), ("w", "宽 wide"),
    ("", "very long text that goes on in the next line 很长的一行字"), ("", ""), ("feed", 2), ("c", "测试"), ("cut", ""),
]  # fmt: skip


def put(head, data):
    head.receive(data)
    head.work()
    answers, head.answers = bytes(head.answers), bytearray()
    return answers


def printed(job, kind):
    head = Head(kind)
    put(head, escpos.begin(escpos.PROFILES[kind]))
    for chunk in escpos.encode(job, escpos.PROFILES[kind]):
        put(head, chunk.data)
    assert (head.unknown, head.overrun) == (0, 0)
    return head.paper


@pytest.mark.parametrize("kind", ["csn-a2", "epson-tm", "generic-58"])
def test_a_slip_reads_as_it_was_meant(kind):
    profile = escpos.PROFILES[kind]
    wanted = [line for style, value in SLIP for line in escpos.plain_lines(style, value, profile)]
    assert printed(SLIP, kind).text.split("\n") == wanted


def test_text_drawn_by_the_driver_is_the_same_to_the_dot_as_text_by_the_printers_font():
    by_font, by_raster = printed(SLIP, "generic-58"), printed(SLIP, "raster-58")
    assert by_font.image().size == by_raster.image().size
    assert by_font.image().tobytes() == by_raster.image().tobytes()


def test_the_paper_moves_as_far_as_the_encoder_says():
    for kind, profile in escpos.PROFILES.items():
        assert printed(SLIP, kind).rows == sum(chunk.dots for chunk in escpos.encode(SLIP, profile))


def test_chinese_without_chinese_mode_or_without_the_font_is_garbage_as_on_a_real_printer():
    for kind, mode in (("csn-a2", b""), ("raster-58", b"\x1c&")):
        head = Head(kind)
        put(head, mode + "消费\n".encode("gb18030"))
        assert "消" not in head.paper.text
        assert head.paper.text


def test_a_picture_is_on_the_paper_to_the_dot():
    chance = random.Random(2)
    rows = [chance.randbytes(20).replace(b"\x10", b"\x11") for _ in range(100)]
    paper = printed([("picture", (160, rows))], "csn-a2")
    image = paper.image()
    assert image.size == (DOTS, 100)
    middle = image.crop((112, 0, 272, 100))
    assert bytes(255 - byte for byte in middle.tobytes()) == b"".join(rows)


def test_bytes_may_come_one_by_one():
    stream = escpos.begin(escpos.PROFILES["epson-tm"])
    stream += b"".join(chunk.data for chunk in escpos.encode(SLIP, escpos.PROFILES["epson-tm"]))
    head = Head("epson-tm")
    for byte in stream:
        put(head, bytes((byte,)))
    assert head.paper.image().tobytes() == printed(SLIP, "epson-tm").image().tobytes()


def test_a_real_time_question_is_answered_inside_a_picture_and_stays_a_part_of_it():
    head = Head("epson-tm")
    assert put(head, b"\x1dv0\x00\x03\x00\x02\x00\x10") == b""
    assert put(head, b"\x04") == b""
    assert put(head, b"\x01") == b"\x12"
    assert put(head, b"\xff\xff\xff\x1dr\x01") == b"\x00"
    assert head.paper.rows == 2


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        (None, "12121212"),
        ("paper_out", "1a32127e"),
        ("cover_open", "1a161212"),
        ("too_hot", "1a525212"),
        ("paper_low", "1212121e"),
    ],
)
def test_real_time_answers_tell_the_fault(fault, answers):
    head = Head("epson-tm")
    if fault:
        setattr(head, fault, True)
    assert put(head, b"\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x04\x04").hex() == answers


@pytest.mark.parametrize(("fault", "answer"), [(None, "00"), ("paper_out", "04"), ("too_hot", "40"), ("cover_open", "04")])
def test_esc_v_tells_the_fault(fault, answer):
    head = Head("csn-a2")
    if fault:
        setattr(head, fault, True)
    assert put(head, b"\x1bv\x00").hex() == answer
    assert put(head, b"\x10\x04\x01") == b""


def test_an_epson_keeps_its_buffer_without_paper_and_goes_on():
    head = Head("epson-tm")
    head.paper_left_lines = 1
    put(head, b"one\ntwo\nthree\n\x1dr\x01")
    assert (head.paper.text, head.paper_out) == ("one", True)
    head.paper_out = False
    assert put(head, b"") == b"\x00"
    assert head.paper.text == "one\ntwo\nthree"


def test_an_epson_forgets_its_buffer_when_told_to_even_in_pieces():
    head = Head("epson-tm")
    head.paper_out = True
    put(head, b"lost\n")
    command = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"
    put(head, command[:4])
    assert put(head, command[4:] + b"kept\n") == b"7%\x00"
    head.paper_out = False
    put(head, b"")
    assert head.paper.text == "kept"


def test_a_csn_loses_lines_without_paper():
    head = Head("csn-a2")
    head.paper_out = True
    put(head, b"lost\n")
    head.paper_out = False
    put(head, b"kept\n")
    assert head.paper.text == "kept"


def test_without_power_modes_and_buffer_are_gone_and_the_paper_stays():
    head = Head("csn-a2")
    put(head, b"before\n\x1ba\x01\x1d!\x11\x1dv0\x00\x10\x00\x10\x00half")
    head.reset()
    put(head, b"after\n")
    assert head.paper.text == "before\nafter"
    assert head.paper.rows == 60


def test_paper_takes_its_time():
    now = [0.0]
    head = Head("csn-a2", speed=50, now=lambda: now[0])
    head.receive(b"a\nb\n\x1bv\x00")
    assert head.work() == pytest.approx(30 / 400)
    assert (head.paper.text, head.answers) == ("a", b"")
    now[0] = 0.08
    assert head.work() == pytest.approx(30 / 400)
    now[0] = 0.16
    assert head.work() is None
    assert (head.paper.text, head.answers) == ("a\nb", b"\x00")


def test_what_comes_too_fast_is_lost_and_counted():
    head = Head("epson-tm")
    head.paper_out = True
    put(head, b"x" * (BUFFER + 100))
    assert head.overrun == 100


def test_the_log_is_masked():
    lines = []
    head = Head("csn-a2", log=lambda kind, text: lines.append((kind, text)))
    put(head, b"PAN 6228480012340013 ok\n")
    assert lines == [("wire", "printer: PAN 622848******0013 ok")]


@pytest.mark.parametrize("kind", KINDS)
def test_any_bytes_do_no_harm(kind):
    chance = random.Random(13)
    head = Head(kind)
    interesting = bytes.fromhex("1b1c1d1210040a") + b"@aE!dJ3v&.Vr(" + bytes(4)
    for _ in range(300):
        head.paper_out = chance.random() < 0.1
        put(head, bytes(chance.choice(interesting) if chance.random() < 0.6 else chance.randrange(256) for _ in range(40)))
    head.paper_out = False
    head.reset()
    head.paper.tear()
    put(head, b"still here\n")
    assert head.paper.text == "still here"


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="csn-a2"):
        Head("inkjet")


# On the pty.


@pytest.fixture
def chip():
    master, slave = pty.openpty()
    tty.setraw(slave)
    chip = PrinterChip(master)
    chip.slave = slave
    yield chip
    chip.close()
    os.close(master)
    os.close(slave)


def read(fd):
    assert select.select([fd], [], [], 10)[0]
    return os.read(fd, 100)


def test_the_chip_prints_and_answers_on_its_wire(chip):
    os.write(chip.slave, b"hello\n\x1bv\x00")
    assert read(chip.slave) == b"\x00"
    assert chip.paper.text == "hello"


def test_a_fault_that_is_mended_lets_the_chip_go_on_at_once():
    master, slave = pty.openpty()
    tty.setraw(slave)
    chip = PrinterChip(master, "epson-tm")
    chip.paper_out = True
    os.write(slave, b"waiting\n\x10\x04\x04")
    assert read(slave) == b"\x7e"
    chip.paper_out = False
    until(lambda: chip.paper.text == "waiting")
    chip.close()
    chip.close()
    os.close(master)
    os.close(slave)


# The paper.


def test_the_paper_calls_when_it_changes_and_can_be_torn_off():
    calls = []
    paper = Paper(on_change=lambda: calls.append(1))
    paper.print([b"\x80" + bytes(ROW - 1)] * 3, "line")
    paper.feed(10, "")
    torn = paper.tear()
    assert len(calls) == paper.version == 3
    assert (paper.text, paper.rows) == ("", 0)
    assert (torn.text, torn.rows) == ("line\n", 13)
    image = torn.image()
    assert image.size == (DOTS, 13)
    assert [image.getpixel((0, y)) for y in (2, 3)] == [0, 255]


def test_an_endless_strip_is_bounded():
    paper = Paper()
    for number in range(LONGEST // 30 + 50):
        paper.feed(30, f"line {number}")
    assert paper.rows == LONGEST
    lines = paper.text.split("\n")
    assert len(lines) == LONGEST // 30
    assert lines[-1] == f"line {LONGEST // 30 + 49}"


def test_the_picture_of_the_paper_is_a_png_as_wide_as_the_paper():
    paper = printed(SLIP, "csn-a2")
    png = paper.png()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20], "big") == 464
    assert paper.png() is png
    paper.feed(8)
    assert paper.png() is not png
    assert Paper().png()[:4] == b"\x89PNG"
