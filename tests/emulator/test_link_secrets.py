"""What the acquirer link has brought: typed card numbers, the SIM's PIN, master key components, working keys, sealed messages.

    at the port level   every kind of conversation, with a host that spoils its answers: store, logs of both ends, pages, paper
    on the wires        a day of a device whose line has no TLS, so that every message goes through the modem's AT commands in
                        clear: files, live log, recording, the page of the device and that of the acquirer
    in errors           what is said of messages that cannot be read, however they are spoilt

The search is that of `secret_search`; what must be found is planted.
"""

import base64
import contextlib
import http.client
import json
from functools import partial
from random import Random

import pytest

from drivers import kcv
from drivers.libcrypto import xor
from drivers.store import SqliteStore
from emulator import script
from emulator.acquirer import rules
from emulator.acquirer.tables import NAMES
from emulator.browser.server import Server
from emulator.device import Device
from emulator.world import TERMINAL
from firmware.iso8583 import unionpay
from firmware.iso8583.codec import Iso8583Error
from firmware.iso8583.describe import describe_fields
from firmware.money import masked
from tests import hostile_host
from tests.emulator import test_secrets as secrets
from tests.emulator.secret_search import Searcher, of_bytes
from tests.flows.test_keys import TRANSPORT, keyed
from tests.flows.test_keys import opened as opened_with_keys

SIM_PIN = "73918264"
PINS = {"debit": "318460972553", "credit": "640917352881", "pin-asking": "905527381640"}
TABLES = (
    "parameters", "transactions", "traces", "totals", "counters", "operators", "notices", "references", "refunds", "codes",
    "settlements", "settle_time", "downloads", "chores", "changes", "exceptions", "sms",
)  # fmt: skip


def opened(value):
    """A stored value, and what base64 in it says."""
    yield value
    with contextlib.suppress(ValueError):
        record = json.loads(value)
        for part in record.values() if isinstance(record, dict) else ():
            if isinstance(part, str):
                with contextlib.suppress(ValueError):
                    yield base64.b64decode(part, validate=True)


def cards_of(search, shelf):
    for card in shelf.bank_cards():
        search.card("number of " + card.name, card.pan)
        if len(card.pin) > 8:
            search.digits("PIN of " + card.name, card.pin)


def keys_of(search, bank, terminal):
    """The terminal's keys as the bank holds them now."""
    held = bank.terminal(terminal)
    for name in ("master_key", "pin_key", "mac_key", "track_key", "transport_key"):
        if getattr(held, name, None):
            search.key(name, getattr(held, name))


# -- at the port level


class Shop(hostile_host.Shop):
    """Everything that it shows, prints, writes and says is kept."""

    def __init__(self, seed=1):
        super().__init__(seed)
        self.search = Searcher()
        cards_of(self.search, self.shelf)
        self.search.key("master", self.master)
        self.seen = set()
        told = self.acquirer.log
        self.acquirer.log = lambda kind, text: (self.seen.add(text), told(kind, text))
        show = self.display.show
        self.display.show = lambda screen: (self.seen.add(self._text_of(screen)), show(screen))

    @staticmethod
    def _text_of(screen):
        return "\n".join([screen.title, *screen.lines, screen.big, *["%s %s" % row for row in screen.menu]])

    def step(self, until_ms):
        if self.acquirer.log and not self.time_ms % 7:  # each sign-on brings new ones
            keys_of(self.search, self.bank, TERMINAL)
        return super().step(until_ms)

    def places(self):
        keys_of(self.search, self.bank, TERMINAL)
        yield from (text.encode() for text in self.seen)
        yield from (text.encode() for _, text in self.log.lines)
        yield self.paper.encode()
        for table, key, value, index in self.store.image():
            yield from (table.encode(), key.encode(), (index or "").encode(), *opened(value))


SPOILT = ("any TPDU", "one bit", "any body", "any bitmap", "another card", "silence", "text of noise")


