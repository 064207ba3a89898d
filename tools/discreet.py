"""What the tools may say of what they were told: a secret that was typed in the wrong place is not said back.

    discreet(text)   what looks like a card number, a key or the like becomes "*", and what moves a screen becomes "?"
    Parser           argparse's, whose errors quote nothing that might be card data
    plainly()        what cannot be written in the coding of the screen is written with backslashes

A card number is 12 digits or more that do not begin with 0, a key 24 hexadecimal digits or more, in groups or not.
"""

import argparse
import re
import sys
from typing import NoReturn

_SECRET = re.compile(r"[1-9](?:[ :-]?[0-9]){11,}[0-9A-Fa-f]*|[0-9A-Fa-f]{2}(?:[ :-]?[0-9A-Fa-f]{2}){11,}")
_WORD = re.compile(r"[0-9A-Fa-f]{2}(?:[ :-]?[0-9A-Fa-f]{2}){2,}[0-9A-Fa-f]?|[0-9]{4,}")  # in a call any number may be one
LONGEST = 500


def discreet(text: str) -> str:
    """The text as it may be shown."""
    cut = text if len(text) <= LONGEST else text[:LONGEST] + " ..."
    return "".join(char if char.isprintable() else "?" for char in _SECRET.sub("*", cut))


class Parser(argparse.ArgumentParser):
    """Status 2 and a line for a wrong call."""

    def error(self, message: str) -> NoReturn:
        super().error(discreet(_WORD.sub("*", message)))


def plainly() -> None:
    """For the program's own output; called once."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
