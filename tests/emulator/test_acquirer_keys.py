"""Keys at the host: suites, MACs, PIN blocks, tracks, DUKPT, a new master key, what a terminal's profile may say.

The terminal's side here is the terminal's own (`drivers`), so that each half checks the other.
"""

import random

import pytest

from drivers import cup_keys, dukpt, kcv, macs, pin_blocks
from drivers.libcrypto import Cipher
from emulator.acquirer import profile
from emulator.acquirer.books import Books
from emulator.acquirer.keys import Engine, PinFormat
from firmware.iso8583 import frame, unionpay
from firmware.iso8583.codec import Codec
from firmware.iso8583.fields import UNIONPAY, changed
from tests.emulator.acquirer_desk import Desk
from tests.emulator.test_acquirer import CARD, HEADER, MASTER_KEY, MERCHANT, OTHER, PIN, TERMINAL, TPDU, vectors

AES_KEY = bytes.fromhex("000102030405060708090A0B0C0D0E0F")
FORM_4 = {"52": "b16"}


class Suite(Desk):
    """A till that speaks by a profile; `code`: of its sign-on, F60.3."""

    def __init__(self, code="003", **entries):
        self.code_on, self.method = code, ""
        self.entries, self.cipher = entries, "sm4" if code in ("005", "006") else entries.get("suite", "tdes")
        super().__init__()

    def sign_on(self, code=None):
        self.books.set_profile(TERMINAL, self.entries)
        own = self.books.terminal(TERMINAL).profile
        self.method = own.mac
        self.codec = Codec(changed(UNIONPAY, own.fields))
        request = {11: self.next_trace(), 60: unionpay.management(self.batch, code or self.code_on)}
        fields = self.ask("0800", request, mac=False)
        assert fields[39] == "00"
        self.batch = unionpay.read_private60(fields[60]).batch
        self.read_keys(fields.get(62, b""), own)
        return fields

    def read_keys(self, block, own):
        size = 8 if self.code_on == "001" else own.key_bytes
        self.keys, at, self.blocks = {}, 0, []
        with Cipher(self.cipher, MASTER_KEY, False) as master:
            for slot in ("pin", "mac", "track"):
                if at < len(block):
                    check = block[at + size : at + size + own.check_bytes]
                    self.blocks.append(block[at : at + size])
                    self.keys[slot] = bytes(cup_keys.open_key_block(master, block[at : at + size], check, self.cipher))
                    at += size + own.check_bytes
        assert at == len(block)

    def answers(self, mti, fields, mac=True):
        fields = {41: TERMINAL, 42: MERCHANT} | fields
        if mac:
            fields[64] = bytes(8)
        message = self.codec.pack(mti, fields)
        if mac:
            message = unionpay.sealed(message, self.seal(unionpay.mac_span(message)))
        return self.acquirer.handle(frame.pack(TPDU, HEADER, message))

    def seal(self, data, reply=False):
        return macs.mac(self.method, self.cipher, self.keys["mac"], data)

    def read(self, data, mac_good=True):
        deframer = frame.Deframer()
        deframer.feed(data)
        got = deframer.next()
        self.mti, fields = self.codec.unpack(got.body)
        if 64 in fields:
            assert (self.seal(unionpay.mac_span(got.body), True) == fields[64]) is mac_good
        return fields

    def block(self, form, pin=PIN, pan=CARD):
        with Cipher(self.cipher, self.keys["pin"]) as cipher:
            if form == "4":
                return pin_blocks.encipher_4(cipher, bytearray(pin.encode()), pan, random.Random(2).randbytes)
            clear = pin_blocks.encode(form, bytearray(pin.encode()), pan, random.Random(2).randbytes)
            return cipher.run(bytes(clear))

    def with_pin(self, block, security="26", **more):
        return self.sale(f22="071", f26="12", f52=block, f53=security + "0" * 14, **more)


