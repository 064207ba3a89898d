import io
import subprocess
import sys
from pathlib import Path

import pytest

from tools import __main__ as tools
from tools import crypto

ROOT = Path(__file__).parents[2]
KEY = "0123456789ABCDEFFEDCBA9876543210"
PAN = "6222620000000002"
BLOCK = "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627"
PROTECTION = "1D22BF32387C600AD97F9B97A51311AC"
PLAIN = "E8BC63E5479455E26577F715D587FE68"
SERIAL = "FFFF9876543210E00001"


class Terminal(io.StringIO):
    """A standard input that is a keyboard."""

    def isatty(self):
        return True


def run(*words, typed=None, piped=None):
    """(status, what was said); typed: what a person types unseen; piped: the standard input."""
    said, answers = [], list(typed or ())

    def ask(prompt):
        if not answers:
            raise EOFError
        return answers.pop(0)

    stdin = Terminal() if piped is None else io.StringIO(piped)
    unseen = ask if piped is None else crypto.getpass.getpass
    status = crypto.main([str(word) for word in words], said.append, unseen, stdin)
    return status, "\n".join(said)


def test_check_values_of_a_key_are_shown_in_every_length():
    status, said = run("kcv", typed=[KEY])
    assert status == 0 and "08D7B4FB629D0885" in said and "4 bytes 08D7B4FB" in said and KEY not in said
    assert "2677F46B" in run("kcv", "--cipher", "sm4", typed=[KEY])[1]
    aes = run("kcv", "--cipher", "aes", typed=["3F419E1CB7079442AA37474C2EFBF8B8"])[1]
    assert "08793E25" in aes and "E5E07C" in aes


def test_a_key_may_come_as_a_line_or_in_a_file_or_as_an_argument_that_is_no_secret(tmp_path):
    wanted = run("kcv", typed=[KEY])
    (tmp_path / "key").write_text(KEY[:16] + " " + KEY[16:] + "\n")
    assert run("kcv", piped=KEY + "\n") == wanted
    assert run("kcv", "--secrets", tmp_path / "key") == wanted
    assert run("kcv", "--secrets", "-", piped=KEY) == wanted
    assert run("kcv", "--test-key", KEY, piped="") == wanted


def test_macs_are_those_of_the_worked_examples(tmp_path):
    assert run("mac", "4D08F434464FE7BF", typed=["C24A8FB57AA20123"])[1].endswith('"8A9E91B8"')
    message = tmp_path / "message"
    message.write_bytes(b"6000112018111411003020170930101010120171025000755000000005553")
    key = ["12345678901234567890123456789012"]
    assert '"1E80F373"' in run("mac", "--cipher", "sm4", "--file", message, typed=key)[1]
    binary = run("mac", "--cipher", "sm4", "--method", "unionpay-binary", "--file", message, typed=key)
    assert binary == (0, "1E80F37340B0FEE6")
    data = "4E6F77206973207468652074696D6520666F7220616C6C20"
    assert run("mac", "--method", "x9.9", data, typed=["0123456789ABCDEF"]) == (0, "70A30640CC76DD8B")
    assert run("mac", "--method", "x9.9", "--padding", "2", data, typed=["0123456789ABCDEF"])[1] != "70A30640CC76DD8B"
    retail = run("mac", "--method", "x9.19", "3430313233343536373839303944393837", typed=["0DF3D9422ACAA9E547676D07AD6B52FA"])
    assert retail == (0, "20B59A4FEAC937E3")
    assert run("mac", "--method", "x9.19", "--padding", "1", "00", typed=[KEY])[0] == 0
    assert run("mac", "--method", "x9.19", "--padding", "3", "00", typed=[KEY])[0] == 0


def test_pin_blocks_are_made_and_read():
    assert run("pinblock", "encode", typed=["1234", PAN, ""]) == (0, "041212DFFFFFFFFF")
    key = "1A2A3D4C5E6E708091A2B3C4D5E6F801"
    assert run("pinblock", "encode", typed=["1234", PAN, key]) == (0, "2716C7DD6D42B8F3")
    assert run("pinblock", "decode", "2716C7DD6D42B8F3", typed=[PAN, key]) == (0, "PIN 4 digits")
    assert run("pinblock", "decode", "2716C7DD6D42B8F3", "--show", typed=[PAN, key]) == (0, "PIN 1234")
    assert run("pinblock", "encode", "--form", "2", typed=["1234", "", ""]) == (0, "241234FFFFFFFFFF")
    status, block = run("pinblock", "encode", "--form", "4", "--test-pin", "482915", "--test-pan", PAN, "--test-key", KEY)
    assert (status, len(block)) == (0, 32)
    shown = run("pinblock", "decode", block, "--form", "4", "--show", piped="%s\n%s\n" % (PAN, KEY))
    assert shown == (0, "PIN 482915")


