"""Scripts: a person's hands and eyes, one line a step.

    # sell 12.34 by tapping a card
    power on
    wait screen 登录
    keys 01 ENTER 0000 ENTER
    expect screen 消费
    ...

Blank lines and lines that begin with # are skipped, and so is the rest of a line after " #". `FORMS` below is the
whole language; words in capitals stand for what the writer fills in. `include FILE` (seen from the file that says
so) and `repeat N` ... `end` are understood while reading, so a mistake anywhere is found before the first step is done.

What is expected is waited for, up to a patience of five seconds (`patience N s` changes it from there on), and
nothing is slept for except `wait N ms`. Text matches anywhere on the screen or the paper, however it is spaced or
broken into lines. A step that fails ends the script: `Failed` names file, line and step and shows the screen.

    keys           digits are typed one by one, `.` is the key 00, names are those of the keys (ENTER CANCEL ...),
                   `PIN:debit` is the PIN of that card, `CARD:debit` its number, `EXPIRY:debit` its month and year
    fault NAME     paper-out, cover-open, hot, printer-silent, line-down, reader-silent, chip-gone, stripe-gone,
                   display-gone, low-paper, modem-gone, modem-silent, modem-noise, modem-storm, tls-wrong-name,
                   tls-expired, tls-self-made (where the line to the host has TLS)
    swipe NAME     through the groove; `badly`: so that nothing of it can be read
    rule TEXT      what the host does to some message, in the host's own words: emulator/acquirer/rules.py
    signal N       how well the mobile network is heard, 0 to 100 percent
    tower NAME     carries the device elsewhere: shop, street, suburb (3G), village (2G), rival (roaming)
    sim NAME       out, in; asks (wants its PIN, 1234, which is typed as `PIN:sim`), free; frozen, thawed
    network NAME   denied, admitted (registration); no-data, data; open (both); time-right, time-wrong, time-absent
    modem NAME     gone (with its port), silent (until it is reset), noise, storm (unsolicited lines without end), back
    sms TEXT       a short message to the terminal
    expect modem   a word of its registration (home, roaming, searching, denied, off), or online: it has an address
    parameter N V  sets a parameter while the device is off, as a technician would: `parameter module.tip true`
    stop at POINT  the power goes when the firmware reaches this named point (`drivers/wires.py`)
    record X.json  the card that is inserted or tapped next is taken down until it leaves: beside the script, or in the
                   folder of the recording (`--record`). Masked, unless one of the emulator's own test authorities
                   vouches for the card
    insert file F  a recorded card: one taken down before, or a file seen from the script; the same with tap
"""

from __future__ import annotations

import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from emulator import blocks

if TYPE_CHECKING:
    from emulator.device import Device

PATIENCE_S = 5.0
WAIT_S = 60.0  # `wait screen` is for what takes as long as it takes
DEEPEST = 16  # includes and repeats within each other


class ScriptError(Exception):
    """The script cannot be read: file, line and what is wrong."""


class Failed(Exception):
    """A step did not come out as written. `str` is the whole story: step, reason, screen as text and picture."""


class Step(NamedTuple):
    file: str
    line: int
    text: str
    do: Callable[..., None]
    words: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class Repeat(NamedTuple):
    times: int
    steps: list[Step | Repeat]


