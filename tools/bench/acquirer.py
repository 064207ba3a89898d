"""The emulated acquirer under the trade of a town: a thousand terminals, each with a sale every ten seconds.

The host is the one that people start, `python -m emulator.acquirer`, with its books on disk and its page, as a process of its
own on one core. The terminals are here, on another core where there is one: each signs on, and its sales lie ready before
anything is measured, with PIN block, cryptogram and MAC right. A sale goes out when its time has come, whether or not others
have been answered; its answer's time is counted from then. Every answer is looked at afterwards: what is not approved is an
error, not a figure.

    held      lines stay open, plain; the pace of the issue                 p99, part of the core, sales answered
    flat      the same number of sales a second from ten terminals          CPU of the host for one sale, against that of `held`
    secured   a new line with TLS for every sale, as small terminals do     p99, CPU for one sale
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from drivers.cup_keys import ecb_mac, open_key_block, pin_block
from drivers.libcrypto import Cipher, tdes_ecb_encrypt, xor
from emulator.acquirer.host import EXPIRY, FIRST_TERMINAL, MERCHANT, SEQUENCE, TO_A_MERCHANT
from emulator.cards import cryptogram, derivation
from emulator.cards.shelf import luhn
from firmware.emv import tlv
from firmware.iso8583 import frame, unionpay
from tools.bench.bench_device import ROOT, cpu_seconds
from tools.bench.table import Row, percentile, say

MANY, FEW = 1_000, 10
EACH_S = 10.0
HELD_S, SHORT_S = 60.0, 20.0
AMOUNT_FEN = 1234
PIN = "482915"
TPDU, HEADER = bytes.fromhex("6000030000"), bytes.fromhex("603100310000")
START_S, ANSWER_S = 60.0, 10.0
CODEC = unionpay.codec()


class Terminal:
    """One terminal and its customer's card: it makes its messages beforehand."""

    def __init__(self, place: int) -> None:
        self.number = "%08d" % (FIRST_TERMINAL + place)
        self.merchant = MERCHANT % (place // TO_A_MERCHANT + 1)
        digits = "622262%09d" % place
        self.pan = digits + luhn(digits)
        self.issuer_key = random.Random(place).randbytes(16)
        self._card_key = derivation.option_a(self.issuer_key, self.pan, SEQUENCE)
        self._trace, self._atc = itertools.count(1), itertools.count(1)
        self._batch = "000000"
        self._keys: dict[str, bytearray] = {}

    def card(self) -> dict[str, str]:
        """Its card, as the host's file of cards has it."""
        key = self.issuer_key.hex()
        return {
            "number": self.pan,
            "expiry": EXPIRY,
            "sequence": SEQUENCE,
            "pin": PIN,
            "balance": "100000000.00",
            "issuer_key": key,
        }

    def sign_on(self) -> bytes:
        private = unionpay.management(self._batch, unionpay.KEYS_DOUBLE)
        fields = {11: unionpay.trace(next(self._trace)), 60: private, 62: unionpay.device("BENCH001"), 63: b"01 "}
        return self._framed("0800", fields)

    def signed_on(self, reply: bytes, master: Cipher) -> None:
        fields = read(reply)
        if fields[39] != "00":
            raise LookupError("sign-on is answered " + fields[39])
        self._batch = unionpay.read_private60(fields[60]).batch
        for slot, block, check in unionpay.keys(fields[62]):
            key = open_key_block(master, block, check)
            assert key is not None, "a check value that does not fit"
            self._keys[slot] = key

    def sale(self) -> bytes:
        """A contactless sale with PIN."""
        fields = {
            2: self.pan, 3: "000000", 4: unionpay.amount(AMOUNT_FEN), 11: unionpay.trace(next(self._trace)),
            22: unionpay.entry_mode("contactless", True), 23: SEQUENCE, 25: "00", 26: "06", 49: unionpay.CURRENCY,
            52: tdes_ecb_encrypt(self._keys["pin"], bytes(pin_block(bytearray(PIN.encode()), self.pan))),
            53: unionpay.security(True), 55: self._chip(), 60: unionpay.financial(unionpay.SALE, self._batch, partial=False),
            64: bytes(unionpay.MAC_SIZE),
        }  # fmt: skip
        return self._framed("0200", fields)

    def _chip(self) -> bytes:
        values = {
            0x9F02: bytes.fromhex("%012d" % AMOUNT_FEN), 0x9F03: bytes(6), 0x9F1A: b"\x01\x56", 0x95: bytes(5),
            0x5F2A: b"\x01\x56", 0x9A: b"\x26\x01\x01", 0x9C: b"\0", 0x9F37: b"\1\2\3\4", 0x82: b"\x7c\0",
            0x9F36: next(self._atc).to_bytes(2, "big"), 0x9F10: bytes.fromhex("07000103A00000010A"),
        }  # fmt: skip
        made = cryptogram.application_cryptogram("unionpay", self._card_key, values)
        return tlv.encode([(0x9F26, made), *values.items()])

    def _framed(self, mti: str, fields: dict[int, Any]) -> bytes:
        message = CODEC.pack(mti, fields | {41: self.number, 42: self.merchant})
        if 64 in fields:
            with Cipher("tdes", self._keys["mac"]) as key:
                message = unionpay.sealed(message, ecb_mac(key, unionpay.mac_span(message)))
        return frame.pack(TPDU, HEADER, message)


def read(reply: bytes) -> dict[int, Any]:
    """The fields of a framed reply."""
    deframer = frame.Deframer()
    deframer.feed(reply)
    got = deframer.next()
    assert got is not None, "half a reply"
    return CODEC.unpack(got.body)[1]


class Load(NamedTuple):
    """What was measured: sales asked and answered, the milliseconds of each answer, the seconds it took, the host's CPU."""

    asked: int
    answered: int
    answer_ms: list[float]
    took_s: float
    cpu_s: float

    @property
    def cpu_ms_a_sale(self) -> float:
        return self.cpu_s * 1000 / max(1, self.answered)

    @property
    def p99_ms(self) -> float:
        return percentile(self.answer_ms, 99) if self.answer_ms else float("inf")


class Host:
    """The host's process, on a core of its own where there are two."""

    def __init__(self, folder: Path, terminals: list[Terminal], tls: bool = False) -> None:
        cards = folder / "cards.json"
        cards.write_text(json.dumps([terminal.card() for terminal in terminals]))
        data = folder / "host"
        self.cores = sorted(os.sched_getaffinity(0))
        words = ["--port", "0", "--web-port", "0", "--terminals", str(len(terminals)), "--data", str(data), "--cards", str(cards)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "emulator.acquirer", *words, *(["--tls"] if tls else [])],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cores[-1:]),
        )
        try:
            self.port = self._port()
            parts = json.loads((data / "keys.json").read_text())["master"]
        except BaseException:
            self.close()
            raise
        self.master = bytes(xor(*(bytes.fromhex(part) for part in parts)))
        self.authority = data / "authority.pem" if tls else None

    def _port(self) -> int:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.search(r"line .* port (\d+)", line)
            if found:
                return int(found[1])
        raise LookupError("the host does not start")

    def cpu_s(self) -> float:
        return cpu_seconds(self.process.pid)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """This process leaves the host's core to the host."""
        os.sched_setaffinity(0, self.cores[:-1] or self.cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self.cores)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()


