"""The host's side of downloads, asked by messages as the standard has them."""

import random

import pytest

from emulator.acquirer.books import Books
from emulator.acquirer.core import Acquirer
from emulator.cards import shelf
from firmware.emv import download, tlv
from firmware.iso8583 import frame, unionpay

NUMBER, MERCHANT = "12345678", "898310012345678"
CODEC = unionpay.codec()
ROWS = [
    {"aid": "A000000333010101", "kernel": "07", "tac_online": "D84004F800", "floor_limit_fen": 0},
    {"aid": "A000000333010102", "kernel": "07"},
    {"aid": "A0000000031010", "kernel": "03"},
]


@pytest.fixture
def host():
    books = Books()
    books.add_terminal(NUMBER, MERCHANT, bytes(range(16)))
    host = Acquirer(books, None, lambda: 1_795_142_040, random.Random(1).randbytes)
    offer = host.providers["Downloads"]
    offer.offer(ROWS, shelf.sample(random.Random(1)).authority_rows(), ["622588", "40000012345678", "9999"])
    return host


def ask(host, mti, code, data=b"", **changed):
    """The fields of the answer."""
    fields = {41: NUMBER, 42: MERCHANT, 60: "00000001" + code, **changed}
    if data:
        fields[62] = data
    answers = host.handle(frame.pack(bytes.fromhex("6000030000"), bytes.fromhex("603100310001"), CODEC.pack(mti, fields)))
    got = frame.Deframer()
    got.feed(answers[0][1])
    reply_mti, reply = CODEC.unpack(got.next().body)
    assert reply_mti == unionpay.reply_to(mti) and 64 not in reply
    return reply


def data_of(host, mti, code, data=b""):
    reply = ask(host, mti, code, data)
    assert reply[39] == "00"
    return reply.get(62, b"")


def test_the_list_of_keys_is_asked_for_by_count_and_given_as_the_standard_says(host):
    host.providers["Downloads"].per_message = 3
    keys = list(host.providers["Downloads"].keys)
    found = []
    while True:
        part = data_of(host, "0820", "372", b"1%02d" % len(found))
        entries, _ = download.status_list(part[1:])
        assert all(entry["expiry"] for entry in entries)
        found += [entry["name"] + entry["index"] for entry in entries]
        if part[:1] != b"2":
            break
    assert part[:1] == b"1" and found == keys


def test_one_key_is_given_by_provider_and_index(host):
    name, block = list(host.providers["Downloads"].keys.items())[0]
    asked = tlv.encode([(0x9F06, bytes.fromhex(name[:10])), (0x9F22, bytes.fromhex(name[10:]))])
    assert data_of(host, "0800", "370", asked) == b"1" + block
    assert download.key(block, "test")[0]["rid"] == name[:10]
    assert data_of(host, "0800", "370", tlv.encode([(0x9F06, bytes(5)), (0x9F22, b"\x01")])) == b"0"


def test_applications_are_listed_and_given_one_by_one(host):
    part = data_of(host, "0820", "382", b"100")
    names = [entry["name"] for entry in download.status_list(part[1:])[0]]
    assert part[:1] == b"1" and names == [row["aid"] for row in ROWS]
    got = data_of(host, "0800", "380", tlv.encode([(0x9F06, bytes.fromhex(names[0]))]))
    row, _ = download.application(got[1:])
    assert got[:1] == b"1" and row["aid"] == names[0] and row["tac_online"] == "D84004F800"


def test_the_black_list_goes_on_behind_the_count(host):
    host.providers["Downloads"].per_message = 2
    assert data_of(host, "0800", "390", b"000") == b"200206622588        1440000012345678"
    assert data_of(host, "0800", "390", b"003") == b"1003049999          "


def test_parameters_and_limits_are_given_as_they_are_and_ends_are_noted(host):
    offer = host.providers["Downloads"]
    assert data_of(host, "0800", "360") == b"" and data_of(host, "0800", "394") == b"0"
    offer.parameters, offer.limits = b"1245", b"1FF805D0011"
    assert data_of(host, "0800", "360") == b"1245" and data_of(host, "0800", "394", b"000") == b"1FF805D0011"
    for code in ("361", "371", "381", "391", "395"):
        ask(host, "0800", code)
    assert [kind for _, kind in offer.ended] == [
        "parameters-end",
        "card-keys-end",
        "applications-end",
        "blacklist-end",
        "limits-end",
    ]


def test_a_status_is_kept(host):
    ask(host, "0820", "362", b"011021031041051")
    assert host.providers["Downloads"].statuses == [(NUMBER, b"011021031041051")]


@pytest.mark.parametrize("mti, code, data", [("0820", "372", b"1x0"), ("0820", "382", b"10"), ("0800", "390", b"xxx")])
def test_a_count_that_is_none_is_refused(host, mti, code, data):
    assert ask(host, mti, code, data)[39] == "30"


def test_who_is_no_terminal_of_this_host_gets_nothing(host):
    fields = {41: "99999999", 42: MERCHANT, 60: "00000001360"}
    answers = host.handle(frame.pack(bytes.fromhex("6000030000"), bytes.fromhex("603100310001"), CODEC.pack("0800", fields)))
    got = frame.Deframer()
    got.feed(answers[0][1])
    assert CODEC.unpack(got.next().body)[1][39] == "97"


def test_any_field_62_is_answered(host):
    chance = random.Random(62)
    for mti, code in (("0820", "372"), ("0820", "382"), ("0800", "370"), ("0800", "380"), ("0800", "390"), ("0820", "362")):
        for _ in range(60):
            assert len(ask(host, mti, code, chance.randbytes(1 + chance.randrange(30)))[39]) == 2
