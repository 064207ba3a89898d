"""What a person sees on the panel: the picture, and the words in it, read once a picture."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from emulator import eyes
from emulator.chips.oled import OledChip

if TYPE_CHECKING:
    from drivers.picture import Image


def squeezed(text: str) -> str:
    """The text without its spaces and line breaks: a person reads over them."""
    return "".join(text.split())


class Seen(NamedTuple):
    """The pixels, and the words in them from top to bottom."""

    image: Image
    sight: eyes.Sight

    @property
    def text(self) -> str:
        return self.sight.text

    @property
    def lines(self) -> list[str]:
        return self.sight.text.splitlines()

    def shows(self, text: str) -> bool:
        """Whether the words are there, however spaced and broken."""
        return self.sight.shows(text) or squeezed(text) in squeezed(self.text)


class Glass:
    """Looks at one panel. A picture that has not changed is not read again."""

    def __init__(self, panel: OledChip) -> None:
        self._panel = panel
        self._seen: Seen | None = None
        self._version = 0
        self._lock = threading.Lock()

    @property
    def seen(self) -> Seen:
        """What is on the panel now."""
        with self._lock:
            version = self._panel.version
            if self._seen is None or self._version != version:
                image = self._panel.image()
                if self._seen is None or image.tobytes() != self._seen.image.tobytes():
                    self._seen = Seen(image, eyes.read(image))
                self._version = version
            return self._seen
