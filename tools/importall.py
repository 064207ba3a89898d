"""Imports every module below the named folders; runs under MicroPython, from the root of the project.

    micropython tools/importall.py FOLDER ... [--but FILE ...]

Names each module that cannot be imported, with its traceback, and ends with status 1 if there was one.
"""

import os
import sys


def modules(folder: str) -> "list[str]":
    """Files below the folder, in order."""
    found = []
    for name in sorted(os.listdir(folder)):
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            if name != "__pycache__":
                found.extend(modules(path))
        elif name.endswith(".py"):
            found.append(path)
    return found


def main(argv: "list[str]") -> int:
    split = argv.index("--but") if "--but" in argv else len(argv)
    left_out = argv[split + 1 :]
    paths = [path for folder in argv[:split] for path in modules(folder) if path not in left_out]
    failed = 0
    for path in paths:
        name = path[:-3].replace("/", ".")
        if name.endswith(".__init__"):
            name = name[:-9]
        try:
            __import__(name)
        except Exception as error:
            failed += 1
            print("FAILED %s" % path)
            sys.print_exception(error)  # type: ignore[attr-defined]
    print("%d modules imported, %d failed" % (len(paths) - failed, failed))
    return 1 if failed or not paths else 0


sys.exit(main(sys.argv[1:]))
