"""Makes ready what `make interop` needs: .venv-interop with the peers, and tshark from the distribution.

Root installs tshark with apt-get, a person through sudo; where neither works one line says what to install and the rest goes on.
"""

from __future__ import annotations

import subprocess
import sys

from tools import prepare

VENV = prepare.ROOT / ".venv-interop"
TSHARK = "tshark"


def main() -> int:
    """1 when the Python packages could not be had."""
    if not prepare.shutil.which(TSHARK):
        prepare.install([TSHARK])
    if not prepare.shutil.which(TSHARK):
        print("not installed: sudo apt-get install %s (until then Wireshark is not compared)" % TSHARK)
    inside = VENV / "bin" / "python"
    print("installing Python packages: requirements-interop.txt", flush=True)
    if not inside.exists() and subprocess.call([prepare.python(), "-m", "venv", str(VENV)]) != 0:
        print("no .venv-interop could be made; on Debian: sudo apt-get install python3-venv", file=sys.stderr)
        return 1
    call = [str(inside), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    return 1 if subprocess.call([*call, "-r", str(prepare.ROOT / "requirements-interop.txt")]) else 0


if __name__ == "__main__":
    sys.exit(main())
