"""The VERIFY command: its form, the keys that it may go under, and what stays of the PIN in memory."""

import pytest

from drivers import offline_pin

PIN = bytearray(b"482915")
CHALLENGE = bytes(range(1, 9))


def modulus(size, first=0x80):
    return bytes((first,)) + b"\xab" * (size - 2) + b"\x01"


@pytest.mark.parametrize(
    ("key", "challenge", "good"),
    [
        ((modulus(64), 3), CHALLENGE, True),
        ((modulus(248), 65537), CHALLENGE, True),
        ((modulus(63), 3), CHALLENGE, False),
        ((modulus(249), 3), CHALLENGE, False),
        ((modulus(128, 0x7F), 3), CHALLENGE, False),
        ((modulus(128), 2), CHALLENGE, False),
        ((modulus(128), 3), CHALLENGE[:7], False),
        ((modulus(128), 3), CHALLENGE + b"\x00", False),
        (None, CHALLENGE, False),
    ],
)
def test_a_pin_goes_under_a_key_of_emv_and_with_eight_bytes_of_challenge(key, challenge, good):
    assert offline_pin.fits(key, challenge) is good


@pytest.fixture
def blocks(monkeypatch):
    """What held the PIN on the way: its blocks, and the messages that are enciphered."""
    kept = []

    def keeping(function, which):
        def call(*arguments):
            made = function(*arguments)
            kept.append(made if which is None else arguments[which])
            return made

        return call

    monkeypatch.setattr(offline_pin, "plain_block", keeping(offline_pin.plain_block, None))
    monkeypatch.setattr(offline_pin, "rsa_public", keeping(offline_pin.rsa_public, 2))
    return kept


def test_of_a_pin_that_was_sent_nothing_stays_but_the_command(blocks):
    assert offline_pin.plain(PIN).hex() == "0020008008" + "26482915ffffffff"
    command = offline_pin.enciphered(PIN, (modulus(128), 3), CHALLENGE, bytes)
    assert command[:5].hex() == "0020008880" and len(command) == 5 + 128
    assert [len(block) for block in blocks] == [8, 8, 128] and not any(any(block) for block in blocks)
