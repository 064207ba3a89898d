"""Cards at the port level: what a tap and a chip sale cost the terminal, and whether the largest legal input stays linear.

The cards are those of the emulator, in process, and really sign; only the time is counted in which the kernel has the word:
Entry Point, kernel, recovery of the certificates and of the signature. CPU time of this thread. A row is refused when the
transaction does not come to its end, or when the card was not proven.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from drivers import card_file
from emulator.cards import builder, pki
from firmware.emv import parameter_file
from firmware.emv.settings import Request, Settings
from tools.bench.table import Row, best_of, median, number

ROOT = Path(__file__).resolve().parents[2]
TIMES, FIRST_TIMES = 60, 5
NEVER = ("0000000000", "0000000000", "0000000000")
CHAINS = {
    "1024-bit": ("unionpay-1152", "issuer-1024", "card-1024"),
    "1984-bit": ("unionpay-1984", "issuer-1984", "card-1984"),
}
OFFLINE_FEN = 100_000
# Milliseconds to import the kernels where everything of the first page is there, and those of the first tap.
FIRST_TAP = """
import time
import firmware.states.catalogue, firmware.terminal
from firmware import reading
start = time.process_time()
reading.kernels()
loaded = time.process_time() - start
from tools.bench import cards
spent = cards.tap_seconds(cards.CHAINS["1984-bit"], 1, cards.settings(offline=True), time.process_time)
print(loaded * 1e3, spent * 1e3)
"""
DATE, CLOCK = "261120", "101500"
MOST_OF_A_RECORD = 248  # bytes inside of 70
ODA_WRONG = 0x4C | 0x80 | 0x20  # TVR byte 1: SDA, DDA or CDA failed, not performed, data missing


def settings(offline: bool) -> Settings:
    """A new device's, with the test authorities; offline: it may approve small amounts by itself."""
    content = parameter_file.read(card_file.fetch())
    rows = content["applications"]
    if offline:
        own = {"ttq": "76004080", "floor_limit_fen": OFFLINE_FEN, "terminal_floor_limit_fen": OFFLINE_FEN}
        rows = [dict(row, **own) if row["kernel"] == "07" else row for row in rows]
    return Settings(rows, content["terminal"], pki.authority_rows())


def request(turn: int) -> Request:
    return Request(1234, DATE, CLOCK, turn.to_bytes(4, "big"), turn)


def carried_out(flow: Any, apdu: Callable[[bytes], bytes], clock: Callable[[], float]) -> tuple[Any, float]:
    """(the kernel's outcome, seconds in which the terminal had the word). Its questions: no exception, no last sale; the host
    approves."""
    from firmware.emv import ask

    answers = {ask.OnException: False, ask.LastAmount: 0, ask.GoOnline: ask.Reply("00", True)}
    answer: Any = None
    spent = 0.0
    while True:
        start = clock()
        try:
            step = flow.send(answer)
        except StopIteration as done:
            return done.value, spent + clock() - start
        spent += clock() - start
        answer = apdu(step) if isinstance(step, bytes) else answers[type(step)]


def tap_seconds(chain: tuple[str, ...], turn: int, ours: Settings, clock: Callable[[], float] = time.thread_time) -> float:
    """One qUICS tap with fDDA, approved by card and terminal."""
    from firmware.emv import contactless

    card = builder.build("bench", iac=NEVER, offline_fen=OFFLINE_FEN, quick=chain, habit="never")
    outcome, spent = carried_out(contactless.tap(ours, request(turn)), card.apdu, clock)
    if (outcome.status, outcome.kernel) != ("approved", "07") or outcome.tags[0x95][0] & ODA_WRONG:
        raise AssertionError("the tap was not approved offline, proven: %r" % outcome)
    return spent


def chip_seconds(chain: tuple[str, ...], turn: int, ours: Settings) -> float:
    """One sale by contacts, online: both cryptograms signed (CDA)."""
    from firmware.emv import contact

    chip = builder.build("bench", oda="cda", format=0x77, chain=chain, rules="1F03").chip
    assert chip is not None
    outcome, spent = carried_out(contact.insert(ours, request(turn)), chip.apdu, time.thread_time)
    proven = not outcome.tags[0x95][0] & ODA_WRONG and outcome.tags[0x9B][0] & 0x80
    if (outcome.status, outcome.why) != ("approved", "host") or not proven:
        raise AssertionError("the chip sale was not approved, proven: %r" % outcome)
    return spent


def transaction_rows() -> list[Row]:
    rows = []
    ours = settings(offline=True)
    for name, chain in CHAINS.items():
        figure = median([tap_seconds(chain, turn, ours) for turn in range(TIMES)]) * 1e3
        note = "kernel, Entry Point, ODA; median of %d" % TIMES
        rows.append(Row("qUICS tap with fDDA, %s: CPU" % name, figure, "ms", most=2, note=note))
    ours = settings(offline=False)
    for name, chain in CHAINS.items():
        figure = median([chip_seconds(chain, turn, ours) for turn in range(TIMES)]) * 1e3
        note = "selection to second cryptogram; median of %d" % TIMES
        rows.append(Row("contact CDA sale, %s: CPU" % name, figure, "ms", note=note))
    return rows


