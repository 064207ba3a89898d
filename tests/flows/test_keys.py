"""A new master key: typed by two people, or from the host; when it is refused, and what is left then; what is in the slots."""

import random

import pytest

from drivers import kcv, tr31
from drivers.libcrypto import Cipher, xor
from emulator.world import TERMINAL
from firmware import changes
from firmware.host import keys
from tests.flows.counter import Counter, tap
from tests.flows.test_settlement import done, settle

CHANCE = random.Random(7)
ONE, TWO = CHANCE.randbytes(16), CHANCE.randbytes(16)
TRANSPORT = CHANCE.randbytes(16)
KINDS = (("tdes", 16), ("tdes", 24), ("sm4", 16), ("aes", 16), ("aes", 24), ("aes", 32))


def opened(parameters=None, **keys):
    """A shop whose system administrator is logged in, signed on, with nothing sold."""
    shop = Counter(parameters=parameters or {}, keys=keys)
    shop.told = []
    tell = shop.acquirer.tell
    shop.acquirer.tell = lambda way, mti, fields, note="": (shop.told.append((mti, dict(fields))), tell(way, mti, fields, note))
    shop.log_in("99", "12345678")
    shop.until(shop.terminal.signed_on, within_ms=10_000)
    return shop


@pytest.fixture
def shop():
    return opened()


def keyed(text):
    """The keys for hexadecimal digits: DOWN and 1 to 6 are A to F."""
    return " ".join("DOWN %d" % (ord(sign) - 64) if sign > "9" else sign for sign in text)


def typed(data):
    return keyed(data.hex().upper()) + " ENTER"


def paper(cipher, key):
    """What stands on the paper: the first six digits of the check value."""
    return keyed(kcv.check_value(cipher, key).hex().upper()[:6]) + " ENTER"


def to_first(shop, kind="1"):
    shop.walk(("4 管理", "6"), ("2 手工输入主密钥", "2"), ("3DES 128", kind), ("主密钥分量1/2 操作员99", None))


def to_second(shop, kind="1", one=ONE, cipher="tdes"):
    to_first(shop, kind)
    shop.walk(
        ("已输入0/%d位" % (2 * len(one)), typed(one)),
        ("校验值 前6位", paper(cipher, one)),
        ("主管密码 主管00接手", "123456 ENTER"),
    )
    shop.walk(("主密钥分量2/2 操作员00", None))


def to_whole(shop, kind="1", one=ONE, two=TWO, cipher="tdes"):
    to_second(shop, kind, one, cipher)
    shop.walk(("已输入", typed(two)), ("校验值 前6位", paper(cipher, two)))


def held(shop):
    return [shop.vault.check_value(slot) for slot in ("master", "pin", "mac")]


def components(shop):
    return shop.vault._keys._components


def unchanged(shop, before):
    """The old keys, no component, and the terminal trades as before."""
    assert held(shop) == before and components(shop) == {}
    shop.walk(("主密钥未更换 原有密钥没有改变", "ENTER"), ("4 管理", None))
    assert shop.terminal.signed_on()


# -- two people


@pytest.mark.parametrize("place", range(len(KINDS)))
def test_two_people_make_a_master_key_of_every_cipher_and_the_host_agrees(place):
    cipher, size = KINDS[place]
    shop = opened()
    one, two = CHANCE.randbytes(size), CHANCE.randbytes(size)
    whole = bytes(xor(one, two))
    shop.bank.set_master(TERMINAL, whole)
    shop.bank.set_profile(TERMINAL, {"suite": cipher})
    to_whole(shop, str(place + 1), one, two, cipher)
    check = kcv.check_value(cipher, whole).hex().upper()
    shop.walk(
        ("主密钥校验值 " + check, paper(cipher, whole)), ("主密钥已更换 %s 签到成功 主机一致" % check, "ENTER"), ("4 管理", None)
    )
    assert (shop.vault.check_value("master").hex().upper(), shop.vault.cipher("mac")) == (check, cipher)
    assert shop.terminal.signed_on() and components(shop) == {}