def test_the_keys_of_a_transaction_are_the_published_ones():
    status, said = run("dukpt", "keys", SERIAL, "--show", typed=[KEY])
    assert status == 0 and "counter 1" in said
    assert all(key in said for key in ("6AC292FAA1315B4D858AB3A3D7D5933A", "042666B49184CF5C68DE9628D0397B36"))
    again = run("dukpt", "keys", SERIAL, "--initial", "--show", typed=["6AC292FAA1315B4D858AB3A3D7D5933A"])
    assert again == (status, said)
    hidden = run("dukpt", "keys", SERIAL, typed=[KEY])[1]
    assert "check value" in hidden and "042666B4" not in hidden
    aes = run("dukpt", "keys", "123456789012345600000001", "--show", typed=["FEDCBA9876543210F1F1F1F1F1F1F1F1"])[1]
    assert "AF8CB133A78F8DC2D1359F18527593FB" in aes and "630C706D9546E47D4449313F61C4D4AB" in aes


def test_serial_numbers_follow_as_the_standard_says():
    numbers = ["FFFF9876543210EFF801", "FFFF9876543210EFF802", "FFFF9876543210EFF804"]
    assert run("dukpt", "next", "FFFF9876543210EFF800", "--count", 3) == (0, "\n".join(numbers))
    status, said = run("dukpt", "next", "FFFF9876543210FFF800")
    assert status == 1 and "last key" in said


def test_a_key_block_is_read_opened_and_made():
    status, said = run("tr31", "header", BLOCK)
    assert status == 0 and "B0" in said and "00604B120F9292800000" in said
    status, said = run("tr31", "unwrap", BLOCK, typed=[PROTECTION])
    assert status == 0 and "9A42122D" in said and PLAIN not in said
    assert PLAIN in run("tr31", "unwrap", BLOCK, "--show", typed=[PROTECTION])[1]
    made = run("tr31", "wrap", "--usage", "P0", "--mode", "E", "--block", "KS=00604B120F929280", typed=[PROTECTION, PLAIN])
    assert made[0] == 0
    status, said = run("tr31", "unwrap", made[1], "--show", "--test-kbpk", PROTECTION)
    assert status == 0 and PLAIN in said and "00604B120F929280" in said


@pytest.mark.parametrize(
    ("words", "typed", "status"),
    [
        ([], [], 2),
        (["kcv"], [], 2),
        (["kcv"], [""], 2),
        (["kcv"], [KEY[:-1]], 2),
        (["kcv"], ["Ā" * 32], 2),
        (["kcv"], [KEY[:20]], 2),
        (["kcv", "--cipher", "rot13"], [KEY], 2),
        (["kcv", "--secrets", "/nowhere/at/all"], [], 2),
        (["kcv", "--secrets", "/dev/zero"], [], 2),
        (["kcv", "--secrets", "\0"], [], 2),
        (["mac"], [KEY], 2),
        (["mac", "00", "--file", "x"], [KEY], 2),
        (["mac", "zz"], [KEY], 2),
        (["mac", "00", "--padding", "2"], [KEY], 2),
        (["mac", "--method", "cbc", "00"], [KEY], 1),
        (["pinblock", "encode"], ["12", PAN, ""], 1),
        (["pinblock", "encode"], ["1234", "", ""], 2),
        (["pinblock", "encode", "--form", "1"], ["1234", "", ""], 1),
        (["pinblock", "encode", "--form", "4"], ["1234", PAN, ""], 2),
        (["pinblock", "encode", "--form", "4"], ["1234", PAN, KEY[:16]], 1),
        (["pinblock", "decode", "0412"], [PAN, ""], 1),
        (["pinblock", "decode", "041212DFFFFFFFFF"], ["6222620000000102", ""], 1),
        (["dukpt", "keys", "00"], [KEY], 2),
        (["dukpt", "keys", SERIAL], [KEY[:16]], 1),
        (["dukpt", "next", SERIAL, "--count", "0"], [], 2),
        (["dukpt", "next", SERIAL, "--count", "100000"], [], 2),
        (["tr31", "header", ""], [], 1),
        (["tr31", "unwrap", BLOCK], [KEY], 1),
        (["tr31", "unwrap", BLOCK[:-2]], [PROTECTION], 1),
        (["tr31", "wrap"], [PROTECTION, KEY], 2),
        (["tr31", "wrap", "--usage", "P00"], [PROTECTION, KEY], 1),
        (["tr31", "wrap", "--usage", "P0", "--version", "D"], [KEY[:16], KEY], 1),
        (["tr31", "wrap", "--usage", "P0", "--block", "K"], [PROTECTION, KEY], 1),
    ],
    ids=range(33),
)
def test_what_cannot_be_calculated_is_said_in_a_line(words, typed, status, capsys):
    found, said = run(*words, typed=typed)
    said += "".join(capsys.readouterr())
    assert found == status and said.strip()
    assert "Traceback" not in said and not any(secret in said for secret in (KEY, PAN, PROTECTION, PLAIN))


def test_a_key_in_the_wrong_place_is_not_said_back(capsys):
    assert tools.main(["crypto", "kcv", KEY]) == 2
    assert KEY not in "".join(capsys.readouterr())


def test_the_command_line_works_with_the_key_on_the_standard_input():
    done = subprocess.run(
        [sys.executable, "-m", "tools", "crypto", "kcv"], cwd=ROOT, input=KEY + "\n", capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (0, "") and "08D7B4FB" in done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "tools", "crypto", "kcv", "--help"], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0 and "seen by every user" in " ".join(done.stdout.split())
