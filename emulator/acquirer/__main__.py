"""The acquirer on its own: a host that any maker's terminal can be tested with.

    python -m emulator.acquirer --terminals 3 --tls
    python -m emulator.acquirer --bind 192.168.1.10 --name host.example --rules afternoon.txt

It prints where it listens, which terminals it knows, and how they get their keys; its page shows its books and every message,
and makes it misbehave. It is a test host: its keys and cards are worth nothing.
"""

import argparse
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path

from drivers.libcrypto import CryptoError
from emulator.acquirer.certificates import LOCAL_NAMES, CertificateError
from emulator.acquirer.host import MOST_TERMINALS, Host, HostError
from emulator.acquirer.profile import ProfileError
from emulator.acquirer.rules import RuleError
from emulator.acquirer.server import LOOPBACK, SPARE_FILES


def home() -> Path:
    """Where the host is kept when no folder is named."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "kaifu-acquirer"


def port(word: str) -> int:
    """A port, or 0."""
    if not word.isascii() or not word.isdigit() or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"{word}: a port is 0 to 65535")
    return int(word)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m emulator.acquirer", description="A UnionPay-style host for testing terminals.")
    top.add_argument("--port", type=port, default=8580, help="for terminals; default 8580; 0: any free one")
    top.add_argument("--bind", default=LOOPBACK, metavar="ADDRESS", help="where terminals reach it (default: this machine alone)")
    top.add_argument("--name", action="append", default=[], help="a name or address for the certificate, besides --bind's")
    top.add_argument("--tls", action="store_true", help="the line has TLS, by a test authority of its own")
    top.add_argument("--web-port", type=port, default=8581, help="of its page, on this machine; default 8581; 0: any free one")
    top.add_argument("--terminals", type=int, default=1, metavar="N", help=f"1 to {MOST_TERMINALS}, from 10000001 (default 1)")
    top.add_argument("--data", type=Path, default=home(), metavar="FOLDER", help="where it is kept (%(default)s)")
    top.add_argument("--cards", type=Path, metavar="FILE", help="test cards, JSON (default: cards.json in the folder)")
    top.add_argument(
        "--profile", type=Path, metavar="FILE", help="ciphers and message shapes, JSON: emulator/acquirer/profile.py"
    )
    top.add_argument("--rules", type=Path, action="append", default=[], metavar="FILE", help="emulator/acquirer/rules.py")
    top.add_argument("--log", action="store_true", help="every message on stdout, decoded and masked")
    return top


def described(host: Host, bind: str) -> str:
    """What a person has to know to connect a terminal."""
    server, (first, merchant), (last, _) = host.server, host.terminals[0], host.terminals[-1]
    keys, length = host.keys, "2-byte length, TPDU 60 0003 0000, header of 12 digits or none"
    lines = [
        "开付 Kaifu: a host for testing terminals; nothing here is worth anything",
        f"  line        {bind} port {server.port}, {'TLS 1.2 or 1.3' if server.tls else 'no TLS'}; {length}",
        f"  page        {host.page.address}",
        f"  terminals   {first} of merchant {merchant}" + (f" to {last}, ten to a merchant" if last != first else ""),
        f"  master key  check value {keys['master'].check_value}, the same for all of them",
        f"              components in {host.folder / 'keys.json'}: two people type one each into the terminal,",
        f"              check values {keys['master'].of_components[0]} and {keys['master'].of_components[1]}",
        f"              or by download (60.3 999) under the transport key, check value {keys['transport'].check_value}",
        f"  cards       {host.cards}; numbers, PINs and balances, for you to change",
    ]
    if host.authority:
        lines.append(f"  authority   {host.authority}: what the terminal pins")
    return "\n".join([*lines, "  then sign on (0800, 60.3 003); Ctrl-C ends it"])


def raise_limit() -> None:
    """As many connections as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 + SPARE_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if most == resource.RLIM_INFINITY else min(most, wanted), most))


def main(words: "list[str] | None" = None) -> int:
    asked = parser().parse_args(words)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    raise_limit()
    names = tuple(dict.fromkeys([asked.bind, *asked.name, *LOCAL_NAMES]))
    log = (lambda kind, text: print(text, flush=True)) if asked.log else None
    try:
        profile = json.loads(asked.profile.read_text(encoding="utf-8")) if asked.profile else None
        host = Host(
            asked.data, asked.terminals, asked.port, asked.bind, names, asked.web_port, asked.tls,
            asked.cards, profile, tuple(asked.rules), log,
        )  # fmt: skip
    except OSError as error:
        where = error.filename or f"{asked.bind}, ports {asked.port} and {asked.web_port}"
        print(f"{where}: {error.strerror or error}", file=sys.stderr)
        return 1
    except (HostError, RuleError, ProfileError, CertificateError, CryptoError, OverflowError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        print(described(host, asked.bind), flush=True)
        stop.wait()
    finally:
        host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