class Player:
    """Does the steps on one device. Each method is one row of FORMS; what it cannot do it raises as ValueError."""

    def __init__(self, device: Device, recorder: Recorder | None = None) -> None:
        self.device = device
        self.recorder = recorder
        self.patience_s = PATIENCE_S
        self.folder = Path()  # from where files are seen
        self._taken: dict[str, Path] = {}

    def power_on(self) -> None:
        self.device.power_on()

    def power_off(self) -> None:
        self.device.power_off()

    def plug(self) -> None:
        self.device.plug()

    def crash(self) -> None:
        self.device.crash()

    def stop_at(self, point: str) -> None:
        self.device.stop_at(point)

    def keys(self, text: str) -> None:
        self.device.keys(text)

    def tap(self, name: str) -> None:
        self.device.tap(name)

    def second(self, name: str) -> None:
        self.device.second_card(name)

    def remove_card(self) -> None:
        self.device.remove_card()

    def insert(self, name: str) -> None:
        self.device.insert(name)

    def pull(self) -> None:
        self.device.pull()

    def swipe(self, name: str) -> None:
        self.device.swipe(name)

    def swipe_badly(self, name: str) -> None:
        self.device.swipe(name, badly=True)

    def insert_file(self, name: str) -> None:
        self.device.insert_file(self._file(name))

    def tap_file(self, name: str) -> None:
        self.device.tap_file(self._file(name))

    def record(self, name: str) -> None:
        path = (self.recorder.folder if self.recorder else self.folder) / name
        self.device.record(path)
        self._taken[name] = path

    def _file(self, name: str) -> Path:
        return self._taken.get(name) or self.folder / name

    def fault(self, name: str) -> None:
        self.device.fault(name, True)

    def mend(self, name: str) -> None:
        self.device.fault(name, False)

    def rule(self, text: str) -> None:
        self.device.rule(text)

    def parameter(self, name: str, value: str) -> None:
        self.device.parameter(name, value)

    def signal(self, percent: str) -> None:
        self.device.signal(int(percent))

    def tower(self, name: str) -> None:
        self.device.tower(name)

    def sim(self, what: str) -> None:
        self.device.sim(what)

    def network(self, what: str) -> None:
        self.device.network(what)

    def modem(self, what: str) -> None:
        faults = [name for name in self.device.faults if name.startswith("modem-")]
        if what == "back":
            for name in faults:
                self.device.fault(name, False)
        elif "modem-" + what in faults:
            self.device.fault("modem-" + what, True)
        else:
            raise ValueError("a modem is " + ", ".join([name[6:] for name in faults] + ["back"]))

    def sms(self, text: str) -> None:
        self.device.sms(text)

    def expect_modem(self, what: str) -> None:
        def seen() -> tuple[str, str]:
            view = self.device.chips.modem.view()
            return view["registered"], "online" if view["address"] else ""

        self._need(self.device.until(lambda: what in seen(), max(WAIT_S, self.patience_s)), "the modem is " + " ".join(seen()))

    def tear(self) -> None:
        self.device.tear()

    def patience(self, seconds: str) -> None:
        self.patience_s = float(seconds)

    def wait_ms(self, milliseconds: str) -> None:
        threading.Event().wait(int(milliseconds) / 1000)

    def wait_screen(self, text: str) -> None:
        self._need(self.device.wait_screen(text, max(WAIT_S, self.patience_s)), "never came")

    def wait_paper(self, text: str) -> None:
        self._need(self.device.wait_paper(text, max(WAIT_S, self.patience_s)), "never came")

    def expect_screen(self, text: str) -> None:
        self._need(self.device.wait_screen(text, self.patience_s), "not on the screen")

    def expect_no_screen(self, text: str) -> None:
        gone = self.device.until(lambda: self.device.screen.sight.exact and not self.device.shows(text), self.patience_s)
        self._need(gone, "still on the screen")

    def expect_paper(self, text: str) -> None:
        self._need(self.device.wait_paper(text, self.patience_s), "not on the paper:\n" + self.device.paper_text)

    def expect_no_paper(self, text: str) -> None:
        self._need(not self.device.printed(text), "is on the paper:\n" + self.device.paper_text)

    def expect_approved(self, amount: str) -> None:
        wanted = fen(amount)
        found = self.device.until(lambda: wanted in self.device.books().approved_fen, self.patience_s)
        self._need(found, "the acquirer's books hold " + self._books())

    def expect_nothing(self) -> None:
        empty = self.device.until(lambda: not self.device.books().approved_fen, self.patience_s)
        self._need(empty, "the acquirer's books hold " + self._books())

    def expect_balance(self, name: str, amount: str) -> None:
        wanted = fen(amount)
        reached = self.device.until(lambda: self.device.books().balances_fen.get(name) == wanted, self.patience_s)
        self._need(reached, "the acquirer's books hold " + self._books())

    def expect_led(self, name: str) -> None:
        self._need(self.device.until(lambda: self.device.leds[name], self.patience_s), "lit are: " + self._lit())

    def expect_no_led(self, name: str) -> None:
        self._need(self.device.until(lambda: not self.device.leds[name], self.patience_s), "lit are: " + self._lit())

    def expect_power(self, state: str) -> None:
        reached = self.device.until(lambda: self.device.power == state, self.patience_s)
        self._need(reached, "power is " + self.device.power)

    def screenshot(self, name: str) -> None:
        if self.recorder:
            self.recorder.screenshot(name)

    def _need(self, reached: bool, reason: str) -> None:
        if not reached:
            raise ValueError(reason)

    def _lit(self) -> str:
        return " ".join(name for name, lit in self.device.leds.items() if lit) or "none"

    def _books(self) -> str:
        books = self.device.books()
        amounts = " ".join(money(amount) for amount in books.approved_fen) or "nothing"
        return amounts + "; balances " + " ".join(f"{name} {money(amount)}" for name, amount in books.balances_fen.items())