@pytest.mark.parametrize(
    "code, entries, sizes",
    [
        ("001", {}, [8, 8]), ("003", {}, [16, 16]), ("004", {}, [16, 16, 16]), ("005", {}, [16, 16]), ("006", {}, [16, 16, 16]),
        ("006", {"suite": "sm4"}, [16, 16, 16]), ("004", {"suite": "sm4"}, [16, 16, 16]), ("003", {"suite": "aes"}, [16, 16]),
        ("003", {"key_bytes": 24}, [24, 24]), ("004", {"key_bytes": 24}, [24, 24, 24]), ("004", {"check_bytes": 3}, [16, 16, 16]),
        ("003", {"mac_key_bytes": 8}, [16, 8]), ("004", {"mac_key_bytes": 8, "check_bytes": 3}, [16, 8, 16]),
    ],
)  # fmt: skip
def test_working_keys_of_every_suite_and_length_open_and_are_used(code, entries, sizes):
    cipher = "sm4" if code in ("005", "006") else entries.get("suite", "tdes")
    desk = Suite(code, **entries)
    assert [len(key) for key in desk.keys.values()] == sizes and desk.cipher == cipher
    assert desk.sell()[1][39] == "00"
    if sizes[:2] == [16, 8]:
        assert desk.blocks[1][8:] == bytes(8)
    good = desk.keys["mac"]
    desk.keys["mac"] = bytes(len(good) - 1) + b"\x01" if len(good) % 8 else b"\x01" * len(good)
    ((_, data),) = desk.answers("0200", desk.sale())
    assert desk.read(data)[39] == "A0"
    assert desk.books.approved(1234) == 1 and desk.books.balanced()


def test_single_length_keys_are_triple_des_alone():
    desk = Suite("003", suite="aes")
    reply = desk.ask("0800", {11: desk.next_trace(), 60: unionpay.management(desk.batch, "001")}, mac=False)
    assert reply[39] == "12" and 62 not in reply


@pytest.mark.parametrize(
    "method, code, entries",
    [
        ("unionpay", "003", {}), ("unionpay-binary", "003", {}), ("x9.9", "003", {}), ("x9.19", "003", {}), ("cmac", "003", {}),
        ("unionpay", "005", {}), ("unionpay-binary", "005", {}), ("cbc", "005", {}), ("cmac", "005", {}),
        ("cmac", "003", {"suite": "aes"}), ("unionpay", "001", {}), ("x9.9", "001", {}), ("cmac", "001", {}),
    ],
)  # fmt: skip
def test_a_terminal_seals_by_the_method_of_its_profile(method, code, entries):
    desk = Suite(code, mac=method, **entries)
    request, reply = desk.sell()
    assert reply[39] == "00" and len(reply[64]) == 8
    assert desk.code("0400", unionpay.reversal(request, "98")) == "00"


def test_both_halves_make_the_same_mac_of_anything():
    chance, engine = random.Random(7), Engine()
    for method, (ciphers, _) in macs.METHODS.items():
        for cipher, sizes in ciphers.items():
            for size in sizes:
                key, data = chance.randbytes(size), chance.randbytes(chance.randrange(1, 60))
                made = engine.mac(key, data, method, cipher)
                assert made == macs.mac(method, cipher, key, data), (method, cipher, size)
                assert engine.check_mac(key, data, made, method, cipher)
                assert not engine.check_mac(key, data + b"\x01", made, method, cipher)


def test_macs_are_as_published():
    engine, checked = Engine(), 0
    methods = {
        "UnionPay POS ECB MAC (SM4)": ("unionpay", "sm4"), "UnionPay POS ECB MAC": ("unionpay", "tdes"),
        "AES-CMAC": ("cmac", "aes"), "TDES CMAC": ("cmac", "tdes"), "TDES CMAC (ISO 9797-1 alg 5)": ("cmac", "tdes"),
        "ANSI X9.19 retail MAC = ISO 9797-1 alg 3, zero pad": ("x9.19", "tdes"),
        "ANSI X9.9 = ISO 9797-1 alg 1, single DES, zero pad": ("x9.9", "tdes"), "ISO 9797-1 alg 1, TDES": ("x9.9", "tdes"),
    }  # fmt: skip
    for vector in vectors("mac.json")["vectors"]:
        if vector["algorithm"] in methods and vector.get("padding", 1) == 1:
            method, cipher = methods[vector["algorithm"]]
            made = engine.mac(bytes.fromhex(vector["key"]), bytes.fromhex(vector["data"]), method, cipher).hex().upper()
            wanted = vector.get("f64") or vector["mac"][:16]
            assert made[: len(wanted)] == wanted, vector["id"]
            checked += 1
    assert checked > 14