def test_a_new_key_is_in_the_log_of_changes_by_its_check_values(shop):
    before = shop.vault.check_value("master").hex().upper()
    to_whole(shop)
    shop.walk(("主密钥校验值", paper("tdes", xor(ONE, TWO))), ("主密钥已更换", "ENTER"))
    _, entry = changes.newest(shop.store, 1)[0]
    assert (entry["name"], entry["old"], entry["new"]) == (keys.LOG_NAME, before, shop.vault.check_value("master").hex().upper())


def test_a_host_with_another_master_key_is_found_out_at_once(shop):
    to_whole(shop)
    shop.walk(("主密钥校验值", paper("tdes", xor(ONE, TWO))), ("主密钥已更换 下载工作密钥失败 主机的密钥不一样", "ENTER"))
    assert shop.vault.check_value("mac") is None and not shop.terminal.signed_on()
    shop.bank.set_master(TERMINAL, bytes(xor(ONE, TWO)))
    shop.walk(("4 管理 未签到", "4"), ("签到", "1"), ("成功", "ENTER"))
    assert shop.terminal.signed_on()


def test_a_new_key_that_the_host_could_not_be_asked_about_is_said_not_to_be_proven(shop):
    to_whole(shop)
    shop.link.down = "unreachable"
    shop.walk(("主密钥校验值", paper("tdes", xor(ONE, TWO))), ("主密钥已更换 网络不通 主机尚未确认密钥", "ENTER"))
    shop.link.down = None
    shop.bank.set_master(TERMINAL, bytes(xor(ONE, TWO)))
    shop.terminal.sign_on_behind()
    shop.until(shop.terminal.signed_on)


def test_nothing_of_a_component_is_on_the_screen_or_in_the_log(shop):
    seen = []
    show = shop.display.show
    shop.display.show = lambda screen: (seen.append(shop.text), show(screen))
    to_whole(shop)
    shop.walk(("主密钥校验值", paper("tdes", xor(ONE, TWO))), ("主密钥已更换", None))
    said = "\n".join([*seen, *map(str, shop.log.lines), *shop.messages]).upper()
    for secret in (ONE, TWO, bytes(xor(ONE, TWO))):
        digits = secret.hex().upper()
        assert not any(digits[at : at + 10] in said for at in range(len(digits) - 9))


@pytest.mark.parametrize("wrong", ["000000", "ABCDEF"])
def test_a_check_value_that_is_not_the_paper_s_drops_the_component(shop, wrong):
    before = held(shop)
    to_first(shop)
    shop.walk(("已输入", typed(ONE)), ("校验值", keyed(wrong) + " ENTER"), ("校验值不符 分量作废", None))
    unchanged(shop, before)


def test_a_second_component_that_is_mistyped_drops_both(shop):
    before = held(shop)
    to_second(shop)
    shop.walk(("已输入", typed(bytes([TWO[0] ^ 2]) + TWO[1:])), ("校验值", paper("tdes", TWO)), ("校验值不符", None))
    unchanged(shop, before)


def test_a_whole_that_is_not_the_paper_s_changes_nothing(shop):
    before = held(shop)
    to_whole(shop)
    shop.walk(("主密钥校验值", "000000 ENTER"), ("校验值不符", None))
    unchanged(shop, before)


def test_two_components_that_make_no_key_are_refused(shop):
    before = held(shop)
    to_second(shop)
    shop.walk(("已输入", typed(ONE)), ("校验值", paper("tdes", ONE)), ("两个分量不能用", None))
    unchanged(shop, before)


def test_fewer_digits_than_wanted_are_not_taken_and_a_digit_can_be_taken_back(shop):
    to_first(shop)
    shop.type("1 2 DOWN 3 ENTER")
    assert "已输入3/32位" in shop.text
    shop.type("BACK")
    assert "已输入2/32位" in shop.text
    shop.type("CLEAR")
    shop.walk(("已输入0/32位", typed(ONE)), ("校验值", "1 2 ENTER"))
    assert "前6位: 12" in shop.text
    shop.type("DOWN 7 00 BACK 5 DOWN DOWN 6")  # DOWN and a digit that is no letter is nothing
    assert "前6位: 12056" in shop.text
    shop.type("DOWN")
    assert "前6位: 12056+" in shop.text
    shop.walk(("校验值", "CLEAR " + paper("tdes", ONE)), ("主管密码", None))