@pytest.mark.parametrize("kind", hostile_host.KINDS)
def test_nothing_secret_is_left_by_any_conversation_with_any_host(kind):
    for seed, fault in enumerate(SPOILT, 1):
        shop = Shop(seed)
        hostile_host.run(kind, fault, "ever", seed, kind == "sale", shop)
        data = b"\n".join(shop.places())
        assert shop.search.find(data) == [], fault
        assert masked(shop.shelf.card("debit").pan).encode() in data, "there is something to be searched"


@pytest.mark.parametrize("form", ["B", "tr31"])
def test_a_master_key_that_comes_from_the_host_is_in_no_store_and_in_no_log(form):
    shop = opened_with_keys({"host.master_id": "000042"}, transport=TRANSPORT)
    search, said = Searcher(), []
    search.key("transport", TRANSPORT)
    told, show = shop.acquirer.log, shop.display.show
    shop.acquirer.log = lambda kind, text: (said.append(text), told(kind, text))
    shop.display.show = lambda screen: (said.append(Shop._text_of(screen)), show(screen))
    keys_of(search, shop.bank, TERMINAL)
    shop.bank.set_profile(TERMINAL, {"transport_key": TRANSPORT, "master_reply": form})
    shop.walk(("4 管理", "6"), ("3 下载主密钥", "3"), ("主密钥已更换", "ENTER"), ("4 管理", None))
    keys_of(search, shop.bank, TERMINAL)
    data = "\n".join([*said, *[text for _, text in shop.log.lines]]).encode()
    data += b"\n".join(part for _, _, value, _ in shop.store.image() for part in opened(value))
    assert len(search) > 100 and b"999" in data and search.find(data) == []


# -- in errors


def messages():
    """Requests and replies with everything in them that must not be told."""
    pan, pin_block = "6258091764305218934", bytes.fromhex("9C4D17E2A85B3F60")
    search = Searcher()
    search.card("number", pan)
    search.add("PIN block", of_bytes(pin_block))
    search.track("track", "30122012093746511")
    key = bytes.fromhex("8C1F6A03D97E42B5F0A1886D3C5E7712")
    search.key("key", key)
    track = pan + "D30122012093746511"[: 37 - len(pan)]
    chip = bytes.fromhex("5A0A" + pan + "F" + "9F2608" + "0011223344556677" + "570B" + "6258091764305218934D30".ljust(22, "F"))
    head = {3: "000000", 4: "000000123456", 11: "000042", 41: "KF000001", 42: "898110153310001", 49: "156", 60: "22000001000601"}
    codec = unionpay.codec()
    request = {**head, 2: pan, 14: "3012", 22: "051", 23: "001", 25: "00", 26: "12", 35: track, 52: pin_block,
               53: "26" + "0" * 14, 55: chip, 64: bytes(8)}  # fmt: skip
    keys = {11: "000042", 41: "KF000001", 42: "898110153310001", 39: "00", 60: "00000001003", 62: key + bytes(4) + key + bytes(4)}
    listed = {**head, 48: "01" + "00" + "000042" + "0" + pan + "000000123456", 60: "00000001201"}
    del listed[3], listed[4], listed[49]
    return search, [codec.pack("0200", request), codec.pack("0810", keys), codec.pack("0320", listed)]


def spoilt(message, chance):
    data = bytearray(message)
    for _ in range(chance.randrange(1, 4)):
        act = chance.randrange(5)
        at = chance.randrange(len(data))
        if act == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif act == 1:
            del data[at : at + chance.randrange(1, 12)]
        elif act == 2:
            data[at:at] = chance.randbytes(chance.randrange(1, 6))
        elif act == 3:
            data[2 + chance.randrange(8)] = chance.randrange(128)  # the bitmap: everything moves to another field
        else:
            del data[max(12, at) :]
        if len(data) < 12:
            break
    return bytes(data)