# ---- PIN blocks


@pytest.mark.parametrize(
    "form, security, code, entries",
    [
        ("0", "26", "003", {}), ("0-without-pan", "16", "003", {}), ("3", "26", "003", {"pin_form": "3"}), ("0", "20", "001", {}),
        ("4", "26", "003", {"suite": "aes", "fields": FORM_4}), ("sm4", "24", "005", {"fields": FORM_4}),
        ("sm4-without-pan", "14", "006", {"fields": FORM_4}),
    ],
)  # fmt: skip
def test_a_pin_is_read_in_every_form(form, security, code, entries):
    desk = Suite(code, **entries)
    assert desk.code("0200", desk.with_pin(desk.block(form), security)) == "00"
    assert desk.code("0200", desk.with_pin(desk.block(form, "000000"), security)) == "55"
    assert desk.code("0200", desk.with_pin(bytes(len(desk.block(form)) - 1) + b"\x01", security)) == "99"
    if "without" not in form:
        assert desk.code("0200", desk.with_pin(desk.block(form, pan=OTHER), security)) == "99"


@pytest.mark.parametrize("field, head", [(63, b"SM016"), (59, b"A1016")])
def test_a_long_pin_block_may_lie_in_a_field_of_its_own(field, head):
    desk = Suite("005")
    request = desk.with_pin(bytes(8), "24", **{"f%d" % field: head + desk.block("sm4")})
    assert desk.code("0200", request) == "00"
    request = desk.with_pin(bytes(8), "24", **{"f%d" % field: head + desk.block("sm4", "111111")})
    assert desk.code("0200", request) == "55"
    assert desk.code("0200", desk.with_pin(bytes(8), "24")) == "99"


def test_pin_blocks_of_other_forms_are_as_published():
    engine, key, checked = Engine(), AES_KEY, 0
    for vector in vectors("pinblock.json")["vectors"]:
        if vector.get("format") == 3 and vector["kind"] in ("decode", "decode_error"):
            block = bytes.fromhex(vector["pin_block"])
            block = engine.encipher(key, block) if len(block) == 8 else block
            read = (key, block, vector["pan"], "3")
        elif vector.get("format") == 4 and vector["kind"] in ("decrypt", "encrypt_full", "decrypt_error"):
            read = (bytes.fromhex(vector["key"]), bytes.fromhex(vector["pin_block"]), vector["pan"], "4", "aes")
        else:
            continue
        checked += 1
        if "error" in vector:
            with pytest.raises(PinFormat):
                engine.pin(*read)
        else:
            assert engine.pin(*read) == vector["pin"], vector["id"]
    assert checked > 4


def test_whatever_the_block_is_the_host_reads_a_pin_or_says_that_it_cannot():
    engine, chance = Engine(), random.Random(8)
    for _ in range(400):
        form, cipher = chance.choice((("0", "tdes"), ("3", "tdes"), ("4", "aes"), ("0", "sm4")))
        block, pan = chance.randbytes(chance.choice((0, 7, 8, 16, 16))), chance.choice((CARD, OTHER, "", "1", "x" * 16))
        try:
            pin = engine.pin(AES_KEY, block, pan, form, cipher)
        except PinFormat:
            continue
        assert pin.isdigit() and 4 <= len(pin) <= 12


# ---- tracks


@pytest.mark.parametrize("track", ["D30121011234500000000", "D3012101", "D301210112345"])
def test_an_enciphered_track_names_its_card(track):
    desk = Suite("004")
    with Cipher("tdes", desk.keys["track"]) as cipher:
        sent = cup_keys.encrypted_track(cipher, CARD + track)
    swiped = {"f2": None, "f55": None, "f23": None, "f22": "022", "f53": "061" + "0" * 13}
    assert sent != CARD + track and desk.sell(f35=sent, **swiped)[1][39] == "00"
    assert desk.sell(f35=sent[:-6] + "DDD" + sent[-3:], **swiped)[1][39] in ("14", "54")


