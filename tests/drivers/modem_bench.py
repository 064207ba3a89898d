"""A bench for the modem's driver in virtual time: its line is in memory, and a scripted module answers.

The driver's thread runs until it waits; then the test looks, and lets time pass up to what is due next. A module is a
table: command -> lines of its answer, None for silence, or a function of the command. An hour takes milliseconds.
"""

import heapq
import re
import threading

from drivers.modem import AtModem
from drivers.modem_line import LineError

PATIENCE_S = 10.0  # of the real world: a driver that does not come to rest in it loops


class Bench:
    """`drivers.modem_line.Line` for the driver, and the hand on the clock for the test."""

    def __init__(self, peer, part=None, **more):
        self.time = 0.0
        self.peer = peer
        peer.bench = self
        self.events = []
        self.baud = None
        self.there = True
        self.waits = 0
        self._there_was = True
        self._inbox = bytearray()
        self._turn = threading.Condition()
        self._parked = None  # until when the driver waits
        self._rung = False
        self._due = []
        self._count = 0
        self.port = AtModem(self.events.append, {"profile": "ec20", **(part or {})}, "", line=self, **more)

    # The line.

    def now(self):
        return self.time

    def open(self, baud):
        if not self.there:
            raise LineError("away")
        self.baud = baud

    def close(self):
        self.baud = None

    def shut(self):
        pass

    def read(self):
        if self.baud is None or not self.there:
            raise LineError("away")
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    def write(self, data):
        if self.baud is None or not self.there:
            raise LineError("away")
        if self.baud == self.peer.baud:
            self.peer.hear(bytes(data))

    def wait(self, until):
        with self._turn:
            if self._inbox and self.baud is not None or self._rung or until <= self.time:
                self._rung = False
                return
            self._parked = until
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: self._parked is None, PATIENCE_S), "the test has left"

    def wake(self):
        with self._turn:
            self._rung = True
            if self._parked is not None:
                self._parked = None
                self._rung = False
                self._turn.notify_all()

    # The test.

    def later(self, seconds, act):
        self._count += 1
        heapq.heappush(self._due, (self.time + seconds, self._count, act))

    def say(self, data):
        """Bytes from the module, now."""
        self._inbox += data

    def until(self, condition, limit_s=20_000):
        """Lets time pass until it is so."""
        end = self.time + limit_s
        while True:
            self._rest()
            if condition():
                return
            assert self.time < end, (self.port.status(), self.peer.asked[-12:])
            self._go(end)

    def run(self, seconds):
        """Lets so much time pass."""
        end = self.time + seconds
        self.until(lambda: self.time >= end, seconds + 1)

    def _rest(self):
        with self._turn:
            rested = self._turn.wait_for(lambda: self._parked is not None or not self.port._thread.is_alive(), PATIENCE_S)
            assert rested, "the driver does not come to rest: %s" % self.peer.asked[-12:]
            assert self.port._thread.is_alive() and self.port.fault is None, self.port.fault

    def _go(self, end):
        with self._turn:
            self.waits += 1
            # A port that goes away says so at once, and one that is back is looked at when the driver looks.
            moved = self.there != self._there_was and self.baud is not None
            self._there_was = self.there
            if not (self._inbox and self.baud is not None) and not moved:
                due = min([self._parked, end] + [one[0] for one in self._due[:1]])
                self.time = max(self.time, due)
                while self._due and self._due[0][0] <= self.time:
                    heapq.heappop(self._due)[2]()
            self._parked = None
            self._turn.notify_all()

    def start(self):
        self.port.start()
        return self

    def up(self):
        """Started, and with an address."""
        self.start()
        self.until(lambda: self.port.status()["address"])
        return self

    def close_all(self):
        self._turn.acquire()
        self.port._closing = True
        self._parked = None
        self._turn.notify_all()
        self._turn.release()
        self.port._thread.join(PATIENCE_S)
        assert self.port.fault is None

    def open_socket(self, address="10.0.0.1", port=8583, timeout_ms=30_000):
        stream = Stream()
        stream.handle = self.port.open_socket(address, port, timeout_ms, stream.on_event)
        return stream

    def said(self, name):
        """Values of the events of this name, so far."""
        return [event.value for event in self.events if event.name == name]


class Stream:
    def __init__(self):
        self.events, self.data, self.handle = [], b"", None

    def on_event(self, name, value):
        if name == "data":
            self.data += value
        else:
            self.events.append((name, value))

    @property
    def up(self):
        return ("up", None) in self.events

    @property
    def why(self):
        return self.events[-1][1] if self.events and self.events[-1][0] == "down" else None