def first_tap_rows() -> list[Row]:
    """The first tap of a process, 1984-bit. The terminal imports the kernels behind its first page, so the card waits for the
    tap alone."""
    loads, taps = [], []
    for _ in range(FIRST_TIMES):
        done = subprocess.run([sys.executable, "-c", FIRST_TAP], cwd=ROOT, capture_output=True, text=True, check=True)
        load, tap = map(float, done.stdout.split())
        loads.append(load)
        taps.append(tap)
    how = "a fresh process; median of %d" % FIRST_TIMES
    return [
        Row("card kernels: imported behind the page", median(loads), "ms", note=how),
        Row("first tap with fDDA, 1984-bit: CPU", median(taps), "ms", note=how + ", kernels imported"),
    ]


# -- the largest legal inputs


def tlv_input(size: int) -> bytes:
    """Templates of two short objects each: much to do for every byte."""
    one = bytes.fromhex("70069F3601015700")
    return one * (size // len(one))


class Largest(NamedTuple):
    """A kind of input: what is done with it, the inputs of size n, 2n and 4n, what n is, and how often a round repeats it."""

    name: str
    run: Callable[[Any], object]
    inputs: list[Any]
    n: str
    times: int


def largest() -> list[Largest]:
    """Up to the bound that the firmware sets: the third input is the largest, or nearly so."""
    from firmware.emv import dol, tlv

    parts = (1, 2, 4)
    values = {0x9F37: b"\x01\x02\x03\x04"}
    bytes_of = [tlv.MAX_SIZE * part // 4 for part in parts]
    lists = [b"\x9f\x37\x02" * (dol.MAX_BYTES // 2 * part // 4) for part in parts]
    return [
        Largest("TLV decode", tlv.decode, [tlv_input(size) for size in bytes_of], "16 KB", 1),
        Largest("DOL answer", lambda text: dol.build(dol.parse(text), values), lists, "%d objects" % (len(lists[0]) // 3), 40),
        locator(parts),
        static_data(parts),
    ]


def linear_rows() -> list[Row]:
    """4n beside four times n."""
    rows = []
    for kind in largest():
        one, two, four = (best_of(partial(kind.run, value), time.thread_time, kind.times, 9) * 1e6 for value in kind.inputs)
        note = "n %s, 2n %s, 4n %s µs; n: %s; 4n beside 4 times n" % (number(one), number(two), number(four), kind.n)
        rows.append(Row("largest " + kind.name, four, "µs", 4 * one, most=1.3, note=note))
    return rows


def locator(parts: tuple[int, ...]) -> Largest:
    """Reading all records of a locator of the greatest size, full records, all of them to be proven."""
    from firmware.emv import records
    from firmware.emv.data import Data

    ours = settings(offline=False)
    answers = {}
    for at in range(records.MAX_RECORDS):
        body = bytes([0xDF, 0x81, at]) + b"\x81" + bytes([MOST_OF_A_RECORD - 5]) + bytes(MOST_OF_A_RECORD - 5)
        answers[bytes([0x00, 0xB2, at + 1, 0x0C, 0x00])] = b"\x70\x81" + bytes([len(body)]) + body + b"\x90\x00"

    def run(count: int) -> None:
        data = Data(ours, request(1))
        data.said.update({0x82: b"\x7c\x00", 0x94: bytes([0x08, 1, count, count])})
        step, answer = records.read(data, ()), None
        while True:
            try:
                command = step.send(answer)
            except StopIteration:
                break
            answer = answers[command]
        if len(data.static) != MOST_OF_A_RECORD * count:
            raise AssertionError("not every record was read")

    counts = [records.MAX_RECORDS * part // 4 for part in parts]
    return Largest("locator, all records", run, counts, "%d full records" % counts[0], 3)


def static_data(parts: tuple[int, ...]) -> Largest:
    """Signed static data under the longest key, over as much as the records of the greatest locator hold."""
    from firmware.emv import certificates, records

    key = pki.key("issuer-1984")
    signer = certificates.CardKey(key.public, key.exponent)
    inputs = []
    for part in parts:
        static = bytes(MOST_OF_A_RECORD * records.MAX_RECORDS * part // 4)
        inputs.append((pki.sign_static(key, static, b"\xd1\xce"), static))

    def run(row: tuple[bytes, bytes]) -> None:
        if certificates.static_code(row[0], signer, row[1]) != b"\xd1\xce":
            raise AssertionError("the signature does not hold")

    return Largest("signed static data", run, inputs, "%s bytes, 1984-bit key" % number(len(inputs[0][1])), 20)


def rows() -> list[Row]:
    return [*transaction_rows(), *first_tap_rows(), *linear_rows()]
