"""After a demo with distinctive numbers: no card number, PIN, password or key lies anywhere but with the cards and the bank.

Searched are the terminal's folder (as it lies, while running, after a crash and at the end; and each record as it is read),
the recording of the script, the page's live log and every answer of the HTTP API. Left out is the bench's own folder.
The search itself is tested by what it must find.
"""

import base64
import http.client
import io
import json
import os
import random
import sqlite3

import pytest
from PIL import Image, PngImagePlugin

from drivers.store import SqliteStore
from emulator import script, town
from emulator.browser.server import Server
from emulator.cards import shelf
from emulator.device import Device
from firmware.money import masked
from tests.emulator.secret_search import PNG, Searcher, of_bytes, of_digits, unpacked

SUPERVISOR, SYSTEM = "830417", "60471938"
PINS = {"debit": "907153862417", "credit": "561208394716", "pin-asking": "240986137554"}  # twelve digits: no chance finds
WRONG_PIN = "771634905218"

DEMO = f"""
patience 10 s
power on
wait screen 操作员号
keys 99 ENTER 12345678 ENTER
wait screen 终端信息
keys 4 4 12345678 ENTER
wait screen 请输入新密码
keys {SYSTEM} ENTER {SYSTEM} ENTER
wait screen 已修改
keys ENTER
wait screen 终端信息
keys 2
wait screen 主密钥校验
screenshot device
keys CANCEL
wait screen 管理
keys 4 5
wait screen 操作员号
keys 00 ENTER 123456 ENTER
wait screen 柜员管理
keys 4 4 123456 ENTER {SUPERVISOR} ENTER {SUPERVISOR} ENTER
wait screen 已修改
keys ENTER
wait screen 柜员管理
keys 4 5
wait screen 操作员号
keys 01 ENTER 0000 ENTER
wait screen 1 消费
keys 1 100001 ENTER
wait screen 请挥卡
tap debit
wait screen 请取走卡片
remove card
wait screen 无则按确认
keys {WRONG_PIN} ENTER
wait screen 密码错误
keys ENTER
wait screen 请挥卡
tap debit
wait screen 请取走卡片
remove card
wait screen 无则按确认
keys {PINS["debit"]} ENTER
wait screen 请撕下
keys ENTER
wait screen 1 消费
keys 1 1234 ENTER
wait screen 请挥卡
tap credit
wait screen 请撕下
remove card
keys ENTER
wait screen 1 消费
keys 3
wait screen 请挥卡
tap credit
wait screen 请取走卡片
remove card
wait screen 无则按确认
keys PIN:credit ENTER
wait screen 49,987.66
keys ENTER
wait screen 1 消费
keys 2
wait screen 主管密码
keys {SUPERVISOR} ENTER ENTER 1
wait screen 12.34
keys ENTER
wait screen 请挥卡
tap credit
wait screen 请撕下
remove card
crash
power on
wait screen 上笔交易
keys ENTER
wait screen 请撕下
keys ENTER
wait screen 操作员号
tear
rule next on sale wrong-mac
keys 01 ENTER 0000 ENTER
wait screen 1 消费
keys 1 2000 ENTER
wait screen 请挥卡
tap phone
wait screen 已冲正
remove card
keys ENTER
wait screen 1 消费
keys 4 1
wait screen 1,000.01
keys CANCEL
wait screen 1 消费
power off
"""


