"""Serves the page and the API on this machine, to this machine's own page only.

What a foreign web site could try, and what is done about it:

    reach the port from another machine   bound to 127.0.0.1
    a name of its own that points here    the Host header must be one of ours (DNS rebinding)
    a form, fetch or image of its own     Origin must be ours, and Sec-Fetch-Site must not be another site;
                                          a POST must carry JSON, which no form can send
    put the page in a frame               refused by X-Frame-Options and the content security policy
    a script slipped into the page        the policy allows only the page's own files

A program without a browser sends neither Origin nor Sec-Fetch-Site and is served.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.browser import api

if TYPE_CHECKING:
    from emulator.device import Device

PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
IDLE_S = 60  # a connection that says nothing for so long is closed

_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


class PageServer(ThreadingHTTPServer):
    """Serves a page and what it asks for. port 0 takes any free one; `port` says which.

    folder, files    the page's own files: {path: (file, content type)}
    links            {path: address}: pages of other servers
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32
    folder = PAGE
    files = FILES

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.links: dict[str, str] = {}
        self.port: int = self.server_address[1]
        self.hosts = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        if self.port == 80:
            self.hosts |= {"127.0.0.1", "localhost"}
        self.origins = {"http://" + host for host in self.hosts}
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._thread: threading.Thread | None = None

    def ask(self, path: str, query: dict[str, list[str]]) -> api.Answer:
        """Answers a GET below /api/. Raises api.Refused."""
        raise NotImplementedError

    def tell(self, path: str, body: bytes) -> api.Answer:
        """Answers a POST. Raises api.Refused."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Serves from a thread of its own until `close`."""
        self._thread = threading.Thread(target=self._accept, name="browser", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                request, address = self.get_request()
            except OSError:
                self._closing.wait(0.1)  # out of file descriptors, or closing
                continue
            self.process_request(request, address)

    @property
    def closing(self) -> bool:
        return self._closing.is_set()

    def process_request_thread(self, request, client_address) -> None:
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)

    def close(self) -> None:
        """No more requests; those that wait are answered when what is served is closed."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        if self._thread:
            self._thread.join(5)
        self.server_close()
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RD)

    def handle_error(self, request, client_address) -> None:
        """A connection that broke is nobody's fault."""


class Server(PageServer):
    """Serves one device."""

    def __init__(self, device: Device, port: int = 0) -> None:
        self.device = device
        super().__init__(port)

    def ask(self, path: str, query: dict[str, list[str]]) -> api.Answer:
        return api.get(self.device, path, query)

    def tell(self, path: str, body: bytes) -> api.Answer:
        return api.post(self.device, path, body)


class Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "Kaifu"
    sys_version = ""
    timeout = IDLE_S
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        try:
            if self.server.closing:
                self.close_connection = True
                raise api.Refused(503, "the emulator is closing")
            body = self._body() if method == "POST" else b""
            self._check_sender(method)
            url = urllib.parse.urlsplit(self.path)
            if method == "POST":
                answer = self.server.tell(url.path, body)
            elif url.path.startswith("/api/"):
                answer = self.server.ask(url.path, urllib.parse.parse_qs(url.query))
            elif url.path in self.server.links:
                self._answer(302, "text/plain", b"", ("Location", self.server.links[url.path]))
                return
            else:
                answer = self._file(url.path)
            self._answer(200, answer.kind, answer.body)
        except api.Refused as refused:
            self._refuse(refused.status, str(refused))
        except ValueError:
            self._refuse(400, "the address is malformed")

    def _check_sender(self, method: str) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.server.hosts:
            raise api.Refused(403, "served as 127.0.0.1 and localhost only")
        origins = self.headers.get_all("Origin") or []
        if any(origin not in self.server.origins for origin in origins):
            raise api.Refused(403, "another site may not ask")
        site = self.headers.get("Sec-Fetch-Site", "none")
        opened_by_link = method == "GET" and self.path == "/" and self.headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in ("same-origin", "none") and not opened_by_link:
            raise api.Refused(403, "another site may not ask")

    def _body(self) -> bytes:
        lengths = self.headers.get_all("Content-Length") or []
        if self.headers.get("Transfer-Encoding") or len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            self.close_connection = True
            raise api.Refused(411, "say the body's length, once")
        if len(lengths[0]) > 9 or int(lengths[0]) > api.LONGEST_BODY:
            self.close_connection = True
            raise api.Refused(413, f"a body has at most {api.LONGEST_BODY} bytes")
        body = self.rfile.read(int(lengths[0]))
        if self.headers.get_content_type() != "application/json":
            raise api.Refused(415, "the body is JSON: Content-Type: application/json")
        return body

    def _file(self, path: str) -> api.Answer:
        found = self.server.files.get(path)
        if found is None:
            raise api.Refused(404, "no such path: " + path)
        name, kind = found
        return api.Answer(kind, (self.server.folder / name).read_bytes())

    def _refuse(self, status: int, why: str) -> None:
        self._answer(status, "application/json", json.dumps({"error": why}, ensure_ascii=False).encode())

    def _answer(self, status: int, kind: str, body: bytes, *more: tuple[str, str]) -> None:
        self.request_version = self.protocol_version  # whoever does not know HTTP is told in HTTP
        try:
            self.send_response(status)
            for name, value in (*_HEADERS, *more):
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True

    def send_error(self, code, message=None, explain=None) -> None:
        """What the library itself refuses (a malformed request, another method), in our form."""
        self.close_connection = True
        self._refuse(int(code), message or "refused")

    def log_message(self, format, *arguments) -> None:
        """Requests are not logged: they hold what was typed."""


def main(arguments) -> int:
    """`python -m emulator browser`: serves until Ctrl-C or SIGTERM."""
    import signal
    import sys
    import webbrowser

    from emulator.device import Device, Unusable

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        device = Device(arguments.folder, tls=True)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 1
    with device:
        try:
            server = Server(device, arguments.port)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "0 to 65535 are ports"
            print(f"port {arguments.port} cannot be had ({why}); try --port 0", file=sys.stderr)
            return 1
        server.links["/acquirer"] = device.town.open_page(arguments.port + 1 if arguments.port else 0)
        server.start()
        device.power_on()
        print(f"开付 Kaifu: {server.address}  (Ctrl-C ends it)", flush=True)
        print(f"收单主机 its acquirer: {server.links['/acquirer']}", flush=True)
        if arguments.open:
            webbrowser.open(server.address)
        stop.wait()
        server.close()
    return 0