def test_a_track_shorter_than_what_is_enciphered_is_made_longer():
    engine, key = Engine(), AES_KEY
    for track in ("1D", "123456D3012", CARD, CARD + "D"):
        with Cipher("tdes", key) as cipher:
            assert engine.clear_track(key, cup_keys.encrypted_track(cipher, track)) == track


# ---- DUKPT

SERIES = {
    "tdes": (bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), bytes.fromhex("FFFF9876543210E00000")),
    "aes": (bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1"), bytes.fromhex("123456789012345600000000")),
    "aes256": (bytes.fromhex("FEDCBA9876543210F1F1F1F1F1F1F1F1") * 2, bytes.fromhex("123456789012345600000000")),
}


class Changing(Suite):
    """A till whose keys are DUKPT's."""

    def __init__(self, series="tdes", mac="", form="0", **entries):
        base, serial = SERIES[series]
        suite = "tdes" if series == "tdes" else "aes"
        initial = dukpt.tdes_initial_key(base, serial) if suite == "tdes" else dukpt.aes_initial_key(base, serial[:8])
        self.series = dukpt.Series.begin(suite, initial, serial)
        self.form = form
        told = {"pin_form": "dukpt-" + form} | ({"mac": mac} if mac else {}) | ({"fields": FORM_4} if form == "4" else {})
        super().__init__(suite=suite, keys="dukpt", base_key=base, **told | entries)

    def read_keys(self, block, own):
        assert block == b""

    def answers(self, mti, fields, mac=True):
        if mac:
            self.now = self.now if self.held else self.series.advance()
            self.held = False
            fields = fields | {62: self.now.serial + fields.get(62, b"")}
        return super().answers(mti, fields, mac)

    held, now = False, None

    def seal(self, data, reply=False):
        cipher = "aes" if self.method == "cmac" and self.series.cipher == "aes" else "tdes"
        use = dukpt.MAC_RESPONSE if reply else dukpt.MAC_REQUEST
        return macs.mac(self.method, cipher, self.now.working(use, cipher), data)

    def pinned(self, pin=PIN):
        """A sale with a PIN under the keys of its message."""
        self.now, self.held = self.series.advance(), True
        kind = "aes" if self.form == "4" else "tdes"
        with Cipher(kind, self.now.working(dukpt.PIN, kind)) as cipher:
            if self.form == "4":
                block = pin_blocks.encipher_4(cipher, bytearray(pin.encode()), CARD, random.Random(2).randbytes)
            else:
                block = cipher.run(bytes(pin_blocks.encode("0", bytearray(pin.encode()), CARD, None)))
        return self.with_pin(block)


@pytest.mark.parametrize(
    "series, mac, form",
    [("tdes", "", "0"), ("tdes", "dukpt-cmac", "0"), ("aes", "", "4"), ("aes", "dukpt-x9.19", "0"), ("aes256", "", "4")],
)
def test_each_message_has_keys_of_its_own(series, mac, form):
    desk = Changing(series, mac, form)
    for _ in range(5):
        request, reply = desk.sell()
        assert reply[39] == "00" and 64 in reply and 62 not in reply
        assert desk.code("0400", unionpay.reversal(request, "98")) == "00"
    assert desk.code("0200", desk.pinned()) == "00"
    assert desk.code("0200", desk.pinned("111111")) == "55"
    assert desk.code("0200", desk.instalment(10_000)) == "00"
    assert desk.books.balanced()


def test_keys_that_were_used_are_not_taken_again():
    desk = Changing()
    desk.sell()
    desk.held = True
    assert desk.sell()[1][39] == "A0"
    assert desk.sell()[1][39] == "00"
    reply = Suite.answers(desk, "0200", desk.sale())
    assert desk.read(reply[0][1])[39] == "A0"
    assert desk.books.approved(1234) == 2


