"""`python -m tools crypto kcv|mac|pinblock|dukpt|tr31`: a calculator for keys at the bench.

kcv                      check values of a key
mac HEX                  of a message (or --file): unionpay, unionpay-binary, x9.9, x9.19, cmac, cbc
pinblock encode          PIN, card number and key to a block, in the clear if there is no key
pinblock decode HEX      and back
dukpt keys KSN           what a base key, or an initial one (--initial), gives for a key serial number
dukpt next KSN           the serial numbers that follow; needs no key
tr31 header BLOCK        what a key block says of itself; needs no key
tr31 unwrap BLOCK        the same, and the key in it
tr31 wrap                a key block for a key

Keys, PINs and card numbers are asked for, not shown, in the order that the command's help says. Where nobody is at a
keyboard they are lines of the standard input, or of --secrets FILE. They are no arguments, because every user of a machine
can read the arguments of every program, and the shell keeps them: --test-key, --test-pin, --test-pan take those that are no
secrets. Keys and PINs in the answer are shown with --show only; otherwise their check value and length.

    status   0 done    1 refused: another key, a changed block, a value that does not fit    2 wrong call or wrong input
"""

import getpass
import os
import sys
from argparse import ArgumentParser

from drivers import dukpt, kcv, macs, pin_blocks, tr31
from drivers.libcrypto import CIPHERS, KEY_BYTES, Cipher, CryptoError, cleanse
from tools.discreet import Parser, discreet

DONE, REFUSED, WRONG = 0, 1, 2
LARGEST = 1 << 20
MOST_NUMBERS = 1000

# name: what is asked for
PROMPTS = {
    "key": "密钥 Key (HEX): ",
    "kbpk": "保护密钥 Key block protection key (HEX): ",
    "pin": "密码 PIN: ",
    "pan": "卡号 Card number: ",
}
USES = {
    dukpt.PIN: "PIN",
    dukpt.MAC_REQUEST: "MAC, request",
    dukpt.MAC_RESPONSE: "MAC, reply",
    dukpt.DATA_REQUEST: "data, request",
    dukpt.DATA_RESPONSE: "data, reply",
}
REFUSALS = (macs.MacError, pin_blocks.PinBlockError, dukpt.DukptError, tr31.Tr31Error, CryptoError)


class _Stop(Exception):
    """Ends the tool with a status and a line."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Secrets:
    """Where the secrets of one call come from."""

    def __init__(self, arguments, ask, stdin) -> None:
        self._arguments = arguments
        self._ask = ask
        self._stdin = stdin
        self._lines: list[str] | None = None

    def text(self, name: str, given: str, wanted: bool = True) -> str:
        """The next secret. given: the option's name where it may be an argument; wanted: whether there has to be one."""
        value = getattr(self._arguments, given, None)
        if value is None:
            value = self._next(PROMPTS[name] if wanted else PROMPTS[name].replace(":", ", ENTER: none:"))
        value = "".join(value.split())
        if not value and wanted:
            raise _Stop(WRONG, "缺少输入 / Missing: %s" % PROMPTS[name].rstrip(": "))
        return value

    def key(self, name: str = "key", given: str = "test_key", wanted: bool = True) -> "bytearray | None":
        """The next key, for the caller to wipe."""
        text = self.text(name, given, wanted)
        return bytearray(_hexadecimal(text, "密钥 The key")) if text else None

    def _next(self, prompt):
        if self._lines is None and (self._arguments.secrets or not self._at_a_keyboard()):
            self._lines = self._read().splitlines()
        if self._lines is None:
            return self._ask(prompt)
        return self._lines.pop(0) if self._lines else ""

    def _at_a_keyboard(self):
        return self._ask is not getpass.getpass or self._stdin.isatty()

    def _read(self):
        path = self._arguments.secrets
        if not path or path == "-":
            return self._stdin.read(LARGEST)
        return _file(path).decode("ascii", "replace")


