"""What the host gives a terminal besides money: parameters, applications, keys, the black list, limits; and the status it gets.

    parameters           0800/360, 0800/361                    one block, all of it or nothing
    card-applications    0820/382, then 0800/380 for each, 0800/381       card-keys   372, 370, 371
    blacklist            0800/390 until it is whole, 391       contactless-limits   394, 395
    status-upload        0820/362

Field 62 of a reply begins with how far the host is: 0 nothing there, 1 this is all, 2 more follows, 3 it cannot. A list is asked
for with the count of what has come so far, and so is the black list; one application or key by its name. None of these
messages has a trace number, nor a MAC (unless `download.mac`).

What comes is kept piece by piece in the store's table "downloads" and changes nothing. When all of it is there, and each row
of it and the whole can be used, it takes the place of the old data in one commit. So a cut costs one piece; a host that sends
nonsense, never ends or leaves something out changes nothing. Pieces of another day are thrown away: the list may be another.

    downloads   key: NAME + "/" + four digits   value: one piece       key: NAME   value: {"day", "list", "whole"}

A host's list is whole: what it does not name is gone. Values of `changes.IDENTITY` wait for an empty batch in `chores.pending`.
The host's word for the swap (381, 371 ...) is sent behind it: should it get lost, the data are in force all the same.

Source: host.md §5; design: written before it counts.
"""

import json
from binascii import hexlify, unhexlify

from firmware import changes, parameters
from firmware.chores import RETRY_MS
from firmware.emv import download as blocks
from firmware.emv import parameter_file, tlv
from firmware.events import VAULT_DONE
from firmware.host import messages, parameter_block
from firmware.host.parameter_block import ALL, ERROR, MORE, NONE, BlockError
from firmware.host.session import VAULT_MS, Line, exchange, sign_on
from firmware.iso8583 import codes, unionpay
from firmware.ports import StoreError
from firmware.tasks import Ask, Done, Pause, Tell, Turn
from firmware.transactions import STATUS_UPLOAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.ports import Row
    from firmware.tasks import Work
    from firmware.terminal import Terminal

TABLE = "downloads"
MOST_LISTED = 99  # what a count of two digits can say
QUIET_MS = 500
UNUSABLE = (KeyError, ValueError, TypeError, IndexError)
# name: F60.3 of what is asked for, of its list, of the end
CODES = {
    "parameters": ("360", "", "361"),
    "card-applications": ("380", "382", "381"),
    "card-keys": ("370", "372", "371"),
    "blacklist": ("390", "", "391"),
    "contactless-limits": ("394", "", "395"),
    "status-upload": (STATUS_UPLOAD.code, "", ""),
}
INQUIRY, DOWNLOAD = "0820", "0800"


class Result:
    """What became of one download.

    why       "" when it is done, else as of `session.Answer` ("timeout" ...), "code NN", "store", or one of WHY
    detail    what it was about: a tag, the name of an application or of a key
    count     rows, tags or entries that came
    waits     parameters that wait until the batch is settled
    """

    def __init__(self, why: str = "", detail: str = "", count: int = 0, waits: "tuple[str, ...]" = ()) -> None:
        self.why = why
        self.detail = detail
        self.count = count
        self.waits = waits


WHY = (
    "unknown-tag",  # of a block that cannot be read further
    "broken",  # bytes that are not what they should be
    "value",  # one that its parameter does not take
    "key",  # a key or an application that cannot be used
    "endless",  # the host has more and more, and nothing new
    "host-error",  # it says that it cannot
    "missing",  # it names something and does not give it
    "none",  # there is nothing
)


