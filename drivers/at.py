"""The grammar of AT commands: bytes in, things understood out. Sans I/O, any bytes, bounded memory.

A modem speaks lines between CR LF, and mixes three kinds of them as it likes: the answer to the one command that is open,
the line that ends it, and what nobody asked for (URCs). Nothing but the text tells them apart, so a command says what its
answer looks like, and everything else is a URC or noise. What is not a line:

    "> "                     no CR LF behind it: the modem waits for the bytes that the command announced
    +QIRD: 5 CR LF .....     a header, and so many bytes that may hold anything, "OK" and URCs among it  (COUNTED)
    +CMT: ... CR LF ...      a header, and one line that may hold anything                               (PAIRED)

A line is looked at in this order:

    1 counted, paired    the header takes what follows with it
    2 a sure URC         never an answer, whatever is open
    3 the echo           of the open command, once, before anything else
    4 the end            success or failure of the open command; ERROR, +CME ERROR, +CMS ERROR of any
    5 the answer         as the command describes it; only the first one, unless it says `many`
    6 all else           a URC, which its reader may ignore

`feed` gives a list of (what, value):

    LINE    str, answer to the open command        END     Result: the command is over
    URC     str; paired: header LF line            DATA    (header, bytes)
    PROMPT  None                                   ECHO    None: the modem echoes
    TORN    header whose bytes never came (`stalled`)

Source: 3GPP TS 27.007, 27.005; reference/hardware.md 5.7.
"""

import re
from collections import namedtuple

LINE, END, URC, DATA, PROMPT, ECHO, TORN = "line", "end", "urc", "data", "prompt", "echo", "torn"

LONGEST_LINE = 2048
LONGEST_DATA = 4096

Result = namedtuple("Result", ("ok", "text", "kind", "code"))
Result.__doc__ = """How a command ended. text: its last line; kind: "" | "CME" | "CMS"; code: int or None"""

_ERROR = re.compile(r"(?:\+(CM[ES]) )?ERROR(?:: ?(.*))?")
_BREAK = re.compile(rb"[\r\n]")
_PROMPT = re.compile(rb"[^\x20-\x7e]*>")

# What modems say in words under CMEE=2, and in numbers under CMEE=1 (27.007, 9.2).
WORDS = {
    "operation not allowed": 3,
    "operation not supported": 4,
    "sim not inserted": 10,
    "sim pin required": 11,
    "sim puk required": 12,
    "sim failure": 13,
    "sim busy": 14,
    "sim wrong": 15,
    "incorrect password": 16,
    "memory full": 20,
    "no network service": 30,
    "network timeout": 31,
}


class Command:
    """One command and what its answer looks like. Patterns are regular expressions for whole lines.

    text      "AT+CSQ", without CR
    answer    pattern of a line that belongs to it; None: none does
    many      more than one such line
    success   pattern of the line that ends it well
    failure   pattern of one that ends it badly, besides ERROR and its like
    late      it is not over before both `success` and an answer have been seen, in whichever order
    prompt    the modem asks for bytes with ">"
    secret    text is only the beginning of what is sent: the rest is nobody's business
    """

    def __init__(
        self,
        text: str,
        answer: "str | None" = None,
        many: bool = False,
        success: str = "OK",
        failure: "str | None" = None,
        late: bool = False,
        prompt: bool = False,
        secret: bool = False,
    ) -> None:
        self.text = text
        self.answer, self.success, self.failure = answer, success, failure
        self.many, self.late, self.prompt, self.secret = many, late, prompt, secret

    def __repr__(self) -> str:
        return "Command(%r)" % (self.text if not self.secret else self.text + "...")


