"""Every host key profile from sign-on to settlement: sale with PIN, void, reversal, stripe, refund, and what a profile is wrong by."""

from functools import lru_cache
from typing import Any, NamedTuple

import pytest

from drivers import dukpt, tr31
from emulator.world import MERCHANT, TERMINAL
from firmware.host import session
from tests.books import disagreements, openings
from tests.flows.scenarios import CANTEEN, OUT, PIN, SLIPS, Shop, insert, swipe, tap
from tests.flows.test_settlement import done, settle

FEN = 100_001  # one fen above what needs no PIN
BASE = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
AES_BASE = bytes(range(16))
SERIALS = {"tdes": bytes.fromhex("FFFF9876543210E00000"), "aes": bytes.fromhex("1234567890123456")}


class Profile(NamedTuple):
    """ours: parameters of the terminal; theirs: entries of the acquirer's profile; keys: of the vault; block: bytes of F62 in
    the reply to a sign-on; security: F53 of a sale by tap with PIN, and by stripe; pin: bytes of the PIN block, and its field."""

    name: str
    ours: "dict[str, Any]" = {}
    theirs: "dict[str, Any]" = {}
    keys: "dict[str, Any]" = {}
    block: int = 40
    security: "tuple[str, str]" = ("26", "26")
    pin: "tuple[int, int]" = (8, 52)
    series: str = ""
    header: int = 6

    def __repr__(self) -> str:
        return self.name


def sm4(name, kind, mac, field, **more):
    ours = {"host.key_kind": kind, "host.mac": mac, "host.pin_field": field, **more.pop("ours", {})}
    block = 60 if kind == "006" else 40
    return Profile(name, ours, {"suite": "sm4", "mac": mac}, {"cipher": "sm4"}, block, pin=(16, int(field)), **more)


def by_dukpt(name, series, mac, form, base, field=62, **more):
    ours = {"host.keys": "dukpt", "host.mac": "dukpt-" + mac, "host.pin_form": "dukpt-" + form, "host.ksn_field": field}
    theirs = {"suite": series, "keys": "dukpt", "base_key": base, "ksn_field": field, "mac": mac, "pin_form": form}
    theirs["fields"] = more.pop("fields", {})
    keys = {"cipher": "aes", "master": bytes(range(50, 66))} if series == "aes" else {}
    ours.update({"host.fields": theirs["fields"]} if theirs["fields"] else {}, **more.pop("ours", {}))
    return Profile(name, ours, theirs, keys, 0, series=series, **more)


AES = {"host.mac": "cmac", "host.pin_form": "4", "host.fields": {"52": "b16"}}
HALVES = {"62": "b...499 halves"}
TRACKS = ("261", "261")

PROFILES = (
    Profile("003"),
    Profile("001 single length", {"host.key_kind": "001"}, block=24, security=("20", "20")),
    Profile("003 with a MAC key of 8 bytes", {}, {"mac_key_bytes": 8}),
    Profile("004 tracks enciphered", {"host.key_kind": "004", "host.track": "encrypted"}, block=60, security=TRACKS),
    Profile("004 keys of 24 bytes", {"host.key_kind": "004", "host.track": "encrypted"}, {"key_bytes": 24}, block=84, security=TRACKS),
    Profile("003 keys of 24 bytes", {}, {"key_bytes": 24}, block=56),
    Profile("003 check values of 3 bytes", {}, {"check_bytes": 3}, block=38),
    Profile("004 check values of 3 bytes", {"host.key_kind": "004"}, {"check_bytes": 3}, block=57),
    Profile("MAC unionpay-binary", {"host.mac": "unionpay-binary"}, {"mac": "unionpay-binary"}),
    Profile("MAC X9.9", {"host.mac": "x9.9"}, {"mac": "x9.9"}),
    Profile("MAC X9.19", {"host.mac": "x9.19"}, {"mac": "x9.19"}),
    Profile("MAC CMAC", {"host.mac": "cmac"}, {"mac": "cmac"}),
    Profile("PIN without number", {"host.pin_form": "0-without-pan"}, security=("16", "16")),
    Profile("PIN form 3", {"host.pin_form": "3"}, {"pin_form": "3"}),
    sm4("005 PIN in F59", "005", "unionpay", "59"),
    sm4("005 PIN in F63", "005", "unionpay-binary", "63"),
    sm4("006 CBC", "006", "cbc", "59", ours={"host.cipher_digit": "4"}, security=("24", "24")),
    Profile("AES", AES, {"suite": "aes", "fields": AES["host.fields"]}, {"cipher": "aes"}, pin=(16, 52)),
    Profile("AES of 32 bytes", AES, {"suite": "aes", "key_bytes": 32, "fields": AES["host.fields"]},
            {"cipher": "aes", "master": bytes(range(32))}, 72, pin=(16, 52)),
    by_dukpt("DUKPT TDES", "tdes", "x9.19", "0", BASE),
    by_dukpt("DUKPT TDES, tracks enciphered, number in F57", "tdes", "x9.19", "0", BASE, 57,
             ours={"host.track": "encrypted"}, security=TRACKS),
    by_dukpt("DUKPT AES", "aes", "cmac", "4", AES_BASE, fields={"52": "b16"}, pin=(16, 52)),
    by_dukpt("DUKPT AES with TDES keys", "aes", "x9.19", "0", AES_BASE),
    Profile("no header", {"host.header": ""}, {"header_bytes": 0}, header=0),
    Profile("F62 counted in halves, no header", {"host.header": "", "host.fields": HALVES},
            {"header_bytes": 0, "fields": HALVES, "tpdu": "same"}, header=0),
)  # fmt: skip
BY_NAME = {profile.name: profile for profile in PROFILES}


