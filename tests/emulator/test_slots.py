"""The slots of the emulated device, from the board file to the event: a chip inserted, a stripe swiped."""

import pytest

from drivers import vault_software
from drivers.assemble import Assembly
from drivers.board import load
from drivers.wires_emulated import VARIABLE
from emulator.assemble import Chips
from emulator.cards.iso7816 import ContactCard
from emulator.radio import Radio, kept_papers
from emulator.wires import Wires
from firmware.events import CARD_FOUND, CARD_REPLY, CARD_SWIPED, PART, SECRET_READY, SECRET_TYPED, Event
from tests.toys import Inbox, of

READ = bytes.fromhex("00B2010C00")
VERIFY = bytes.fromhex("0020008008241234FFFFFFFFFF")
SWIPE = b";6225880000000000000=25122010000?"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """(ports, chips, inbox, what the bench has logged)"""
    board, inbox, told = load("emulator"), Inbox(), []
    (tmp_path / "terminal").mkdir(mode=0o700)
    vault_software.create(tmp_path / "terminal", bytes(range(16)), cost=10)
    wires = Wires(tmp_path / "wires")
    monkeypatch.setenv(VARIABLE, wires.folder)
    chips = Chips(
        board,
        wires,
        lambda section: 0,
        lambda kind, text: told.append(f"{kind} {text}"),
        lambda direction, apdu: told.append(direction),
        lambda: True,
        True,
        Radio(kept_papers(tmp_path / "radio.json")),
    )
    assembly = Assembly(board, tmp_path / "terminal", inbox.post)
    assembly.start_first()
    assembly.start_rest()
    waiting = {("chip", "ready"), ("stripe", "ready")}
    while waiting:
        waiting.discard(inbox.wait(lambda event: event.name == PART).value)
    yield assembly.ports, chips, inbox, told
    assembly.close()
    chips.close()
    wires.close()


def test_a_chip_is_inserted_and_a_stripe_swiped(shop):
    ports, chips, inbox, told = shop
    ports["chip"].activate(1)
    ports["stripe"].activate(2)
    chips.chip.insert(ContactCard(lambda command: b"\x6a\x83", "T=1"))
    assert inbox.wait(of(1)) == Event(CARD_FOUND, 1, "T=1")
    ports["chip"].transmit(3, READ)
    assert inbox.wait(of(3)) == Event(CARD_REPLY, 3, b"\x6a\x83")
    chips.stripe.swipe(SWIPE)
    assert inbox.wait(of(2)) == Event(CARD_SWIPED, 2, SWIPE)
    assert f"card swiped, {len(SWIPE)} characters" in told
    assert not any("6225" in line for line in told)


def test_a_pin_goes_from_the_keys_to_the_chip_and_nobody_sees_it(shop):
    ports, chips, inbox, told = shop
    got = []
    chips.chip.insert(ContactCard(lambda command: got.append(command) or b"\x63\xc2"))
    ports["chip"].activate(1)
    inbox.wait(of(1))
    ports["vault"].verify_pin(2, 4, 12, "plaintext", None, b"")
    chips.hands.type(["1", "2", "3", "4", "ENTER"])
    seen = [inbox.wait(of(2)) for _ in range(5)]
    assert seen == [Event(SECRET_TYPED, 2, n) for n in (1, 2, 3, 4)] + [Event(SECRET_READY, 2, 0x63C2)]
    assert got == [VERIFY]
    assert not any("1234" in line for line in told)


def test_power_lost_is_power_lost_for_the_card(shop):
    ports, chips, inbox, _ = shop
    card = ContactCard(lambda command: b"\x90\x00")
    chips.chip.insert(card)
    ports["chip"].activate(1)
    inbox.wait(of(1))
    assert card.powered
    chips.reset()
    assert not card.powered
