import os

import pytest

from drivers import card_file
from firmware.emv import parameter_file
from firmware.emv.settings import Settings
from tests import card_settings
from tests.portable import plain_settings


def test_what_a_new_device_begins_with_can_be_used():
    content = parameter_file.read(card_file.fetch())
    assert set(parameter_file.parameters(content)) == {"emv.aids", "emv.terminal", "emv.switches", "emv.keys", "emv.revoked"}
    checked = Settings(content["applications"], content["terminal"])
    kernels = {application.aid.hex()[:10]: application.kernel.hex() for application in checked.applications}
    assert kernels == {"a000000333": "07", "a000000003": "03", "a000000004": "02"}
    assert all(application.contact for application in checked.applications)


def test_the_portable_tests_have_its_words():
    assert plain_settings.UNIONPAY_ROWS == card_settings.UNIONPAY_ROWS
    assert plain_settings.TERMINAL_DATA == card_settings.TERMINAL_DATA


def test_it_trusts_nobody_and_refuses_nobody():
    content = parameter_file.read(card_file.fetch())
    assert content["keys"] == content["revoked"] == content["exceptions"] == []


@pytest.mark.parametrize("name", sorted(os.listdir(card_file.FOLDER)))
def test_every_file_that_comes_along_can_be_used(name):
    parameter_file.read(card_file.fetch(os.path.join(card_file.FOLDER, name)))


def test_a_file_that_is_none_is_not_read_into_memory(tmp_path):
    path = tmp_path / "long"
    with open(path, "wb") as file:
        file.truncate(card_file.LARGEST + 1)
    with pytest.raises(ValueError, match="more than"):
        card_file.fetch(path)
    with pytest.raises(OSError):
        card_file.fetch(tmp_path / "absent")