def opened(profile, **parameters):
    """A shop with its bank, both of the profile, signed on."""
    shop = Shop({"void.pin": True, **profile.ours, **parameters}, keys=profile.keys)
    shop.bank.set_profile(TERMINAL, profile.theirs)
    shop.before = openings(shop.bank)
    shop.told = []
    tell = shop.acquirer.tell
    shop.acquirer.tell = lambda way, mti, fields, note="": (shop.told.append((mti, dict(fields))), tell(way, mti, fields, note))
    if profile.series:
        load_series(shop, profile)
    shop.log_in()
    shop.until(shop.terminal.signed_on, within_ms=10_000)
    return shop


def load_series(shop, profile):
    """The initial key of a DUKPT series, as a technician brings it."""
    serial, base = SERIALS[profile.series], profile.theirs["base_key"]
    if profile.series == "aes":
        initial, header = dukpt.aes_initial_key(base, serial), ("D", "B1", "A", "X", "00", "N", [("IK", serial.hex().upper())])
    else:
        initial, header = dukpt.tdes_initial_key(base, serial), ("B", "B1", "T", "X", "00", "N", [("KS", serial.hex().upper())])
    block = tr31.wrap(shop.master, tr31.Header(*header), initial, shop.random.randbytes)
    ends = []
    shop.power_on()
    shop.terminal.tasks.start(_loaded([("dukpt", block, b"")]), ends.append)
    shop.run(100)
    assert ends == ["vault-done"]


def _loaded(keys):
    from firmware.tasks import Ask

    event = yield Ask("vault", "load_keys", keys)
    return event.name


def supervised(shop, digit, *steps):
    shop.walk(("6 管理", digit), ("请输入6位密码", "123456 ENTER"), *steps)


def sold(shop, present, fen=FEN):
    """A sale with PIN -> its record."""
    shop.sale(fen)
    present(shop)
    shop.walk(PIN, *SLIPS)
    return shop.record()


def drawn(name):
    """Draws a card through the groove as soon as the readers wait."""
    return lambda shop: (shop.run(200), swipe(name)(shop))


@lru_cache(maxsize=None)
def day(name):
    """A day of a shop: sale and void, a sale that the bank does not answer, a sale by stripe and its refund."""
    shop = opened(BY_NAME[name])
    tapped = sold(shop, tap("debit"))
    supervised(shop, "2", ("原凭证号", tapped["trace"] + " ENTER"), ("确认撤销", "ENTER"), ("请挥卡", tap("debit")), PIN, *SLIPS)
    shop.rules.add("next on sale silence")
    shop.sale(1234)
    tap("debit")(shop)
    shop.walk(("没有收到有效应答 已冲正", "ENTER"), ("6 管理", None))
    swiped = sold(shop, drawn("stripe"), 5000)
    supervised(shop, "7", ("原参考号", swiped["reference"] + " ENTER"), ("确认退货", "ENTER"), ("请输入金额", "2000 ENTER"),
               ("刷卡", drawn("stripe")), *SLIPS)  # fmt: skip
    return shop


def sent(shop, mti, **wanted):
    """The first message of a type that has these fields."""
    fields = {int(name[1:]): value for name, value in wanted.items()}
    return next(got for kind, got in shop.told if kind == mti and all(got.get(name) == value for name, value in fields.items()))