HEALTHY = {
    "AT+CFUN?": "+CFUN: 1\nOK",
    "AT+GSN": "860000051234563\nOK",
    "AT+CPIN?": "+CPIN: READY\nOK",
    "AT+CIMI": "460011234567890\nOK",
    "AT+QCCID": "+QCCID: 89860012345678901234\nOK",
    "AT+CICCID": "+ICCID: 89860012345678901234\nOK",
    "AT+CCID": "+CCID: 89860012345678901234\nOK",
    "AT+CSQ": "+CSQ: 25,99\nOK",
    "AT+CEREG?": '+CEREG: 2,1,"18BE","8608A7B",7\nOK',
    "AT+CGREG?": "+CGREG: 2,0\nOK",
    "AT+CREG?": '+CREG: 2,1,"18BE","8608A7B",7\nOK',
    "AT+QLTS=2": '+QLTS: "2026/11/20,10:34:05+32,0"\nOK',
    "AT+CCLK?": '+CCLK: "26/11/20,10:34:05+32"\nOK',
    "AT+QIACT?": '+QIACT: 1,1,1,"10.7.8.9"\nOK',
    "AT+NETOPEN": "OK\n+NETOPEN: 0",
    "AT+NETCLOSE": "OK\n+NETCLOSE: 0",
    "AT+IPADDR": "+IPADDR: 10.7.8.9\nOK",
    "AT+CIPSHUT": "SHUT OK",
    "AT+CIFSR": "10.7.8.9",
    "AT+CMGL=4": "OK",
    'AT+QPINC="SC"': '+QPINC: "SC",3,10\nOK',
}


class Peer:
    """A module.

    answers   over HEALTHY; a command that is in neither is answered OK
    asked     what was asked, in order; at: [(when, command)]
    """

    def __init__(self, **answers):
        self.bench = None
        self.baud = 115200
        self.echo = True
        self.asked, self.at = [], []
        self.answers = dict(HEALTHY)
        self.numeric = True
        self.payloads = []
        self.inbound = b""  # what QIRD will give
        self.answers.update({name.replace("_", "+"): value for name, value in answers.items()})
        self._line = b""
        self._want = None  # bytes that are typed at a prompt: a number of them, or up to Ctrl-Z
        self._typed = b""
        self.sent = lambda data: "SEND OK"
        self.prompt = b"\r\n> "

    def hear(self, data):
        while data:
            if self._want is not None:
                data = self._type(data)
                continue
            head, found, data = data.partition(b"\r")
            self._line += head
            if found:
                line, self._line = self._line, b""
                self._take(line.lstrip(b"\0\x1b").decode("latin-1"))

    def _type(self, data):
        if self._want == "Z":
            head, found, rest = data.partition(b"\x1a")
            self._typed += head
            done = bool(found)
        else:
            take = self._want - len(self._typed)
            self._typed, rest = self._typed + data[:take], data[take:]
            done = len(self._typed) == self._want
        if done:
            typed, self._typed, self._want = self._typed, b"", None
            self.payloads.append(typed)
            self.reply(self.sent(typed))
        return rest

    def _take(self, text):
        if not text:
            return
        if self.echo:
            self.bench.say(text.encode("latin-1") + b"\r")
        self.asked.append(text)
        self.at.append((self.bench.time, text))
        if text == "ATE0":
            self.echo = False
        answer = self.answers.get(text, self.answers.get(text.partition("=")[0] + "=", self._default))
        self.reply(answer(text) if callable(answer) else answer)

    def _default(self, text):
        if text == "AT+COPS?":
            self.numeric = not self.numeric
            return '+COPS: 0,0,"CHN-UNICOM",7\nOK' if self.numeric else '+COPS: 0,2,"46001",7\nOK'
        send = re.fullmatch(r"AT\+(?:QISEND|CIPSEND)=\d+,(\d+)", text)
        if send or text.startswith("AT+CMGS="):
            self._want = int(send[1]) if send else "Z"
            self.bench.say(self.prompt)
            return None
        opened = re.fullmatch(r'AT\+QIOPEN=1,(\d+),"TCP",".*', text)
        if opened:
            self.say("+QIOPEN: %s,0" % opened[1], 0.1)
        if text.startswith("AT+QIRD="):
            data, self.inbound = self.inbound[:1500], self.inbound[1500:]
            self.bench.say(b"\r\n+QIRD: %d\r\n" % len(data) + data + b"\r\n")
        return "OK"

    def reply(self, answer):
        """Lines, each between CR LF; a tab in one stands for CR LF alone."""
        for line in (answer or "").split("\n") if answer is not None else ():
            self.bench.say(b"\r\n" + line.replace("\t", "\r\n").encode("latin-1") + b"\r\n")

    def say(self, line, after_s=0.0):
        """A line that nobody asked for."""
        self.bench.later(after_s, lambda: self.reply(line))

    def count(self, text):
        return self.asked.count(text)

    def times(self, text):
        return [when for when, asked in self.at if asked == text]
