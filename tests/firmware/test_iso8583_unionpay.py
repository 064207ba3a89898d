"""The private fields, the response codes and the masked view."""

import json
import random
from pathlib import Path

import pytest

from firmware.iso8583 import codes, describe, unionpay
from firmware.iso8583.codec import Iso8583Error

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def load(name):
    path = SHARED / "vectors" / "host" / name
    if not path.exists():
        pytest.skip("no ../shared beside this clone: its vectors are not run")
    return json.loads(path.read_text())


def messages():
    codec = unionpay.codec()
    for vector in load("upmsg.json")["vectors"]:
        if "expect" in vector:
            begin = 2 * vector["has_length_prefix"] + 5 + vector["header_bytes"]
            message = bytes.fromhex(vector["hex"])[begin:]
            yield vector, message, codec.unpack(message)


# ---- amounts, traces, F22, F53


def test_money_is_fen_in_twelve_digits():
    assert unionpay.amount(1234) == "000000001234" and unionpay.fen("000000001234") == 1234
    assert unionpay.amount(unionpay.AMOUNT_LIMIT_FEN) == "9" * 12
    for wrong in (-1, unionpay.AMOUNT_LIMIT_FEN + 1):
        with pytest.raises(Iso8583Error):
            unionpay.amount(wrong)
    for wrong in ("1234", "00000000123X", ""):
        with pytest.raises(Iso8583Error):
            unionpay.fen(wrong)


def test_trace_numbers_begin_again_at_one():
    assert [unionpay.next_trace(number) for number in (1, 999_998, 999_999)] == [2, 999_999, 1]
    assert unionpay.trace(7) == "000007"
    for wrong in (0, 1_000_000):
        with pytest.raises(Iso8583Error):
            unionpay.trace(wrong)


@pytest.mark.parametrize(
    "entry, pin, text",
    [
        ("manual", False, "012"),
        ("stripe", True, "021"),
        ("chip", True, "051"),
        ("contactless", False, "072"),
        ("code", None, "030"),
    ],
)
def test_entry_mode_tells_how_the_card_came_and_whether_a_pin_was_typed(entry, pin, text):
    assert unionpay.entry_mode(entry, pin) == text
    assert unionpay.read_entry_mode(text) == (entry, pin)


def test_an_entry_mode_that_we_do_not_know_is_unknown():
    assert unionpay.read_entry_mode("921") == ("unknown", True)
    assert unionpay.read_entry_mode("") == ("unknown", None)
    with pytest.raises(Iso8583Error):
        unionpay.entry_mode("telepathy", True)


def test_security_control_is_as_deployed_terminals_send_it():
    assert unionpay.security(pin=True, track_enciphered=True) == "2610000000000000"
    assert unionpay.security(pin=True) == "2600000000000000"
    assert unionpay.security(pin=False, track_enciphered=True) == "0610000000000000"
    assert unionpay.security(pin=True, cipher="0") == "2000000000000000"
    assert unionpay.security(pin=True, with_pan=False) == "1600000000000000"


# ---- F54, F60, F61, F63


def test_a_balance_comes_back_with_its_sign():
    for fen in (0, 1, 123_456, -500):
        (got,) = unionpay.read_balances(unionpay.balance("10", "02", fen))
        assert got == ("10", "02", "156", fen)
    assert len(unionpay.read_balances(unionpay.balance("10", "01", 5) + unionpay.balance("10", "02", 4))) == 2


@pytest.mark.parametrize("text", ["", "1002156C00000000123", "1002156X000000001234", "1002156C00000000123X"])
def test_what_is_no_balance_is_refused(text):
    with pytest.raises(Iso8583Error):
        unionpay.read_balances(text)


def test_private_fields_of_published_messages_are_read_as_published():
    seen = set()
    for vector, _, (_, fields) in messages():
        sub = vector["expect"].get("sub", {})
        if "60" in sub:
            want = sub["60"]
            got = unionpay.read_private60(fields[60])
            names = (
                "60.1_txn_type", "60.2_batch", "60.3_netmgmt", "60.4_terminal_capability", "60.5_ic_condition",
                "60.6_partial_auth", "60.7_account_type",
            )  # fmt: skip
            assert list(got[: len(want)]) == [want[name] for name in names if name in want], vector["id"]
            seen.add(60)
        if "61" in sub:
            want = sub["61"]
            got = unionpay.read_original(fields[61])
            assert (got.batch, got.trace, got.date) == (
                want["61.1_orig_batch"],
                want["61.2_orig_trace"],
                want.get("61.3_orig_date", ""),
            )
            seen.add(61)
        if "53" in sub:
            assert fields[53][:3] == sub["53"]["pin_format"] + sub["53"]["algorithm"] + sub["53"]["track_encrypted"]
            seen.add(53)
        if 54 in fields:
            assert unionpay.read_balances(fields[54])
            seen.add(54)
    assert seen == {53, 54, 60, 61}