@pytest.mark.parametrize("profile", PROFILES, ids=repr)
def test_a_day_of_every_profile_ends_with_books_that_agree(profile):
    shop = day(profile.name)
    phases = [(record["kind"], record["phase"]) for record in shop.terminal.ledger.newest(100)][::-1]
    assert phases == [
        ("sale", "approved"),
        ("void", "approved"),
        ("sale", "reversed"),
        ("sale", "approved"),
        ("refund", "approved"),
    ]
    assert disagreements(shop.terminal.ledger, shop.store, shop.bank, TERMINAL, MERCHANT, shop.before) == []
    codes = {fields[39] for mti, fields in shop.told if 39 in fields and mti[2:] != "00"}
    assert codes == {"00"}


@pytest.mark.parametrize("profile", PROFILES, ids=repr)
def test_what_the_messages_carry_is_what_the_profile_says(profile):
    shop = day(profile.name)
    assert len(sent(shop, "0810").get(62, b"")) == profile.block
    tapped, swiped = sent(shop, "0200", f22="071"), sent(shop, "0200", f22="021")
    assert (tapped[53], swiped[53]) == tuple(digits + "0" * (16 - len(digits)) for digits in profile.security)
    size, field = profile.pin
    block = tapped[52] if field == 52 else tapped[field].partition(b"016")[2]
    assert len(block) == size and any(block) and (field == 52 or tapped[52] == bytes(8))
    card = shop.shelf.card("stripe")
    assert 2 not in swiped and (card.pan in swiped[35]) == (len(profile.security[1]) == 2) == (card.expiry in swiped[35])
    if profile.series:
        where = profile.theirs["ksn_field"]
        numbers = [fields[where] for mti, fields in shop.told if mti in ("0200", "0220", "0400")]
        assert len(set(numbers)) == len(numbers) == 6 and numbers == sorted(numbers)
        assert where not in sent(shop, "0800") or sent(shop, "0800")[where].startswith(b"Sequence No")


@pytest.mark.parametrize(
    "name", ["004 tracks enciphered", "005 PIN in F59", "AES", "DUKPT TDES", "F62 counted in halves, no header"]
)
def test_the_day_is_settled_and_the_next_one_begins(name):
    day.cache_clear()
    shop = day(name)
    settle(shop)
    done(shop, "对账平")
    sold(shop, tap("debit"))
    assert shop.terminal.ledger.batch == "000002"
    assert disagreements(shop.terminal.ledger, shop.store, shop.bank, TERMINAL, MERCHANT, shop.before) == []
    day.cache_clear()


# -- what goes wrong


def new_keys(shop):
    """Signs on from the menu."""
    shop.walk(("6 管理", "6"), ("签到", "1"), ("成功", "ENTER"), ("6 管理", None))


def typing(shop, fen=FEN):
    """A sale up to the page where the PIN is typed."""
    shop.sale(fen)
    tap("debit")(shop)
    shop.walk(("密码: 取消", None))


def in_between(shop, work):
    """A conversation that goes on behind the page, as `work` makes it -> what came of it."""
    ends = []
    shop.terminal.tasks.start(work, ends.append)
    shop.run(5_000)
    return ends[0]


def held(shop):
    return [shop.vault.check_value(slot) for slot in ("master", "pin", "mac", "track")]


@pytest.mark.parametrize("name", ["003", "004 tracks enciphered", "001 single length", "005 PIN in F59", "AES"])
def test_working_keys_with_a_wrong_check_value_are_refused_and_the_old_ones_kept(name):
    shop = opened(BY_NAME[name])
    before = held(shop)
    shop.rules.add("next on sign-on wrong-check")
    shop.walk(("6 管理", "6"), ("签到", "1"), ("下载工作密钥失败", "ENTER"))
    assert held(shop) == before and not shop.terminal.signed_on()
    sold(shop, tap("debit"))  # the host has other keys by now: the sale signs on first
    assert held(shop) != before and shop.books_agree()


@pytest.mark.parametrize("size", [0, 8, 39, 41, 512])
def test_a_block_of_keys_of_a_length_that_no_host_sends_is_refused(size):
    shop = opened(BY_NAME["003"])
    before = held(shop)
    answer = shop.acquirer._acts["sign-on"]
    shop.acquirer._acts["sign-on"] = lambda request, terminal: answer(request, terminal)._replace(
        extra=dict(answer(request, terminal).extra) | {62: bytes(size) or None}
    )
    shop.walk(("6 管理", "6"), ("签到", "1"), ("下载工作密钥失败", "ENTER"))
    assert held(shop) == before