FORMS: tuple[tuple[str, Callable[..., None]], ...] = (
    # what is written            what is done
    ("power on", Player.power_on),
    ("power off", Player.power_off),
    ("plug", Player.plug),
    ("crash", Player.crash),
    ("stop at POINT", Player.stop_at),
    ("keys TEXT", Player.keys),
    ("tap NAME", Player.tap),
    ("second NAME", Player.second),
    ("remove card", Player.remove_card),
    ("insert NAME", Player.insert),
    ("pull", Player.pull),
    ("swipe NAME badly", Player.swipe_badly),
    ("swipe NAME", Player.swipe),
    ("insert file FILE", Player.insert_file),
    ("tap file FILE", Player.tap_file),
    ("record NAME.json", Player.record),
    ("fault NAME off", Player.mend),
    ("fault NAME", Player.fault),
    ("rule TEXT", Player.rule),
    ("parameter NAME TEXT", Player.parameter),
    ("signal N", Player.signal),
    ("tower NAME", Player.tower),
    ("sim NAME", Player.sim),
    ("network NAME", Player.network),
    ("modem NAME", Player.modem),
    ("sms TEXT", Player.sms),
    ("expect modem NAME", Player.expect_modem),
    ("tear", Player.tear),
    ("expect screen TEXT", Player.expect_screen),
    ("expect no screen TEXT", Player.expect_no_screen),
    ("expect paper TEXT", Player.expect_paper),
    ("expect no paper TEXT", Player.expect_no_paper),
    ("expect acquirer approved AMOUNT", Player.expect_approved),
    ("expect acquirer balance NAME AMOUNT", Player.expect_balance),
    ("expect acquirer nothing", Player.expect_nothing),
    ("expect led NAME", Player.expect_led),
    ("expect no led NAME", Player.expect_no_led),
    ("expect power STATE", Player.expect_power),
    ("screenshot NAME", Player.screenshot),
    ("wait N ms", Player.wait_ms),
    ("wait screen TEXT", Player.wait_screen),
    ("wait paper TEXT", Player.wait_paper),
    ("patience N s", Player.patience),
)

_BLANKS = {
    "TEXT": r"(\S.*)",
    "NAME": r"([\w.-]+)",
    "NAME.json": r"([\w-]+\.json)",
    "FILE": r"(\S.*)",
    "POINT": r"([\w:.-]+)",
    "AMOUNT": r"(\d+\.\d\d)",
    "STATE": r"(on|off|crashed)",
    "N": r"(\d{1,6})",
}
_PATTERNS = [(re.compile(r"\s+".join(_BLANKS.get(word) or re.escape(word) for word in form.split())), do) for form, do in FORMS]


def fen(amount: str) -> int:
    """ "12.34" is 1234."""
    return int(amount.replace(".", ""))


def money(amount_fen: int) -> str:
    return "%d.%02d" % divmod(amount_fen, 100)


def read(path: str | Path) -> list[Step | Repeat]:
    """Reads a script and all that it includes. Raises ScriptError."""
    path = Path(path)
    steps, rest = _block(_lines(path, ()), 0)
    if rest is not None:
        raise ScriptError(f"{rest}: there is nothing to end here")
    return steps


class _Line(NamedTuple):
    file: Path
    number: int
    text: str
    includes: tuple[Path, ...]

    def __str__(self) -> str:
        return f"{self.file.name}:{self.number}: {self.text}"


def _lines(path: Path, includes: tuple[Path, ...]) -> Iterator[_Line]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: cannot be read: {error}") from error
    for number, raw in enumerate(text.splitlines(), 1):
        words = re.sub(r"(^|\s)#.*", "", raw).strip()
        if not words:
            continue
        line = _Line(path, number, words, includes)
        included = re.fullmatch(r"include\s+(\S.*)", words)
        if not included:
            yield line
            continue
        if len(includes) == DEEPEST:
            raise ScriptError(f"{line}: more than {DEEPEST} files include each other")
        yield from _lines(path.parent / included[1], (*includes, path))


def _block(lines: Iterator[_Line], depth: int) -> tuple[list[Step | Repeat], _Line | None]:
    """The steps up to `end`, and that line, or None when the file ended."""
    steps: list[Step | Repeat] = []
    for line in lines:
        repeat = re.fullmatch(r"repeat\s+(\d{1,6})", line.text)
        if repeat:
            if depth == DEEPEST:
                raise ScriptError(f"{line}: repeats within repeats deeper than {DEEPEST}")
            inner, end = _block(lines, depth + 1)
            if end is None:
                raise ScriptError(f"{line}: its `end` is missing")
            steps.append(Repeat(int(repeat[1]), inner))
        elif line.text == "end":
            return steps, line
        else:
            steps.append(_step(line))
    return steps, None