@pytest.mark.parametrize("page", ["first", "check", "password", "second", "whole"])
@pytest.mark.parametrize("way", ["cancel", "time", "plug"])
def test_cancel_time_and_power_at_every_page_drop_the_components(shop, page, way):
    before = held(shop)
    if page in ("first", "check", "password"):
        to_first(shop)
        shop.type({"first": "1 2 3", "check": typed(ONE), "password": typed(ONE)}[page])
        if page == "password":
            shop.walk(("校验值", paper("tdes", ONE)), ("主管密码", "123"))
    else:
        {"second": to_second, "whole": to_whole}[page](shop)
    shop.run(100)
    assert shop.state == "TypeMaster" and (page == "first" or components(shop))
    if way == "plug":
        shop.plug()
        assert components(shop) == {}
        shop.power_on()
        assert held(shop) == before
        return
    shop.type("CANCEL") if way == "cancel" else shop.run(121_000)
    shop.walk(("已取消 分量作废", None))
    unchanged(shop, before)


def test_the_second_person_is_the_supervisor_and_he_locks_himself_out(shop):
    before = held(shop)
    to_first(shop)
    shop.walk(("已输入", typed(ONE)), ("校验值", paper("tdes", ONE)))
    for left in (4, 3, 2, 1):
        shop.walk(("主管密码", "000000 ENTER"), ("还可以试%d次" % left, None))
    shop.walk(("主管密码", "000000 ENTER"), ("主管00已锁定", None))
    unchanged(shop, before)
    shop.walk(("4 管理", "6"), ("2 手工输入主密钥", "2"), ("3DES 128", "1"), ("主管00已锁定", None))
    unchanged(shop, before)


def test_the_password_that_everybody_knows_makes_no_second_person():
    shop = Counter(parameters={"operators.force_change": True})
    shop.power_on()
    shop.walk(("操作员号", "99 ENTER"), ("请输入 位密码", "12345678 ENTER"), ("请输入新密码", "90817263 ENTER"), ("再输入", "90817263 ENTER"),
              ("密码已修改", "ENTER"), ("4 管理", "6"), ("2 手工输入主密钥", "2"), ("3DES 128", "1"), ("主管00须先改密码", None))  # fmt: skip


def test_a_vault_that_cannot_keep_the_key_says_so_and_has_the_old_one(shop):
    before = held(shop)
    to_whole(shop)
    shop.vault.full = True
    shop.walk(("主密钥校验值", paper("tdes", xor(ONE, TWO))), ("密钥存不下来", None))
    unchanged(shop, before)


def test_a_clerk_and_the_supervisor_have_no_keys_in_their_menus():
    for who, password in (("01", "0000"), ("00", "123456")):
        shop = Counter()
        shop.log_in(who, password)
        assert "密钥" not in shop.text


# -- only between two batches


def sold(shop, rule=""):
    """A clerk's sale, and the system administrator is back."""
    shop.walk(("4 管理", "4"), ("签到", "5"))
    shop.log_in()
    if rule:
        shop.rules.add(rule)
    shop.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")))


def back(shop):
    shop.walk(("6 管理", "6"), ("签到", "5"))
    shop.log_in("99", "12345678")


@pytest.mark.parametrize("digit", ["2", "3"])
def test_a_batch_that_is_not_settled_keeps_its_keys(digit):
    shop = opened(transport=TRANSPORT)
    before = held(shop)
    sold(shop)
    shop.walk(("请撕下", "ENTER"))
    back(shop)
    shop.walk(
        ("4 管理", "6"),
        ("2 手工输入主密钥", digit),
        ("本批交易还没结算 没有改变 结算以后", "ENTER"),
        ("4 管理", "4"),
        ("签到", "9"),
        ("净额", "ENTER"),
    )
    assert held(shop) == before
    done_by_99(shop)
    shop.walk(("4 管理", "6"), ("2 手工输入主密钥", "2"), ("3DES 128", None))


def done_by_99(shop):
    shop.walk(("新批次号", "ENTER"))
    shop.until(lambda: "打印交易明细" in shop.text)
    while shop.state == "AskPrint":
        shop.type("CANCEL")
        shop.run(100)


