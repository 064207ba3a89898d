"""The HTTP API and who may use it."""

import http.client
import io
import json
import random
import socket
import threading

import pytest
from PIL import Image

from emulator.browser.server import FILES, Server
from tests.emulator.bench import no_threads_but, on, toy_device
from tests.toys import until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with toy_device(tmp_path_factory.mktemp("device")) as device:
        server = Server(device)
        server.start()
        yield server
        server.close()


@pytest.fixture
def device(server):
    server.device.plug()
    server.device.remove_card()
    server.device.rule("clear")
    return on(server.device)


def ask(server, method, path, body=None, **headers):
    """(status, headers, body) of one request; `headers` with _ for -, None leaves a usual one out."""
    sent = {"Host": f"127.0.0.1:{server.port}"}
    if method == "POST":
        sent["Content-Type"] = "application/json"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=40)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        if data is not None:
            sent.setdefault("Content-Length", str(len(data)))
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(data)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def get(server, path, **headers):
    status, _, body = ask(server, "GET", path, **headers)
    assert status == 200, body
    return json.loads(body)


def post(server, path, body, **headers):
    status, _, reply = ask(server, "POST", path, body, **headers)
    return status, json.loads(reply)


OK = (200, {"ok": True})


def test_a_program_types_and_sees(server, device):
    assert post(server, "/api/keys", {"keys": "12 3"}) == OK
    assert device.wait_screen("123")
    state = get(server, "/api/state")
    assert "123" in state["screen"]["lines"]
    assert state["power"] == "on"


def test_a_long_poll_ends_when_something_happens(server, device):
    number = get(server, "/api/state")["number"]
    finger = threading.Timer(0.1, device.fault, ("hot", True))
    finger.start()
    state = get(server, f"/api/state?since={number}")
    finger.join()
    device.fault("hot", False)
    assert state["number"] > number
    assert "paper" not in state


def test_pictures_are_png(server, device):
    for path in ("/api/screen.png", "/api/paper.png"):
        status, headers, body = ask(server, "GET", path)
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(body)).width >= 128


def test_cards_are_placed_and_removed(server, device):
    assert post(server, "/api/card", {"place": "debit"}) == OK
    assert device.on_reader == ["debit"]
    assert post(server, "/api/card", {"place": "credit"}) == OK
    assert post(server, "/api/card", {"remove": "debit"}) == OK
    assert device.on_reader == ["credit"]
    assert post(server, "/api/card", {"remove": True}) == OK
    assert device.on_reader == []
    assert post(server, "/api/card", {"place": "umbrella"})[0] == 409


def places(server):
    return {card["name"]: card["place"] for card in get(server, "/api/state")["cards"] if card["place"] != "shelf"}


def test_cards_are_inserted_pulled_and_swiped(server, device):
    assert post(server, "/api/card", {"insert": "debit"}) == OK
    assert places(server) == {"debit": "slot"}
    assert post(server, "/api/card", {"insert": "credit"})[0] == 409
    assert post(server, "/api/card", {"place": "debit"}) == OK
    assert places(server) == {"debit": "reader"}
    assert post(server, "/api/card", {"swipe": "debit"}) == OK
    assert post(server, "/api/card", {"insert": "credit"}) == OK
    assert places(server) == {"credit": "slot"}
    assert post(server, "/api/card", {"pull": True}) == OK
    assert places(server) == {}
    assert post(server, "/api/card", {"insert": "phone"})[0] == 409
    assert post(server, "/api/card", {"swipe": "phone"})[0] == 409


def test_paper_is_torn_off_and_kept(server, device):
    post(server, "/api/keys", {"keys": "5 ENTER"})
    assert device.wait_paper("typed 5")
    assert device.wait_screen("printed")
    assert post(server, "/api/paper", {"tear": True}) == OK
    torn = get(server, "/api/state")["paper"]["torn"]
    assert ask(server, "GET", f"/api/paper.png?torn={torn[-1]}")[0] == 200
    assert ask(server, "GET", "/api/paper.png?torn=999")[0] == 404


def test_power_goes_off_and_on(server, device):
    for act, power in (("crash", "crashed"), ("on", "on"), ("plug", "off"), ("on", "on"), ("off", "off")):
        assert post(server, "/api/power", {"do": act}) == OK
        assert get(server, "/api/state")["power"] == power