def main(argv: "list[str]", say=print, ask=getpass.getpass, stdin=None) -> int:
    """The whole tool; `ask` is where a person types unseen. -> status."""
    try:
        arguments = _arguments(argv)
    except SystemExit as end:
        return WRONG if end.code else DONE
    try:
        arguments.work(arguments, Secrets(arguments, ask, sys.stdin if stdin is None else stdin), say)
    except _Stop as stop:
        say(discreet(str(stop)))
        return stop.status
    except REFUSALS as error:
        say(discreet("不符 Refused: %s" % error))
        return REFUSED
    except (EOFError, KeyboardInterrupt):
        say("已取消 Cancelled.")
        return WRONG
    return DONE


def _arguments(argv):
    parser = Parser(prog="python -m tools crypto", description="密码计算器 A calculator for keys.", epilog=_why())
    verbs = parser.add_subparsers(dest="verb", metavar="kcv|mac|pinblock|dukpt|tr31", required=True)

    verb = _verb(verbs, "kcv", "校验值 check values of a key", "key", kcv_)
    _cipher(verb)
    verb = _verb(verbs, "mac", "报文鉴别码 the MAC of a message", "key", mac_)
    _cipher(verb)
    verb.add_argument("--method", choices=tuple(macs.METHODS), default="unionpay", help="unionpay if nothing is said")
    verb.add_argument("--padding", type=int, choices=(1, 2, 3), default=1, help="ISO 9797-1, for x9.9 and x9.19")
    verb.add_argument("data", nargs="?", metavar="HEX")
    verb.add_argument("--file", metavar="FILE", help="the bytes of the message")

    verb = _verb(verbs, "pinblock", "密码块 PIN blocks", None, None).add_subparsers(metavar="encode|decode", required=True)
    for name, order, work in (("encode", "PIN, card number, key", encode_), ("decode", "card number, key", decode_)):
        one = _verb(verb, name, "%s; without a key the block is clear" % name, order, work)
        one.add_argument("--form", choices=(*pin_blocks.FORMS, "4"), default="0", help="ISO 9564-1; 0 if nothing is said")
        _cipher(one)
        if name == "encode":
            one.add_argument("--test-pin", metavar="PIN", help="a PIN that is no secret")
        else:
            one.add_argument("block", metavar="HEX")
            _show(one)
        one.add_argument("--test-pan", metavar="PAN", help="a card number that is no secret")

    verb = _verb(verbs, "dukpt", "一次一密 keys of a transaction", None, None).add_subparsers(metavar="keys|next", required=True)
    one = _verb(verb, "keys", "the keys for a key serial number, 20 or 24 digits", "base or initial key", keys_)
    one.add_argument("ksn", metavar="KSN")
    one.add_argument("--initial", action="store_true", help="the key is the device's initial key, not the base key")
    _show(one)
    one = _verb(verb, "next", "the serial numbers that follow", None, next_)
    one.add_argument("ksn", metavar="KSN")
    one.add_argument("--count", type=int, default=1)

    verb = _verb(verbs, "tr31", "密钥块 TR-31 key blocks", None, None).add_subparsers(metavar="header|unwrap|wrap", required=True)
    one = _verb(verb, "header", "what a block says of itself", None, header_)
    one.add_argument("block", metavar="BLOCK")
    one = _verb(verb, "unwrap", "the key in a block", "protection key", unwrap_, "kbpk")
    one.add_argument("block", metavar="BLOCK")
    _show(one)
    one = _verb(verb, "wrap", "a block for a key", "protection key, key", wrap_, "kbpk")
    one.add_argument("--test-key", metavar="HEX", help="a key that is no secret")
    for option, default in (("version", "B"), ("usage", None), ("algorithm", "T"), ("mode", "N"), ("number", "00")):
        one.add_argument("--" + option, default=default, required=default is None, help="%s" % default if default else "P0")
    one.add_argument("--exportability", default="N", help="N")
    one.add_argument("--block", metavar="NAME=TEXT", action="append", default=[], help="an optional block, KS=...")
    return parser.parse_args(argv)


def _verb(verbs, name, what, order, work, test="key") -> ArgumentParser:
    """order: the secrets that are asked for; None: none are."""
    asked = "" if order is None else " Asked for, in this order: %s." % order
    verb = verbs.add_parser(name, help=what, description=what + "." + asked)
    if order is not None:
        verb.add_argument("--secrets", metavar="FILE", help="what is asked for, one a line; - is the standard input")
        verb.add_argument("--test-" + test, metavar="HEX", help="a key that is no secret: a real one on the command line is "
                          "seen by every user of the machine and kept by the shell")  # fmt: skip
    if work is not None:
        verb.set_defaults(work=work)
    return verb