class Asked:
    """Every answer of the API, each different one once. pictures: whether it looks at them each time, or at the end only."""

    def __init__(self, server, pictures=True):
        self.server = server
        self.pictures = pictures
        self.answers = set()
        self.number = 0

    def get(self, path):
        return self._ask("GET", path, None)

    def post(self, path, body):
        return self._ask("POST", path, json.dumps(body))

    def news(self):
        """Every address that there is, as a page asks it: what has changed, and the pictures."""
        state = json.loads(self.get(f"/api/state?since={self.number}" if self.number else "/api/state"))
        self.number = state["number"]
        if not self.pictures:
            return
        self.get("/api/screen.png")
        self.get("/api/paper.png")
        for number in state.get("paper", {}).get("torn", ()):
            self.get(f"/api/paper.png?torn={number}")

    def everything(self):
        """The same from the beginning."""
        self.number = 0
        self.pictures = True
        self.news()
        self.get("/api/state?since=0")

    def _ask(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse().read()
        finally:
            connection.close()
        self.answers.add(answer)
        return answer


def prepared(folder, monkeypatch):
    """A device whose cards have long PINs, and the components that its master key was made of."""
    cards = folder / "bench" / "cards"
    shelf.load(cards, random.Random(os.urandom(16)))
    kept = json.loads((cards / shelf.FILE).read_text())
    for name, pin in PINS.items():
        kept["cards"][name]["pin"] = pin
    (cards / shelf.FILE).write_text(json.dumps(kept))
    components = []
    combine = town.combine
    monkeypatch.setattr(town, "combine", lambda parts: components.extend(map(bytes, parts)) or combine(parts))
    device = Device(folder, fast=True)
    store = SqliteStore(None, {}, device.terminal_folder)
    store.commit([("parameters", "pin.maximum", b"12", None)])
    store.close()
    return device, components


def secrets_of(device, components):
    """What must not be found, as the cards and the bank know it."""
    search = Searcher()
    for card in device.town.shelf.bank_cards():
        search.card("number of " + card.name, card.pan)
        search.key("issuer key of " + card.name, card.issuer_key)
    for name, pin in [*PINS.items(), ("debit", WRONG_PIN)]:
        search.digits("PIN of " + name, pin)
        search.add("PIN block of " + name, of_bytes(pin_block(pin, device.town.shelf.card(name).pan)))
        search.add("PIN field of " + name, of_bytes(pin_block(pin, "0" * 16)))
    search.digits("supervisor's password", SUPERVISOR)
    search.digits("system's password", SYSTEM)
    for number, component in enumerate(components, 1):
        search.key("component %d" % number, component)
    working_keys(device, search)
    return search


def working_keys(device, search):
    """The terminal's keys as the bank holds them now."""
    terminal = device.town.ledger.terminal(device.town.terminal_number)
    for name in ("master_key", "pin_key", "mac_key", "track_key"):
        key = getattr(terminal, name)
        if key:
            search.key(name, key)


def pin_block(pin, pan):
    """ISO 9564-1 format 0, before it is enciphered."""
    field = bytes.fromhex(("0%X" % len(pin) + pin).ljust(16, "F"))
    number = bytes.fromhex("0000" + pan[-13:-1])
    return bytes(a ^ b for a, b in zip(field, number, strict=True))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def records(folder):
    """Each record of the store as it is read, and what base64 in it says."""
    store = SqliteStore(None, {}, folder, read_only=True)
    try:
        found = []
        for table in ("parameters", "transactions", "traces", "totals", "counters", "operators"):
            for key, value in store.range(table):
                found += [key.encode(), value]
                if table == "transactions":
                    found.append(base64.b64decode(json.loads(value)["sealed"]))
        return b"\n".join(found)
    finally:
        store.close()


class Demo:
    """Where the demo has left anything: `places`, name: bytes."""

    def __init__(self, folder, monkeypatch):
        self.places = {}
        device, components = prepared(folder, monkeypatch)
        with device:
            server = Server(device)
            server.start()
            asked = Asked(server)
            steps = folder / "demo.txt"
            steps.write_text(DEMO, encoding="utf-8")
            self.search = secrets_of(device, components)
            keys = []

            def before(step):
                device.changes.touch("power")  # so that there is something new to answer
                asked.news()
                line = int(step.split(":")[1])
                if line % 16 == 0 or "crash" in step:
                    for name, data in files(device.terminal_folder).items():
                        self.places["terminal/%s at %d" % (name, line)] = data
                working_keys(device, self.search)  # each sign-on brings new ones
                keys.append(len(self.search))

            script.run(device, steps, folder / "recording", before)
            asked.everything()
            for body in ({"keys": PINS["debit"] + "x"}, {"keys": []}, {SYSTEM: 1}):
                asked.post("/api/keys", body)
            pan = device.town.shelf.card("debit").pan
            for path, body in (("/api/card", {"place": pan}), ("/api/fault", {"rule": "card " + pan + " decline 41"})):
                self.refused = asked.post(path, body)
            self.masks = [masked(card.pan).encode() for card in device.town.shelf.bank_cards()]
            self.log = "\n".join(entry.text for entry in device.log).encode()
            server.close()
            for name, data in files(device.terminal_folder).items():
                self.places["terminal/" + name] = data
            self.places["terminal's records"] = records(device.terminal_folder)
        for name, data in files(folder / "recording").items():
            self.places["recording/" + name] = data
        self.places["live log"] = self.log
        for number, answer in enumerate(sorted(asked.answers)):
            self.places["answer %d" % number] = answer
        self.components = len(components)
        self.key_changes = len(set(keys))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield Demo(tmp_path_factory.mktemp("demo"), patch)


def test_no_secret_lies_where_the_demo_left_anything(demo):
    if demo.search.find(b"\n".join(demo.places.values())):  # all at once is quicker; a picture's packed texts are looked at below
        found = {name: demo.search.find(data) for name, data in demo.places.items()}
        assert {name: what for name, what in found.items() if what} == {}
    pictures = [data for data in demo.places.values() if data.startswith(PNG)]
    assert pictures and not any(map(unpacked, pictures)), "a picture has a text in it"


def test_the_demo_left_something_in_every_place(demo):
    names = " ".join(demo.places)
    for part in ("store.db", "store.db-wal at", "vault", "kaifu.log", "recording/log.txt", "recording/paper.txt", "answer 9"):
        assert part in names, part
    everything = b"\n".join(demo.places.values())
    assert sum(mask in everything for mask in demo.masks) >= 2, "masked numbers are there"
    assert b"AT+QISEND" in demo.places["live log"] and b"AT+QISEND" in demo.places["recording/log.txt"], "it went by the modem"
    assert demo.components == 2 and demo.key_changes > 1
    assert b"keys ** ENTER **** ENTER\n" in demo.places["recording/log.txt"], "the step is kept, what was typed is not"


# -- the search is searched

NUMBER, KEY = "6212345678901234567", bytes.fromhex("8C1F6A03D97E42B5F0A1886D3C5E7712")
CODINGS = {
    "ASCII": lambda s: s.encode(),
    "UTF-16 little": lambda s: s.encode("utf-16-le"),
    "UTF-16 big": lambda s: s.encode("utf-16-be"),
    "groups": lambda s: " ".join(s[i : i + 4] for i in range(0, len(s), 4)).encode(),
    "BCD F behind": lambda s: bytes.fromhex(s + "F" * (len(s) % 2)),
    "BCD 0 before": lambda s: bytes.fromhex("0" * (len(s) % 2) + s),
    "BCD in track 2": lambda s: bytes.fromhex("3" + s + "D3512201" + "F" * (len(s) % 2 == 0)),
    "hex of ASCII": None,
    "swapped": lambda s: bytes(int(b[::-1], 16) for b in pairs(s + "F" * (len(s) % 2))),
    "base64": lambda s: base64.b64encode(s.encode()),
    "base64, one before": lambda s: base64.b64encode(b'"' + s.encode()),
    "base64, two before": lambda s: base64.b64encode(b'["' + s.encode() + b'"]'),
    "base64 of BCD": lambda s: base64.b64encode(b"\x5a\x0a" + bytes.fromhex(s + "F" * (len(s) % 2))),
    "base64 for addresses": lambda s: base64.urlsafe_b64encode(b">>>" + s.encode()),
}
CODINGS["hex of ASCII"] = lambda s: bytes.fromhex(s[: len(s) // 2 * 2]).hex().encode()
KEY_CODINGS = {
    "bytes": bytes,
    "hex": lambda k: k.hex().encode(),
    "HEX": lambda k: k.hex().upper().encode(),
    "hex in UTF-16": lambda k: k.hex().encode("utf-16-le"),
    "HEX in UTF-16": lambda k: k.hex().upper().encode("utf-16-be"),
    "swapped": lambda k: bytes(int("%02x" % b, 16) >> 4 | (b & 15) << 4 for b in k),
    "base64": base64.b64encode,
    "base64, one before": lambda k: base64.b64encode(b"k" + k),
    "base64, two before": lambda k: base64.b64encode(b"k:" + k),
    "base64 for addresses": base64.urlsafe_b64encode,
    "its first half": lambda k: k[:8],
    "its second half": lambda k: k[8:].hex().encode(),
}


def pairs(text):
    return [text[at : at + 2] for at in range(0, len(text), 2)]


def place_in_file(data):
    return b"noise \x00\xff" + data + b" noise"


def place_in_records(data):
    """A store's page, as SQLite writes it."""
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE record (value BLOB)")
        database.executemany("INSERT INTO record VALUES (?)", [(b"x" * 50,), (data,), (b"y" * 5000,)])
    image = database.serialize()
    database.close()
    return image


def place_in_json(data):
    return json.dumps({"log": [{"text": data.decode("latin-1")}]}, ensure_ascii=False).encode("latin-1")


def place_in_png(data, packed=True):
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", data.decode("latin-1"), zip=packed)
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "PNG", pnginfo=note)
    return file.getvalue()


PLACES = {
    "file": place_in_file,
    "store": place_in_records,
    "compressed text of a picture": place_in_png,
    "text of a picture": lambda data: place_in_png(data, False),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_planted_number_is_found_in_every_coding_and_place(coding, place):
    search = Searcher()
    search.card("card", NUMBER)
    search.digits("PIN", PINS["debit"])
    planted = CODINGS[coding](NUMBER)
    assert [name for name, _ in search.find(PLACES[place](planted))], "the number"
    assert "card" not in [name for name, _ in search.find(PLACES[place](CODINGS[coding](PINS["debit"])))]
    assert "PIN" in [name for name, _ in search.find(PLACES[place](CODINGS[coding](PINS["debit"])))], "the PIN"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("coding", KEY_CODINGS)
def test_a_planted_key_is_found_in_every_coding_and_place(coding, place):
    search = Searcher()
    search.key("key", KEY)
    assert search.find(PLACES[place](KEY_CODINGS[coding](KEY)))


def test_a_planted_password_and_pin_block_are_found():
    search = Searcher()
    search.digits("password", SUPERVISOR)
    search.add("block", of_bytes(pin_block(PINS["debit"], NUMBER)))
    assert search.find(place_in_json(b"keys 00 ENTER " + SUPERVISOR.encode())) == [("password", "text")]
    assert ("block", "bytes") in search.find(b"\x00" + pin_block(PINS["debit"], NUMBER))
    assert search.find(base64.b64encode(b"ab" + SUPERVISOR.encode() + b"c"))


def test_a_planted_secret_is_found_where_the_demo_looked(demo):
    """The same search, the same places, one secret more in each kind of place."""
    search = demo.search
    for name in ("terminal/store.db", "terminal/kaifu.log", "recording/log.txt", "live log", "answer 0", "terminal's records"):
        data = demo.places[name]
        middle = len(data) // 2
        for secret in (PINS["debit"].encode(), base64.b64encode(b"a" + PINS["debit"].encode())):
            assert search.find(data[:middle] + secret + data[middle:]), name


def test_first_six_and_last_four_are_not_a_find():
    search = Searcher()
    search.card("card", NUMBER)
    assert search.find(masked(NUMBER).encode() + b" " + NUMBER[:6].encode() + b" " + NUMBER[-4:].encode()) == []
    assert search.find(NUMBER[:9].encode()) == []


def test_noise_is_not_a_find():
    search = Searcher()
    search.card("card", NUMBER)
    search.key("key", KEY)
    for pin in PINS.values():
        search.digits("PIN", pin)
    noise = random.Random(4).randbytes(300_000)
    assert search.find(noise) == search.find(noise.hex().encode()) == search.find(base64.b64encode(noise)) == []


def test_every_form_of_a_number_is_long_enough_to_mean_something():
    for coding, form in [*of_digits(NUMBER, runs=True), *of_digits(SYSTEM), *of_digits(SUPERVISOR), *of_bytes(KEY)]:
        assert len(form) >= 4, coding