def test_faults_rules_and_points_are_set(server, device):
    assert post(server, "/api/fault", {"name": "paper-out", "on": True}) == OK
    assert get(server, "/api/state")["faults"]["paper-out"]
    assert post(server, "/api/fault", {"name": "paper-out", "on": False}) == OK
    assert post(server, "/api/fault", {"rule": "amount 12.51 decline 51"}) == OK
    assert get(server, "/api/state")["rules"]["now"] == ["amount 12.51 decline 51"]
    assert post(server, "/api/fault", {"stop": "typed"}) == OK
    assert get(server, "/api/state")["stop"] == "typed"
    device.stop_at("")


WRONG = [
    ("/api/keys", b"", 400, "not JSON"),
    ("/api/keys", b"[]", 400, "not a JSON object"),
    ("/api/keys", b"[" * 4000, 400, "not JSON"),
    ("/api/keys", b'{"keys": 1}', 400, "keys is a text"),
    ("/api/keys", b'{"keys": ""}', 400, "keys is a text"),
    ("/api/keys", b'{"keys": "NO"}', 409, "is no key"),
    ("/api/keys", b'{"keys": "1", "more": 2}', 400, "not known here: 'more'"),
    ("/api/card", b"{}", 400, "remove is a text"),
    ("/api/card", b'{"remove": false}', 400, "remove is a text"),
    ("/api/card", b'{"place": "debit", "remove": true}', 400, "not known here: 'remove'"),
    ("/api/card", b'{"place": null}', 400, "place is a text"),
    ("/api/card", b'{"insert": ""}', 400, "insert is a text"),
    ("/api/card", b'{"swipe": "debit", "insert": "debit"}', 400, "not known here: 'swipe'"),
    ("/api/card", b'{"swipe": "umbrella"}', 409, "no such card"),
    ("/api/card", b'{"pull": "debit"}', 400, "the slot is emptied by"),
    ("/api/card", b'{"pull": true, "more": 1}', 400, "not known here: 'more'"),
    ("/api/power", b'{"do": "explode"}', 400, "do is one of: on, off, plug, crash"),
    ("/api/fault", b'{"name": "paper-out"}', 400, "on is true or false"),
    ("/api/fault", b'{"name": "paper-out", "on": 1}', 400, "on is true or false"),
    ("/api/fault", b'{"name": "gremlins", "on": true}', 409, "no such fault"),
    ("/api/fault", b'{"rule": "nonsense"}', 409, "nonsense"),
    ("/api/paper", b'{"tear": false}', 400, "tear"),
    ("/api/nothing", b"{}", 404, "no such path"),
    ("/api/state", b"{}", 405, "GET this"),
    ("/", b"{}", 404, "no such path"),
]


@pytest.mark.parametrize(("path", "body", "status", "reason"), WRONG, ids=[f"{row[0]}-{row[1][:24].decode()}" for row in WRONG])
def test_a_bad_request_is_told_what_is_wrong(server, path, body, status, reason):
    got, reply = post(server, path, body)
    assert got == status
    assert reason in reply["error"]


@pytest.mark.parametrize("since", ["x", "-1", "1&since=2", "1e3", "9" * 40, "%C2%B2", "%00"])
def test_a_number_that_is_none_is_refused(server, since):
    status, _, body = ask(server, "GET", "/api/state?since=" + since)
    assert status == 400
    assert "number" in json.loads(body)["error"]


def test_what_is_posted_is_not_got(server):
    for path in ("/api/keys", "/api/power"):
        assert ask(server, "GET", path)[0] == 405


