"""The device on a desk, with three faces.

    python -m emulator                   the page, at http://127.0.0.1:8583/
    python -m emulator text              the same in a terminal
    python -m emulator script FILE       steps from a file; exit status 1 when one does not come out as written

All three use the same device (`device.py`). Browser and text keep it in a folder between runs; a script gets a new
one each time, unless a folder is named.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def home() -> Path:
    """Where the device is kept when no folder is named."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "kaifu"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m emulator", description="The payment terminal on your desk.")
    faces = top.add_subparsers(dest="face", metavar="browser | text | script")
    browser = faces.add_parser("browser", help="the page (the default)", description="Serves the page on this machine only.")
    browser.add_argument("--port", type=int, default=8583, help="default 8583; 0: any free one")
    browser.add_argument("--open", action="store_true", help="open it in a browser")
    text = faces.add_parser("text", help="the device in a terminal")
    for face in (browser, text):
        face.add_argument("--folder", type=Path, default=home(), help="where the device is kept (%(default)s)")
    script = faces.add_parser("script", help="steps from a file", description="The steps are listed in emulator/script.py.")
    script.add_argument("file", type=Path)
    script.add_argument("--record", type=Path, metavar="DIR", help="keep pictures, paper and log there")
    script.add_argument("--folder", type=Path, help="keep the device there; default: a new one for each run")
    script.add_argument("--fast", action="store_true", help="printing takes no time")
    script.add_argument("--quiet", action="store_true", help="do not tell each step")
    return top


def main(words: list[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    if not words or words[0].startswith("-") and words[0] not in ("-h", "--help"):
        words = ["browser", *words]
    arguments = parser().parse_args(words)
    if arguments.face == "text":
        from emulator.text import main as run
    elif arguments.face == "script":
        from emulator.script import main as run
    else:
        from emulator.browser.server import main as run
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