def test_private_field_60_is_built_as_it_is_read():
    assert unionpay.management("000001", unionpay.KEYS_DOUBLE) == "00000001003"
    text = unionpay.financial(unionpay.SALE, "000002")
    assert text == "22000002000601"
    assert unionpay.read_private60(text) == ("22", "000002", "000", "6", "0", "1", "")
    assert unionpay.read_private60("01000000").code == ""
    for wrong in ("", "0000000", "00000001X03"):
        with pytest.raises(Iso8583Error):
            unionpay.read_private60(wrong)
    for batch in ("1", "00000A", 1):
        with pytest.raises((Iso8583Error, TypeError)):
            unionpay.management(batch, "003")


def test_the_original_is_built_as_it_is_read():
    assert unionpay.original("000002", "000003") == "000002000003"
    assert unionpay.original("000002", "000003", "0611") == "0000020000030611"
    assert unionpay.read_original("0000020000030611") == ("000002", "000003", "0611", "", "")
    with pytest.raises(Iso8583Error):
        unionpay.original("000002", "000003", mode="01")
    with pytest.raises(Iso8583Error):
        unionpay.read_original("00000200000")


def test_operator_and_organisation():
    assert unionpay.operator("01") == b"01 "
    assert unionpay.read_organisation("CUP余额不足".encode("gbk")) == ("CUP", "余额不足".encode("gbk"))
    assert unionpay.read_organisation(b"") == ("", b"")
    assert unionpay.read_organisation(b"\xd3\xe0\xb6") == ("", b"")


# ---- F62


def test_the_device_number_is_sent_as_deployed_terminals_send_it():
    assert unionpay.device("3125SN000001") == b"Sequence No123125SN000001"
    assert unionpay.read_device(b"Sequence No123125SN000001") == "3125SN000001"
    for wrong in (b"", b"Sequence No", b"Sequence No12short", b"Sequence NoXX3125SN000001", b"Sequence No02\xd3\xe0"):
        with pytest.raises(Iso8583Error):
            unionpay.read_device(wrong)


def test_blocks_of_working_keys_are_cut_as_published():
    names = {"PIK": "pin", "MAK": "mac", "TDK": "track"}
    for block in load("cup_keys.json")["keys"]:
        if "f62" not in block:
            continue
        data = bytes.fromhex(block["f62"])
        if "expect_error" in block and "length" in block["expect_error"]:
            with pytest.raises(Iso8583Error):
                unionpay.keys(data)
            continue
        got = unionpay.keys(data)
        assert b"".join(key + check for _, key, check in got) == data
        for (slot, key, check), want in zip(got, block.get("keys", []), strict=False):
            assert slot == names[want["name"]]
            assert key.hex().upper() == want["encrypted"] and check.hex().upper() == want["kcv"]


def test_blocks_with_triple_length_keys_are_cut_too():
    assert [(slot, len(key), len(check)) for slot, key, check in unionpay.keys(bytes(84))] == [
        ("pin", 24, 4), ("mac", 24, 4), ("track", 24, 4)]  # fmt: skip
    assert len(unionpay.keys(bytes(56))) == 2


# ---- F55, F64, reversal


def test_tags_are_in_the_order_in_which_terminals_send_them():
    for vector, _, _ in messages():
        want = [int(tag, 16) for tag, _ in vector["expect"].get("sub", {}).get("55", [])]
        if vector["id"] in ("syn_sale_contactless_ic_0200", "vfwz_pay_req"):
            assert want == [tag for tag in unionpay.ONLINE_TAGS if tag in want]
        elif vector["id"] == "syn_script_notice_0620":
            assert want == list(unionpay.SCRIPT_TAGS)
        elif vector["id"] == "syn_reversal_ic_0400":
            assert want == [tag for tag in unionpay.REVERSAL_TAGS if tag in want]


def test_a_reversal_is_what_the_published_one_is():
    found = {vector["id"]: fields for vector, _, (_, fields) in messages()}
    for sale, undo in (("syn_sale_mag_pin_0200", "syn_reversal_0400"), ("syn_void_0200", "syn_reversal_void_0400")):
        made = unionpay.reversal(found[sale], unionpay.REASON_NO_ANSWER)
        want = dict(found[undo])
        want.pop(64)
        want.pop(53, None)
        made.pop(62, None)
        assert made == want
    assert unionpay.reversal({3: "000000", 11: "000001"}, "A0", "A12345", b"\x95\x00")[38] == "A12345"


def test_a_reversal_carries_no_track_and_no_pin():
    request = {2: "6", 26: "12", 35: "6", 36: "6", 37: "7", 52: bytes(8), 53: "2", 55: b"x", 11: "000009", 64: bytes(8)}
    assert unionpay.reversal(request, "98") == {2: "6", 11: "000009", 39: "98"}