def test_a_result_that_is_not_known_keeps_the_keys_it_was_sent_with(shop):
    shop.rules.add("always on reversal ignore")
    sold(shop, "next on sale silence")
    shop.walk(("交易结果未知", "CANCEL"))
    back(shop)
    shop.walk(("4 管理", "6"), ("2 手工输入主密钥", "2"), ("有交易结果未知 没有改变 结算以后", None))


def test_what_is_said_to_hinder_is_looked_at_again_before_the_key_is_put_in(shop):
    before = held(shop)
    to_whole(shop)
    shop.terminal.ledger.owed += 1
    shop.walk(("主密钥校验值", paper("tdes", xor(ONE, TWO))), ("有交易还没结清", None))
    unchanged(shop, before)


# -- from the host


@pytest.mark.parametrize("cipher", ["tdes", "aes", "sm4"])
@pytest.mark.parametrize("form", ["B", "tr31"])
def test_the_host_sends_a_master_key_and_both_go_on_with_it(cipher, form):
    if (cipher, form) == ("sm4", "tr31"):
        return
    shop = opened({"host.master_id": "000042"}, transport=TRANSPORT, cipher=cipher) if cipher == "tdes" else other(cipher)
    shop.bank.set_profile(TERMINAL, {"suite": cipher, "transport_key": TRANSPORT, "master_reply": form})
    before = held(shop)
    shop.told.clear()
    shop.walk(("4 管理", "6"), ("3 下载主密钥", "3"), ("主密钥已更换 签到成功 主机一致", "ENTER"), ("4 管理", None))
    mti, fields = shop.told[0]
    assert (mti, fields[60], fields[62]) == ("0800", "00000001999", b"000042")
    assert len(shop.told[1][1][62]) == 41 or form == "tr31"
    assert all(old != new for old, new in zip(before, held(shop), strict=True)) and shop.terminal.signed_on()


def other(cipher):
    """A shop with a master key of another cipher."""
    shop = Counter(parameters={"host.master_id": "000042"}, keys={"cipher": cipher, "transport": TRANSPORT})
    shop.told = []
    tell = shop.acquirer.tell
    shop.acquirer.tell = lambda way, mti, fields, note="": (shop.told.append((mti, dict(fields))), tell(way, mti, fields, note))
    shop.bank.set_profile(TERMINAL, {"suite": cipher})
    shop.log_in("99", "12345678")
    shop.until(shop.terminal.signed_on, within_ms=10_000)
    return shop


@pytest.mark.parametrize(
    "entries, rule, words",
    [
        ({"transport_key": TRANSPORT, "master_reply": "C"}, "", "不支持分散的密钥"),
        ({"transport_key": TRANSPORT}, "next on master-key wrong-check", "密钥校验不通过"),
        ({"transport_key": bytes(range(16))}, "", "密钥校验不通过"),
        ({"transport_key": bytes(range(16)), "master_reply": "tr31"}, "", "密钥校验不通过"),
        ({}, "", "主机应答码 40"),
        ({"transport_key": TRANSPORT}, "next on master-key decline 96", "主机应答码 96"),
        ({"transport_key": TRANSPORT}, "next on master-key ignore", "银行主机没有应答"),
        ({"transport_key": TRANSPORT}, "next on master-key garbage", "银行应答有误"),
        ({"transport_key": TRANSPORT}, "next on master-key cut-before", "线路中断"),
    ],
)
def test_what_the_host_sends_and_is_no_key_changes_nothing(entries, rule, words):
    shop = opened(transport=TRANSPORT)
    shop.bank.set_profile(TERMINAL, entries)
    if rule:
        shop.rules.add(rule)
    before = held(shop)
    shop.walk(("4 管理", "6"), ("3 下载主密钥", "3"), (words, None))
    unchanged(shop, before)


