"""Scripts: how they are read, and that each step does what it says on a device."""

from pathlib import Path

import pytest

from emulator import script

EXAMPLES = sorted((Path(__file__).parents[2] / "emulator" / "scripts").glob("*.txt"))


def steps(tmp_path, text, **others):
    for name, content in others.items():
        (tmp_path / (name + ".txt")).write_text(content, encoding="utf-8")
    (tmp_path / "main.txt").write_text(text, encoding="utf-8")
    return [str(step) for step in script.flat(script.read(tmp_path / "main.txt"))]


def refusal(tmp_path, text, **others):
    with pytest.raises(script.ScriptError) as caught:
        steps(tmp_path, text, **others)
    return str(caught.value)


def test_comments_and_blank_lines_are_skipped(tmp_path):
    read = steps(tmp_path, "# first\n\npower on   # now\n  keys 01 ENTER\n")
    assert read == ["main.txt:3: power on", "main.txt:4: keys 01 ENTER"]


def test_an_included_file_is_read_from_beside_the_file_that_says_so(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "inner.txt").write_text("include deepest.txt\n", encoding="utf-8")
    (tmp_path / "more" / "deepest.txt").write_text("plug\n", encoding="utf-8")
    assert steps(tmp_path, "include more/inner.txt\npower on\n") == ["deepest.txt:1: plug", "main.txt:2: power on"]


def test_repeats_nest(tmp_path):
    assert len(steps(tmp_path, "repeat 3\n tear\n repeat 2\n  plug\n end\nend\ncrash\n")) == 3 * 3 + 1


def test_nothing_is_repeated_no_times(tmp_path):
    assert steps(tmp_path, "repeat 0\ntear\nend\n") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dance", "main.txt:1: dance: not understood; steps are: power on | "),
        ("power up", "it may be: power on | power off"),
        ("expect acquirer approved 12", "expect acquirer approved AMOUNT"),
        ("tear\nrepeat 2\ntear", "main.txt:2: repeat 2: its `end` is missing"),
        ("tear\nend", "main.txt:2: end: there is nothing to end here"),
        ("include nowhere.txt", "nowhere.txt: cannot be read"),
        ("include main.txt", "include each other"),
        ("repeat 2\n" * 30, "repeats within repeats"),
    ],
)
def test_a_script_that_cannot_be_read_says_where_and_why(tmp_path, text, reason):
    assert reason in refusal(tmp_path, text)


def test_a_mistake_in_the_last_line_is_found_before_the_first_step_is_done(tmp_path):
    path = tmp_path / "main.txt"
    path.write_text("power on\nnonsense\n", encoding="utf-8")
    with pytest.raises(script.ScriptError):
        script.run(None, path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "main.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(script.ScriptError):
        script.read(tmp_path / "main.txt")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_can_be_read(path):
    assert list(script.flat(script.read(path)))


def test_every_form_of_the_language_is_used_by_an_example():
    used = {step.do for path in EXAMPLES for step in script.flat(script.read(path))}
    assert {form for form, do in script.FORMS if do not in used} == set()


@pytest.mark.parametrize(("text", "fen"), [("12.34", 1234), ("0.01", 1), ("1000.00", 100000)])
def test_amounts_are_whole_fen(text, fen):
    assert script.fen(text) == fen
    assert script.money(fen) == text
