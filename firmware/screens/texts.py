"""Words for keys: a Screen of message keys becomes a Screen of text in the language in force.

A text of a screen is one of
    "key"                the sentence of that key
    ("key", a, b)        the sentence with its places filled in order: numbers as they are, everything else a text again
    ("", text)           text as it is: an amount, a merchant's name

Whole sentences with places, never pieces glued together, so that each language has its own order.
"""

from firmware.screens import Screen
from firmware.screens.text import en, zh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.screens import Wording

LANGUAGES = {"zh": zh.TEXT, "en": en.TEXT}


class Texts:
    """The words of one language, a key of LANGUAGES (KeyError for another)."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.table = LANGUAGES[language]

    def __call__(self, text: "Wording") -> str:
        """The words of one text. KeyError for a key that nobody wrote: a test finds those."""
        if text == "":
            return ""
        if isinstance(text, str):
            return self.table[text]
        if text[0] == "":
            return text[1]
        return self.table[text[0]] % tuple([a if isinstance(a, int) else self(a) for a in text[1:]])

    def resolve(self, screen: Screen) -> Screen:
        """The same screen in words, as `ports.Display.show` takes it. KeyError as above."""
        return Screen(
            self(screen.title),
            [self(line) for line in screen.lines],
            screen.big,
            [self(key) for key in screen.keys],
            screen.progress,
            [(digit, self(text)) for digit, text in screen.menu],
            screen.style,
            screen.corner,
        )