def test_a_track_may_be_enciphered_under_the_keys_of_its_message():
    desk = Changing()
    desk.now, desk.held = desk.series.advance(), True
    with Cipher("tdes", desk.now.working(dukpt.DATA_REQUEST, "tdes")) as cipher:
        sent = cup_keys.encrypted_track(cipher, CARD + "D30121011234500000000")
    assert desk.sell(f35=sent, f2=None, f55=None, f23=None, f22="022", f53="061" + "0" * 13)[1][39] == "00"


def test_the_key_serial_number_may_lie_in_another_field():
    desk = Changing(ksn_field=57)
    desk.now = desk.series.advance()
    assert desk.read(Suite.answers(desk, "0200", desk.sale(f57=desk.now.serial))[0][1])[39] == "00"


def test_dukpt_keys_are_as_published():
    engine, data = Engine(), vectors("dukpt_tdes.json")
    text = data["txn_data_ascii"].encode()
    for vector in data["vectors"]:
        keys = engine.dukpt(bytes.fromhex(data["bdk"]), bytes.fromhex(vector["ksn"]), "tdes")
        told = vector["computed"]
        assert keys.mac.value.hex().upper() == told["mac_req_key"] and keys.reply_mac.value.hex().upper() == told["mac_rsp_key"]
        assert keys.track.value.hex().upper() == told["data_req_key"]
        assert engine.pin(keys.pin.value, bytes.fromhex(vector["enc_pinblock"]), data["pan"]) == data["pin"]
        assert engine.mac(keys.mac.value, text, "x9.19")[:4].hex().upper() == vector["mac_request4"]
        assert engine.mac(keys.reply_mac.value, text, "x9.19")[:4].hex().upper() == vector["mac_response4"]
        assert engine.mac(keys.mac.value, text, "cmac").hex().upper() == vector["cmac_request8"]
    data, checked = vectors("dukpt_aes.json"), 0
    for vector in data["vectors"]:
        if "enc_pinblock_fmt4" in vector:
            group = data["sets"][str(vector["bdk_bits"])]
            keys = engine.dukpt(bytes.fromhex(group["bdk"]), bytes.fromhex(vector["ksn"]), "aes")
            block = bytes.fromhex(vector["enc_pinblock_fmt4"])
            assert engine.pin(keys.pin.value, block, group["pan"], "4", "aes") == group["pin"], vector["id"]
            checked += 1
    assert checked > 2


def test_both_halves_derive_the_same_keys_for_any_counter():
    engine, chance = Engine(), random.Random(9)
    for name, (base, serial) in SERIES.items():
        suite = "tdes" if name == "tdes" else "aes"
        initial = dukpt.tdes_initial_key(base, serial) if suite == "tdes" else dukpt.aes_initial_key(base, serial[:8])
        for _ in range(10):
            counter = 0
            for _ in range(chance.randrange(1, 11)):
                counter |= 1 << chance.randrange(21)
            number = dukpt.serial_number(suite, serial, counter)
            keys = engine.dukpt(base, number, suite)
            own = dukpt.Transaction(suite, dukpt.transaction_key(suite, initial, number), number)
            for key, use in ((keys.pin, dukpt.PIN), (keys.mac, dukpt.MAC_REQUEST), (keys.reply_mac, dukpt.MAC_RESPONSE)):
                assert key.value == bytes(own.working(use, suite)), (name, number.hex())


# ---- a new master key


def test_a_new_master_key_comes_under_the_transport_key_and_is_used_from_the_next_sign_on():
    desk = Desk()
    transport = bytes.fromhex("1A2A3D4C5E6E708092A2B5C4D6E6F801")
    ask = {60: unionpay.management(desk.batch, "999"), 62: b"000001"}
    assert desk.ask("0800", ask, mac=False)[39] == "40"
    desk.books.set_profile(TERMINAL, {"transport_key": transport.hex()})
    reply = desk.ask("0800", ask, mac=False)
    assert reply[39] == "00" and len(reply[62]) == 41 and reply[62][:1] == b"B"
    with Cipher("tdes", transport, False) as cipher:
        master = cipher.run(bytes.fromhex(reply[62][1:33].decode()))
    assert kcv.of_zeros("tdes", master)[:4].hex().upper() == reply[62][33:].decode()
    assert desk.books.terminal(TERMINAL).master_key == master != MASTER_KEY
    keys = desk.ask("0800", {11: desk.next_trace(), 60: unionpay.management(desk.batch, "003")}, mac=False)[62]
    with Cipher("tdes", master, False) as cipher:
        opened = [cup_keys.open_key_block(cipher, block, check) for _, block, check in unionpay.keys(keys)]
    assert all(opened)