def test_a_sale_without_pin_says_why_when_the_keys_cannot_be_had():
    shop = opened(BY_NAME["003"])
    shop.terminal.signed_off()
    shop.rules.add("always on sign-on wrong-check")
    shop.sale(1234)
    tap("debit")(shop)
    shop.walk(("下载工作密钥失败 未扣款", "ENTER"), ("6 管理 未签到", None))


def test_a_pin_that_was_typed_while_the_keys_changed_is_not_sent():
    shop = opened(BY_NAME["003"])
    typing(shop)
    assert in_between(shop, session.sign_on_alone(shop.terminal, False)) == ""
    shop.told.clear()
    PIN[1](shop)
    shop.walk(("工作密钥已更换 未扣款", "ENTER"), ("6 管理", None))
    assert shop.told == []
    sold(shop, tap("debit"))
    assert shop.books_agree()


def test_a_pin_of_a_dukpt_key_is_not_sent_when_something_else_has_taken_the_next_one():
    shop = opened(BY_NAME["DUKPT TDES"])
    typing(shop)
    assert in_between(shop, session.next_serial(shop.terminal))
    shop.told.clear()
    PIN[1](shop)
    shop.walk(("工作密钥已更换 未扣款", "ENTER"), ("6 管理", None))
    assert shop.told == []
    sold(shop, tap("debit"))
    assert shop.books_agree()


def test_a_sign_on_does_no_harm_to_a_pin_of_a_dukpt_key():
    shop = opened(BY_NAME["DUKPT TDES"])
    typing(shop)
    assert in_between(shop, session.sign_on_alone(shop.terminal, False)) == ""
    PIN[1](shop)
    shop.walk(*SLIPS)
    assert shop.books_agree()


@pytest.mark.parametrize("name", ["DUKPT TDES", "DUKPT AES"])
def test_a_reversal_takes_its_own_dukpt_key_before_the_pin_of_the_next_sale_is_typed(name):
    shop = opened(BY_NAME[name])
    shop.rules.add("next on sale silence")
    shop.rules.add("next 3 on reversal ignore")
    shop.sale(1234)
    tap("debit")(shop)
    shop.walk(("交易结果未知", "CANCEL"), ("6 管理", "3"), ("请挥卡", tap("debit")), PIN, ("余额查询 .", None))
    assert [mti for mti, _ in shop.told if mti[2:] == "00"][-3:] == ["0400", "0400", "0200"]
    shop.walk(("余额查询", "ENTER"), ("6 管理", None))
    assert shop.books_agree()


def test_a_pin_that_the_holder_leaves_out_leaves_no_dukpt_key_behind():
    shop = opened(BY_NAME["DUKPT TDES, tracks enciphered, number in F57"])
    shop.sale(1234)
    drawn("stripe")(shop)
    shop.walk(("密码: 取消", "ENTER"), ("将不带密码交易", "ENTER"), *SLIPS)
    assert sent(shop, "0200")[53][:3] == "061" and shop.books_agree()


def test_a_sale_that_the_bank_has_not_heard_of_is_told_before_the_pin_of_its_void_is_typed():
    shop = opened(BY_NAME["DUKPT TDES"], **CANTEEN)
    shop.link.down = "unreachable"
    shop.sale(1234)
    insert("offline")(shop)
    shop.walk(OUT, *SLIPS)
    shop.link.down = None
    supervised(shop, "2", ("原凭证号", shop.record()["trace"] + " ENTER"), ("确认撤销", "ENTER"), ("插卡", insert("offline")), PIN, OUT, *SLIPS)
    kinds = [fields[60][:2] for mti, fields in shop.told if mti == "0200"]
    assert kinds == ["36", "23"] and shop.books_agree()


@pytest.mark.parametrize("name", ["DUKPT AES", "004 tracks enciphered", "006 CBC"])
def test_a_chip_with_a_script_is_asked_and_its_results_are_told(name):
    shop = opened(BY_NAME[name])
    shop.rules.add("next on sale script pin-unblock")
    shop.sale(1234)
    insert("script")(shop)
    shop.walk(PIN, OUT, *SLIPS)
    shop.until(lambda: not shop.terminal.ledger.owed)
    assert [mti for mti, _ in shop.told][-4:] == ["0200", "0210", "0620", "0630"] and shop.books_agree()


