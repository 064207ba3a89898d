import json
import random
from binascii import hexlify

import pytest

from firmware.emv import download, parameter_file
from firmware.emv.parameter_file import ParameterFileError
from tests.card_settings import UNIONPAY_ROWS
from tests.firmware.test_download import ROW, key_row

WHOLE = {
    "about": "for a test",
    "applications": [ROW],
    "terminal": {"9F1A": "0156"},
    "switches": {"force_online": True},
    "keys": [key_row()],
    "revoked": [{"rid": "A000000333", "index": "08", "serial": "010203"}],
    "exceptions": ["6200001234567890"],
}


def read(content, **options):
    return parameter_file.read(json.dumps(content).encode(), **options)


def block_line(block):
    return hexlify(block).decode()


def test_a_file_gives_the_parameters_of_the_parts_that_it_has():
    assert read(WHOLE) == WHOLE
    assert parameter_file.parameters(WHOLE) == {
        "emv.aids": [ROW], "emv.terminal": {"9F1A": "0156"}, "emv.switches": {"force_online": True},
        "emv.keys": [key_row()], "emv.revoked": WHOLE["revoked"],
    }  # fmt: skip
    assert parameter_file.parameters({"keys": []}) == {"emv.keys": []}


@pytest.mark.parametrize("pan", ["6" * 12, "6" * 19])
def test_the_shortest_and_the_longest_card_number_may_be_refused(pan):
    assert read({"exceptions": [pan]}) == {"exceptions": [pan]}


def with_part(**parts):
    return dict(WHOLE, **parts)


@pytest.mark.parametrize(
    "content, why",
    [
        (with_part(applications=[ROW, dict(ROW, aid="A0000000031010", ttq="26")]), "application 2: ttq has 1 bytes"),
        (with_part(applications=[ROW, dict(ROW, aid="a000000333010101")]), "application 2: A000000333010101 is there twice"),
        (with_part(applications=[dict(ROW, colour="red")]), "application 1: unknown key colour"),
        (with_part(applications={}), "applications: no list"),
        (with_part(applications=["A000000333"]), "application 1: no table"),
        (with_part(applications=[{}]), "application 1: its aid"),
        (with_part(applications=[ROW] * 65), "applications: 65, at most 64"),
        (with_part(terminal=[]), "terminal: no table"),
        (with_part(terminal={"9F": "00"}), "terminal: 9F is no tag"),
        (with_part(terminal={"9F1A": "zz"}), "terminal: 9F1A is not hex"),
        (with_part(switches={"pse": 1}), "switches: pse"),
        (with_part(switches={"turbo": True}), "switches: turbo"),
        (with_part(keys=[dict(key_row(), hash="00" * 20)]), "key A000000333 08: its checksum is wrong"),
        (with_part(keys=[key_row(), key_row()]), "keys: A000000333 08 is there twice"),
        (with_part(keys=[key_row(), dict(key_row(bytes(range(1, 129, 2)) + b"\x03" * 65), kind="live")]), "test and live"),
        (with_part(keys=[dict(key_row(), kind="real")]), "neither test nor live"),
        (with_part(revoked=[{"rid": "A000000333", "index": "08"}]), "revoked A000000333 08"),
        (with_part(exceptions=["6200001234567890", "62000012345X"]), "exceptions: row 2 is no card number"),
        (with_part(exceptions=[6200001234567890]), "exceptions: row 1 is no card number"),
        (with_part(exceptions=["6" * 11]), "exceptions: row 1 is no card number"),
        (with_part(exceptions=["6" * 20]), "exceptions: row 1 is no card number"),
        (with_part(exceptions="6200001234567890"), "exceptions: no list"),
        (with_part(limits={}), "limits: no such part"),
        ([], "no table of parts"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(content, why):
    with pytest.raises(ParameterFileError, match=why) as caught:
        read(content)
    assert "620000123456" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\n\n# nothing\n", b"{", b"{'a': 1}", b"\xff\xfe", b"[" * 100000, b"hello", b"ABC"])
def test_what_is_no_file_is_refused(data):
    with pytest.raises(ParameterFileError):
        parameter_file.read(data)


def test_lines_of_blocks_go_into_the_applications_that_are_there():
    text = "# downloaded\n%s  # debit\n\n%s\n" % (
        block_line(download.application_block(ROW)),
        block_line(download.key_block(key_row())),
    )
    content = parameter_file.read(text.encode(), kind="test", base=UNIONPAY_ROWS)
    assert len(content["applications"]) == len(UNIONPAY_ROWS)
    assert content["applications"][0]["kernel"] == "07" and content["applications"][0]["cvm_limit_fen"] == 100000
    assert content["keys"] == [key_row()]
    assert "terminal" not in content


def test_blocks_with_a_key_want_its_kind_told():
    line = block_line(download.key_block(key_row())).encode()
    with pytest.raises(ParameterFileError, match="line 1: .*test or live"):
        parameter_file.read(line)


def test_a_hurt_block_is_named_by_its_line():
    good = block_line(download.application_block(ROW))
    hurt = block_line(download.key_block(key_row())).replace("df0314", "df0315")
    for bad, why in ((hurt, "line 2: block"), (good[:-2], "line 2"), ("xyz", "line 2: not hex")):
        with pytest.raises(ParameterFileError, match=why):
            parameter_file.read((good + "\n" + bad).encode(), kind="test")


def test_exceptions_are_kept_as_fingerprints_and_those_that_left_the_file_leave_the_table():
    rows = parameter_file.exceptions(WHOLE, lambda pan: pan[::-1], old=("00ff", hexlify(b"0987654321000026").decode()))
    assert rows == [("exceptions", "00ff", None, None), ("exceptions", hexlify(b"0987654321000026").decode(), b"1", None)]
    assert parameter_file.exceptions({"keys": []}, bytes, old=("00ff",)) == []


def test_any_file_is_content_or_the_one_error():
    chance = random.Random(88)
    seed = json.dumps(WHOLE)
    taken = 0
    for _ in range(1500):
        text = list(seed)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(text))
            text[at] = chance.choice(["", "0", '"', "[", "{", "null", "1e999", "-1", "zz", ",", text[at]])
        try:
            content = parameter_file.read("".join(text).encode())
        except ParameterFileError:
            continue
        taken += 1
        parameter_file.parameters(content)
    assert taken > 10
