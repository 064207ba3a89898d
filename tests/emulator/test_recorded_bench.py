"""Recorded cards on the bench: taken down at the port level and over the wires, and used as cards again."""

import json
import random
import stat

import pytest

from emulator import script
from emulator.cards import recorded
from emulator.cards.iso7816 import ContactCard
from emulator.recordings import Tape, opened
from emulator.world import World
from tests.emulator.bench import on, toy_device

NUMBER = bytes.fromhex("A1B2C3D4")
DAY, HOUR = "261121", "093000"
GOOD = json.dumps({"apdus": [{"c": "00A4040000", "r": "9000"}]})
OWN = ("sealed", "reference", "authorisation")  # of a sale, whatever the card is


def shop(seed=5, number=NUMBER):
    """A world that waits for a card for 12.34, and what the cards are told in it."""
    world = World(seed=seed)
    world.power_on()
    world.type("01 ENTER 0000 ENTER 1 1234 ENTER")
    world.until("挥卡")
    world.inject(number, DAY, HOUR)
    return world


def use(world, by, card, pin="", end="请撕下"):
    """The card is presented (`by`: a method of World), the PIN typed, the card taken away."""
    getattr(world, by)(card)
    if pin:
        world.until("请输")
        world.type(pin + " ENTER")
    away = (world.take, end) if by.startswith("place") else (world.pull, "请拔出")
    world.until(away[1])
    away[0]()
    world.until(end)


def sale(world):
    return {key: value for key, value in world.terminal.ledger.newest(1)[0].items() if key not in OWN}


@pytest.mark.parametrize(("by", "name", "pin"), [("place", "mastercard", False), ("insert", "debit", True)])
def test_a_recorded_sale_is_the_same_sale_again_with_the_same_number_day_and_hour(tmp_path, by, name, pin):
    first, again = tmp_path / "first.json", tmp_path / "again.json"
    world = shop()
    world.record(first)
    use(world, by, name, pin and world.shelf.card(name).pin)
    repeated = shop()
    repeated.record(again)
    use(repeated, by + "_recorded", first, pin and repeated.shelf.card(name).pin)
    assert not json.loads(first.read_text())["masked"]
    assert recorded.load(again).pairs == recorded.load(first).pairs
    assert sale(repeated) == sale(world)
    assert sale(world)["at"] == "20" + DAY + HOUR and "UNPR NO:A1B2C3D4" in "".join(sale(world)["chip"])


def test_a_recorded_card_is_told_another_number_and_its_bank_notices(tmp_path):
    first = tmp_path / "first.json"
    world = shop()
    world.record(first)
    use(world, "place", "mastercard")
    repeated = shop(number=bytes(4))
    use(repeated, "place_recorded", first, end="未扣款")
    assert repeated.bank.standing("KF000001") == []


def test_a_tap_that_proves_nothing_is_recorded_without_number_and_track(tmp_path):
    path = tmp_path / "tap.json"
    world = shop()
    world.record(path)
    use(world, "place", "debit")
    card, text = world.shelf.card("debit"), path.read_text()
    assert json.loads(text)["masked"] and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert card.pan not in text and card.pan[:6] in text and card.pan.encode().hex().upper() not in text
    assert card.stripe.split("=")[1][7:20] not in text


@pytest.mark.parametrize("name", ["unproven", "wrong-certificate"])
def test_a_chip_that_no_test_key_vouches_for_is_recorded_masked(tmp_path, name):
    path = tmp_path / "chip.json"
    world = shop()
    world.record(path)
    use(world, "insert", name, world.shelf.card(name).pin)
    card, text = world.shelf.card(name), path.read_text()
    holder = card.applications[0].holder
    assert json.loads(text)["masked"] and card.pan not in text and card.pin not in text
    assert holder.name.encode().hex().upper() not in text


def test_the_card_after_the_recorded_one_is_not_recorded(tmp_path):
    path = tmp_path / "one.json"
    world = shop()
    world.record(path)
    use(world, "place", "debit")
    written = path.read_bytes()
    world.place("credit")
    world.take()
    assert path.read_bytes() == written


# The tape


def spoken(tape, name, here):
    """A card that was told something, and whose place is said by `here`."""
    face = tape.around(name, ContactCard(lambda command: b"\x90\x00"))
    tape.begun(lambda: here[0])
    face.apdu(bytes.fromhex("00A4040000"))
    return face


def test_a_card_that_leaves_by_itself_is_written_when_somebody_looks(tmp_path):
    told, here = [], [True]
    tape = Tape(told.append)
    tape.order(tmp_path / "x.json")
    spoken(tape, "debit", here)
    tape.look()
    assert not told and not (tmp_path / "x.json").exists()
    here[0] = False
    tape.look()
    assert told == ["debit is recorded in x.json, 1 commands, masked"] and opened(tmp_path / "x.json").pairs