class Line(asyncio.Protocol):
    """A terminal's open line: one question at a time."""

    def __init__(self) -> None:
        self._data = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        size = 2 + int.from_bytes(self._data[:2], "big")
        if len(self._data) >= size and self._answer and not self._answer.done():
            self._answer.set_result(self._data[:size])
            self._data = self._data[size:]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed"))

    async def ask(self, question: bytes) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(question)
        return await asyncio.wait_for(self._answer, ANSWER_S)

    def close(self) -> None:
        self._transport.close()


class Town:
    """The terminals. each_s: between two sales of one of them."""

    def __init__(self, host: Host, terminals: list[Terminal], each_s: float, for_s: float) -> None:
        self._host, self._terminals, self._each_s, self._for_s = host, terminals, each_s, for_s
        self._context: ssl.SSLContext | None = None
        if host.authority:
            self._context = ssl.create_default_context(cafile=str(host.authority))
        self._answer_ms: list[float] = []
        self._replies: list[bytes] = []

    def trade(self) -> Load:
        """Signs on, and sells. LookupError when an answer is no approval."""
        with self._host.apart():
            return asyncio.run(self._trade())

    async def _trade(self) -> Load:
        lines = [await self._dial() for _ in self._terminals]
        with Cipher("tdes", self._host.master, False) as master:
            for terminal, line in zip(self._terminals, lines, strict=True):
                terminal.signed_on(await line.ask(terminal.sign_on()), master)
        times = round(self._for_s / self._each_s)
        sales = [[terminal.sale() for _ in range(times)] for terminal in self._terminals]
        if self._context:
            for line in lines:
                line.close()
        await asyncio.sleep(1)  # what signing on left to do is done
        cpu, begin = self._host.cpu_s(), asyncio.get_running_loop().time() + 0.1
        step = self._each_s / len(self._terminals)
        await asyncio.gather(
            *(self._sell(line, own, begin + place * step) for place, (line, own) in enumerate(zip(lines, sales, strict=True)))
        )
        took = asyncio.get_running_loop().time() - begin
        cpu = self._host.cpu_s() - cpu
        for line in lines:
            line.close()
        for reply in self._replies:
            code = read(reply)[39]
            if code != "00":
                raise LookupError("a sale is answered " + code)
        return Load(times * len(self._terminals), len(self._replies), self._answer_ms, took, cpu)

    async def _dial(self) -> Line:
        loop = asyncio.get_running_loop()
        name = "localhost" if self._context else None
        where: dict[str, Any] = {"ssl": self._context, "server_hostname": name} if self._context else {}
        return (await loop.create_connection(Line, "127.0.0.1", self._host.port, **where))[1]

    async def _sell(self, line: Line, sales: list[bytes], at: float) -> None:
        for sale in sales:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, at - loop.time()))
            with contextlib.suppress(TimeoutError, OSError):
                own = await self._dial() if self._context else line
                self._replies.append(await own.ask(sale))
                self._answer_ms.append((loop.time() - at) * 1000)
                if self._context:
                    own.close()
            at += self._each_s