def test_the_key_serial_number_stands_in_front_of_what_else_its_field_holds():
    shop = opened(BY_NAME["DUKPT TDES"], **{"module.instalment": True})
    shop.walk(("6 管理", "9"), ("分期", "1"), ("请输入金额", "120000 ENTER"), ("期", "2"), ("请挥卡", tap("debit")), PIN, *SLIPS)
    field = sent(shop, "0200")[62]
    assert field[:7] == SERIALS["tdes"][:7] and field[10:12] == b"06" and len(field) == 43 and shop.books_agree()


def test_an_end_of_the_series_and_a_form_that_no_key_makes_say_that_there_are_no_keys():
    shop = opened(BY_NAME["003"], **{"host.pin_form": "4"})
    shop.sale(FEN)
    tap("debit")(shop)
    shop.walk(("工作密钥不可用 未扣款", "ENTER"), ("6 管理", None))
    other = opened(BY_NAME["003"], **{"host.mac": "cbc"})
    other.sale(1234)
    tap("debit")(other)
    other.walk(("工作密钥不可用 未扣款", "ENTER"), ("6 管理", None))
    assert other.books_agree() and shop.books_agree()


def test_tracks_without_a_key_for_them_are_not_sent_in_clear():
    shop = opened(BY_NAME["003"], **{"host.track": "encrypted", "stripe.pin": False})
    shop.sale(1234)
    drawn("stripe")(shop)
    shop.walk(("工作密钥不可用 未扣款", "ENTER"), ("6 管理", None))
    assert not [mti for mti, _ in shop.told if mti == "0200"]


def test_a_refund_that_is_told_again_under_other_keys_names_its_card_by_number():
    shop = opened(BY_NAME["004 tracks enciphered"])
    swiped = sold(shop, drawn("stripe"), 5000)
    shop.rules.add("next 4 on refund ignore")
    supervised(shop, "7", ("原参考号", swiped["reference"] + " ENTER"), ("确认退货", "ENTER"), ("请输入金额", "2000 ENTER"),
               ("刷卡", drawn("stripe")), ("结果未知 自动重发", "ENTER"))  # fmt: skip
    told = [fields for mti, fields in shop.told if mti == "0220"]
    assert {2 in fields for fields in told} == {False} and len({fields[35] for fields in told}) == 1
    new_keys(shop)
    shop.until(lambda: not shop.terminal.ledger.to_repeat(), within_ms=600_000)
    last = [fields for mti, fields in shop.told if mti == "0220"][-1]
    card = shop.shelf.card("stripe")
    assert (last[2], last[14], 35 in last, 53 in last) == (card.pan, card.expiry, False, False) and last[11] == told[0][11]
    assert shop.books_agree()


def test_a_refund_that_is_told_again_under_a_dukpt_key_of_its_own_names_its_card_by_number():
    shop = opened(BY_NAME["DUKPT TDES, tracks enciphered, number in F57"])
    swiped = sold(shop, drawn("stripe"), 5000)
    shop.rules.add("next on refund ignore")
    supervised(shop, "7", ("原参考号", swiped["reference"] + " ENTER"), ("确认退货", "ENTER"), ("请输入金额", "2000 ENTER"),
               ("刷卡", drawn("stripe")), *SLIPS)  # fmt: skip
    first, second = [fields for mti, fields in shop.told if mti == "0220"]
    assert 35 in first and 2 not in first and 35 not in second and second[2] == shop.shelf.card("stripe").pan
    assert first[57] < second[57] and shop.books_agree()


def test_three_wrong_macs_in_a_row_make_the_terminal_sign_on_before_the_next_message():
    shop = opened(BY_NAME["003"], **{"reversal.tries": 2})
    shop.rules.add("next on sale wrong-mac")
    shop.rules.add("next 2 on reversal wrong-mac")
    shop.told.clear()
    shop.sale(1234)
    tap("debit")(shop)
    shop.walk(("交易结果未知", "CANCEL"), ("6 管理", None))
    shop.until(lambda: not shop.terminal.ledger.to_reverse(), within_ms=600_000)
    requests = [mti for mti, _ in shop.told if mti[2] == "0"]
    assert requests.count("0400") >= 3 and "0800" in requests
    assert shop.terminal.mac_errors == 0 and shop.terminal.signed_on() and shop.books_agree()


def test_two_wrong_macs_and_a_right_one_leave_the_keys_alone():
    shop = opened(BY_NAME["003"])
    shop.rules.add("next on sale wrong-mac")
    shop.rules.add("next on reversal wrong-mac")
    shop.told.clear()
    shop.sale(1234)
    tap("debit")(shop)
    shop.walk(("已冲正", "ENTER"), ("6 管理", None))
    assert shop.terminal.mac_errors == 0 and shop.terminal.signed_on() and shop.books_agree()