class Channel:
    """What has been heard of one modem, and the command that is open.

    urcs      pattern of lines that are never an answer, or None
    counted   patterns of headers with bytes behind them; the group "n" is how many
    paired    patterns of headers that take the next line with them
    noise     how many lines made no sense
    """

    def __init__(self, urcs: "str | None" = None, counted: "tuple[str, ...]" = (), paired: "tuple[str, ...]" = ()) -> None:
        self.noise = 0
        self._urcs = re.compile(urcs) if urcs else None
        self._counted = [re.compile(one) for one in counted]
        self._paired = [re.compile(one) for one in paired]
        self._buffer = bytearray()
        self._too_long = False
        self._skip_feed = False  # the LF behind the CR of a header is part of the header
        self._header: str | None = None  # takes what follows
        self._need: int | None = None  # so many bytes; None: a line
        self._open: Command | None
        self.abandon()

    # Out.

    def begin(self, command: Command) -> bytes:
        """What is written to ask it. A command that was open is abandoned."""
        self.abandon()
        self._open = command
        self._prompt = command.prompt
        return command.text.encode("ascii") + (b"" if command.secret else b"\r")

    def abandon(self) -> None:
        """Nobody waits for the open command any more."""
        self._open = None
        self._mine = False  # the header is an answer to it
        self._prompt = self._seen = self._good = self._started = False
        self._last = ""

    @property
    def owing(self) -> bool:
        """Whether a header waits for what belongs to it: if that does not come soon, call `stalled`."""
        return self._header is not None

    # In.

    def feed(self, data: "bytes | bytearray") -> list:
        """What is understood with these bytes; see the module."""
        self._buffer += data
        found: list = []
        while self._buffer and self._take(found):
            pass
        if self._prompt and self._header is None:
            asked = _PROMPT.match(self._buffer)
            if asked:
                del self._buffer[: asked.end()]
                self._asked(found)
        return found

    def stalled(self) -> list:
        """What belongs to a header has not come: gives it up -> [(TORN, header)] or []."""
        if self._header is None:
            return []
        header, self._header, self._need = self._header, None, None
        self._skip_feed = False
        self._buffer.clear()
        return [(TORN, header)]

    def forget(self) -> None:
        """Another modem, or the same one after a reset: nothing heard so far counts."""
        self.stalled()
        self._buffer.clear()
        self._too_long = False
        self.abandon()

    def _take(self, found):
        """One thing out of the buffer; False when more is needed."""
        buffer = self._buffer
        if self._skip_feed:
            self._skip_feed = False
            if buffer[0] == 0x0A:
                del buffer[:1]
                return True
        if self._need is not None:
            if len(buffer) < self._need:
                return False
            data = bytes(buffer[: self._need])
            del buffer[: self._need]
            header, self._header, self._need = self._header, None, None
            found.append((DATA, (header, data)))
            return True
        end = _BREAK.search(buffer)
        if end is None:
            if len(buffer) > LONGEST_LINE:
                buffer.clear()
                self._too_long = True
            return False
        raw = bytes(buffer[: end.start()])
        self._skip_feed = buffer[end.start()] == 0x0D
        del buffer[: end.end()]
        text = raw.replace(b"\0", b"").decode("utf-8", "replace").strip()
        if self._too_long or len(raw) > LONGEST_LINE:
            self._too_long = False
            self._header = None
            self.noise += 1
        elif self._header is not None:
            header, self._header = self._header, None
            self._tell(found, header + "\n" + text)
        elif text:
            self._line(text, found)
        return True

    def _line(self, text, found):
        for header in self._counted:
            match = header.fullmatch(text)
            if match and len(match["n"]) < 6 and int(match["n"]) <= LONGEST_DATA:
                self._mine = self._answers(text)
                self._seen = self._seen or self._mine
                if int(match["n"]):
                    self._header, self._need = text, int(match["n"])
                else:
                    found.append((DATA, (text, b"")))
                return
        for header in self._paired:
            if header.fullmatch(text):
                self._mine, self._header = self._answers(text), text
                return
        if self._urcs and self._urcs.fullmatch(text):
            found.append((URC, text))
            return
        command = self._open
        if command is None:
            found.append((URC, text))
            return
        if not self._started and self._is_echo(command, text):
            self._started = True
            found.append((ECHO, None))
            return
        if self._prompt and text == ">":
            self._asked(found)
            return
        if self._ends(command, text, found):
            return
        self._mine = self._answers(text)
        if not self._mine:
            self.noise += not text.startswith(("+", "^", "*", "%"))
        self._tell(found, text)
        if self._good and self._seen and self._mine:
            self._finish(found, Result(True, self._last, "", None))

    def _tell(self, found, text):
        """A line of the open command, or one that nobody asked for."""
        if self._mine and self._open:
            self._seen = self._started = True
            found.append((LINE, text))
        else:
            found.append((URC, text))
        if "\n" in text:
            self._mine = False

    def _answers(self, text):
        command = self._open
        return bool(
            command and command.answer and (command.many or not self._seen) and re.fullmatch(command.answer, text, re.DOTALL)
        )

    @staticmethod
    def _is_echo(command, text):
        return text.startswith(command.text) if command.secret else text == command.text

    def _ends(self, command, text, found):
        """Whether the line is the end of the open command, or half of it."""
        if command.failure and re.fullmatch(command.failure, text):
            self._finish(found, Result(False, text, "", None))
            return True
        error = _ERROR.fullmatch(text)
        if error:
            self._finish(found, Result(False, text, error[1] or "", error_code(error[2])))
            return True
        if not re.fullmatch(command.success, text):
            return False
        if command.late and not self._seen:
            self._good, self._last = True, text
        else:
            self._finish(found, Result(True, text, "", None))
        return True

    def _asked(self, found):
        self._prompt = False
        self._started = True
        found.append((PROMPT, None))

    def _finish(self, found, result):
        self.abandon()
        found.append((END, result))


def error_code(text: "str | None") -> "int | None":
    """The number behind ERROR, said as a number or in words; None when it is neither."""
    text = (text or "").strip()
    if re.fullmatch(r"\d{1,5}", text):
        return int(text)
    return WORDS.get(text.lower())


def fields(text: str) -> "list[str]":
    """The values behind the colon of a line, quotes taken off: '+X: 1,"a,b",' -> ["1", "a,b", ""]."""
    values = text.partition(":")[2].strip()
    return [one[1:-1] if one[:1] == '"' and one[-1:] == '"' and len(one) > 1 else one.strip() for one in _split(values)]


def _split(values):
    parts, start, quoted = [], 0, False
    for place, char in enumerate(values):
        if char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            parts.append(values[start:place].strip())
            start = place + 1
    parts.append(values[start:].strip())
    return parts
