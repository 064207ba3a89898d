"""What a terminal for UnionPay is set to, in words of this file: the portable tests have no file to read it from."""

from firmware.emv.settings import Settings


def unionpay_row(aid="A000000333010101"):
    return {
        "aid": aid, "kernel": "07", "ttq": "66004080", "version": "0020", "tac_denial": "0010000000",
        "tac_online": "D84004F800", "tac_default": "D84000A800", "ddol": "9F3704", "terminal_floor_limit_fen": 0,
        "transaction_limit_fen": None, "floor_limit_fen": 0, "cvm_limit_fen": 100001, "cvm_default": "online-pin",
    }  # fmt: skip


UNIONPAY_ROWS = [unionpay_row("A00000033301010" + kind) for kind in "123"]
TERMINAL_DATA = {
    "9F1A": "0156", "5F2A": "0156", "5F36": "02", "9F33": "E0F8C8", "9F35": "22", "9F40": "6000F0A001",
    "9F1E": "3030303030303031", "9F7A": "00", "DF60": "00", "DF69": "00",
}  # fmt: skip


def card_settings(rows=UNIONPAY_ROWS, terminal=TERMINAL_DATA, keys=(), revoked=(), switches=None):
    """Settings; what is not given is as above."""
    return Settings(rows, terminal, keys, revoked, switches)