def test_a_reply_that_was_lost_is_made_good_by_asking_again():
    shop = opened(transport=TRANSPORT)
    shop.bank.set_profile(TERMINAL, {"transport_key": TRANSPORT})
    shop.rules.add("next on master-key silence")
    shop.walk(("4 管理", "6"), ("3 下载主密钥", "3"), ("主密钥未更换 没有应答", "ENTER"))
    shop.walk(("4 管理", "4"), ("签到", "1"), ("下载工作密钥失败", "ENTER"))  # the host has another by now
    shop.walk(("4 管理", "6"), ("3 下载主密钥", "3"), ("主密钥已更换 主机一致", None))


def test_without_a_transport_key_the_host_is_not_asked(shop):
    shop.told.clear()
    shop.walk(("4 管理", "6"), ("3 下载主密钥", "3"), ("本机没有传输密钥", None))
    unchanged(shop, held(shop))
    assert shop.told == []


def test_cancel_does_not_stop_a_key_on_its_way():
    shop = opened(transport=TRANSPORT)
    shop.bank.set_profile(TERMINAL, {"transport_key": TRANSPORT})
    shop.acquirer.latency_ms = 5_000
    shop.walk(("4 管理", "6"), ("3 下载主密钥", "3"), ("下载主密钥", "CANCEL"), ("主密钥已更换 主机一致", None))


# -- what the reply may be


def wrapped(key=bytes(range(16)), version="B", algorithm="T"):
    return tr31.wrap(TRANSPORT, tr31.Header(version, "K0", algorithm, "D"), key, CHANCE.randbytes).encode()


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("check", [3, 4])
def test_a_reply_of_type_b_is_the_key_and_its_check_value(size, check):
    key, value = CHANCE.randbytes(size), CHANCE.randbytes(check)
    text = b"B" + key.hex().encode() + value.hex().upper().encode()
    assert keys.parse(text) == (key, value) and keys.parse(text + b"  ") == (key, value)
    with pytest.raises(ValueError, match="^diversified$"):
        keys.parse(b"C" + text[1:])


@pytest.mark.parametrize("version", ["A", "B", "C"])
def test_a_key_block_is_taken_as_it_is(version):
    block = wrapped(version=version)
    assert keys.parse(block) == (block.decode(), b"")


def test_any_other_reply_is_no_key():
    good = (wrapped(), b"B" + b"0" * 40)
    for data in (b"", b"B", b"B" + b"0" * 39, b"B" + b"0" * 41, b"X" + b"0" * 40, b"B" + b"G" * 40, bytes(41), wrapped()[:-2]):
        with pytest.raises(ValueError, match="^none$"):
            keys.parse(data)
    chance = random.Random(11)
    for _ in range(2000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            block, check = keys.parse(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
        except ValueError as error:
            assert str(error) in keys.WHY
        else:
            assert isinstance(block, str) or len(block) in keys.MASTER_SIZES and len(check) in keys.CHECK_SIZES


# -- the slots


def test_the_slots_are_shown_with_cipher_and_check_value():
    shop = opened(transport=TRANSPORT)
    shop.walk(("4 管理", "6"), ("1 密钥状态", "1"))
    check = {slot: shop.vault.check_value(slot).hex().upper() for slot in ("master", "transport", "pin", "mac")}
    labels = {"master": "TMK", "transport": "KEK", "pin": "PIK", "mac": "MAK"}
    for slot, label in labels.items():
        assert "%s 3DES %s" % (label, check[slot]) in shop.text
    shop.type("DOWN")
    assert "TDK -" in shop.text and "DUK -" in shop.text
    shop.type("DOWN")
    assert "TMK" in shop.text


def test_the_day_goes_on_under_a_new_key(shop):
    shop.bank.set_master(TERMINAL, bytes(xor(ONE, TWO)))
    to_whole(shop)
    shop.walk(("主密钥校验值", paper("tdes", xor(ONE, TWO))), ("主机一致", "ENTER"))
    sold(shop)
    shop.walk(("请撕下", "ENTER"), ("6 管理", None))
    assert shop.books_agree()
    settle(shop)
    done(shop, "对账平")


def test_the_working_keys_of_the_host_are_those_in_the_slots(shop):
    terminal = shop.bank.terminal(TERMINAL)
    with Cipher("tdes", terminal.mac_key) as schedule:
        assert schedule.run(bytes(8))[:4] == shop.vault.check_value("mac")