class Stopped(Exception):
    """A download ends here, and nothing has changed."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.detail = detail


# ---- from the menu, and behind it


def alone(terminal: "Terminal", name: str) -> "Work[Result]":
    """One download as a conversation of its own. Tells (done, of) as it goes."""
    yield Turn("host")
    result = yield from run(terminal, name)
    yield Done("host")
    return result


def run(terminal: "Terminal", name: str) -> "Work[Result]":
    """The same for who has the turn already. name: of `chores.DOWNLOADS`."""
    chores = terminal.chores
    chores.doing = name
    line = Line()
    try:
        if terminal.parameter("download.mac") and not terminal.signed_on():
            why = yield from sign_on(terminal)
            if why:
                return Result(why)
        result = yield from CONVERSATIONS[name](terminal, name, line)
    except Stopped as stop:
        result = Result(stop.why, stop.detail)
    except BlockError as error:
        result = Result(error.why, error.where)
    except parameters.ParameterError as error:
        result = Result("value", str(error).split(":")[0])
    except StoreError:
        result = Result("store")
    except UNUSABLE:  # a piece in the store that is not what was written
        result = Result("broken")
    finally:
        chores.doing = ""
    yield from line.close()
    if result.why in WHY:
        _forget(terminal, name, result.why == "none")
    if result.why:
        terminal.log("download of %s: %s %s" % (name, result.why, result.detail))
    chores.ended(name, result.why in ("", "none"))
    return result


def wanted(terminal: "Terminal") -> bool:
    """Whether there is something for `behind`; what can be done at once is done here."""
    chores = terminal.chores
    try:
        if not chores.compared:
            chores.compared = True
            changes.compare(terminal)
        if chores.pending and changes.batch_is_empty(terminal):
            settle_pending(terminal)
        if terminal.parameter("download.after_sign_on") and terminal.signed_on():
            for name in ("card-applications", "card-keys"):
                if not chores.loaded(name):
                    chores.required(name)
    except (StoreError, parameters.ParameterError) as error:
        terminal.log("chores: %s" % error)
    return bool(chores.next())


def settle_pending(terminal: "Terminal") -> None:
    """Puts in force what has waited for an empty batch. Raises StoreError, ParameterError."""
    chores = terminal.chores
    waited = dict(chores.pending)
    done: dict[str, Any] = {"pending": {}}
    good = {name: waited[name] for name in waited if name in changes.IDENTITY}
    changes.put(terminal, good, changes.HOST, [chores.row(done)])
    chores.take(done)


def behind(terminal: "Terminal") -> "Work[None]":
    """Everything that is due, one after the other, until it is done or has had its tries."""
    while True:
        name = terminal.chores.next()
        if not name:
            return
        result = yield from alone(terminal, name)
        if result.why:
            yield Pause(RETRY_MS)


# ---- one message


def _ask(
    terminal: "Terminal", line: Line, mti: str, code: str, data: bytes, fits: "Callable[[bytes], bool] | None" = None
) -> "Work[bytes]":
    """One question and the field 62 of its answer. Raises Stopped.

    fits: whether the field belongs to this question. No trace number tells: a late answer to the one before is asked again
    for, once, on a new connection.
    """
    answer = None
    for _ in range(2):
        fields = messages.identity(terminal)
        fields[60] = unionpay.management(terminal.ledger.batch, code)
        if data:
            fields[62] = data
        signed = terminal.parameter("download.mac")
        # While the vault works nobody would hear that the host has ended the connection.
        answer = yield from exchange(terminal, mti, fields, signed, line=None if signed else line)
        if answer.fields is None:
            raise Stopped(answer.why)
        if answer.code != codes.APPROVED:
            raise Stopped("code " + answer.code)
        got = answer.fields.get(62, b"")
        said = answer.fields.get(60, "")[8:11]
        if said in ("", code) and (fits is None or fits(got)):
            return got
        yield from line.close()
    raise Stopped("broken", code)


def _end(terminal: "Terminal", name: str, line: Line) -> "Work[None]":
    """Tells the host that its data are in force; whether it hears that changes nothing."""
    try:
        yield from _ask(terminal, line, DOWNLOAD, CODES[name][2], b"")
    except Stopped as stop:
        terminal.log("end of %s: %s" % (name, stop.why))


# ---- pieces


def _kept(terminal: "Terminal", name: str) -> "tuple[dict[str, Any], list[Any]]":
    """(head, pieces in order) of a download that was begun today; otherwise nothing."""
    store = terminal.ports["store"]
    head = _parsed(store.get(TABLE, name))
    if not isinstance(head, dict) or head.get("day") != terminal.calendar_stamp()[:8] or not isinstance(head.get("list"), list):
        store.commit(_gone(terminal, name))
        return {"day": terminal.calendar_stamp()[:8], "list": [], "whole": False}, []
    pieces = [_parsed(value) for _, value in store.range(TABLE, None, name + "/", name + "0")]
    return head, [piece for piece in pieces if piece is not None]


def _parsed(value: "bytes | None") -> "Any":
    try:
        return json.loads(value.decode()) if value else None
    except (ValueError, RuntimeError):
        return None


def _keep(terminal: "Terminal", name: str, head: "dict[str, Any]", number: int = -1, piece: "Any" = None) -> None:
    rows: list[Row] = [(TABLE, name, json.dumps(head).encode(), None)]
    if number >= 0:
        rows.append((TABLE, "%s/%04d" % (name, number), json.dumps(piece).encode(), None))
    terminal.ports["store"].commit(rows)


def _gone(terminal: "Terminal", name: str) -> "list[Row]":
    """Rows that take what was kept of a download away."""
    store = terminal.ports["store"]
    rows: list[Row] = [(TABLE, key, None, None) for key, _ in store.range(TABLE, None, name + "/", name + "0")]
    if store.get(TABLE, name) is not None:
        rows.append((TABLE, name, None, None))
    return rows


def _forget(terminal: "Terminal", name: str, done: bool) -> None:
    """What was kept cannot be used: the next try begins anew. done: the host has nothing, so nothing is due."""
    chores = terminal.chores
    noted = {"due": [one for one in chores.due if one != name]} if done else {}
    try:
        terminal.ports["store"].commit(_gone(terminal, name) + [chores.row(noted)])
        chores.take(noted)
    except StoreError:
        terminal.log("download of %s: what came of it stays" % name)


# ---- the swap


def _swap(
    terminal: "Terminal",
    name: str,
    line: Line,
    values: "dict[str, Any]",
    rows: "list[Row] | tuple" = (),
    notes: "dict[str, Any] | None" = None,
    counts: "tuple[tuple[str, str, str], ...]" = (),
) -> "Work[tuple[str, ...]]":
    """Everything in force, in one commit -> names that wait for an empty batch. Not in the middle of a transaction or of a
    settlement."""
    while terminal.draft is not None or terminal.settlement.running is not None:
        yield from line.close()
        yield Done("host")
        yield Pause(QUIET_MS)
        yield Turn("host")
    chores = terminal.chores
    pending = {one: chores.pending[one] for one in chores.pending if one not in values}
    at_once = dict(values)
    waits = []
    if not changes.batch_is_empty(terminal):
        for one in changes.IDENTITY:
            if one in values and values[one] != terminal.parameter(one):
                pending[one] = parameters.check(one, at_once.pop(one))
                waits.append(one)
    noted = chores.done(name)
    noted["pending"] = pending
    noted.update(notes or {})
    changes.put(terminal, at_once, changes.HOST, list(rows) + _gone(terminal, name) + [chores.row(noted)], counts)
    chores.take(noted)
    return tuple(waits)


# ---- parameters, limits, status


def _parameters(terminal: "Terminal", name: str, line: Line) -> "Work[Result]":
    data = yield from _ask(terminal, line, DOWNLOAD, CODES[name][0], b"")
    if not data:
        return Result("none")
    table = parameter_block.layout(terminal.parameter("download.layout"))
    values, kept = parameter_block.read(data, table, terminal.ports["text"])
    said = dict(terminal.chores.said)
    said.update(kept)
    waits = yield from _swap(terminal, name, line, values, notes={"said": said})
    yield from _end(terminal, name, line)
    return Result(count=len(values) + len(kept), waits=waits)


def _limits(terminal: "Terminal", name: str, line: Line) -> "Work[Result]":
    table = parameter_block.limit_tags(terminal.parameter("download.limit_tags"))
    values: dict[str, Any] = {}
    kept: dict[str, str] = {}
    state = MORE
    while state == MORE:
        before = len(values) + len(kept)
        data = yield from _ask(terminal, line, DOWNLOAD, CODES[name][0], b"%03d" % before)
        state, more, others = parameter_block.limits(data, table)
        _refused(state)
        values.update(more)
        kept.update(others)
        if len(values) + len(kept) == before:
            if state == MORE:
                raise Stopped("endless")
            if not before:
                return Result("none")
    said = dict(terminal.chores.said)
    said.update(kept)
    waits = yield from _swap(terminal, name, line, values, notes={"said": said})
    yield from _end(terminal, name, line)
    return Result(count=len(values) + len(kept), waits=waits)


def _refused(state: str) -> None:
    if state == ERROR:
        raise Stopped("host-error")


def _status(terminal: "Terminal", name: str, line: Line) -> "Work[Result]":
    chores = terminal.chores
    kept = {}
    for tag in chores.said:
        try:
            kept[tag] = unhexlify(chores.said[tag])
        except (ValueError, TypeError):
            pass  # the default goes out
    hours = (terminal.now_ms() - chores.since_ms) // 3_600_000
    numbers = (hours, chores.asked, chores.answered)
    data = parameter_block.status(terminal.parameter, kept, *numbers, terminal.ports["text"])
    yield from _ask(terminal, line, INQUIRY, CODES[name][0], data)
    chores.told_status()
    noted = chores.done(name)
    terminal.ports["store"].commit([chores.row(noted)])
    chores.take(noted)
    return Result()


# ---- applications and keys: a list, then one by one


def _listed(terminal: "Terminal", name: str, line: Line) -> "Work[Result]":
    one_code = CODES[name][0]
    head, pieces = _kept(terminal, name)
    if not head.get("whole"):
        pieces = []
        yield from _list(terminal, name, line, head)
    entries = head["list"]
    if not entries:
        return Result("none")
    if len(pieces) > len(entries):
        raise Stopped("broken", one_code)
    while len(pieces) < len(entries):
        yield Tell((len(pieces), len(entries)))
        entry = entries[len(pieces)]
        fits = _names(entry)
        data = yield from _ask(terminal, line, DOWNLOAD, one_code, _name_block(entry), fits)
        state = parameter_block.state_of(data, one_code)
        _refused(state)
        if state == NONE or len(data) == 1:
            raise Stopped("missing", _shown(entry))
        try:
            row = ROWS[name](terminal, data[1:])
        except blocks.DownloadError as error:
            terminal.log("download of %s: %s" % (name, error))
            raise Stopped("key", _shown(entry))
        _keep(terminal, name, head, len(pieces), row)
        pieces.append(row)
    yield Tell((len(entries), len(entries)))
    parameter, whole = SETS[name](terminal, pieces)
    waits = yield from _swap(terminal, name, line, {parameter: whole})
    yield from _end(terminal, name, line)
    return Result(count=len(pieces), waits=waits)


def _list(terminal: "Terminal", name: str, line: Line, head: "dict[str, Any]") -> "Work[None]":
    """Fills the head's list. Raises Stopped."""
    code = CODES[name][1]
    found: list[list[str]] = []
    state = MORE
    while state == MORE:
        data = yield from _ask(terminal, line, INQUIRY, code, b"1%02d" % len(found))
        state = parameter_block.state_of(data, code)
        _refused(state)
        if state == NONE:
            break
        try:
            entries, more = blocks.status_list(data[1:]) if len(data) > 1 else ([], False)
        except blocks.DownloadError:
            raise Stopped("broken", code)
        before = len(found)
        for entry in entries:
            pair = [entry["name"], entry["index"]]
            if bool(pair[1]) != (name == "card-keys"):
                raise Stopped("broken", code)
            if pair not in found:
                found.append(pair)
        if len(found) > MOST_LISTED or (state == MORE and len(found) == before):
            raise Stopped("endless")
    head["list"], head["whole"] = found, True
    terminal.ports["store"].commit(_gone(terminal, name) + [(TABLE, name, json.dumps(head).encode(), None)])


