"""What a state shows. A screen knows nothing about pixels.

    title     one line, shown inverse at the top, or "" for none
    lines     up to four lines of text (three with keys; with `big` one above it and one below)
    big       one line of large digits: an amount, a number of stars
    keys      (left, right) words for cancel and confirm, in the last line, or ("", "")
    progress  None, or 0..100 for a bar in the last line
    menu      tuple of (digit, text): a numbered menu, in two columns when it is longer than the rows; `lines` is then empty
    style     "" or "alert": the title stands between warning stripes
    corner    what carries the messages, as a sign at the right end of the title: "ethernet", "wifi 0".."wifi 4",
              "modem 0".."modem 4", "none", or "" for no sign

States write message keys; `texts.resolve` turns a Screen of keys into a Screen of text, and only that reaches
the display port.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Wording = str | tuple[Any, ...]  # a key, or a tuple of a key and what fills its places (`screens.texts`)


class Screen:
    """One page. Equal screens show the same picture."""

    def __init__(
        self,
        title: "Wording" = "",
        lines: "Iterable[Wording]" = (),
        big: str = "",
        keys: "Iterable[Wording]" = ("", ""),
        progress: "int | None" = None,
        menu: "Iterable[tuple[str, Wording]]" = (),
        style: str = "",
        corner: str = "",
    ) -> None:
        self.title: Any = title  # like lines, keys and menu: a Wording before `resolve`, a str behind it
        self.lines: tuple[Any, ...] = tuple(lines)
        self.big = big
        self.keys: tuple[Any, ...] = tuple(keys)
        self.progress = progress
        self.menu: tuple[tuple[str, Any], ...] = tuple(menu)
        self.style = style
        self.corner = corner

    def parts(self) -> "tuple[Any, ...]":
        """Everything that makes the picture, to compare by."""
        return (self.title, self.lines, self.big, self.keys, self.progress, self.menu, self.style, self.corner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Screen) and self.parts() == other.parts()

    def __repr__(self) -> str:
        return "Screen(%r, %r, %r)" % (self.title, self.lines, self.big)
