"""`python -m tools provision --data DIR`: two people give a device its identity and its master key.

At the keyboard: the settings that no file and no environment gave are asked for; then the first custodian types a
component (hexadecimal digits, nothing is shown), compares its check value with the envelope, and leaves; then the second;
then both confirm the check value of the whole. In a factory: --settings, two --component files of different people,
--check-value. --cipher says what the keys are for: triple DES, AES or SM4. With --transport the device gets a transport key
in the same way, under which other master keys can come from the host later (--transport-component, --transport-check-value).
A device that was provisioned takes more keys from a TR-31 key block, --tr31 (`tools.key_block`).
Which cards the device takes is in a file, --cards; without one it is the file that comes along.

    environment   KAIFU_TERMINAL_NUMBER for terminal.number, and so on; it goes before the file
    status        0 done
                  2 wrong call or wrong input
                  3 not now: provisioned already, open transactions, the terminal is running
                  4 not confirmed
                  5 the disk, the store or libcrypto failed

Components are never written; what was typed stays in this process's memory until it ends, which is at once.
"""

import getpass
import json
import os
import stat
import sys

from drivers import card_file
from drivers.components import MASTER_BYTES
from drivers.kcv import check_value
from drivers.libcrypto import CryptoError, cleanse
from drivers.provisioning import NEEDED, SETTINGS, ProvisioningError, combine, has_cards, provision
from firmware.emv import parameter_file
from firmware.ports import StoreCorrupt, StoreError
from tools import key_block
from tools.discreet import Parser, discreet

DONE, WRONG, NOT_NOW, NOT_CONFIRMED, FAILED = 0, 2, 3, 4, 5
TRIES = 3

PROMPTS = {
    "terminal.number": "终端号 Terminal number (8)",
    "merchant.number": "商户号 Merchant number (15)",
    "merchant.name": "商户名称 Merchant name",
    "host.address": "主机地址 Host address",
    "host.port": "主机端口 Host port",
    "host.tls": "使用 TLS Use TLS (y/n)",
    "host.authority": "证书文件 (直接回车用系统自带的) Authority's certificates, a PEM file (ENTER: the system's)",
    "host.tpdu": "TPDU",
}
# What a person is told when the answer will not do, before the reason in English.
WANTED = {
    "terminal.number": "8 位字母或数字",
    "merchant.number": "15 位字母或数字",
    "merchant.name": "1 到 40 字节，一个汉字两个字节",
    "host.address": "主机名或 IP 地址",
    "host.port": "1 到 65535",
    "host.tls": "y 或 n",
    "host.authority": "PEM 格式的证书文件",
    "host.tpdu": "60 加 8 位数字",
}
CUSTODIANS = (("第一位", "first"), ("第二位", "second"))
MASTER, TRANSPORT = ("主密钥", "master key"), ("传输密钥", "transport key")
CIPHERS = {"tdes": "3DES", "aes": "AES", "sm4": "SM4"}

# why of a ProvisioningError: (status, text)
REFUSALS = {
    "setting": (WRONG, "参数错误 Wrong setting: {}"),
    "component": (WRONG, "密钥分量错误 Wrong component: {}"),
    "provisioned": (NOT_NOW, "本机已初始化，如需重做请加 --again / This device is provisioned; --again does it anew."),
    "open": (
        NOT_NOW,
        "有未完成的交易，请先开机处理 / Open transactions: switch the terminal on to resolve them.",
    ),
}