def _name_block(entry: "list[str]") -> bytes:
    tree: list[tuple[int, Any]] = [(blocks.NAME, unhexlify(entry[0]))]
    if entry[1]:
        tree.append((blocks.INDEX, unhexlify(entry[1])))
    return tlv.encode(tree)


def _names(entry: "list[str]") -> "Callable[[bytes], bool]":
    """Whether a reply is about this entry, or about nothing at all."""

    def fits(data: bytes) -> bool:
        try:
            tree = tlv.decode(data[1:])
        except tlv.TlvError:
            return True  # looked at where the reason can be told
        said = [value for tag, value in tree if tag == blocks.NAME and not isinstance(value, list)]
        index = [value for tag, value in tree if tag == blocks.INDEX and not isinstance(value, list)]
        return [hexlify(one).decode().upper() for one in said + index] in ([], [one for one in entry if one])

    return fits


def _shown(entry: "list[str]") -> str:
    return " ".join([one for one in entry if one])


def _application(terminal: "Terminal", block: bytes) -> "dict[str, Any]":
    return blocks.application(block)[0]


def _applications(terminal: "Terminal", rows: "list[dict[str, Any]]") -> "tuple[str, list[dict[str, Any]]]":
    """The whole new table: each application with what blocks never say from the old rows of its name, or of its provider."""
    old = terminal.parameter.value("emv.aids") or []
    whole = []
    for row in rows:
        same = [one for one in old if one["aid"].upper() == row["aid"].upper()]
        for base in same or [None]:
            known = [base] if base is not None else old
            whole.append([one for one in blocks.replace(known, row) if one["aid"].upper() == row["aid"].upper()][0])
    try:
        parameter_file.check({"applications": whole})
    except parameter_file.ParameterFileError as error:
        terminal.log("download of card-applications: %s" % error)
        raise Stopped("key", str(error).split(":")[0])
    return "emv.aids", whole


