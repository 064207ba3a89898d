"""A card that lies: it answers as an honest one would, and now and then as none may. For tests of whole kernels.

    honest   any card with `apdu(command) -> response or None`; it gives the shape that lets a lie get far
    lies     a byte, a cut, a status word, an object repeated, replaced, made huge or nested; an answer meant for another
             command; random bytes; nothing at all

Everything is drawn from the `random.Random` it is given, so a seed is a test case.
"""

from firmware.emv import ask, tags

WORDS = (0x9000, 0x9000, 0x6283, 0x6300, 0x63C0, 0x63C2, 0x6700, 0x6983, 0x6984, 0x6985, 0x6986, 0x6A81, 0x6A82, 0x6A83, 0x6D00)
TAGS = tuple([row[0] for row in tags.TAGS])
LOST = 0.01


class LyingCard:
    """chance: random.Random; honest: the card it pretends to be; rate: how often it lies, 0 .. 1."""

    def __init__(self, chance, honest, rate=None):
        self.chance = chance
        self.honest = honest
        self.rate = chance.choice((0.02, 0.1, 0.3)) if rate is None else rate
        self.before = [b"\x90\x00"]

    def apdu(self, command):
        chance = self.chance
        answer = self.honest.apdu(command) if chance.random() > 0.02 else chance.choice(self.before)
        if answer is None or chance.random() < LOST:
            return None
        if chance.random() < self.rate:
            answer = getattr(self, chance.choice(LIES))(answer)
        self.before = self.before[-7:] + [answer]
        return answer

    def _byte(self, answer):
        lie = bytearray(answer)
        for _ in range(self.chance.randrange(1, 4)):
            if lie:
                lie[self.chance.randrange(len(lie))] = self.chance.randrange(256)
        return bytes(lie)

    def _cut(self, answer):
        return answer[: self.chance.randrange(len(answer) + 1)]

    def _middle(self, answer):
        at = self.chance.randrange(len(answer) + 1)
        return answer[:at] + self._noise(self.chance.randrange(1, 9)) + answer[at:]

    def _word(self, answer):
        data = answer[:-2] if self.chance.random() < 0.5 else b""
        return data + self.chance.choice(WORDS).to_bytes(2, "big")

    def _object(self, answer):
        """An object of a known tag and of any length put where the first template begins, the length made right."""
        tag = self.chance.choice(TAGS)
        value = self._noise(self.chance.choice((0, 1, 2, 3, 5, 8, 20, 120)))
        extra = tag.to_bytes((tag.bit_length() + 7) // 8, "big") + bytes((len(value),)) + value
        body = answer[2:-2]
        return (answer[:1] or b"\x70") + self._length(len(extra + body)) + extra + body + b"\x90\x00"

    def _twice(self, answer):
        body = answer[2:-2] * 2
        return answer[:1] + self._length(len(body)) + body + b"\x90\x00"

    def _bomb(self, answer):
        deep = b""
        for _ in range(self.chance.choice((3, 12, 60))):
            deep = b"\x70" + self._length(len(deep)) + deep
        return self.chance.choice((deep, b"\x6f\x84\xff\xff\xff\xff", b"\x9f" * 200, b"\x00" * 4000, bytes(70000))) + b"\x90\x00"

    def _random(self, answer):
        return self._noise(self.chance.choice((0, 1, 2, 10, 258)))

    def _noise(self, size):
        return bytes([self.chance.randrange(256) for _ in range(size)])

    def _length(self, size):
        if size < 128:
            return bytes((size,))
        return b"\x81" + bytes((size,)) if size < 256 else b"\x82" + (size & 0xFFFF).to_bytes(2, "big")


LIES = ("_byte", "_byte", "_cut", "_middle", "_word", "_object", "_object", "_twice", "_bomb", "_random")


class LyingPerson:
    """Answers every question of a kernel by chance: holder, merchant, vault, books and issuer."""

    def __init__(self, chance):
        self.chance = chance

    def answer(self, question):
        chance = self.chance
        if isinstance(question, ask.Choose):
            return chance.choice((0, len(question.names) - 1, 0, 0, None))
        if isinstance(question, ask.OnlinePin):
            return chance.choice(("entered", "entered", ask.BYPASS, ask.CANCEL, ask.BROKEN))
        if isinstance(question, ask.OfflinePin):
            return chance.choice((0x9000, 0x63C2, 0x63C1, 0x63C0, 0x6983, 0x6F00, None, ask.BYPASS, ask.CANCEL, ask.BROKEN))
        if isinstance(question, ask.CheckDocument):
            return chance.choice((True, False, ask.CANCEL))
        if isinstance(question, ask.LastAmount):
            return chance.choice((0, 1, 99999999))
        if isinstance(question, (ask.OnException, ask.Refer)):
            return chance.random() < 0.3
        return self._reply()

    def _reply(self):
        chance = self.chance
        if chance.random() < 0.2:
            return ask.Reply(offline=chance.random() < 0.7)
        code = chance.choice(("00", "00", "11", "51", "01"))
        noise = bytes([chance.randrange(256) for _ in range(chance.randrange(40))])
        script = chance.choice(
            (b"", b"\x86\x05\x84\x24\x00\x00\x00", b"\x9f\x18\x04\x01\x02\x03\x04\x86\x04\x84\x1e\x00\x00", noise)
        )
        scripts = tuple([(chance.choice((0x71, 0x72)), script) for _ in range(chance.randrange(4))])
        return ask.Reply(code, code in ("00", "11"), noise[:16], scripts)


def bounded(flow, card, person, limit=2000):
    """Runs a kernel: (its outcome, how many steps it took). A flow that does not end fails."""
    answer = None
    for steps in range(limit):
        try:
            step = flow.send(answer)
        except StopIteration as done:
            return done.value, steps
        answer = card.apdu(step) if isinstance(step, (bytes, bytearray)) else person.answer(step)
    raise AssertionError("%d steps and no end" % limit)
