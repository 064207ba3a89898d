"""After chips, stripes, offline PINs and files of cards: nothing of a card lies anywhere but with the cards and the bank.

What `test_secrets.py` searches after taps is searched here after insertions and swipes, with the same search; and what the
tools say of it, right and wrong: of a recorded card, of all that a card and a terminal said to each other, of an exception
file, of a call in which a secret stands where none belongs.
"""

import contextlib
import functools
import io
import json
import os

import pytest

from emulator import script
from emulator.browser.server import Server
from emulator.cards import builder
from emulator.cards.profile import Holder
from firmware.money import masked
from tests.emulator import test_secrets as secrets
from tests.emulator.secret_search import Searcher, of_bytes
from tools import __main__ as tools

NAME, OWN = "QUILLON/ZEPHYRINE", "8046913"  # on stripes and chips: the holder, and the issuer's own digits
TRACK3 = "5938270146827"  # own data of a third track
WRONG_PIN = "648205917386"
PINS = {
    "unproven": "903715286440", "offline-pin": "315902746183", "enciphered-pin": "728461095332", "stripe": "560893172945",
    "chip-dead": "194720658391", "listed": "837016429557",
}  # fmt: skip

DEMO = f"""
patience 15 s
power on
wait screen 操作员号
keys 01 ENTER 0000 ENTER
wait screen 1 消费
record unproven.json
keys 1 1234 ENTER
wait screen 插卡
insert unproven
wait screen 请输密码
keys PIN:unproven ENTER
wait screen 请拔出卡片
pull
wait screen 请撕下
keys ENTER
wait screen 1 消费
keys 1 1300 ENTER
wait screen 插卡
insert offline-pin
wait screen 请输密码
keys {WRONG_PIN} ENTER
wait screen 还可试2次
keys PIN:offline-pin ENTER
wait screen 请拔出卡片
pull
wait screen 请撕下
keys ENTER
wait screen 1 消费
keys 1 1400 ENTER
wait screen 插卡
insert enciphered-pin
wait screen 请输密码
keys PIN:enciphered-pin ENTER
wait screen 请拔出卡片
pull
wait screen 请撕下
keys ENTER
wait screen 1 消费
keys 1 1500 ENTER
wait screen 插卡
swipe stripe badly
swipe stripe
wait screen 请输密码
keys PIN:stripe ENTER
wait screen 请撕下
crash
power on
wait screen 上笔交易
keys ENTER
wait screen 请撕下
keys ENTER
wait screen 操作员号
keys 01 ENTER 0000 ENTER
wait screen 1 消费
keys 1 1600 ENTER
wait screen 插卡
insert chip-dead
wait screen 芯片读不出 请再插
pull
insert chip-dead
wait screen 请刷卡
pull
swipe chip-dead
wait screen 请输密码
keys PIN:chip-dead ENTER
wait screen 请撕下
keys ENTER
wait screen 1 消费
rule next on sale wrong-mac
keys 1 1700 ENTER
wait screen 插卡
insert listed
wait screen 请输密码
keys PIN:listed ENTER
wait screen 请拔出卡片
pull
wait screen 已冲正
keys ENTER
wait screen 1 消费
keys 1 1800 ENTER
wait screen 插卡
insert file unproven.json
wait screen 请输密码
keys {WRONG_PIN} ENTER
wait screen 请拔出卡片
pull
wait screen 交易失败
power off
"""


def used(device):
    return [device.town.shelf.card(name) for name in PINS]


def secrets_of(device, components):
    """What must not be found, as the cards and the bank know it."""
    search = Searcher()
    for card in used(device):
        application = card.applications[0]
        search.card("number of " + card.name, card.pan)
        for part in ("issuer_key", "mac_key", "data_key", "key"):
            search.key(f"{part} of {card.name}", getattr(application, part))
        search.track("track", card.expiry + application.holder.service + OWN)
        search.digits("PIN of " + card.name, card.pin)
        for pin in (card.pin, WRONG_PIN):
            own, plain = secrets.pin_block(pin, card.pan), secrets.pin_block(pin, "0" * 16)
            for block in (own, plain, b"\x2c" + plain[1:]):  # the last as VERIFY has it
                search.add("PIN block of " + card.name, of_bytes(block))
    search.digits("wrong PIN", WRONG_PIN)
    search.name("holder", NAME)
    search.digits("third track", TRACK3)
    for number, component in enumerate(components, 1):
        search.key("component %d" % number, component)
    secrets.working_keys(device, search)
    return search