def test_no_error_says_what_was_in_the_message_however_it_is_spoilt():
    search, whole = messages()
    codec, chance, said = unionpay.codec(), Random(11), set()
    for message in whole:
        for _ in range(4_000):
            try:
                codec.unpack(spoilt(message, chance))
            except Iso8583Error as error:
                said.update((str(error), error.image, repr(error)))
    assert len(said) > 1_000
    assert search.find("\n".join(sorted(said)).encode()) == []
    assert search.find(b"\n".join(whole)), "it was in the messages"


def test_no_line_of_a_log_says_it_either():
    search, whole = messages()
    for message in whole:
        lines = "\n".join(describe_fields(*unionpay.codec().unpack(message), parts=True))
        assert search.find(lines.encode()) == []


@pytest.mark.parametrize(
    "text",
    ["card {} decline 41", "{}", "{} decline 41", "amount {} decline 51", "tail {} decline 51", "next on {} silence", "next {}",
     "next decline {}", "next {} silence", "next silence {}", "next on sale late {}", "always require {}", "next script {}"],
)  # fmt: skip
def test_a_rule_with_a_card_number_in_the_wrong_place_is_refused_without_it(text, tmp_path):
    search, _ = messages()
    typed = text.format("6258091764305218934")
    with pytest.raises(rules.RuleError) as refusal:
        rules.parse(typed)
    file = tmp_path / "rules.txt"
    file.write_text("# one line\n" + typed + "\n")
    with pytest.raises(rules.RuleError) as in_file:
        rules.Rules().load(file)
    assert search.find((str(refusal.value) + "\n" + str(in_file.value)).encode()) == []


# -- on the wires

DAY = """
patience 20 s
parameter module.moto true
parameter module.offline true
power on
wait screen 操作员号
keys 99 ENTER 12345678 ENTER
wait screen 终端信息
wait 2000 ms
keys 6 2
wait screen 3DES 128
keys 1
wait screen 主密钥分量1
keys {one} ENTER
wait screen 校验值
keys {check_one} ENTER
wait screen 主管密码
keys 123456 ENTER
wait screen 主密钥分量2
keys {two} ENTER
wait screen 校验值
keys {check_two} ENTER
wait screen 主密钥校验值
keys {check} ENTER
wait screen 主密钥已更换
keys ENTER
wait screen 终端信息
keys 4
wait screen 签到
keys 5
wait screen 操作员号
keys 01 ENTER 0000 ENTER
wait screen 1 消费
sim asks
expect modem off
keys 6 6 5
wait screen SIM卡密码
keys PIN:sim ENTER
expect modem online
keys CANCEL CANCEL
wait screen 1 消费
keys 9
wait screen 订购
keys 3
wait screen 请输入金额
keys 2500 ENTER
wait screen 请输入卡号
keys CARD:debit ENTER
wait screen 有效期
keys EXPIRY:debit ENTER
wait screen 请核对金额
keys ENTER
wait screen 请撕下
keys ENTER
wait screen 1 消费
modem storm
keys 1 100001 ENTER
wait screen 请挥卡
tap credit
wait screen 请取走卡片
remove card
wait screen 无则按确认
keys PIN:credit ENTER
wait screen 请撕下
keys ENTER
wait screen 1 消费
modem back
rule next on refund cut-after
keys 7
wait screen 主管密码
keys 123456 ENTER
wait screen 原参考号
keys ENTER
wait screen 1,000.01
keys 1
wait screen 确认退货
keys ENTER
wait screen 请输入金额
keys 617 ENTER
wait screen 请挥卡
tap credit
wait screen 请撕下
remove card
keys ENTER
wait screen 1 消费
rule next on offline-sale decline 05
keys 9
wait screen 离线结算
keys 1
wait screen 主管密码
keys 123456 ENTER
wait screen 请输入金额
keys 8000 ENTER
wait screen 请输入卡号
keys CARD:credit ENTER
wait screen 有效期
keys EXPIRY:credit ENTER
wait screen 银行授权码
keys 123456 ENTER
wait screen 请核对金额
keys ENTER
wait screen 请撕下
keys ENTER
wait screen 上送被拒
crash
power on
wait screen 操作员号
keys 01 ENTER 0000 ENTER
wait screen 1 消费
rule next on sale cut-after
keys 1 1234 ENTER
wait screen 请挥卡
tap debit
wait screen 已冲正
remove card
keys ENTER
wait screen 1 消费
rule next on settlement unbalance
rule next on batch-list decline 30
keys 6 9
wait screen 净额
keys ENTER
wait screen 新批次号
keys ENTER
wait screen 打印交易明细
keys ENTER
wait screen 打印失败明细
keys ENTER
wait screen 1 消费
power off
"""


