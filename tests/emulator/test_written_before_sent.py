"""The ledger is on the medium before a 0200 leaves, as the kernel saw it: a trace of the real firmware's system calls."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulator import syscalls
from tests.emulator.cuts import Shop
from tests.toys import until

CARELESS = str(Path(__file__).with_name("careless_firmware.py"))
LOG, PRINTER, MODEM = "/t/store.db-wal", "/dev/pts/9", "/dev/pts/4"


@pytest.fixture(scope="module")
def strace():
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: no system calls are traced")
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here (ptrace is refused): no system calls are traced")


def traced_sale(folder, how=""):
    """(calls of one sale, path of the log, path of the printer's line, path of the modem's line or "" by Ethernet)."""
    trace = folder / "trace"
    program = [CARELESS, how] if how else ["-m", "firmware"]
    words = ["--board", "emulator", "--data", str(folder / "terminal")]
    shop = Shop(folder, command=[*syscalls.STRACE, "-o", str(trace), sys.executable, *program, *words])
    try:
        printer, modem = (os.readlink(os.path.join(shop.device.wires.folder, bus)) for bus in ("uart3", "uart-modem"))
        shop.open()
        first = shop.device.pid
        shop.sale()
        shop.device.power_off()
    finally:
        shop.close()
    end = [str(first), "+++"]  # strace pads a short number
    until(lambda: any(line.split()[:2] == end for line in trace.read_text().splitlines()))
    calls = syscalls.read(trace.read_text().splitlines())
    return calls, str(folder / "terminal" / "store.db-wal"), printer, "" if "ethernet" in how else modem


@pytest.mark.parametrize("how", ["", "ethernet"], ids=["modem", "ethernet"])
def test_intent_and_approval_are_synced_before_what_they_announce(strace, tmp_path, how):
    calls, log, printer, modem = traced_sale(tmp_path, how)
    sales = syscalls.sent(calls, b"\x02\x00", modem)
    assert len(sales) == len(syscalls.answers(calls, sales, modem)) == 1
    assert bool(syscalls.connections(calls)) == (not modem), "by one way, and no other"
    assert len(syscalls.slips(calls, printer)) > 10
    assert syscalls.broken(calls, log, printer, modem) == []

    begun = max(call.begin for call in syscalls.connections(calls, modem) if call.begin < sales[0].begin)
    off = next(call.begin for call in calls if call.name == "SIGTERM")
    syncs = [call for call in calls if call.name in ("fsync", "fdatasync") and begun < call.begin < off and call.file == log]
    assert len(syncs) == 2  # intent, approval


@pytest.mark.parametrize(
    "how, problems",
    [
        ("never", ["0200 not synced", "slip not synced"]),
        ("intent", ["0200 not synced"]),
        ("afterwards", ["0200 nothing written"]),
        ("approval", ["slip not synced"]),
        ("ethernet,never", ["0200 not synced", "slip not synced"]),
        ("ethernet,afterwards", ["0200 nothing written"]),
    ],
)
def test_firmware_that_does_it_wrong_is_caught(strace, tmp_path, how, problems):
    found = syscalls.broken(*traced_sale(tmp_path, how))
    assert ["%s %s" % (line.split()[0], line.partition(": ")[2]) for line in found] == problems


# What the reader of traces makes of calls that overlap: handwritten, so that it is checked without strace too.

LINE = '8 connect(9<TCP:[99]>, {sa_family=AF_INET, sin_port=htons(6)}, 16) = -1 EINPROGRESS (Operation now in progress)'
WRITE = '7 pwrite64(6<%s>, "\\x00\\x01", 24, 32) = 24' % LOG
WRITE_BEGINS = '7 pwrite64(6<%s>, "", 24, 32 <unfinished ...>' % LOG
SYNC = "7 fdatasync(6<%s>) = 0" % LOG
HEAD = "".join("\\x%02x" % byte for byte in bytes.fromhex("010B 6000030000 603100310100 0200 70"))
SEND = '8 sendto(9<TCP:[127.0.0.1:5->127.0.0.1:6]>, "%s"..., 269, 0, NULL, 0) = 269' % HEAD
REPLY = SEND.replace("sendto", "recvfrom").replace("\\x02\\x00\\x70", "\\x02\\x10\\x70")
ASK = '7 write(14<%s<char 136:1>>, "\\x1bv\\x00", 3) = 3' % PRINTER
AT_OPEN = '8 write(9<%s<char 136:4>>, "AT+QIOPEN=1,0,\\"T"..., 41) = 41' % MODEM
AT_SEND = '8 write(9<%s<char 136:4>>, "AT+QISEND=0,269\\r", 16) = 16' % MODEM
AT_BYTES = '8 write(9<%s<char 136:4>>, "%s"..., 269) = 269' % (MODEM, HEAD)
AT_READ = '8 read(9<%s<char 136:4>>, "\\r\\n+QIRD: 187\\r\\n\\0"..., 4096) = 210' % MODEM
AT_NOTHING = '8 read(9<%s<char 136:4>>, "\\r\\n+QIRD: 0\\r\\n\\r\\n"..., 4096) = 20' % MODEM
SLIP = '7 write(14<%s<char 136:1>>, "\\x1b@\\x1b7", 4) = 4' % PRINTER


@pytest.mark.parametrize(
    "lines, problems",
    [
        ([WRITE, SYNC, SEND, REPLY, WRITE, SYNC, ASK, SLIP], []),
        ([SEND], ["nothing written"]),
        ([WRITE, SYNC, SEND, LINE, SEND], ["nothing written"]),
        ([WRITE, SEND], ["not synced"]),
        ([SYNC, WRITE, SEND], ["not synced"]),
        ([WRITE, SYNC.replace("= 0", "= -1 EIO (Input/output error)"), SEND], ["not synced"]),
        ([WRITE, SYNC.replace("-wal", "-other"), SEND], ["not synced"]),
        ([WRITE, "7 fdatasync(6<%s> <unfinished ...>" % LOG, SEND, "7 <... fdatasync resumed>) = 0"], ["not synced"]),
        ([WRITE, "7 fdatasync(6<%s> <unfinished ...>" % LOG, "7 <... fdatasync resumed>) = 0", SEND], []),
        ([WRITE_BEGINS, SYNC.replace("7 ", "8 "), "7 <... pwrite64 resumed>) = 24", SEND], ["not synced"]),
        ([WRITE, SYNC, SEND, REPLY, ASK, SLIP], ["nothing written"]),
        ([WRITE, SYNC, SEND, REPLY, WRITE, ASK, SLIP, SYNC], ["not synced"]),
        ([WRITE, SYNC, SEND, REPLY, WRITE, ASK], []),
    ],
)
def test_a_sync_counts_from_its_begin_and_when_it_has_returned(lines, problems):
    found = syscalls.broken(syscalls.read([LINE, *lines]), LOG, PRINTER)
    assert [line.partition(": ")[2] for line in found] == problems

    by_modem = {LINE: [AT_OPEN], SEND: [AT_SEND, AT_BYTES], REPLY: [AT_NOTHING, AT_READ, AT_NOTHING]}
    lines = [each for line in [LINE, *lines] for each in by_modem.get(line, [line])]
    found = syscalls.broken(syscalls.read(lines), LOG, PRINTER, MODEM)
    assert [line.partition(": ")[2] for line in found] == problems