def test_the_mac_covers_all_but_itself_bitmap_included():
    codec = unionpay.codec()
    checked = 0
    for vector, message, (mti, fields) in messages():
        if "mac" not in vector:
            continue
        assert unionpay.mac_span(message) == bytes.fromhex(vector["mac"]["mab"]), vector["id"]
        checked += 1
        if vector["id"] == "cup_qr_like_0200_mac_ok":
            continue
        open_end = codec.pack(mti, dict(fields) | {64: bytes(8)})
        assert unionpay.sealed(open_end, vector["mac"]["mac"].encode()) == message
    assert checked > 10
    with pytest.raises(Iso8583Error):
        unionpay.sealed(bytes(20), b"short")


def test_a_reply_has_the_next_message_type():
    assert [unionpay.reply_to(mti) for mti in ("0200", "0400", "0820")] == ["0210", "0410", "0830"]


# ---- codes


def test_every_listed_code_is_there_and_says_the_same():
    actions = {
        "approve": "approve", "approve_partial": "approve-partial", "approve_notice": "approve-notice", "decline": "decline",
        "decline_retry": "retry", "decline_retry_later": "retry-later", "decline_pickup": "pick-up",
    }  # fmt: skip
    special = {"55": "pin", "77": "sign-on", "79": "upload", "99": "sign-on", "A0": "sign-on"}
    vectors = load("response_codes.json")["vectors"]
    assert {vector["code"] for vector in vectors} == set(codes.CODES)
    for vector in vectors:
        want = special.get(vector["code"]) or actions[vector["action"].split(";")[0]]
        assert codes.look_up(vector["code"]).action == want, vector["code"]


def test_success_is_what_moved_money():
    assert set(codes.SUCCESS) == {"00", "10", "11", "A2", "A4", "A5", "A6"}
    assert codes.approved("00") and not codes.approved("51") and not codes.approved("??")


def test_words_fit_a_line_and_every_action_has_words():
    for row in codes.CODES.values():
        assert len(row.zh) <= 10 and len(row.en) <= 22, row.code
        assert row.action in codes.ACTIONS and row.help in codes.HELP
    for code in codes.SIGN_ON_CODES:
        assert codes.look_up(code).action == "sign-on"


def test_an_unknown_code_is_a_decline():
    row = codes.look_up("ZZ")
    assert (row.code, row.action) == ("ZZ", "decline") and row.zh and row.en


# ---- describe


def test_nothing_secret_is_in_the_lines_of_any_published_message():
    for vector, message, (_, fields) in messages():
        text = "\n".join(describe.describe(message, decode=lambda data: data.decode("gb18030", "replace")))
        for field in (2, 35, 36, 52, 54):
            value = fields.get(field)
            if value:
                plain = value.hex().upper() if isinstance(value, bytes) else value
                assert plain not in text, (vector["id"], field)
        if 62 in fields and vector["id"] in ("syn_signon_0810", "cup_signon_0810_tpdu_swapped"):
            assert fields[62][:8].hex().upper() not in text
            assert "check value" in text
        if 2 in fields and len(fields[2]) > 12:
            assert fields[2][:6] + "*" * (len(fields[2]) - 10) + fields[2][-4:] in text


def test_a_message_is_shown_in_words():
    found = {vector["id"]: message for vector, message, _ in messages()}
    lines = describe.describe(found["syn_sale_contactless_ic_0200"])
    assert lines[0] == "0200 消费 Sale"
    assert "F4 交易金额 Amount: 10.00" in lines
    assert "F22 服务点输入方式码 Entry mode: 072 contactless, no PIN" in lines
    assert any(line.startswith("  9F26 ") for line in lines)
    assert "F64 报文鉴别码 MAC: 88498424" in lines
    lines = describe.describe(found["syn_reversal_void_0400"])
    assert lines[0] == "0400 冲正 消费撤销 Reversal Void"
    assert "F39 应答码 Response code: 98 no answer" in lines
    lines = describe.describe(found["syn_sale_declined_51_0210"], decode=lambda data: data.decode("gbk"))
    assert lines[0] == "0210 消费 应答 Sale reply"
    assert "F39 应答码 Response code: 51 余额不足 Insufficient funds" in lines
    assert lines[-2].endswith("CUP余额不足")


def test_an_unreadable_message_is_shown_without_its_bytes():
    message = unionpay.codec().pack("0200", {2: "6222620000000004", 11: "000001"})
    (line,) = describe.describe(message[:-1])
    assert "unreadable" in line and "F11" in line and "62226" not in line


def test_control_characters_of_a_host_reach_no_screen():
    message = unionpay.codec().pack("0210", {38: "A\x1b[2J1", 39: "\x000", 44: b"\x1b[31m", 63: b"CUP\x07"})
    text = "".join(describe.describe(message, decode=lambda data: data.decode("latin-1")))
    assert all(ord(character) >= 32 for character in text)


def test_whatever_the_bytes_are_a_message_can_be_shown():
    chance = random.Random(5)
    good = [message for _, message, _ in messages()]
    for _ in range(1500):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        assert describe.describe(bytes(data))
