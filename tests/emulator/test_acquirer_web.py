"""The acquirer's page: what it shows of the books and the traffic, what a person can do there, and the host on its own."""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from emulator.acquirer import host as hosts
from emulator.acquirer import web
from emulator.acquirer.certificates import KINDS, Certificates
from emulator.acquirer.host import Host, HostError
from emulator.acquirer.profile import ProfileError
from emulator.acquirer.request import KINDS as MESSAGES
from emulator.acquirer.rules import ACTIONS, RuleError, parse
from emulator.acquirer.server import Server
from emulator.acquirer.tables import NAMES
from emulator.acquirer.watch import KEPT, Watched
from emulator.browser.server import Server as DevicePage
from firmware.iso8583 import batch, frame, unionpay
from tests import webdriver
from tests.emulator.acquirer_desk import Desk
from tests.emulator.bench import no_threads_but, toy_device
from tests.emulator.test_acquirer import CARD, HEADER, MERCHANT, NOW_S, OTHER, PIN, TERMINAL, TPDU, Till
from tests.emulator.test_acquirer_server import dial, read_frame

ROOT = Path(__file__).parents[2]
SCRIPT = (web.PAGE / "page.js").read_text(encoding="utf-8")


class Shop(Desk):
    """A till at a host that is watched, and the host's page."""

    def __init__(self, folder):
        Till.__init__(self)
        chance = random.Random(1)
        self.acquirer = Watched(self.books, clock=lambda: NOW_S, random=chance.randbytes, verify=lambda card, chip: True)
        self.sign_on()
        self.server = Server(self.acquirer, certificates=Certificates(folder)).start()
        self.page = web.Page(web.Desk(self.acquirer, self.server, {CARD: "借记卡 debit"}))
        self.page.start()

    def close(self):
        self.acquirer.changes.close()
        self.page.close()
        self.server.close()
        self.books.close()

    def request(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.page.port, timeout=40)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"} | headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def get(self, path):
        status, answer = self.request("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path, body):
        status, answer = self.request("POST", path, body)
        return answer["error"] if status != 200 else answer

    def table(self, name, find=""):
        return self.get(f"/api/table?name={name}&find={find}")["rows"]

    def settle_short(self):
        """A settlement in which the terminal names one sale less than the books have."""
        self.done("0200", self.sale(1000))
        self.done("0200", self.sale(234))
        private = unionpay.management(self.batch, "201")
        claimed = batch.totals(batch.Half(1000, 1, 0, 0, "0"), batch.NOTHING)
        self.ask("0500", {11: self.next_trace(), 48: claimed, 49: "156", 60: private, 63: b"01 "}, mac=False)
        listed = batch.items([batch.Item("00", "000002", CARD, 1000)])
        self.ask("0320", {11: self.next_trace(), 48: listed, 60: private}, mac=False)
        end = {11: self.next_trace(), 48: batch.count(1), 60: unionpay.management(self.batch, "202")}
        assert self.ask("0320", end, mac=False)[39] == "00"


OK = {"ok": True}


@pytest.fixture(scope="module")
def certificates_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture
def shop(certificates_folder):
    shop = Shop(certificates_folder)
    yield shop
    shop.close()


# What it shows


def test_sales_holds_and_takings_are_in_the_tables_and_no_card_number_is(shop):
    request, reply = shop.done("0200", shop.sale(1234, pin=PIN))
    shop.done("0200", shop.void(request, reply))
    shop.done("0100", shop.preauth(30_000))
    assert [(row["kind"], row["amount_fen"], row["state"]) for row in shop.table("transactions")] == [
        ("preauth", 30_000, "approved"),
        ("void", 1234, "approved"),
        ("sale", 1234, "voided"),
    ]
    (hold,) = shop.table("holds")
    assert (hold["amount_fen"], hold["state"], hold["merchant"]) == (30_000, "approved", MERCHANT)
    (card,) = shop.table("cards", CARD[-4:])
    assert card["card"] == CARD[:6] + "******" + CARD[-4:] and card["name"] == "借记卡 debit"
    assert (card["available_fen"], card["held_fen"]) == (470_000, 30_000)
    assert shop.table("merchants") == [{"number": MERCHANT, "takings_fen": 0, "terminals": 1}]
    (terminal,) = shop.table("terminals")
    assert terminal["signed_on"] and terminal["last"]["title"] == ["预授权 应答", "Pre-authorisation reply"]
    assert terminal["open"] == {"preauth": [1, 30_000], "sale": [1, 1234], "void": [1, 1234]}
    entries = shop.get("/api/statement?card=" + card["handle"])["rows"]
    assert [entry["amount_fen"] for entry in entries] == [1234, -1234]
    told = json.dumps([shop.table(name) for name in NAMES] + [shop.get("/api/state"), entries])
    for secret in (CARD, OTHER, PIN, CARD[6:]):
        assert secret not in told


def test_a_settlement_shows_both_totals_and_each_difference(shop):
    shop.settle_short()
    (row,) = shop.table("settlements")
    assert row["state"] == "settled" and row["uploaded"] == 1
    assert row["halves"][0] == {"claimed": [1000, 1, 0, 0], "booked": [1234, 2, 0, 0], "flag": "2"}
    assert [(one["trace"], one["what"], one["booked_fen"], one["uploaded_fen"]) for one in row["disputes"]] == [
        ("000003", "not-uploaded", 234, None)
    ]


def test_find_narrows_a_table_and_knows_no_more_of_a_card_than_is_shown(shop):
    shop.done("0200", shop.sale(1234))
    assert len(shop.table("cards")) == 3
    assert len(shop.table("cards", CARD[-4:])) == 1
    assert shop.table("cards", CARD[-5:]) == [] == shop.table("cards", CARD)
    assert len(shop.table("transactions", TERMINAL[:3])) == 1
    assert shop.table("transactions", "*") == shop.table("transactions")
    assert shop.table("terminals", "99") == []


def test_messages_are_told_decoded_and_masked_as_they_pass(shop):
    number = shop.get("/api/state")["number"]
    shop.ask("0200", shop.sale(1234, pin="000000"))
    state = shop.get("/api/state?since=%d" % number)
    asked, answered = state["traffic"]
    assert (asked["way"], asked["title"], asked["terminal"], asked["amount_fen"]) == ("in", ["消费", "Sale"], TERMINAL, 1234)
    assert (answered["way"], answered["code"]) == ("out", "55")
    (pin,) = [line for line in asked["lines"] if line.startswith("F52")]
    assert pin.endswith("(8 bytes)")
    assert shop.get("/api/state?since=%d" % number)["traffic"] == state["traffic"]


def test_a_long_poll_ends_with_the_next_message(shop):
    number = shop.get("/api/state")["number"]
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(shop.get("/api/state?since=%d" % number)))
    waiter.start()
    with dial(shop.server) as plug:
        plug.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plug.settimeout(5)
        while plug.recv(100):
            pass
    waiter.join(10)
    ((closed,),) = [answer["traffic"] for answer in answers]
    assert (closed["way"], closed["note"]) == ("closed", "TLS: not TLS: a browser?")


