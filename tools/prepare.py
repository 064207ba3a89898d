"""Makes ready what a clone needs: packages of the distribution, `.venv`, the pinned Python packages.

    python3 tools/prepare.py run      what `make run` needs
    python3 tools/prepare.py test     that, and what the tests and tools need
    python3 tools/prepare.py say      one line when something is missing; does nothing

Runs on the system's Python before anything is installed, so it uses the standard library only. Packages of the
distribution are installed by root with apt-get, by a person through sudo; where neither works the rest is done all the
same and one line says what to install: the device then works with what is there.
"""

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
OLDEST = (3, 11)
FONTS = "/usr/share/fonts"
WENQUANYI = ("wenquanyi_9pt.pcf", "wenquanyi_9pt.pcf.gz")
UNIFONT = ("unifont.otf", "unifont.ttf")
LIBCRYPTO = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.3.dylib")


def has_file(names: "tuple[str, ...]") -> bool:
    """Whether a file of one of these names is anywhere below the folder of fonts."""
    return any(name in files for _, _, files in os.walk(FONTS) for name in names)


def has_library(names: "tuple[str, ...]") -> bool:
    for name in names:
        try:
            ctypes.CDLL(name)
            return True
        except OSError:
            continue
    return False


# Debian package, needed to, whether what it brings is there, what goes without it
PACKAGES = (
    ("python3-venv", "run", lambda: importlib.util.find_spec("ensurepip") or (VENV / "bin" / "python").exists(), ""),
    ("libssl3", "run", lambda: has_library(LIBCRYPTO), "the vault has no cipher"),
    ("xfonts-wqy", "run", lambda: has_file(WENQUANYI), "screens are in English"),
    ("fonts-unifont", "run", lambda: has_file(UNIFONT), "rare characters are boxes"),
    ("openssl", "test", lambda: shutil.which("openssl"), "TLS is not tested"),
    ("strace", "test", lambda: shutil.which("strace"), "the order of syncs is not tested"),
    ("chromium", "test", lambda: shutil.which("chromium") or shutil.which("google-chrome"), "the page is not tested"),
    ("chromium-driver", "test", lambda: shutil.which("chromedriver"), "the page is not tested"),
)  # fmt: skip

REQUIREMENTS = {"run": "requirements.txt", "test": "requirements-dev.txt"}


def missing(purpose: str) -> "list[tuple[str, str]]":
    """(package, what goes without it) for each package that is not there."""
    wanted = ("run",) if purpose == "run" else ("run", "test")
    return [(name, without) for name, needed, there, without in PACKAGES if needed in wanted and not there()]


def advice(lacking: "list[tuple[str, str]]") -> str:
    """The one line that says what to install and what goes without it."""
    without = []
    for _, loss in lacking:
        if loss and loss not in without:
            without.append(loss)
    line = "not installed: sudo apt-get install %s" % " ".join(name for name, _ in lacking)
    return line + (" (until then " + ", ".join(without) + ")" if without else "")


def install(names: "list[str]") -> None:
    """Asks the distribution for its packages; says nothing about how it went, the caller looks again."""
    apt = shutil.which("apt-get")
    if not apt:
        return
    before: "list[str]" = []
    if os.geteuid() != 0:
        sudo = shutil.which("sudo")
        if not sudo:
            return
        before = [sudo] if sys.stdin.isatty() else [sudo, "-n"]
    print("installing packages of the distribution: %s" % " ".join(names), flush=True)
    call = [*before, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-qq"]
    try:
        if subprocess.call([*call, "update"], stdout=subprocess.DEVNULL) == 0:
            subprocess.call([*call, "install", "-y", "--no-install-recommends", *names], stdout=subprocess.DEVNULL)
    except OSError as error:
        print(error, file=sys.stderr)


def board_model() -> str:
    """What the board calls itself; "" where it does not say."""
    try:
        return Path("/proc/device-tree/model").read_text(errors="replace")
    except OSError:
        return ""


def gpio_requirements(machine: str, model: str) -> str:
    """The file that brings RPi.GPIO to this board; "" for a desktop, which needs none."""
    if not machine.startswith(("arm", "aarch64")) or "Raspberry Pi" not in model:
        return ""
    return "requirements-pi5.txt" if "Raspberry Pi 5" in model else "requirements-pi.txt"


def python() -> str:
    """A Python that is new enough. Ends the program when there is none."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which("python3.%d" % minor)
        if found:
            return found
    sys.exit("Python %d.%d or newer is needed, this is %s" % (*OLDEST, platform.python_version()))


def make_venv() -> str:
    """The Python of `.venv`, made where there is none that runs."""
    inside = VENV / "bin" / "python"
    runs = inside.exists() and subprocess.call([str(inside), "-m", "pip", "--version"], stdout=subprocess.DEVNULL) == 0
    if not runs:
        print("making .venv", flush=True)
        if subprocess.call([python(), "-m", "venv", "--clear", str(VENV)]) != 0:
            sys.exit("no .venv could be made; on Debian: sudo apt-get install python3-venv")
    return str(inside)


def prepare(purpose: str) -> int:
    """Everything, in order. 1 when the Python packages could not be had."""
    lacking = missing(purpose)
    if lacking:
        install([name for name, _ in lacking])
    inside = make_venv()
    gpio = gpio_requirements(platform.machine(), board_model())
    files = [REQUIREMENTS[purpose]] + ([gpio] if gpio else [])
    print("installing Python packages: %s" % " ".join(files), flush=True)
    command = [inside, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    for name in files:
        command += ["-r", str(ROOT / name)]
    if subprocess.call(command) != 0:
        print("the Python packages could not be installed:", file=sys.stderr)
        print("the network is needed once, or PIP_INDEX_URL names a mirror", file=sys.stderr)
        print("Python 包没有装上：需要联网一次，或用 PIP_INDEX_URL 指定镜像", file=sys.stderr)
        return 1
    return 0


def main(argv: "list[str]") -> int:
    purpose = argv[0] if argv else ""
    if purpose not in ("run", "test", "say"):
        print(__doc__, file=sys.stderr)
        return 2
    status = 0 if purpose == "say" else prepare(purpose)
    lacking = missing("run" if purpose == "say" else purpose)
    if lacking:
        print(advice(lacking))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