def test_the_order_stands_until_a_card_is_asked_something(tmp_path):
    tape, here = Tape(), [True]
    tape.order(tmp_path / "x.json")
    tape.around("debit", ContactCard(lambda command: b"\x90\x00"))
    tape.begun(lambda: False)
    assert not (tmp_path / "x.json").exists()
    spoken(tape, "credit", here)
    here[0] = False
    tape.look()
    assert json.loads((tmp_path / "x.json").read_text())["name"] == "credit"


def test_two_cards_are_not_recorded_at_once(tmp_path):
    tape = Tape()
    tape.order(tmp_path / "x.json")
    spoken(tape, "debit", [True])
    with pytest.raises(ValueError, match="debit is being recorded"):
        tape.order(tmp_path / "y.json")
    other = object()
    assert tape.around("credit", other) is other


def test_a_file_that_cannot_be_written_is_told_to_the_next_hand_and_only_to_that(tmp_path):
    (tmp_path / "x.json").mkdir()
    told, here = [], [True]
    tape = Tape(told.append)
    tape.order(tmp_path / "x.json")
    spoken(tape, "debit", here)
    here[0] = False
    tape.look()
    with pytest.raises(ValueError, match=r"x\.json: "):
        tape.complain()
    tape.complain()
    assert len(told) == 1 and "not recorded" in told[0]
    with pytest.raises(ValueError, match="no such folder"):
        tape.order(tmp_path / "nowhere" / "x.json")


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "neither JSON"), ('{"apdus": []}', "pairs are wanted"), ('{"apdus": [{"c": "00A4040000", "r": "9"}]}', "pair 1")],
)
def test_a_damaged_file_is_named_with_its_place(tmp_path, content, why):
    path = tmp_path / "torn.json"
    path.write_text(content)
    for use_it in (opened, World(seed=1).place_recorded, World(seed=1).insert_recorded):
        with pytest.raises(ValueError, match=f"torn.json: .*{why}"):
            use_it(path)
    with pytest.raises(ValueError, match=r"absent\.json: No such file"):
        opened(tmp_path / "absent.json")


def test_any_file_is_a_card_or_refused(tmp_path):
    chance, path = random.Random(13), tmp_path / "any.json"
    for _ in range(200):
        data = bytearray(GOOD.encode())
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            assert opened(path).pairs
        except ValueError as error:
            assert str(error).startswith("any.json: ")


# Over the wires


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with toy_device(tmp_path_factory.mktemp("toy")) as device:
        yield on(device)


def play(device, folder, text, **options):
    (folder / "play.txt").write_text(text, encoding="utf-8")
    return script.run(device, folder / "play.txt", **options)


def test_a_card_of_a_file_lies_where_a_card_lies(device, tmp_path):
    (tmp_path / "card.json").write_text(GOOD)
    device.tap_file(tmp_path / "card.json")
    assert device.on_reader == ["card.json"] and device.wait_screen("card A")
    device.insert_file(tmp_path / "card.json")
    assert device.on_reader == [] and device.in_slot == "card.json"
    with pytest.raises(ValueError, match=r"card\.json has no stripe"):
        device.swipe("card.json")
    device.pull()
    assert device.in_slot == ""


def test_a_script_sees_files_from_where_it_lies(device, tmp_path):
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "one.json").write_text(GOOD)
    assert play(device, tmp_path, "insert file cards/one.json\npull\ntap file cards/one.json\nremove card\n") == 4
    for line, why in (
        ("tap file absent.json", "absent.json: No such file"),
        ("record play.txt", "record NAME.json"),
        ("record ../x.json", "record NAME.json"),
    ):
        with pytest.raises((script.Failed, script.ScriptError)) as caught:
            play(device, tmp_path, line + "\n")
        assert why in str(caught.value)


def test_a_script_takes_a_card_down_beside_itself_or_into_the_folder_of_its_recording(device, tmp_path):
    seen = tmp_path / "seen"
    for record, folder in ((None, tmp_path), (seen, seen)):
        play(device, tmp_path, "record taken.json\ninsert debit\n", record=record)
        device.chips.chip.card.apdu(bytes.fromhex("00A404000E315041592E5359532E4444463031"))  # as the toy's reader would not
        device.pull()
        assert [entry.text for entry in device.log if "is recorded in taken.json, 1 commands" in entry.text]
        assert opened(folder / "taken.json").pairs[0].response.startswith(b"\x6f")
        play(device, tmp_path, "tap file taken.json\nremove card\n", record=record)


def test_a_card_that_leaves_the_reader_chip_by_itself_is_written_at_once(device, tmp_path):
    device.record(tmp_path / "torn.json")
    device.insert("debit")
    device.chips.chip.card.apdu(bytes.fromhex("00A404000E315041592E5359532E4444463031"))
    device.chips.chip.pull()
    assert opened(tmp_path / "torn.json").pairs and device.in_slot == ""


def test_closing_the_bench_takes_the_recorded_card_away(tmp_path):
    path = tmp_path / "late.json"
    tape = Tape()
    tape.order(path)
    spoken(tape, "debit", [True])
    tape.close()
    assert opened(path).name == "late.json"