class Day:
    """Where the day has left anything: `places`, name: bytes. wire: what the modem alone has heard, in clear."""

    def __init__(self, folder, patch):
        self.places, self.wire = {}, []
        patch.setattr(secrets, "PINS", PINS)
        patch.setattr(secrets, "Device", partial(Device, tls=False))
        device, components = secrets.prepared(folder, patch)
        one, two = components
        with device:
            device.radio.card.pin = SIM_PIN
            server = Server(device)
            server.start()
            asked = secrets.Asked(server, pictures=False)
            steps = folder / "day.txt"
            short = lambda key: keyed(kcv.check_value("tdes", key).hex().upper()[:6])  # noqa: E731
            steps.write_text(
                DAY.format(
                    one=keyed(one.hex().upper()), two=keyed(two.hex().upper()), check_one=short(one), check_two=short(two),
                    check=short(bytes(xor(one, two))),
                ),
                encoding="utf-8",
            )  # fmt: skip
            search = self.search = Searcher()
            cards_of(search, device.town.shelf)
            for name, pin in PINS.items():
                own, plain = secrets.pin_block(pin, device.town.shelf.card(name).pan), secrets.pin_block(pin, "0" * 16)
                search.add("PIN block of " + name, [*of_bytes(own), *of_bytes(plain)])
            search.digits("PIN of the SIM", SIM_PIN)
            for number, component in enumerate((one, two), 1):
                search.key("component %d" % number, component)
            keys_of(search, device.town.ledger, device.town.terminal_number)
            modem, feed = device.chips.modem, device.chips.modem._feed
            modem._feed = lambda: (self.wire.append(bytes(modem._in)), feed())
            self.page = device.town.open_page()

            def before(step):
                device.changes.touch("power")
                asked.news()
                keys_of(search, device.town.ledger, device.town.terminal_number)
                if "crash" in step or "rule" in step:
                    for name, data in secrets.files(device.terminal_folder).items():
                        self.places["terminal/%s at %s" % (name, step.split(":")[1])] = data

            script.run(device, steps, folder / "recording", before)
            asked.everything()
            self._ask_the_bank(device)
            self._ask_wrongly(asked, device)
            self.masks = [masked(card.pan).encode() for card in device.town.shelf.bank_cards()]
            self.places["live log"] = "\n".join("%s %s" % (entry.kind, entry.text) for entry in device.log).encode()
            self.paper = device.all_paper_text
            self.places["paper"] = self.paper.encode()
            server.close()
            for name, data in secrets.files(device.terminal_folder).items():
                self.places["terminal/" + name] = data
            self.places["terminal's records"] = records(device.terminal_folder)
        for name, data in secrets.files(folder / "recording").items():
            self.places["recording/" + name] = data
        for number, answer in enumerate(sorted(asked.answers)):
            self.places["answer %d" % number] = answer

    def _ask_the_bank(self, device):
        """Everything that the acquirer's page can be asked, and a few things that nobody should."""
        pan = device.town.shelf.card("debit").pan
        paths = ["/api/state", *("/api/table?name=" + name for name in NAMES)]
        paths += ["/api/table?name=%s&find=%s" % (name, pan) for name in NAMES]
        paths += ["/api/table?name=" + pan, "/api/" + pan, "/api/statement?card=" + pan, "/api/statement?merchant=" + pan]
        for path in paths:
            self.places["bank " + path.replace(pan, "PAN")] = self._bank("GET", path)
        cards = json.loads(self.places["bank /api/table?name=cards"])["rows"]
        for number, row in enumerate(cards):
            handle = next((value for name, value in row.items() if name in ("handle", "card")), "")
            self.places["bank statement %d" % number] = self._bank("GET", "/api/statement?card=%s" % handle)
        for number, body in enumerate(({"add": "card %s decline 41" % pan}, {"add": pan}, {pan: pan}, {"remove": pan})):
            self.places["bank rule %d" % number] = self._bank("POST", "/api/rule", body)
        self.places["bank card"] = self._bank("POST", "/api/card", {"card": pan, "status": "lost"})
        self.places["bank line"] = self._bank("POST", "/api/line", {"certificate": pan})

    def _bank(self, method, path, body=None):
        host = self.page.split("//")[1].rstrip("/")
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            words = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, json.dumps(body) if body else None, words)
            return connection.getresponse().read()
        finally:
            connection.close()

    def _ask_wrongly(self, asked, device):
        """Whoever types a secret into the wrong place does not get it back."""
        for secret in (device.town.shelf.card("debit").pan, SIM_PIN):
            for word in ("signal", "tower", "sim", "network", "modem", "rule", "name"):
                for path in ("/api/radio", "/api/modem", "/api/fault", "/api/" + word):
                    asked.post(path, {word: secret})


