"""What a person wants to happen at the host, in words.

    [rule] WHEN [on KIND[,KIND]] WHAT [VALUE]

    amount 12.51 decline 51            this amount, to the fen
    tail 51 decline 55                 an amount that ends so: 0.51, 12.51, ...
    card 0004 decline 41               a card number that ends so, four to six digits
    next cut-after                     the next message, whatever it is
    next 3 on reversal silence         the next three reversals
    always on sale late 40             every sale
    next on sale partial 5.00          the next sale, in part
    next script pin-unblock            the next message, when it is a chip's

KIND is one of request.KINDS. WHEN amount, tail and card mean what a bank decides (sale, void, refund, pre-authorisation,
balance, ...) unless `on` says otherwise; next and always mean every message. The newest rule that fits wins. A rule with
`next` is gone when it has been used up; `clear` forgets all. In a file each line is a rule; # begins a remark.
"""

import re
import threading
from collections import namedtuple
from pathlib import Path

from emulator.acquirer.request import KINDS
from firmware.iso8583 import codes

# What a rule does -> (what its value is, explanation).
ACTIONS = {
    "decline": ("code", "answers with this code and books nothing"),
    "approve": ("code", "checks and books as usual, and answers with this code of success instead of 00"),
    "silence": ("", "books, and never answers"),
    "ignore": ("", "books nothing, and never answers"),
    "partial": ("amount", "approves no more than this amount of a sale, with code 10"),
    "late": ("seconds", "books at once, and answers so much later"),
    "later": ("", "books, and the answer comes in front of the next one to this terminal"),
    "cut-before": ("", "closes the connection, and books nothing"),
    "cut-after": ("", "books, and closes the connection without an answer"),
    "wrong-check": ("", "hands out keys with check values that are wrong"),
    "wrong-mac": ("", "books, and answers with a MAC that is wrong"),
    "no-mac": ("", "books, and answers without a MAC"),
    "wrong-trace": ("", "books, and answers with another trace number"),
    "wrong-amount": ("", "books, and answers with one fen more"),
    "wrong-terminal": ("", "books, and answers with another terminal number"),
    "wrong-merchant": ("", "books, and answers with another merchant number"),
    "wrong-processing": ("", "books, and answers with another processing code"),
    "wrong-mti": ("", "books, and answers with the message type of another request"),
    "split": ("", "books, and the answer arrives in three pieces"),
    "merged": ("", "books, and an old answer arrives in front of the right one, in one piece"),
    "twice": ("", "books, and the answer arrives twice"),
    "half": ("", "books, and the connection breaks in the middle of the answer"),
    "garbage": ("", "books, and answers with bytes that mean nothing"),
    "wrong-arpc": ("", "books, and authenticates itself wrongly to a chip"),
    "no-arpc": ("", "books, and does not authenticate itself to a chip"),
    "script": ("command", "books, and sends a chip this command for after its last cryptogram"),
    "script-before": ("command", "books, and sends a chip this command for before its last cryptogram"),
    "wrong-script": ("command", "books, and sends a chip this command with a MAC that is wrong"),
    "unbalance": ("", "settles as if its own books came to one fen more"),
    "settle-error": ("", "answers a settlement with the flag for an error"),
    "expire": ("seconds", "books a pre-authorisation that holds only so long"),
    "require": ("digit", "books and answers as usual, and asks by the header for what the digit means (3: sign on)"),
}
COMMANDS = ("pin-unblock", "block-application", "unblock-application", "block-card")  # of scripts
MOST_SECONDS = 600


def _asks_for_money(kind: str) -> bool:
    """Whether a kind is decided by the bank, not told afterwards."""
    return bool(KINDS[kind].money and KINDS[kind].sign_on)