ELSEWHERE = ["/api/", "/api/state/", "/../server.py", "/page/../server.py", "/%2e%2e/server.py", "//etc/passwd", "/index.html"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_only_the_files_of_the_page_are_served(server, path):
    assert ask(server, "GET", path)[0] == 404


def test_the_page_loads_nothing_from_elsewhere(server):
    for path, (_, kind) in FILES.items():
        status, headers, body = ask(server, "GET", path)
        assert (status, headers["Content-Type"]) == (200, kind)
        text = body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and 'src="//' not in text
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert "style=" not in text and " onclick=" not in text


# -- who may ask


def foreign(server):
    ours = f"127.0.0.1:{server.port}"
    return [
        {"Host": "evil.example"},
        {"Host": f"evil.example:{server.port}"},
        {"Host": "127.0.0.1"},
        {"Host": f"{ours}.evil.example"},
        {"Host": ""},
        {"Host": None},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{ours}"},
        {"Origin": f"http://127.0.0.1:{server.port + 1}"},
        {"Origin": f"http://{ours}.evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ]


def test_other_sites_may_neither_ask_nor_act(server, device):
    pid = device.pid
    for headers in foreign(server):
        assert ask(server, "GET", "/api/state", **headers)[0] in (400, 403), headers
        assert ask(server, "GET", "/api/screen.png", **headers)[0] in (400, 403), headers
        assert ask(server, "POST", "/api/power", {"do": "plug"}, **headers)[0] in (400, 403), headers
    assert device.pid == pid
    assert device.power == "on"


def test_our_own_page_and_programs_may_ask(server):
    ours = f"127.0.0.1:{server.port}"
    for headers in (
        {},
        {"Origin": f"http://{ours}", "Sec_Fetch_Site": "same-origin"},
        {"Host": f"localhost:{server.port}", "Origin": f"http://localhost:{server.port}"},
        {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate"},
    ):
        assert ask(server, "GET", "/api/state", **headers)[0] == 200
        assert ask(server, "POST", "/api/fault", {"name": "hot", "on": False}, **headers)[0] == 200


def test_a_link_elsewhere_may_open_the_page_but_nothing_more(server):
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(server, "GET", "/", **link)[0] == 200
    assert ask(server, "GET", "/page.js", **link)[0] == 403
    assert ask(server, "GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", None])
def test_what_a_form_can_send_is_refused(server, kind):
    assert ask(server, "POST", "/api/power", {"do": "plug"}, Content_Type=kind)[0] == 415


def test_no_other_site_is_told_that_it_may_read(server):
    asked = (("GET", "/api/state", None), ("OPTIONS", "/api/power", None), ("POST", "/api/paper", {"tear": True}))
    for method, path, body in asked:
        _, headers, _ = ask(server, method, path, body, Origin="https://evil.example")
        assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_it_listens_on_this_machine_only(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


# -- bytes on the wire


def raw(server, data):
    """What the server sends back to these bytes until it closes; the connection is half closed after them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        received = b""
        while part := line.recv(65536):
            received += part
    return received


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /api/paper HTTP/1.1\r\nHost: H\r\nContent-Length: 99999999\r\n", b"413"),
        (b"POST /api/paper HTTP/1.1\r\nHost: H\r\nContent-Length: -1\r\n", b"411"),
        (b"POST /api/paper HTTP/1.1\r\nHost: H\r\n", b"411"),
        (b"POST /api/paper HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n", b"411"),
        (b"POST /api/paper HTTP/1.1\r\nHost: H\r\nContent-Length: 1\r\nContent-Length: 2\r\n", b"411"),
        (b"GET /api/state HTTP/1.1\r\nHost: H\r\nHost: H\r\n", b"403"),
        (b"DELETE /api/state HTTP/1.1\r\nHost: H\r\n", b"501"),
        (b"GET http://[ HTTP/1.1\r\nHost: H\r\n", b"400"),
        (b"GET\r\n", b"400"),
        (b"GET / HTTP/9.9\r\nHost: H\r\n", b"505"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 300, b"431"),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n", b"414"),
    ],
)
def test_a_malformed_request_is_refused_in_json(server, head, status):
    reply = raw(server, head.replace(b" H\r", b" 127.0.0.1:%d\r" % server.port) + b"\r\n")
    assert reply.split()[1] == status
    assert b"error" in reply and b"Traceback" not in reply


def test_any_bytes_leave_a_server_that_serves(server):
    chance = random.Random(8583)
    for _ in range(60):
        start = chance.choice((b"", b"GET /api/state HTTP/1.1\r\n", b"POST /api/keys HTTP/1.1\r\nContent-Length: 9\r\n\r\n"))
        raw(server, start + chance.randbytes(chance.randrange(200)))
    assert get(server, "/api/state")["session"]


def test_many_pages_can_watch_at_once(server, device):
    number = get(server, "/api/state")["number"]
    answers = []
    watchers = [threading.Thread(target=lambda: answers.append(get(server, f"/api/state?since={number}"))) for _ in range(12)]
    for watcher in watchers:
        watcher.start()
    device.keys("1")
    for watcher in watchers:
        watcher.join(30)
    assert len(answers) == 12


def serving():
    return [thread for thread in threading.enumerate() if "process_request" in thread.name]


def test_closing_lets_go_who_waits_and_leaves_no_thread(tmp_path):
    threads = set(threading.enumerate())
    with toy_device(tmp_path) as device:
        server = Server(device)
        server.start()
        number = get(server, "/api/state")["number"]
        answers = []

        def watch():
            try:
                answers.append(ask(server, "GET", f"/api/state?since={number}")[0])
            except http.client.RemoteDisconnected:
                answers.append("let go")  # before it was heard

        watcher = threading.Thread(target=watch)
        until(lambda: not serving())
        watcher.start()
        until(serving)
        server.close()
    watcher.join(10)
    assert answers in ([200], [503], ["let go"])
    assert no_threads_but(threads)