class _Stop(Exception):
    """Ends the tool with a status and a line."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def main(argv: "list[str]", ask=input, ask_secret=getpass.getpass, say=print, environ=os.environ) -> int:
    """The whole tool; `ask`, `ask_secret` and `say` are the person's side. -> status."""
    try:
        arguments = _arguments(argv)
    except SystemExit as end:
        return WRONG if end.code else DONE
    components: list[bytearray] = []
    carriers: list[bytearray] = []
    try:
        if arguments.tr31:
            slot, check = key_block.load(arguments.data, arguments.tr31, arguments.check_value)
            say("密钥已装入 Key loaded: %s %s" % (slot, check.hex().upper()))
            return DONE
        by_hand = not arguments.component
        if by_hand and ask_secret is getpass.getpass and not sys.stdin.isatty():
            raise _Stop(WRONG, "需要在终端上输入，或使用 --component / A terminal is needed to type on, or --component twice.")
        _check_transport(arguments, by_hand)
        content = _card_content(arguments)
        settings = _settings(arguments, environ, ask if by_hand else None, say)
        if by_hand:
            for key, parts in ((MASTER, components), (TRANSPORT, carriers))[: 2 if arguments.transport else 1]:
                for custodian in CUSTODIANS:
                    parts.append(_typed_component(key, custodian, arguments.cipher, ask, ask_secret, say))
                _confirm_whole(key, parts, arguments.cipher, ask, say)
        else:
            components += _component_files(arguments.component, arguments.check_value, arguments.cipher)
            if arguments.transport_component:
                carriers += _component_files(arguments.transport_component, arguments.transport_check_value, arguments.cipher)
        taken = parameter_file.parameters(content)
        listed = content.get("exceptions")
        summary = provision(
            arguments.data, settings, components, arguments.again, cards=taken, exceptions=listed,
            transport=carriers or None, cipher=arguments.cipher,
        )  # fmt: skip
    except _Stop as stop:
        say(discreet(str(stop)))
        return stop.status
    except key_block.BlockError as error:
        say(discreet("密钥块 Key block: %s" % error))
        return NOT_NOW if error.later else WRONG
    except ProvisioningError as error:
        status, text = REFUSALS[error.why]
        say(discreet(text.format(error.detail)))
        return status
    except (EOFError, KeyboardInterrupt):
        say("已取消 Cancelled; nothing was written.")
        return NOT_CONFIRMED
    except StoreCorrupt as error:
        say("存储损坏，请送修 / The store is damaged, nothing was written: %s" % error)
        return FAILED
    except StoreError as error:
        busy = "owns the store" in str(error)
        say("请先关闭终端程序 / Stop the terminal first." if busy else "存储失败 The store failed: %s" % error)
        return NOT_NOW if busy else FAILED
    except (OSError, CryptoError) as error:
        say(discreet("失败 Failed: %s" % error))
        return FAILED
    finally:
        cleanse(*components, *carriers)
    say("主密钥校验值 Master key check value: %s" % summary.check_value.hex().upper())
    if summary.transport:
        say("传输密钥校验值 Transport key check value: %s" % summary.transport.hex().upper())
    say("操作员密码恢复为出厂值 The operators have the factory's passwords: 01 0000, 00 123456, 99 12345678")
    if summary.forgotten:
        say("黑名单随旧密钥失效，请重新装入 / The exception file went with the old keys; load it again: tools cards")
    say("已重新初始化 Provisioned anew." if summary.again else "初始化完成 Provisioned.")
    return DONE


def _arguments(argv):
    parser = Parser(prog="python -m tools provision", description="设备初始化 Provision a device.")
    parser.add_argument("--data", required=True, metavar="DIR", help="the device's data folder")
    parser.add_argument("--again", action="store_true", help="replace what a provisioned device has")
    parser.add_argument("--cards", metavar="FILE", help="applications, keys, limits (see: python -m tools cards --help)")
    parser.add_argument("--settings", metavar="FILE", help="JSON object: %s" % ", ".join(PROMPTS))
    parser.add_argument("--cipher", choices=tuple(CIPHERS), default="tdes", help="of the keys; tdes if nothing is said")
    parser.add_argument("--component", metavar="FILE", action="append", help="hexadecimal digits, mode 0600; twice")
    parser.add_argument("--check-value", metavar="HEX", help="of the whole key, 8 digits; needed with --component")
    parser.add_argument("--tr31", metavar="FILE", help="a key block for a provisioned device; nothing else changes")
    parser.add_argument("--transport", action="store_true", help="type a transport key, too")
    parser.add_argument("--transport-component", metavar="FILE", action="append", help="as --component; twice")
    parser.add_argument("--transport-check-value", metavar="HEX", help="of the whole transport key, 8 digits")
    return parser.parse_args(argv)


def _check_transport(arguments, by_hand):
    if by_hand and (arguments.transport_component or arguments.transport_check_value):
        raise _Stop(WRONG, "输入时用 --transport / With components that are typed it is --transport.")
    if not by_hand and arguments.transport:
        raise _Stop(WRONG, "用文件时用 --transport-component / With files it is --transport-component, twice.")
    if arguments.transport_check_value and not arguments.transport_component:
        raise _Stop(WRONG, "需要两个 --transport-component / Two --transport-component files are wanted.")


def _card_content(arguments):
    """Of the file that is named; of ours for a device that has no cards yet; nothing for one that has."""
    if not arguments.cards and has_cards(arguments.data):
        return {}
    path = arguments.cards or card_file.FIRST
    try:
        return parameter_file.read(card_file.fetch(path))
    except (OSError, ValueError) as error:
        detail = error.strerror if isinstance(error, OSError) else error
        raise _Stop(WRONG, "卡参数文件 %s: %s" % (path, detail)) from error


def _settings(arguments, environ, ask, say):
    """From the file, over it the environment, and what is missing then from the person, if there is one."""
    settings = {}
    if arguments.settings:
        try:
            with open(arguments.settings, "rb") as file:
                settings = json.loads(file.read())
        except (OSError, ValueError, RecursionError) as error:
            # The decoder quotes what it read.
            detail = error.strerror if isinstance(error, OSError) else "is not JSON"
            raise _Stop(WRONG, "参数文件 %s: %s" % (arguments.settings, detail)) from error
        if not isinstance(settings, dict):
            raise _Stop(WRONG, "参数文件 %s: is not a JSON object" % arguments.settings)
    for setting in SETTINGS:
        given = environ.get("KAIFU_" + setting.name.upper().replace(".", "_"))
        if given is not None:
            settings[setting.name] = _value(setting, given)
    if ask is not None:
        for setting in SETTINGS:
            if setting.name not in settings:
                settings[setting.name] = _asked(setting, ask, say)
    return settings


