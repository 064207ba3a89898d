"""KAIFU_REQUIRE makes a skip for want of something that must be there a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

TESTS = """
import pytest

def test_a():
    pytest.skip("chromium and chromium-driver are not installed: the page is not tried")

@pytest.mark.skipif(True, reason="no Chinese bitmap font: install xfonts-wqy")
def test_b():
    pass

@pytest.fixture
def real():
    pytest.skip("no MicroPython for riscv64")

def test_c(real):
    pass

def test_d():
    pytest.skip("no ../shared beside this clone")

@pytest.mark.xfail
def test_e():
    assert False, "no font"
"""
MODULE = """
import pytest
pytest.skip("chromium is not installed", allow_module_level=True)
"""


@pytest.fixture
def outcome(tmp_path):
    """Runs a folder of skipped tests; returns what the summary says."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_skips.py").write_text(TESTS, encoding="utf-8")

    def run(required, module=""):
        if module:
            (tmp_path / "test_module.py").write_text(module, encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if name != "KAIFU_REQUIRE"}
        if required is not None:
            environment["KAIFU_REQUIRE"] = required
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_without_it_a_skip_is_a_skip(outcome):
    status, text = outcome(None, MODULE)
    assert status == 0
    assert "5 skipped, 1 xfailed" in text


@pytest.mark.parametrize(("required", "name"), [("chromium", "test_a"), ("fonts", "test_b"), ("micropython", "test_c")])
def test_a_required_skip_fails_and_names_its_reason(outcome, required, name):
    status, text = outcome(required)
    assert status == 1
    assert "3 skipped, 1 xfailed" in text
    assert "test_skips.py::%s - left out, though KAIFU_REQUIRE asks for it" % name in text


def test_several_are_required_at_once_and_other_skips_stay(outcome):
    status, text = outcome("chromium,micropython,fonts")
    assert status == 1
    assert "1 failed, 1 skipped, 1 xfailed, 2 errors" in text


def test_a_whole_file_left_out_fails_too(outcome):
    status, text = outcome("chromium", MODULE)
    assert status != 0
    assert "test_module.py" in text and "KAIFU_REQUIRE asks for it" in text


def test_a_word_that_it_does_not_know_is_refused(outcome):
    status, text = outcome("chrome")
    assert status == 4
    assert "KAIFU_REQUIRE knows chromium" in text