def test_no_more_messages_are_kept_than_a_page_shows(shop):
    for _ in range(KEPT):
        shop.acquirer.broken("nothing")
    assert len(shop.acquirer.heard()) == KEPT
    assert "nothing" not in repr(shop.acquirer.heard()[-1])


# What a person does


def test_rules_are_added_taken_back_and_cleared_and_a_wrong_one_says_what_is_wrong(shop):
    now = lambda: shop.get("/api/state")["rules"]["now"]  # noqa: E731
    assert shop.post("/api/rule", {"add": "amount 12.34 decline 51"}) == OK
    assert shop.post("/api/rule", {"add": "next 2 on sale silence"}) == OK
    assert now() == ["amount 12.34 decline 51", "next 2 on sale silence"]
    assert shop.answers("0200", shop.sale(500)) == []
    assert shop.post("/api/rule", {"remove": "next on sale silence"}) == OK
    assert shop.code("0200", shop.sale(1234)) == "51"
    assert shop.post("/api/rule", {"clear": True}) == OK and now() == []
    assert "response code" in shop.post("/api/rule", {"add": "next decline 999"})
    assert "no such rule" in shop.post("/api/rule", {"remove": "next silence"})
    assert CARD not in shop.post("/api/rule", {"add": f"card {CARD} decline 41"})


def test_the_line_is_cut_deafened_slowed_and_given_another_certificate(shop):
    assert shop.post("/api/line", {"down": True}) == OK
    with pytest.raises(OSError):
        dial(shop.server)
    assert shop.post("/api/line", {"down": False}) == OK
    for name, value in (("deaf", True), ("certificate", "expired"), ("latency_ms", 200), ("requirement", 3)):
        assert shop.post("/api/line", {name: value}) == OK
    line = shop.get("/api/state")["line"]
    assert (line["deaf"], line["certificate"], line["latency_ms"], line["requirement"]) == (True, "expired", 200, 3)
    ((delay_ms, reply),) = shop.answers("0820", {11: shop.next_trace(), 60: unionpay.management(shop.batch, "002")}, mac=False)
    assert delay_ms == 200 and frame.requirement(reply[7:13]) == "sign-on"


