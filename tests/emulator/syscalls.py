"""Reads what strace wrote of a firmware's process, and says where the money rules are broken.

A sync counts from what was written when it began, and only once it has returned; a message counts from the moment
at which its sending begins. So with several threads each call has two places in the trace, its begin and its end.

    nothing written   no write to the store's log between the connection's begin and the message
    not synced        something was written to the log and no sync that began later has returned

    what is looked for      by Ethernet                 by the modem's line
    a connection begins     connect                     write of AT+QIOPEN
    a message leaves        sendto                      write of the bytes that AT+QISEND announced
    something has come      recvfrom                    read of +QIRD and a number of bytes

The modem's words stand before the bytes of an answer, so it is known by its place: the first that comes after a request.
"""

import ast
import re
from typing import NamedTuple

# -D: the firmware stays the child of whoever starts it. 16 bytes of each buffer: up to the message type, no card number.
TRACED = "connect,read,write,pwrite64,fsync,fdatasync,sendto,recvfrom"
STRACE = ("strace", "-D", "-f", "-yy", "-x", "-s", "16", "-e", "trace=" + TRACED)
TYPE_AT = slice(13, 15)  # length, TPDU, header, message type (host.md §1)

WHOLE = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)")
UNFINISHED = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)\) += (-?\d+|\?)")
DESCRIPTOR = re.compile(r"\d+<(.*?)(?:<char [\d:]+>)?>(?:, |$)")
HANDED = re.compile(rb"\+QIRD: [1-9]")
ANYTHING = re.compile(rb".", re.DOTALL)
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Call(NamedTuple):
    """One call of the system: places of its begin and end in the trace, the file or socket, the first bytes."""

    begin: int
    end: int
    name: str
    file: str
    data: bytes


def read(lines) -> "list[Call]":
    """The calls that succeeded, and those to connect, in order of their begin; a signal is a call of its name."""
    calls = []
    open_: dict = {}
    for place, line in enumerate(lines):
        thread, _, text = line.rstrip("\n").partition(" ")
        text = text.lstrip()
        if found := UNFINISHED.match(text):
            open_[thread] = (place, found[1], found[2])
        elif found := RESUMED.match(text):
            begin, name, arguments = open_.pop(thread, (place, found[1], ""))
            _add(calls, begin, place, name, arguments + found[2], found[3])
        elif found := WHOLE.match(text):
            _add(calls, place, place, found[1], found[2], found[3])
        elif text.startswith("--- SIG"):
            calls.append(Call(place, place, text[4:].split()[0], "", b""))
    return sorted(calls)


def _add(calls, begin, end, name, arguments, result):
    if result == "?" or int(result) < 0 and name != "connect":  # which goes on after EINPROGRESS
        return
    file, data = DESCRIPTOR.match(arguments), STRING.search(arguments)
    calls.append(Call(begin, end, name, file[1] if file else "", ast.literal_eval('b"%s"' % data[1]) if data else b""))


def _on_line(call, modem):
    return call.file == modem if modem else call.file.startswith("TCP:")


def connections(calls: "list[Call]", modem: str = "") -> "list[Call]":
    """Calls with which a connection begins. modem: path of its line; "": by Ethernet; so below."""
    name, start = ("write", b"AT+QIOPEN=") if modem else ("connect", b"")
    return [call for call in calls if call.name == name and _on_line(call, modem) and call.data.startswith(start)]


def sent(calls: "list[Call]", kind: bytes, modem: str = "") -> "list[Call]":
    """Calls that send a message of this type."""
    name = "write" if modem else "sendto"
    return [call for call in calls if call.name == name and _on_line(call, modem) and call.data[TYPE_AT] == kind]


def answers(calls: "list[Call]", requests: "list[Call]", modem: str = "") -> "list[Call]":
    """The calls that brought the first bytes after each request; none for a request that nothing came for."""
    name, what = ("read", HANDED) if modem else ("recvfrom", ANYTHING)
    came = [call for call in calls if call.name == name and _on_line(call, modem) and what.search(call.data)]
    return [first for first in (next((one for one in came if one.end > request.end), None) for request in requests) if first]


def broken(calls: "list[Call]", log: str, printer: str, modem: str = "") -> "list[str]":
    """Where a 0200 left before its intent, or a slip began before its approval, was written and synced.

    log: path of the store's write-ahead log. printer: path of the printer's line.
    """
    found = []
    sales = sent(calls, b"\x02\x00", modem)
    for call in sales:
        lines = [each.begin for each in connections(calls, modem) if each.begin < call.begin]
        found += ["0200 at %d: %s" % (call.begin, why) for why in _not_kept(calls, log, max(lines), call.begin)]
    for reply in answers(calls, sales, modem):
        slip = next((call for call in calls if call.begin > reply.end and call.name == "write" and _prints(call, printer)), None)
        if slip is not None:
            found += ["slip at %d: %s" % (slip.begin, why) for why in _not_kept(calls, log, reply.end, slip.begin)]
    return found


def slips(calls: "list[Call]", printer: str) -> "list[Call]":
    """Writes to the printer that are not questions for its status."""
    return [call for call in calls if call.name == "write" and _prints(call, printer)]


def _prints(call, printer):
    return call.file == printer and call.data[:2] not in (b"\x1bv", b"\x10\x04")


def _not_kept(calls, log, after, before):
    writes = [call for call in calls if call.name == "pwrite64" and call.file == log and call.begin < before]
    if not any(call.begin > after for call in writes):
        yield "nothing written"
    done = [call.begin for call in calls if call.name in ("fdatasync", "fsync") and call.file == log and call.end < before]
    if any(write.end > max(done, default=-1) for write in writes):
        yield "not synced"