def _why():
    return "Real keys are typed, unseen, or come as lines of the standard input; never as arguments."


def _cipher(verb):
    verb.add_argument("--cipher", choices=tuple(CIPHERS), default="tdes", help="of the key; tdes if nothing is said")


def _show(verb):
    verb.add_argument("--show", action="store_true", help="keys and PINs in the clear, not their check value and length")


# The calculations.


def kcv_(arguments, secrets, say):
    key = secrets.key()
    try:
        cipher = arguments.cipher
        _insist_size(cipher, key)
        say("%s, %d bytes" % (cipher, len(key)))
        for name, method in (("E(key, zeros)", kcv.of_zeros), ("CMAC(key, zeros)", kcv.of_cmac)):
            value = method(cipher, key).hex().upper()
            say("  %-17s %s   4 bytes %s   3 bytes %s" % (name, value, value[:8], value[:6]))
        say("  Kaifu             %s" % kcv.check_value(cipher, key).hex().upper())
    finally:
        cleanse(key)


def mac_(arguments, secrets, say):
    data = _message(arguments)
    key = secrets.key()
    try:
        method, cipher = arguments.method, arguments.cipher
        if arguments.padding == 1:
            made = macs.mac(method, cipher, key, data)
        elif method not in ("x9.9", "x9.19") or not macs.fits(method, cipher, len(key)):
            raise _Stop(WRONG, "填充只用于 x9.9 和 x9.19 / --padding is for x9.9 and x9.19")
        elif method == "x9.9":
            made = macs.cbc_mac(cipher, key, data, arguments.padding)
        else:
            made = macs.retail_mac(key[:8], key[8:], data, arguments.padding)
        say("%s%s" % (made.hex().upper(), '   "%s"' % made.decode() if method == "unionpay" else ""))
    finally:
        cleanse(key)


def encode_(arguments, secrets, say):
    pin = bytearray(secrets.text("pin", "test_pin").encode("ascii", "replace"))
    pan = secrets.text("pan", "test_pan", wanted=_has_pan(arguments.form))
    key = secrets.key(wanted=arguments.form == "4")
    try:
        if key is None:
            made: bytes | bytearray = pin_blocks.encode(arguments.form, pin, pan, os.urandom)
        elif arguments.form == "4":
            with Cipher("aes", key) as cipher:
                made = pin_blocks.encipher_4(cipher, pin, pan, os.urandom)
        else:
            with Cipher(arguments.cipher, key) as cipher:
                made = cipher.run(pin_blocks.encode(arguments.form, pin, pan, os.urandom))
        say(made.hex().upper())
    finally:
        cleanse(pin, key or bytearray())


def decode_(arguments, secrets, say):
    block = _hexadecimal(arguments.block, "密码块 The block")
    pan = secrets.text("pan", "test_pan", wanted=_has_pan(arguments.form))
    key = secrets.key(wanted=arguments.form == "4")
    pin = bytearray()
    try:
        if arguments.form == "4":
            with Cipher("aes", key, encrypt=False) as cipher:
                pin = pin_blocks.decipher_4(cipher, block, pan)
        else:
            if key is not None:
                with Cipher(arguments.cipher, key, encrypt=False) as cipher:
                    block = cipher.run(block)
            pin = pin_blocks.decode(arguments.form, block, pan)
        say("PIN %s" % (pin.decode() if arguments.show else "%d digits" % len(pin)))
    finally:
        cleanse(pin, key or bytearray())


def keys_(arguments, secrets, say):
    cipher, serial = _serial(arguments.ksn)
    key = secrets.key()
    initial = transaction = None
    try:
        if arguments.initial:
            initial = bytearray(key)
        elif cipher == "tdes":
            initial = dukpt.tdes_initial_key(key, serial)
        else:
            initial = dukpt.aes_initial_key(key, serial[: dukpt.AES_ID_BYTES])
        say("%s, counter %d" % (cipher, dukpt.counter_of(cipher, serial)))
        _say_key(say, arguments.show, "initial key", cipher, initial)
        made = dukpt.transaction_key(cipher, initial, serial)
        _say_key(say, arguments.show, "transaction key", cipher, made)
        transaction = dukpt.Transaction(cipher, made, serial)
        for kind in ("tdes",) if cipher == "tdes" else ("aes", "tdes"):
            for use, name in USES.items():
                working = transaction.working(use, kind)
                _say_key(say, arguments.show, "%s (%s)" % (name, kind), kind, working)
                cleanse(working)
    finally:
        cleanse(key, initial or bytearray())
        if transaction is not None:
            transaction.close()


