"""`python -m tools NAME ...` runs a tool, `python -m tools` lists them."""

import importlib
import os
import sys

from tools.discreet import plainly

# name: (module with main(argv) -> exit status, what it does)
TOOLS = {
    "provision": ("tools.provision", "give a device its numbers, its host and its master key  设备初始化、灌装主密钥"),
    "cards": ("tools.cards", "load a device's applications, keys and limits from a file, or show them  装入、查看卡参数"),
    "parameter": ("tools.parameter", "show or change what a device is set to  查看、修改参数"),
    "iso8583": ("tools.iso8583", "decode, encode, compare or redact messages to the acquirer  解读、生成、比较、脱敏报文"),
    "crypto": ("tools.crypto", "check values, MACs, PIN blocks, DUKPT keys and TR-31 key blocks  密钥与密码计算"),
    "emv": ("tools.emv", "explain a TLV string, an APDU or a whole card transaction  解读芯片卡数据"),
}


def main(argv: "list[str]") -> int:
    """Runs argv[0] with the rest; the list and status 2 when there is no such tool."""
    plainly()
    if argv and argv[0] in TOOLS:
        return importlib.import_module(TOOLS[argv[0]][0]).main(argv[1:])
    wrong = bool(argv) and argv[0] not in ("-h", "--help")
    out = sys.stderr if wrong else sys.stdout
    print("python -m tools NAME ...   (NAME --help says more)", file=out)
    for name, (_, what) in TOOLS.items():
        print("  %-12s %s" % (name, what), file=out)
    return 2 if wrong else 0


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