def records(folder):
    """Each record of the store as it is read, and what base64 in it says."""
    store = SqliteStore(None, {}, folder, read_only=True)
    found = []
    try:
        for table in TABLES:
            for key, value in store.range(table):
                found += [key.encode(), *opened(value)]
    finally:
        store.close()
    return b"\n".join(found)


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield Day(tmp_path_factory.mktemp("day"), patch)


def test_nothing_secret_lies_where_the_day_has_left_anything(day):
    if day.search.find(b"\n".join(day.places.values())):
        found = {name: day.search.find(data) for name, data in day.places.items()}
        assert {name: what for name, what in found.items() if what} == {}


def test_the_day_has_left_something_in_every_place(day):
    names = " ".join(day.places)
    for part in (
        "store.db",
        "store.db-wal at",
        "kaifu.log",
        "recording/log.txt",
        "answer 9",
        "bank /api/state",
        "bank statement 3",
    ):
        assert part in names, part
    everything = b"\n".join(day.places.values())
    assert sum(mask in everything for mask in day.masks) >= 2
    records = day.places["terminal's records"]
    for part in (b'"sealed"', b'"refund"', b'"offline-sale"', b'"moto"', b'"reversed"'):
        assert part in records, part
    assert b'"message"' in everything, "of the refund, sealed"
    assert b"modem" in day.places["live log"] and b"0320" in day.places["live log"] and b"0500" in day.places["live log"]
    assert "被平台拒绝" in day.paper or "失败" in day.paper


def test_what_went_through_the_modem_had_them_in_it(day):
    """The same search on what only the module heard: it finds the numbers in the messages, and the PIN that the SIM was given."""
    found = {name for name, _ in day.search.find(b"\n".join(day.wire))}
    assert {"number of debit", "number of credit", "PIN of the SIM"} <= found
    assert not [name for name in found if "key" in name or "component" in name or "PIN block" in name or name == "PIN of credit"]


def test_a_planted_secret_is_found_in_each_kind_of_place(day):
    for name in ("terminal/store.db", "terminal/kaifu.log", "recording/log.txt", "live log", "answer 0", "bank /api/state"):
        data = day.places[name]
        middle = len(data) // 2
        for secret in (SIM_PIN.encode(), base64.b64encode(b"ab" + SIM_PIN.encode()), PINS["debit"].encode()):
            assert day.search.find(data[:middle] + secret + data[middle:]), name


def test_noise_is_no_find(day):
    assert day.search.find(Random(3).randbytes(300_000)) == []