def said_by(*words):
    """(status, all that a tool said)."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            status = tools.main(list(words))
        except SystemExit as end:
            status = end.code
    return status, out.getvalue().encode()


class Demo:
    """Where it has left anything: `places`, name: bytes. `heard`: all that passed between card and terminal, in clear."""

    def __init__(self, folder, patch):
        self.places, self.heard, self.status = {}, [], {}
        patch.setattr(secrets, "PINS", PINS)
        patch.setattr(builder, "Holder", functools.partial(Holder, name=NAME, discretionary=OWN))
        device, components = secrets.prepared(folder, patch)
        with device:
            server = Server(device)
            server.start()
            asked = secrets.Asked(server, pictures=False)
            steps = folder / "demo.txt"
            steps.write_text(DEMO, encoding="utf-8")
            stripe = device.town.shelf.card("stripe")
            stripe.stripe += f";01{stripe.pan}={TRACK3}?"
            tell, device.chips.chip._on_apdu = device.chips.chip._on_apdu, self.hear
            self.tell = tell
            self.search = secrets_of(device, components)

            def before(step):
                device.changes.touch("power")  # so that there is something new to answer
                asked.news()
                secrets.working_keys(device, self.search)
                if "crash" in step or "keys 1 " in step:
                    for name, data in secrets.files(device.terminal_folder).items():
                        self.places[f"terminal/{name} at {step.split(':')[1]}"] = data

            script.run(device, steps, folder / "recording", before)
            asked.everything()
            self.ask_wrongly(asked, device)
            self.masks = [masked(card.pan).encode() for card in used(device)]
            self.places["live log"] = "\n".join(entry.text for entry in device.log).encode()
            server.close()
            self.use_tools(folder, device)
            for name, data in secrets.files(device.terminal_folder).items():
                self.places["terminal/" + name] = data
            self.places["terminal's records"] = secrets.records(device.terminal_folder)
        for name, data in secrets.files(folder / "recording").items():
            self.places["recording/" + name] = data
        for number, answer in enumerate(sorted(asked.answers)):
            self.places["answer %d" % number] = answer

    def hear(self, direction, apdu):
        self.heard.append((direction, bytes(apdu)))
        self.tell(direction, apdu)

    def ask_wrongly(self, asked, device):
        """Whoever types a secret into the wrong place does not get it back."""
        card = device.town.shelf.card("stripe")
        groups = " ".join(card.pan[at : at + 4] for at in range(0, len(card.pan), 4))
        for secret in (card.pan, groups, card.stripe, f"{card.pan}D{card.expiry}", card.pin):
            for verb in ("insert", "swipe", "place", "remove"):
                asked.post("/api/card", {verb: secret})
            asked.post("/api/keys", {"keys": secret + "x"})
            asked.post("/api/keys", {"keys": "PIN:" + secret})
            asked.post("/api/fault", {"rule": "card " + secret + " decline 41"})
            asked.post("/api/fault", {"name": secret, "on": True})
            asked.post("/api/" + secret.replace(" ", "-"), {secret: 1})

    def use_tools(self, folder, device):
        """On what there is, and with secrets where none belong."""
        data, card = str(device.terminal_folder), device.town.shelf.card("enciphered-pin")
        live = folder / "live.txt"
        signs = {"command": "C: ", "answer": "R: "}
        live.write_text("\n".join(signs[direction] + apdu.hex() for direction, apdu in self.heard if apdu))
        listed, wrong, keys = folder / "listed.json", folder / "wrong.json", folder / "keys.json"
        listed.write_text(json.dumps({"exceptions": [card.pan for card in used(device)]}))
        wrong.write_text(json.dumps({"exceptions": [card.pan + "x"]}))
        keys.write_text(json.dumps({"keys": device.town.shelf.authority_rows()}))
        named, settings = folder / "named.json", folder / "settings.json"
        named.write_text(json.dumps({"applications": [{"aid": "A000000333010101", card.pan: 1}]}))
        settings.write_text(json.dumps({card.pan: card.pan}))
        key = card.applications[0].key.hex()
        record = str(folder / "recording" / "unproven.json")
        pieces = ["5A", "0A", *(card.pan[at : at + 4] for at in range(0, len(card.pan), 4))]
        for words in (
            ("cards", str(listed), "--data", data, "--show"), ("emv", record), ("emv", record, "--run"), ("emv", str(live)),
            ("emv", str(live), "--keys", str(keys)), ("emv", str(live), "--run", "--keys", str(keys)),
            ("cards", str(wrong), "--data", data), ("cards", str(named), "--data", data), ("cards", card.pan, "--data", data),
            ("cards", "a", card.pan, "--data", data), ("cards", "--data", key, "--show"), ("emv", *pieces), ("emv", card.pan),
            ("emv", "--keys", card.pan, "9000"), ("emv", record, "--amount", card.pan + "x"),
            ("emv", record, "--run", "--answer", card.pin), ("emv", record, "--case", card.stripe), ("emv", card.stripe),
            ("provision", "--data", data, "--component", key, "--component", key, "--check-value", key),
            ("provision", "--data", data, key), ("provision", "--data", data, "--settings", str(settings), "--component", record),
            (card.pan,),
        ):  # fmt: skip
            name = "tool " + " ".join(words)
            self.status[name], self.places[name] = said_by(*words)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield Demo(tmp_path_factory.mktemp("demo"), patch)


def test_nothing_of_a_card_lies_where_chips_and_stripes_left_anything(demo):
    if demo.search.find(b"\n".join(demo.places.values())):
        found = {name: demo.search.find(data) for name, data in demo.places.items()}
        assert {name: what for name, what in found.items() if what} == {}


def test_everything_that_was_to_be_searched_was_left(demo):
    names = " ".join(demo.places)
    for part in ("store.db", "store.db-wal at", "kaifu.log", "recording/log.txt", "recording/unproven.json", "answer 9"):
        assert part in names, part
    everything = b"\n".join(demo.places.values())
    assert sum(mask in everything for mask in demo.masks) >= 4, "masked numbers are there"
    assert b"exceptions 6" in everything and b"VERIFY plaintext PIN" in everything and b"VERIFY enciphered PIN" in everything
    assert all(status in (0, 1, 2) for status in demo.status.values()), demo.status
    assert b'"masked": true' in demo.places["recording/unproven.json"]


def test_what_passed_between_cards_and_terminal_had_every_secret_in_it(demo):
    """The same search on what only the bench heard: it finds number, track, name and PINs, the plain one as VERIFY has it."""
    found = {name for name, _ in demo.search.find(b"\n".join(apdu for _, apdu in demo.heard))}
    for name in ("number of offline-pin", "track", "holder", "PIN of offline-pin", "PIN block of offline-pin"):
        assert name in found, name
    assert "wrong PIN" in found and "PIN of enciphered-pin" not in found
    commands = [apdu for direction, apdu in demo.heard if direction == "command"]
    assert any(apdu[1:4] == b"\x20\x00\x88" for apdu in commands)
    everything = b"\n".join(demo.places.values())
    for apdu in commands:
        if apdu[1] == 0x20 and len(apdu) > 5:
            assert apdu[5:] not in everything and apdu[5:].hex().encode() not in everything.lower()


# -- the search is searched

CODINGS = {name: code for name, code in secrets.CODINGS.items() if name not in ("groups", "hex of ASCII")}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("place", secrets.PLACES)
def test_what_a_stripe_has_behind_the_number_is_found_in_every_coding(coding, place):
    search = Searcher()
    search.track("track", "3512220" + OWN)
    assert search.find(secrets.PLACES[place](CODINGS[coding]("3512220" + OWN)))
    assert not search.find(secrets.PLACES[place](CODINGS[coding]("3512220" + "0000000")))


def test_a_track_is_found_by_its_tail_where_the_number_is_masked():
    search = Searcher()
    search.track("track", "3512220" + OWN)
    assert search.find(b"621234******4567=3512220" + OWN.encode() + b"?")
    assert search.find(bytes.fromhex("5712621234000000004567D3512220" + OWN + "F"))


@pytest.mark.parametrize("form", [str, str.lower, str.title])
@pytest.mark.parametrize("place", secrets.PLACES)
def test_a_holders_name_is_found_in_every_coding(form, place):
    search = Searcher()
    search.name("holder", NAME)
    name = form(NAME)
    for data in (
        name.encode(), name.encode("utf-16-le"), name.encode("utf-16-be"), name.encode().hex().encode(),
        name.encode().hex().upper().encode(), *(secrets.base64.b64encode(b"x" * more + name.encode()) for more in range(3)),
    ):  # fmt: skip
        assert search.find(secrets.PLACES[place](data)), data
    assert not search.find(secrets.PLACES[place](b"QUILLON"))


def test_a_planted_secret_is_found_in_each_kind_of_place(demo):
    search = demo.search
    key = os.urandom(16)
    search.key("planted", key)
    for name in (
        "terminal/store.db",
        "terminal/kaifu.log",
        "recording/log.txt",
        "recording/unproven.json",
        "live log",
        "answer 0",
    ):
        data = demo.places[name]
        middle = len(data) // 2
        for secret in (PINS["listed"].encode(), NAME.encode(), key, ("0000000=3512220" + OWN).encode(), TRACK3.encode()):
            assert search.find(data[:middle] + secret + data[middle:]), name


def test_noise_is_no_find(demo):
    assert demo.search.find(os.urandom(300_000)) == []