def test_a_card_is_reported_lost_and_found_again(shop):
    (card,) = shop.table("cards", CARD[-4:])
    assert shop.post("/api/card", {"card": card["handle"], "status": "lost"}) == OK
    assert shop.code("0200", shop.sale(500)) == "41"
    assert shop.post("/api/card", {"card": card["handle"], "status": "active"}) == OK
    assert shop.code("0200", shop.sale(500)) == "00"
    assert "no such card" in shop.post("/api/card", {"card": CARD, "status": "lost"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/rule", {}),
        ("/api/rule", {"add": "a", "clear": True}),
        ("/api/rule", {"clear": False}),
        ("/api/rule", {"add": 5}),
        ("/api/rule", ["add"]),
        ("/api/line", {"down": 1}),
        ("/api/line", {"latency_ms": -1}),
        ("/api/line", {"latency_ms": True}),
        ("/api/line", {"requirement": 10}),
        ("/api/line", {"certificate": "beautiful"}),
        ("/api/line", {"port": 1}),
        ("/api/card", {"card": "x"}),
        ("/api/card", {"card": 1, "status": "lost"}),
        ("/api/nothing", {}),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(shop, path, body):
    before = shop.get("/api/state")
    status, answer = shop.request("POST", path, body)
    assert status in (400, 404, 409) and answer["error"]
    after = shop.get("/api/state")
    assert (after["rules"], after["line"]) == (before["rules"], before["line"])


@pytest.mark.parametrize("path", ["/api/table?name=secrets", "/api/statement?card=x", "/api/state?since=x", "/api/x", "/x"])
def test_questions_that_have_no_answer_are_refused(shop, path):
    status, answer = shop.request("GET", path)
    assert status in (400, 404) and answer["error"]


def test_another_site_may_not_ask(shop):
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert shop.request("POST", "/api/rule", {"clear": True}, **headers)[0] == 403


# The page itself


def test_every_word_of_the_host_has_its_chinese_on_the_page():
    for table, names in (("ACTIONS", ACTIONS), ("KINDS", MESSAGES), ("CERTIFICATES", KINDS)):
        words = re.search(r"const %s = \{(.*?)\n\};" % table, SCRIPT, re.DOTALL)[1]
        known = set(re.findall(r'(?:^|[\s{,])"?([a-z][a-z-]*)"?: ["\[]', words))
        assert not [name for name in names if name not in known and not name.startswith(DOWNLOADS)]


DOWNLOADS = ("parameters", "card-key", "application", "blacklist", "limits", "status-upload")


def test_every_example_is_a_rule():
    for text in web.EXAMPLES:
        assert str(parse(text)) == text


@pytest.mark.skipif(not webdriver.available(), reason="chromium and chromium-driver are not installed: the page is not tried")
def test_a_person_reads_the_books_and_makes_the_host_decline(shop):
    shop.settle_short()
    with webdriver.Browser((1360, 820)) as browser:
        browser.open(shop.page.address)
        browser.until("return document.querySelectorAll('#table tbody tr').length === 2")
        browser.until("return document.querySelectorAll('#traffic li').length >= 10")
        browser.click("#tab-rules")
        browser.run("document.querySelector('#rule').value = 'amount 12.34 decline 51'")
        browser.click("#rule-form button")
        browser.until("return document.querySelector('#rules').textContent.includes('amount 12.34 decline 51')")
        shop.sign_on()
        assert shop.code("0200", shop.sale(1234)) == "51"
        browser.until("return document.querySelectorAll('#table tbody tr').length === 3")
        browser.until("return document.querySelector('#table tbody tr').textContent.includes('已拒绝')")
        browser.click("#rules button")
        browser.until("return document.querySelector('#rules .none') !== null")
        browser.click("#tab-settlements")
        browser.until("return document.querySelector('#table .fold') !== null")
        browser.click("#table .fold")
        browser.until("return document.querySelector('#table .inner') !== null")
        browser.until("return document.querySelector('#table .inner').textContent.includes('终端未上送')")
        browser.click("#tab-line")
        browser.click('[value="expired"]')
        browser.until("return document.querySelector('#line').classList.contains('odd')")
        assert shop.server.certificate == "expired"
        browser.click("#tab-traffic")
        browser.click("#traffic li:last-child summary")
        browser.until("return document.querySelector('#traffic li:last-child pre').offsetHeight > 0")
        assert CARD not in browser.run("return document.body.textContent")
        assert browser.complaints() == []


def test_the_devices_page_leads_to_its_acquirers_and_both_see_what_one_changes(tmp_path):
    with toy_device(tmp_path) as device:
        page = DevicePage(device)
        page.links["/acquirer"] = device.town.open_page()
        page.start()
        try:
            connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
            connection.request("GET", "/acquirer")
            reply = connection.getresponse()
            assert (reply.status, reply.headers["Location"]) == (302, device.town.open_page())
            connection.close()
            desk = device.town._page.desk
            desk.rule("card debit decline 41")
            assert device.town.rules()["now"] == desk.state()["rules"]["now"] != []
            number, since = device.changes.number, desk.state()["number"]
            desk.line("certificate", "expired")
            assert device.changes.newer(number) == ["faults"] and device.faults["tls-expired"]
            device.fault("tls-expired", False)
            device.rule("clear")
            state = desk.state(since)
            assert state["line"]["certificate"] == "good" and state["rules"]["now"] == []
        finally:
            page.close()


# The host on its own


def start(folder, *words):
    words = [sys.executable, "-m", "emulator.acquirer", "--port", "0", "--web-port", "0", "--data", str(folder), *words]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def test_a_host_on_its_own_says_how_to_reach_it_answers_and_ends(tmp_path):
    process = start(tmp_path, "--terminals", "25")
    said = ""
    try:
        while "Ctrl-C" not in said:
            said += process.stdout.readline()
        keys = json.loads((tmp_path / "keys.json").read_text())
        assert all(value in said for value in keys["master check values"])
        assert not [part for name in ("master", "transport") for part in keys[name] if part in said]
        assert "10000001 of merchant 898310053110001 to 10000025" in said
        fields = {41: "10000025", 42: "898310053110003", 60: unionpay.management("000001", "301")}
        echo = frame.pack(TPDU, HEADER, unionpay.codec().pack("0820", fields))
        with socket.create_connection(("127.0.0.1", int(re.search(r"port (\d+)", said)[1])), 5) as plug:
            plug.sendall(echo)
            assert unionpay.codec().unpack(read_frame(plug)[13:])[1][39] == "00"
        assert start(tmp_path).communicate(timeout=20)[1].startswith(str(tmp_path))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stdout.close()
        process.stderr.close()


def test_a_host_keeps_its_keys_cards_and_books_and_can_be_given_more_terminals(tmp_path):
    before = set(threading.enumerate())
    host = Host(tmp_path, 2)
    keys, authority = host.keys, host.authority
    master = keys["master"].value
    assert authority is None and [number for number, _ in host.terminals] == ["10000001", "10000002"]
    assert host.books.terminal("10000002").master_key == master
    assert len(host.books.cards()) == len(hosts.CARDS)
    host.close()
    assert no_threads_but(before)
    host = Host(tmp_path, 3, tls=True)
    try:
        assert host.keys == keys and host.books.terminal("10000002").batch == 1
        assert host.books.terminal("10000003").master_key == master
        assert "BEGIN CERTIFICATE" in host.authority.read_text()
        assert master.hex() not in repr(keys).lower() and (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
    finally:
        host.close()


def test_a_profile_gives_all_terminals_another_suite_and_new_keys_with_it(tmp_path):
    Host(tmp_path, 1).close()
    host = Host(tmp_path, 2, profile={"suite": "sm4"})
    try:
        for number in ("10000001", "10000002"):
            terminal = host.books.terminal(number)
            assert terminal.profile.suite == "sm4" and terminal.master_key == host.keys["master"].value
    finally:
        host.close()


def test_a_sale_with_a_card_of_the_file_is_approved_and_its_chip_believed_where_no_key_is_known(tmp_path):
    cards = tmp_path / "mine.json"
    cards.write_text(json.dumps([{"number": CARD, "expiry": "3012", "balance": "20.5", "pin": PIN, "name": "mine"}]))
    host = Host(tmp_path / "host", 1, cards=cards)
    try:
        till = Till()
        till.acquirer, till.books = host.acquirer, host.books
        host.books.add_terminal(TERMINAL, MERCHANT, bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
        till.sign_on()
        assert till.ask("0200", till.sale(2000, pin=PIN))[39] == "00"
        assert till.ask("0200", till.sale(100))[39] == "51"
    finally:
        host.close()


@pytest.mark.parametrize(
    ("files", "options", "error"),
    [
        ({}, {"terminals": 0}, HostError),
        ({"keys.json": '{"suite": "tdes"}'}, {}, HostError),
        ({"keys.json": '{"suite": "tdes", "master": ["00"]}'}, {}, HostError),
        ({"cards.json": "[{}]"}, {}, HostError),
        ({"cards.json": '[{"number": "x", "expiry": "3012", "balance": "1.00"}]'}, {}, HostError),
        ({}, {"profile": {"suite": "rot13"}}, ProfileError),
        ({"rules.txt": "next something"}, {"rules": ("rules.txt",)}, RuleError),
    ],
)
def test_files_that_are_no_good_are_named_and_nothing_is_left_running(tmp_path, files, options, error):
    before = set(threading.enumerate())
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if "rules" in options:
        options = {"rules": tuple(tmp_path / name for name in options["rules"])}
    with pytest.raises(error):
        Host(tmp_path, **{"terminals": 1} | options)
    assert no_threads_but(before)
    (tmp_path / "keys.json").unlink(missing_ok=True)
    (tmp_path / "cards.json").unlink(missing_ok=True)
    Host(tmp_path, 1).close()