def load(count: int, each_s: float, for_s: float, tls: bool = False) -> Load:
    """What so many terminals with a sale every `each_s` ask of a new host for `for_s` seconds."""
    terminals = [Terminal(place) for place in range(count)]
    with tempfile.TemporaryDirectory(prefix="kaifu-bench-") as folder:
        host = Host(Path(folder), terminals, tls)
        try:
            return Town(host, terminals, each_s, for_s).trade()
        finally:
            host.close()


def rows(held_s: float = HELD_S, short_s: float = SHORT_S) -> list[Row]:
    say("  %d terminals for %d s" % (MANY, held_s))
    held = load(MANY, EACH_S, held_s)
    say("  %d terminals, as many sales a second, for %d s" % (FEW, short_s))
    few = load(FEW, EACH_S * FEW / MANY, short_s)
    say("  %d terminals with TLS, a line for each sale, for %d s" % (MANY, short_s))
    secured = load(MANY, EACH_S, short_s, tls=True)
    pace = "%d terminals, a sale each %d s, lines open" % (MANY, EACH_S)
    return [
        Row("acquirer: sales answered", held.answered, "sales", held.asked, least=1, note=f"{pace}, {held.took_s:.0f} s"),
        Row("acquirer: answer, p99", held.p99_ms, "ms", note="from the moment it is due; the same load"),
        Row("acquirer: part of one core", 100 * held.cpu_s / held.took_s, "%", most=100, note="the same load"),
        Row(
            "acquirer: CPU a sale", held.cpu_ms_a_sale, "ms", few.cpu_ms_a_sale, most=1.2,
            note=f"{MANY} terminals beside {FEW} with as many sales a second",
        ),
        Row("acquirer: TLS, answer p99", secured.p99_ms, "ms", note="a new line with full handshake for each sale"),
        Row("acquirer: TLS, CPU a sale", secured.cpu_ms_a_sale, "ms", held.cpu_ms_a_sale, note="beside plain, lines open"),
    ]  # fmt: skip