def next_(arguments, _, say):
    cipher, serial = _serial(arguments.ksn)
    if not 1 <= arguments.count <= MOST_NUMBERS:
        raise _Stop(WRONG, "--count: 1 到 %d / 1 to %d" % (MOST_NUMBERS, MOST_NUMBERS))
    counter = dukpt.counter_of(cipher, serial)
    for _ in range(arguments.count):
        counter = dukpt.after(cipher, counter)
        say(dukpt.serial_number(cipher, serial, counter).hex().upper())


def header_(arguments, _, say):
    _say_header(tr31.read_header(arguments.block)[0], say)


def unwrap_(arguments, secrets, say):
    kbpk = secrets.key("kbpk", "test_kbpk")
    try:
        header, key = tr31.unwrap(kbpk, arguments.block)
        _say_header(header, say)
        _say_key(say, arguments.show, "key, %d bytes" % len(key), "aes" if header.algorithm == "A" else "tdes", key)
        cleanse(key)
    finally:
        cleanse(kbpk)


def wrap_(arguments, secrets, say):
    blocks = [(name, text) for name, _, text in (block.partition("=") for block in arguments.block)]
    words = (arguments.version, arguments.usage, arguments.algorithm, arguments.mode, arguments.number, arguments.exportability)
    header = tr31.Header(*words, blocks)
    kbpk = secrets.key("kbpk", "test_kbpk")
    key = secrets.key()
    try:
        say(tr31.wrap(kbpk, header, key, os.urandom))
    finally:
        cleanse(kbpk, key)


# Their parts.


def _say_header(header, say):
    for name, _ in header.FIELDS:
        say("  %-15s %s" % (name, getattr(header, name)))
    for name, text in header.blocks:
        say("  block %-9s %s" % (name, "".join(char if char.isprintable() else "?" for char in text)))


def _say_key(say, show, name, cipher, key):
    try:
        check = kcv.check_value(cipher, key).hex().upper()
    except CryptoError:
        check = "-"
    say("  %-22s check value %s%s" % (name, check, "   " + key.hex().upper() if show else ""))


def _serial(text):
    """(cipher, serial number): 10 bytes are triple DES, 12 are AES."""
    serial = _hexadecimal(text, "KSN")
    ciphers = {dukpt.TDES_KSN_BYTES: "tdes", dukpt.AES_KSN_BYTES: "aes"}
    if len(serial) not in ciphers:
        raise _Stop(WRONG, "KSN: 20 位 (3DES) 或 24 位 (AES) / 20 digits (triple DES) or 24 (AES)")
    return ciphers[len(serial)], serial


def _message(arguments):
    if (arguments.data is None) == (arguments.file is None):
        raise _Stop(WRONG, "需要报文：HEX 或 --file / The message is wanted: HEX or --file")
    return _file(arguments.file) if arguments.data is None else _hexadecimal(arguments.data, "报文 The message")


def _file(path):
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise _Stop(WRONG, "%s: %s" % (path, getattr(error, "strerror", None) or "?")) from error
    if len(data) > LARGEST:
        raise _Stop(WRONG, "%s: 太大 / larger than %d bytes" % (path, LARGEST))
    return data


def _hexadecimal(text, name):
    text = "".join(text.split())
    if not text.isascii():
        text = "?"
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise _Stop(WRONG, "%s: 应为十六进制 / pairs of hexadecimal digits are wanted" % name) from None


def _insist_size(cipher, key):
    if len(key) not in KEY_BYTES[cipher]:
        wanted = ", ".join(str(size) for size in KEY_BYTES[cipher])
        raise _Stop(WRONG, "%s: 密钥应为 %s 字节 / a key has %s bytes" % (cipher, wanted, wanted))


def _has_pan(form):
    return form == "4" or pin_blocks.FORMS[form][2]