def _key(terminal: "Terminal", block: bytes) -> "dict[str, str]":
    # No block says of which kind it is; a set is of one kind, since it replaces the old one.
    return blocks.key(block, "live" if terminal.mode == "production" else "test")[0]


def _keys(terminal: "Terminal", rows: "list[dict[str, str]]") -> "tuple[str, list[dict[str, str]]]":
    """The whole new set, without the keys that are past their day already."""
    today = terminal.calendar_stamp()[:8] if terminal.calendar.trusted else ""
    return "emv.keys", [row for row in rows if not row.get("expiry") or row["expiry"] >= today]


ROWS: "dict[str, Callable[..., dict[str, Any]]]" = {"card-applications": _application, "card-keys": _key}
SETS: "dict[str, Callable[..., tuple[str, list[Any]]]]" = {"card-applications": _applications, "card-keys": _keys}


# ---- the black list


def _blacklist(terminal: "Terminal", name: str, line: Line) -> "Work[Result]":
    """Pieces are lists of [digits, fingerprint]: a number is in the store only as the vault's fingerprint of it."""
    code = CODES[name][0]
    room = terminal.parameter("download.list_digits")
    head, pieces = _kept(terminal, name)
    state = ALL if head.get("whole") else MORE
    so_far = sum([len(piece) for piece in pieces])
    while state == MORE:
        yield Tell((so_far, 0))
        data = yield from _ask(terminal, line, DOWNLOAD, code, b"%03d" % (so_far + 1 if so_far else 0))
        state, numbers = parameter_block.listed(data, so_far, room)
        _refused(state)
        if state == NONE:
            if so_far or numbers:
                raise Stopped("broken", code)
            return Result("none")
        if state == MORE and not numbers:
            raise Stopped("endless")
        yield from line.close()  # as in `_ask`
        piece = []
        for number in numbers:
            event = yield Ask("vault", "fingerprint", number.encode(), within_ms=VAULT_MS)
            if event.name != VAULT_DONE:
                raise Stopped("no-key")
            piece.append([len(number), hexlify(event.value).decode()])
        head["whole"] = state == ALL
        _keep(terminal, name, head, len(pieces), piece)
        pieces.append(piece)
        so_far += len(numbers)
    entries = [entry for piece in pieces for entry in piece]
    listed = set([entry[1] for entry in entries])
    store = terminal.ports["store"]
    old = [who for who, _ in store.range(parameter_file.EXCEPTIONS)]
    rows: list[Row] = [(parameter_file.EXCEPTIONS, who, None, None) for who in old if who not in listed]
    rows += [(parameter_file.EXCEPTIONS, who, b"1", None) for who in sorted(listed) if who not in old]
    counts = ((changes.CARDS, _counted(old), _counted(sorted(listed))),) if rows else ()
    sizes = sorted(set([entry[0] for entry in entries]))
    waits = yield from _swap(terminal, name, line, {}, rows, {"sizes": sizes}, counts)
    yield from _end(terminal, name, line)
    return Result(count=len(entries), waits=waits)


def _counted(marks: "list[str]") -> str:
    return "%d / %s" % (len(marks), changes.fingerprint("".join(marks))) if marks else "0"


CONVERSATIONS: "dict[str, Callable[..., Work[Result]]]" = {
    "parameters": _parameters,
    "card-applications": _listed,
    "card-keys": _listed,
    "blacklist": _blacklist,
    "contactless-limits": _limits,
    "status-upload": _status,
}
