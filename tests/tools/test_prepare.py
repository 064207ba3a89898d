"""What a clone needs is named in one line, and pinned."""

import re
import subprocess
import sys

import pytest

from tools import prepare

ROOT = prepare.ROOT
FILES = sorted(path.name for path in ROOT.glob("requirements*.txt"))


def test_the_advice_is_one_line_with_the_command_and_what_goes_without():
    line = prepare.advice([("xfonts-wqy", "screens are in English"), ("chromium", "x"), ("chromium-driver", "x")])
    assert line == (
        "not installed: sudo apt-get install xfonts-wqy chromium chromium-driver (until then screens are in English, x)"
    )


def test_running_asks_for_fewer_packages_than_testing():
    everything = {name for name, _, _, _ in prepare.PACKAGES}
    assert {"xfonts-wqy", "fonts-unifont", "chromium", "chromium-driver"} <= everything
    for_running = {name for name, purpose, _, _ in prepare.PACKAGES if purpose == "run"}
    assert "xfonts-wqy" in for_running and not for_running & {"chromium", "chromium-driver", "strace"}


def test_what_the_fonts_module_looks_for_is_what_is_looked_for_here():
    from drivers import fonts

    assert (prepare.WENQUANYI, prepare.UNIFONT) == (fonts.WENQUANYI, fonts.UNIFONT)


@pytest.mark.parametrize("name", FILES)
def test_every_python_package_is_pinned(name):
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        wanted = line.split("#")[0].split(";")[0].strip()
        if wanted and not wanted.startswith("-r "):
            assert re.fullmatch(r"[\w.-]+==[\w.]+", wanted), wanted


def test_the_desktop_needs_no_gpio_package():
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-bench.txt"):
        assert "gpio" not in (ROOT / name).read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("machine", "model", "file"),
    [
        ("x86_64", "", ""),
        ("aarch64", "", ""),
        ("aarch64", "Raspberry Pi 4 Model B Rev 1.5\0", "requirements-pi.txt"),
        ("armv7l", "Raspberry Pi Zero 2 W Rev 1.0\0", "requirements-pi.txt"),
        ("aarch64", "Raspberry Pi 5 Model B Rev 1.0\0", "requirements-pi5.txt"),
        ("aarch64", "Some other board", ""),
    ],
)
def test_the_gpio_package_is_the_boards(machine, model, file):
    assert prepare.gpio_requirements(machine, model) == file
    assert not file or (ROOT / file).exists()


def test_an_unknown_purpose_is_refused_and_does_nothing():
    done = subprocess.run(
        [sys.executable, "tools/prepare.py", "everything"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and "make run" in done.stderr


def test_say_says_at_most_one_line():
    done = subprocess.run(
        [sys.executable, "tools/prepare.py", "say"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and done.stdout.count("\n") <= 1


def test_make_lists_its_targets_and_what_they_do():
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    for target in "setup run demo test lint mpy diagram fixtures bench".split():
        assert re.search(r"make %s +\S" % target, done.stdout), target
