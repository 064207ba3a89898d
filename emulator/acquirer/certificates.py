"""Who the host says it is: a test authority of its own, and what it may show to terminals.

    good          signed by the authority, for the names by which the host is reached
    wrong-name    the same, for another host
    expired       the same, but its time is over
    self-made     for the right names, signed by itself
    old-version   the good one, and nothing newer than TLS 1.1 spoken

A terminal that pins the authority (`authority`) takes the first and refuses the others, each in its own words. The authority
and the good certificate are made at the first start, the others when they are first shown: keys on P-256, by the `openssl`
command. They are worth nothing outside this desk.

Each has a context of its own, so that a session that was begun with one is never gone on with under another.
"""

import hashlib
import ipaddress
import os
import secrets
import shutil
import ssl
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

LOCAL_NAMES = ("127.0.0.1", "localhost")
ELSEWHERE = ("elsewhere.example",)
AUTHORITY = "authority.pem"
DAYS = "10950"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
OPENSSL_S = 20
_BEGIN = "-----BEGIN CERTIFICATE-----"


class CertificateError(Exception):
    """A certificate cannot be made, read or shown; the text says which and why."""


class Kind(NamedTuple):
    """signer: "authority" or "itself"; days: as `openssl` takes them; ours: for our names, or another host's."""

    signer: str = "authority"
    days: str = DAYS
    ours: bool = True


GOOD, OLD = "good", "old-version"
KINDS = {
    GOOD: Kind(),
    "wrong-name": Kind(ours=False),
    "expired": Kind(days="-1"),
    "self-made": Kind(signer="itself"),
    OLD: Kind(),
}


class Certificates:
    """The certificates in a folder of their own; made there when they are not.

    names       addresses and names by which terminals reach this host
    authority   the authority's certificate, PEM: what a terminal pins

    Raises CertificateError, also where there is no `openssl`.
    """

    def __init__(self, folder: "Path | str", names: "tuple[str, ...]" = LOCAL_NAMES) -> None:
        self._folder = Path(folder)
        self._names = names
        self._contexts: dict[str, ssl.SSLContext] = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not (self._folder / AUTHORITY).exists():
                self._make(AUTHORITY, self._authority_steps())
            whole = (self._folder / AUTHORITY).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise CertificateError(f"{self._folder}: {error}") from error
        self.authority = _BEGIN + whole.partition(_BEGIN)[2]
        self.show(GOOD)

    @property
    def shown(self) -> str:
        """One of KINDS."""
        return self._shown

    @property
    def context(self) -> ssl.SSLContext:
        """For the server's side of a connection that begins."""
        return self._contexts[self._shown]

    def show(self, name: str) -> None:
        """Shows another one from the next connection on. ValueError names those that there are."""
        if name not in KINDS:
            raise ValueError(f"no such certificate: {name!r}; there are {', '.join(KINDS)}")
        if name not in self._contexts:
            self._contexts[name] = self._context(name)
        self._shown = name

    def _context(self, name):
        path = self._folder / self._file(name)
        try:
            if not path.exists():
                self._make(path.name, self._steps(KINDS[name]))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(f"{path}: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if name == OLD:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # what is deprecated is what is shown
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            context.set_ciphers("ALL:@SECLEVEL=0")
        return context

    def _file(self, name: str) -> str:
        """Other names, another file: one of an older start is for the names of then."""
        kind = KINDS[name]
        told = repr((kind, self._names if kind.ours else ELSEWHERE))
        return "%s-%s.pem" % (GOOD if name == OLD else name, hashlib.sha256(told.encode()).hexdigest()[:8])

    # Making: each step is the words of one `openssl`, run in a folder where key.pem and made.pem come to lie.

    def _authority_steps(self):
        # The constraint is a line of the settings that `openssl` comes with, and may come without.
        text = "[req]\ndistinguished_name=name\nx509_extensions=ca\n[name]\n[ca]\nbasicConstraints=critical,CA:TRUE\n"
        words = ("req", "-x509", *NEW_KEY, "-days", DAYS, "-subj", "/CN=Kaifu test authority", "-config", "settings")
        return {"settings": text}, ((*words, "-keyout", "key.pem", "-out", "made.pem"),)

    def _steps(self, kind):
        names = ",".join(_named(name) for name in (self._names if kind.ours else ELSEWHERE))
        text = f"[req]\ndistinguished_name=name\n[name]\n[host]\nsubjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n"
        asked = ("req", "-new", *NEW_KEY, "-subj", "/CN=Kaifu test acquirer", "-config", "settings", "-keyout", "key.pem")
        authority = str((self._folder / AUTHORITY).absolute())
        signer = ("-signkey", "key.pem") if kind.signer == "itself" else ("-CA", authority, "-CAkey", authority)
        signed = ("x509", "-req", "-in", "asked.pem", *signer, "-set_serial", str(secrets.randbits(62)), "-sha256")
        ending = ("-days", kind.days, "-extfile", "settings", "-extensions", "host", "-out", "made.pem")
        return {"settings": text}, ((*asked, "-out", "asked.pem"), (*signed, *ending))

    def _make(self, name, steps):
        """Key and certificate in one file, which is there as a whole or not at all."""
        files, commands = steps
        program = shutil.which("openssl")
        if program is None:
            raise CertificateError("no certificate can be made: the command openssl is not installed")
        with tempfile.TemporaryDirectory(dir=self._folder) as room:
            for file, text in files.items():
                Path(room, file).write_text(text, encoding="ascii")
            for words in commands:
                _run(program, words, room)
            whole = Path(room, "whole.pem")
            whole.touch(mode=0o600)
            whole.write_text(Path(room, "key.pem").read_text() + Path(room, "made.pem").read_text(), encoding="ascii")
            os.replace(whole, self._folder / name)


def _run(program, words, room):
    try:
        subprocess.run([program, *words], cwd=room, check=True, capture_output=True, timeout=OPENSSL_S, stdin=subprocess.DEVNULL)
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode("utf-8", "replace").strip().splitlines()[:1]
        raise CertificateError(f"openssl {words[0]}: {' '.join(last) or error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise CertificateError(f"openssl {words[0]} does not come to an end") from None


def _named(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"
