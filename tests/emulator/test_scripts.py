"""The example scripts on the real firmware, and what a script tells when something is not as written."""

import subprocess
import sys
from pathlib import Path

import pytest

from emulator import script
from emulator.device import Device
from tests.emulator.bench import on, toy_device

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "emulator" / "scripts"
PARTS = ("login", "sell")  # included by the others


@pytest.mark.parametrize("name", sorted(path.stem for path in SCRIPTS.glob("*.txt") if path.stem not in PARTS))
def test_each_example_comes_out_as_written(name, tmp_path):
    with Device(tmp_path, fast=True) as device:
        script.run(device, SCRIPTS / f"{name}.txt", record=tmp_path / "seen")
        assert not [entry.text for entry in device.log if entry.kind == "terminal"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    with toy_device(tmp_path_factory.mktemp("toy")) as device:
        yield on(device)


def play(device, tmp_path, text, **options):
    (tmp_path / "play.txt").write_text(text, encoding="utf-8")
    return script.run(device, tmp_path / "play.txt", **options)


def test_a_failed_step_names_itself_and_shows_the_screen(toy, tmp_path):
    with pytest.raises(script.Failed) as caught:
        play(toy, tmp_path, "patience 0 s\nexpect screen TOY\nexpect screen nothing like it\ntear\n")
    story = str(caught.value)
    assert story.startswith("play.txt:3: expect screen nothing like it\n  failed: not on the screen")
    assert "\nTOY\n" in story
    assert "│" in story and "█" in story


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("keys ENTRE", "is no key"),
        ("tap umbrella", "no such card"),
        ("fault gremlins", "no such fault"),
        ("rule next explode", "explode"),
        ("second debit", "no first card"),
        ("insert phone", "no contacts"),
        ("swipe phone", "no stripe"),
        ("tap stripe", "cannot be tapped"),
        ("parameter module.tip true", "while the device is off"),
        ("expect led 9", "9"),
        ("expect power crashed", "power is on"),
        ("expect paper nothing", "not on the paper"),
        ("expect acquirer approved 1.00", "the acquirer's books hold nothing"),
        ("expect acquirer balance debit 0.00", "balances debit "),
        ("expect no screen TOY", "still on the screen"),
        ("expect no led 1", "lit are: 1"),
    ],
)
def test_what_cannot_be_done_or_is_not_so_says_why(toy, tmp_path, step, reason):
    with pytest.raises(script.Failed, match="play.txt:2") as caught:
        play(toy, tmp_path, "patience 0 s\n" + step)
    assert reason in str(caught.value)


def test_a_recording_has_pictures_paper_and_log_by_steps(toy, tmp_path):
    record = tmp_path / "record"
    steps = play(toy, tmp_path, "keys 81 ENTER\nwait paper typed 81\nscreenshot typed\ntear\n", record=record)
    assert steps == 4
    assert (record / "typed.png").read_bytes().startswith(b"\x89PNG")
    assert (record / "001-keys.png").exists()
    assert "typed 81" in (record / "paper.txt").read_text(encoding="utf-8")
    assert (record / "paper.png").read_bytes().startswith(b"\x89PNG")
    log = (record / "log.txt").read_text(encoding="utf-8")
    assert "== play.txt:1: keys ** ENTER" in log and "   TOY" in log and "3 keys" in log


def test_a_screenshot_cannot_leave_its_folder(toy, tmp_path):
    for name in ("../../x", "/x", "..", "a/b"):
        with pytest.raises((script.ScriptError, script.Failed)):
            play(toy, tmp_path, f"screenshot {name}\n", record=tmp_path / "record")
    assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == [".png", ".txt", ".txt", ".txt"]


def run(*words):
    command = [sys.executable, "-m", "emulator", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_exit_status_says_how_it_went(tmp_path):
    good, bad, wrong = (tmp_path / name for name in ("good.txt", "bad.txt", "wrong.txt"))
    good.write_text("power on\nwait screen 操作员号\npower off\n", encoding="utf-8")
    bad.write_text("patience 0 s\nexpect screen 操作员号\n", encoding="utf-8")
    wrong.write_text("dance\n", encoding="utf-8")
    status, said, _ = run("script", good, "--fast", "--folder", tmp_path / "device")
    assert (status, said.splitlines()[-1]) == (0, "3 steps as written")
    assert (tmp_path / "device" / "terminal").is_dir()
    status, _, complaint = run("script", bad, "--quiet", "--folder", tmp_path / "device")
    assert status == 1 and "bad.txt:2" in complaint and "power off" in complaint
    status, _, complaint = run("script", wrong)
    assert status == 2 and "wrong.txt:1: dance: not understood" in complaint


def test_a_damaged_folder_is_named(tmp_path):
    (tmp_path / "bench" / "cards").mkdir(parents=True)
    (tmp_path / "bench" / "cards" / "cards.json").write_text("{}")
    script_file = tmp_path / "a.txt"
    script_file.write_text("power on\n")
    status, _, complaint = run("script", script_file, "--folder", tmp_path)
    assert status == 1
    assert "cards.json" in complaint and "Traceback" not in complaint