def _asked(setting, ask, say):
    prompt = PROMPTS[setting.name]
    if setting.default is not NEEDED and setting.default != "":
        shown = ("y" if setting.default else "n") if setting.kind is bool else setting.default
        prompt += " [%s]" % shown
    for _ in range(TRIES):
        text = ask(prompt + ": ").strip()
        try:
            if not text and setting.default is not NEEDED:
                return setting.default
            value = _file_text(text) if setting.name == "host.authority" else _value(setting, text)
            if type(value) is setting.kind and setting.check(value):
                return value
        except OSError as error:
            say("%s: %s" % (text, error.strerror))
        wanted = "y or n" if setting.kind is bool else setting.wanted
        say("应为 %s / wanted: %s" % (WANTED[setting.name], wanted))
    raise _Stop(WRONG, "参数错误 Wrong setting: %s" % setting.name)


def _file_text(path):
    with open(path, "rb") as file:
        return file.read().decode("ascii", "replace")


def _value(setting, text):
    """`text` as the setting's kind; as it is when it is none, for the check to refuse."""
    if setting.kind is bool:
        return {"y": True, "yes": True, "true": True, "1": True, "n": False, "no": False, "false": False, "0": False}.get(
            text.lower(), text
        )
    if setting.kind is int and text.isascii() and text.isdigit():
        return int(text[:9])
    return text


def _typed_component(key, custodian, cipher, ask, ask_secret, say):
    say("%s：请%s保管人单独操作 / %s: the %s custodian alone, please." % (key[0], custodian[0], key[1], custodian[1]))
    wanted = _wanted(cipher)
    for _ in range(TRIES):
        component = _hex_component(ask_secret("密钥分量 Component (%s HEX): " % wanted), cipher)
        if component is None:
            say("应为 %s 位十六进制 / %s hexadecimal digits are wanted." % (wanted, wanted))
            continue
        say("校验值 Check value: %s" % _shown(component, cipher))
        if _yes(ask("与信封一致？ As on the envelope? (y/n): ")):
            return component
        cleanse(component)
    raise _Stop(NOT_CONFIRMED, "未确认，未写入 / Not confirmed; nothing was written.")


def _confirm_whole(key, components, cipher, ask, say):
    whole = combine(components, cipher)
    say("%s校验值 Check value of the %s: %s" % (key[0], key[1], _shown(whole, cipher)))
    cleanse(whole)
    if not _yes(ask("两位均确认？ Do both confirm? (y/n): ")):
        raise _Stop(NOT_CONFIRMED, "未确认，未写入 / Not confirmed; nothing was written.")


def _component_files(paths, expected, cipher):
    if len(paths) != 2:
        raise _Stop(WRONG, "需要两个分量文件 / Two component files are wanted.")
    if not expected:
        raise _Stop(WRONG, "需要校验值 / With component files the check value is needed.")
    components, seen = [], set()
    for path in paths:
        try:
            with open(path, "rb") as file:
                about = os.fstat(file.fileno())
                component = _hex_component(file.read(256).decode("ascii", "replace"), cipher)
        except OSError as error:
            raise _Stop(WRONG, "%s: %s" % (path, error.strerror)) from error
        if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _Stop(WRONG, "%s: 其他人可读，应为 0600 / others can read it, mode 0600 is wanted" % path)
        if component is None:
            wanted = _wanted(cipher)
            raise _Stop(WRONG, "%s: 应为 %s 位十六进制 / %s hexadecimal digits are wanted" % (path, wanted, wanted))
        seen.add((about.st_dev, about.st_ino))
        components.append(component)
    if len(seen) != 2:
        raise _Stop(WRONG, "两个分量文件相同 / The two components are one file.")
    whole = combine(components, cipher)
    right = _shown(whole, cipher) == expected.upper()
    cleanse(whole)
    if not right:
        raise _Stop(NOT_CONFIRMED, "校验值不符，未写入 / The check value is another; nothing was written.")
    return components


def _hex_component(text, cipher="tdes"):
    """Its bytes, or None when the text is no component of a key of the cipher."""
    text = "".join(text.split())
    if len(text) % 2 or len(text) // 2 not in MASTER_BYTES[cipher]:
        return None
    try:
        return bytearray.fromhex(text)
    except ValueError:
        return None


def _wanted(cipher):
    return "/".join(str(2 * size) for size in MASTER_BYTES[cipher])


def _shown(key, cipher="tdes"):
    return check_value(cipher, key).hex().upper()


def _yes(answer):
    return answer.strip().lower() in ("y", "yes", "是")