class RuleError(ValueError):
    """A text that is no rule; the message says which word is wrong and what would be right. place: of a file, in front of it.

    A number that is too long for any rule may be a card's that was typed in the wrong place: it is not said again.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(place + _LONG.sub(lambda found: "*" * len(found[0]), message))


_LONG = re.compile("[0-9]{7,}")


class Rule(namedtuple("Rule", "when value kinds action argument")):
    """when: "amount", "tail", "card", "next", "always"; value: fen, digits, digits, count, None; kinds: tuple or ().

    action: one of ACTIONS; argument: its value, text or int, or None. str() gives the text back.
    """

    def __str__(self) -> str:
        words = [self.when]
        if self.when == "amount":
            words.append("%d.%02d" % divmod(self.value, 100))
        elif self.when == "next":
            words += [str(self.value)] if self.value > 1 else []
        elif self.value is not None:
            words.append(self.value)
        if self.kinds:
            words += ["on", ",".join(self.kinds)]
        words.append(self.action)
        if self.argument is not None:
            money = ACTIONS[self.action][0] == "amount"
            words.append("%d.%02d" % divmod(self.argument, 100) if money else str(self.argument))
        return " ".join(words)

    def fits(self, kind: str, amount_fen: "int | None", pan: str) -> bool:
        if self.kinds:
            if kind not in self.kinds:
                return False
        elif kind not in KINDS or self.when not in ("next", "always") and not _asks_for_money(kind):
            return False
        if self.when == "amount":
            return amount_fen == self.value
        if self.when == "tail":
            return amount_fen is not None and ("%03d" % amount_fen).endswith(self.value)
        if self.when == "card":
            return pan.endswith(self.value)
        return True


def parse(text: str) -> Rule:
    """The rule that `text` says. Raises RuleError."""
    words = text.split()
    if words[:1] == ["rule"]:
        del words[0]

    def take(what):
        if not words:
            raise RuleError(f"the rule ends before {what}")
        return words.pop(0)

    when, value = take("amount, tail, card, next or always"), None
    if when == "amount":
        value = fen(take("an amount"))
    elif when in ("tail", "card"):
        value = take("digits")
        # Rules are shown: six digits name a card and give nothing away.
        least, most = (4, 6) if when == "card" else (1, 12)
        if not (value.isascii() and value.isdigit() and least <= len(value) <= most):
            raise RuleError(f"{when}: {least} to {most} digits")
    elif when == "next":
        value = 1
        if words and words[0].isdigit():
            value = int(words.pop(0))
        if not 1 <= value <= 10_000:
            raise RuleError(f"next {value}: 1 to 10000")
    elif when != "always":
        raise RuleError(f"{when!r}: a rule begins with amount, tail, card, next or always")
    kinds: tuple[str, ...] = ()
    if words[:1] == ["on"]:
        del words[0]
        kinds = tuple(take("a kind of message").split(","))
        for kind in kinds:
            if kind not in KINDS:
                raise RuleError(f"{kind!r} is no kind of message; kinds are {', '.join(KINDS)}")
    action = take("what to do")
    if action not in ACTIONS:
        raise RuleError(f"{action!r} is nothing that a host does; it may {', '.join(ACTIONS)}")
    needs = ACTIONS[action][0]
    argument = _argument(action, needs, take(f"the {needs}")) if needs else None
    if words:
        raise RuleError(f"{words[0]!r} is too much")
    return Rule(when, value, kinds, action, argument)


def _argument(action, needs, word):
    if needs == "code":
        word = word.upper()
        if len(word) != 2 or not word.isalnum() or not word.isascii():
            raise RuleError(f"{action} {word!r}: a response code of two characters")
        if codes.approved(word) != (action == "approve"):
            raise RuleError(f"{action} {word}: {word} is {'a' if codes.approved(word) else 'no'} code of success")
        return word
    if needs == "command":
        if word not in COMMANDS:
            raise RuleError(f"{action} {word!r}: {', '.join(COMMANDS)}")
        return word
    if needs == "amount":
        amount = fen(word)
        if not amount:
            raise RuleError(f"{action} {word}: more than nothing")
        return amount
    if not (word.isascii() and word.isdigit()):
        raise RuleError(f"{action} {word!r}: a number")
    number = int(word[:6])
    most = MOST_SECONDS if needs == "seconds" else 9
    if number > most:
        raise RuleError(f"{action} {word}: at most {most}")
    return number


def fen(text: str) -> int:
    """ "12.51" or "12" -> 1251. Raises RuleError."""
    whole, point, part = text.partition(".")
    digits = whole + part
    if not (whole and digits.isascii() and digits.isdigit() and len(whole) <= 10 and len(part) == (2 if point else 0)):
        raise RuleError(f"{text!r}: an amount such as 12.51")
    return int(whole) * 100 + int(part or 0)


class Rules:
    """The rules in force. Safe for several threads."""

    def __init__(self, texts: "tuple[str, ...]" = ()) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = [parse(text) for text in texts]

    def add(self, text: str) -> Rule:
        """Puts a rule in force; one with the same condition takes the older one's place. Raises RuleError."""
        rule = parse(text)
        with self._lock:
            self._rules = [old for old in self._rules if old[:3] != rule[:3]] + [rule]
        return rule

    def load(self, path: "Path | str") -> "list[Rule]":
        """Puts the rules of a file in force, all or none. Raises RuleError with the line, and OSError."""
        found = []
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                found.append(parse(text))
            except RuleError as error:
                raise RuleError(str(error), f"{path}:{number}: ") from None
        for rule in found:
            self.add(str(rule))
        return found

    def remove(self, text: str) -> None:
        """Takes back the rule that `text` says. Raises RuleError when there is none."""
        rule = parse(text)
        with self._lock:
            if rule not in self._rules:
                raise RuleError(f"no such rule: {rule}")
            self._rules.remove(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def list(self) -> "list[str]":
        """The rules as text, oldest first."""
        with self._lock:
            return [str(rule) for rule in self._rules]

    def pick(self, kind: str, amount_fen: "int | None", pan: str) -> "Rule | None":
        """The newest rule that fits this message; a `next` is counted down."""
        with self._lock:
            for at in range(len(self._rules) - 1, -1, -1):
                rule = self._rules[at]
                if rule.fits(kind, amount_fen, pan):
                    if rule.when == "next":
                        self._rules[at : at + 1] = [rule._replace(value=rule.value - 1)] if rule.value > 1 else []
                    return rule
        return None