# ---- profiles


@pytest.mark.parametrize(
    "entries",
    [
        {"colour": 1}, {"suite": "des"}, {"suite": 3}, {"mac": "crc"}, {"pin_form": "4"}, {"pin_form": "3", "suite": "aes"},
        {"keys": "dukpt"}, {"keys": "dukpt", "base_key": "00"}, {"keys": "dukpt", "base_key": "zz"}, {"base_key": 7},
        {"keys": "dukpt", "base_key": "00" * 24}, {"keys": "dukpt", "suite": "sm4", "base_key": "00" * 16}, {"ksn_field": 1},
        {"fields": {"62": "q...9"}}, {"fields": {"x": "n6"}}, {"fields": 1}, {"check_bytes": 5}, {"header_bytes": 3},
        {"tpdu": "x"}, {"limit_fen": -1}, {"limit_fen": True}, {"key_bytes": 8},
        {"key_bytes": 32}, {"master_reply": "D"}, {"master_reply": "tr31", "suite": "sm4"},
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_is_refused_by_the_name_of_its_entry(entries):
    with pytest.raises(profile.ProfileError) as caught:
        profile.of(entries)
    assert any(name in str(caught.value) for name in (*entries, "base_key", "fields"))


def test_a_profile_is_kept_and_shows_no_key(tmp_path):
    entries = {"suite": "aes", "keys": "dukpt", "base_key": AES_KEY.hex(), "fields": {"62": "b...499 halves"}, "limit_fen": 5}
    books = Books(tmp_path / "books.db")
    books.add_terminal(TERMINAL, MERCHANT, MASTER_KEY, entries)
    kept = books.terminal(TERMINAL)
    books.close()
    books = Books(tmp_path / "books.db")
    assert books.terminal(TERMINAL) == kept and books.profiles()[1] == kept.profile
    assert kept.profile.base_key == AES_KEY and kept.profile.mac == "cmac" and kept.profile.pin_form == "4"
    books.add_terminal(TERMINAL, MERCHANT, MASTER_KEY)
    assert books.terminal(TERMINAL).profile == kept.profile
    books.set_profile(TERMINAL, {"limit_fen": 6})
    assert books.terminal(TERMINAL).profile == kept.profile._replace(limit_fen=6)
    for shown in (repr(kept), repr(kept.profile), repr(Engine().dukpt(AES_KEY, bytes(12), "aes"))):
        assert AES_KEY.hex() not in shown.lower() and "\\x" not in shown
    with pytest.raises(KeyError):
        books.set_profile("1", {})
    books.close()


def test_fields_of_a_terminals_own_are_read_and_written():
    desk = Suite(fields={"57": "n6", "52": "b16"})
    own = desk.codec
    request, reply = desk.sell(f57="123456")
    assert reply[39] == "00"
    desk.codec = own
    assert desk.books.approved(1234) == 1


def test_a_header_is_answered_as_it_came_or_as_the_profile_insists():
    desk = Desk()
    body = desk.codec.pack("0820", {41: TERMINAL, 42: MERCHANT, 60: unionpay.management(desk.batch, "301")})
    for header in (b"", HEADER):
        ((_, data),) = desk.acquirer.handle(frame.pack(TPDU, header, body))
        assert len(data) == len(frame.pack(TPDU, header, b"x" * 20)) - 20 + len(data[7 + len(header) :])
        assert data[7 + len(header) : 9 + len(header)] == b"\x08\x30" and data[7:].startswith(header)
    desk.books.set_profile(TERMINAL, {"header_bytes": 6, "tpdu": "same"})
    ((_, data),) = desk.acquirer.handle(frame.pack(TPDU, HEADER, body))
    assert data[2:7] == TPDU
    assert desk.acquirer.handle(frame.pack(TPDU, b"", body)) == [(0, None)]