def _step(line: _Line) -> Step:
    do, words = _understood(line.text, str(line))
    return Step(line.file.name, line.number, line.text, do, words, line.file.parent)


def _understood(text: str, where: str) -> tuple[Callable[..., None], tuple[str, ...]]:
    for pattern, do in _PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            return do, match.groups()
    near = [form for form, _ in FORMS if form.split()[0] == text.split()[0]]
    hint = "it may be: " + " | ".join(near) if near else "steps are: " + " | ".join(form for form, _ in FORMS)
    raise ScriptError(f"{where}: not understood; {hint}")


def step(text: str) -> Callable[[Player], None]:
    """One step that a person typed, ready to be done by a player. Raises ScriptError."""
    do, words = _understood(text, text)
    return lambda player: do(player, *words)


def flat(steps: Iterable[Step | Repeat]) -> Iterator[Step]:
    """The steps in the order in which they are done."""
    for step in steps:
        if isinstance(step, Repeat):
            for _ in range(step.times):
                yield from flat(step.steps)
        else:
            yield step


def run(
    device: Device,
    path: str | Path,
    record: str | Path | None = None,
    say: Callable[[str], None] | None = None,
) -> int:
    """Does the script on the device. Returns the number of steps done.

    record    folder for what was seen: a picture of each screen, the paper, the log by steps
    say       told each step before it is done

    Raises ScriptError before the first step, Failed at the step that fails.
    """
    steps = read(path)
    try:
        recorder = Recorder(device, Path(record)) if record else None
    except OSError as error:
        raise Failed(f"{record}: nothing can be recorded there: {error.strerror}") from None
    player = Player(device, recorder)
    done = 0
    try:
        for step in flat(steps):
            if say:
                say(str(step))
            player.folder = step.folder
            try:
                step.do(player, *step.words)
            except (ValueError, LookupError, OSError) as error:
                raise Failed(_story(step, error, device)) from None
            done += 1
            if recorder:
                recorder.step(step)
    finally:
        if recorder:
            recorder.close()
    return done


def _story(step: Step, error: Exception, device: Device) -> str:
    reason = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    seen = device.screen
    picture = "\n".join(blocks.framed(blocks.half_blocks(blocks.rows_of(seen.image))))
    text = seen.text or "(dark)"
    return f"{step}\n  failed: {reason}\n\nThe screen, power {device.power}:\n{text}\n\n{picture}"


def _kept(step: Step) -> str:
    """The step as a recording may have it: what is typed may be a secret."""
    text = re.sub(r"\d", "*", step.text) if step.text.startswith("keys") else step.text
    return f"{step.file}:{step.line}: {text}"


class Recorder:
    """Keeps what was seen: NNN-step.png for each new picture, named screenshots, paper.txt, paper.png, log.txt."""

    def __init__(self, device: Device, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._device = device
        self.folder = folder
        self._steps = 0
        self._seen = b""
        self._logged = 0
        self._torn = ""
        self._log = (folder / "log.txt").open("w", encoding="utf-8")

    def screenshot(self, name: str) -> None:
        if not re.fullmatch(r"[\w-]+", name):
            raise ValueError("a screenshot's name has letters, digits, - and _")
        (self.folder / (name + ".png")).write_bytes(self._device.screen_png())

    def step(self, step: Step) -> None:
        self._steps += 1
        png = self._device.screen_png()
        if png != self._seen:
            self._seen = png
            verb = "-".join(re.findall(r"[a-z]+", step.text)[:2])
            (self.folder / f"{self._steps:03d}-{verb}.png").write_bytes(png)
        self._log.write(f"== {_kept(step)}\n")
        self._log.writelines(f"   {line}\n" for line in self._device.screen.text.splitlines())
        for entry in self._device.log_since(self._logged):
            self._logged = entry.number
            self._log.write(f"{entry.at_ms:9.1f} {entry.kind:8} {entry.text}\n")

    def close(self) -> None:
        self._log.close()
        (self.folder / "paper.txt").write_text(self._device.all_paper_text, encoding="utf-8")
        (self.folder / "paper.png").write_bytes(self._device.paper_png())


def main(arguments) -> int:
    """`python -m emulator script`. 0: all as written; 1: a step failed; 2: the script cannot be read."""
    from emulator.device import Device, Unusable

    try:
        read(arguments.file)
    except ScriptError as error:
        print(error, file=sys.stderr)
        return 2
    with ExitStack() as stack:
        folder = arguments.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="kaifu-"))
        try:
            device = stack.enter_context(Device(folder, fast=arguments.fast))
            done = run(device, arguments.file, arguments.record, None if arguments.quiet else print)
        except (Failed, Unusable) as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{done} steps as written")
    return 0
