"""Runs the portable tests: plain functions with plain asserts, which pytest runs as they are; under MicroPython, from the root.

    micropython tools/portable.py FOLDER

Names each test that failed, with its traceback, and ends with status 1 if there was one, or if there was no test.
"""

import os
import sys


def main(folder: str) -> int:
    package = folder.strip("/").replace("/", ".")
    passed = failed = 0
    for file in sorted(os.listdir(folder)):
        if not (file.startswith("test_") and file.endswith(".py")):
            continue
        module = None
        try:
            __import__(package + "." + file[:-3])
            module = sys.modules[package + "." + file[:-3]]
        except Exception as error:
            failed += 1
            print("FAILED %s: cannot be imported" % file)
            sys.print_exception(error)  # type: ignore[attr-defined]
        for name in sorted(dir(module)):
            if module is None or not name.startswith("test_"):
                continue
            try:
                getattr(module, name)()
                passed += 1
            except Exception as error:
                failed += 1
                print("FAILED %s %s" % (file, name))
                sys.print_exception(error)  # type: ignore[attr-defined]
    print("%d portable tests passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1]))
