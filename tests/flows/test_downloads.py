"""Downloads by hand and because the host asks: what comes is in force whole or not at all, and a sale never waits for it."""

import json

import pytest

from drivers import card_file
from emulator.acquirer.downloads import Downloads
from emulator.acquirer.request import Outcome
from emulator.world import HOST
from firmware import changes, parameters
from firmware.emv import parameter_file
from firmware.host import download
from firmware.host import parameter_block as pb
from firmware.iso8583 import frame
from tests.flows.counter import Counter, tap

MENU = ("6 管理", None)
ROW = {name: str(place + 1) for place, name in enumerate(download.CODES)}
DIGIT = {name: digit for digit, name in frame.REQUIREMENTS.items()}
FEES = [{"method": "debit", "rate": 50, "cap_fen": 2000, "upto_fen": None}, {"method": "credit", "rate": 60}]
SLOW = {"idle.lock_minutes": 240, "host.sign_on_hours": 168}


class Shop(Counter):
    """A counter whose host has everything to give."""

    def __init__(self, **parameters):
        super().__init__()
        self.set(**SLOW, **parameters)
        self.host = self.acquirer.providers["Downloads"]
        assert isinstance(self.host, Downloads)
        rows = parameter_file.read(card_file.fetch())["applications"]
        self.host.offer(rows, self.shelf.authority_rows(), ["900001", self.shelf.card("debit").pan[:14], "6258"])
        self.host.parameters = self.block(("12", 45_000), ("18", True), ("23", 4))
        self.host.limits = pb.limits_block(pb.ALL, [("FF8054", b"000000030000"), ("FF805D", b"1")])

    def set(self, **values):
        """What a technician's tool writes while the power is off."""
        self.store.commit([("parameters", name, json.dumps(value).encode(), None) for name, value in values.items()])

    def block(self, *rows):
        return pb.block(list(rows), pb.LAYOUT, self.ports["text"])

    def download(self, name, *expected):
        """From the menu to the page that says what came of it, and home."""
        self.walk(("6 管理", "6"), ("8 下载", "8"))
        self.type(ROW[name])
        for words in expected:
            self.until(words)
        self.type("ENTER")
        self.until(lambda: self.state in ("Menu", "Announce"))

    def said(self, word):
        """How many messages of that name went to the host."""
        return sum(1 for line in self.messages if line.startswith("→") and word in line)

    def log_names(self):
        return [entry["name"] for _, entry in changes.newest(self.store, 50)]


@pytest.fixture
def shop():
    world = Shop()
    world.log_in()
    world.run(2_000)
    return world


def value(shop, name):
    return shop.terminal.parameter(name)


def everything(shop):
    """All that downloads may change."""
    names = [name for name in parameters.TABLE if shop.terminal.parameter.value(name) is not None]
    return {name: value(shop, name) for name in names}, shop.store.range(parameter_file.EXCEPTIONS)


# -- by hand


def test_the_parameters_of_the_host_are_in_force_at_once_and_after_a_restart(shop):
    shop.download("parameters", "已下载3项", "新数据已生效")
    assert (value(shop, "host.reply_ms"), value(shop, "module.tip"), value(shop, "reversal.tries")) == (45_000, True, 4)
    assert shop.host.ended[-1][1] == "parameters-end"
    shop.plug()
    shop.log_in()
    assert value(shop, "host.reply_ms") == 45_000 and sorted(shop.log_names()) == [
        "host.reply_ms",
        "module.tip",
        "reversal.tries",
    ]


def test_applications_come_as_a_list_and_then_one_by_one_and_keep_what_no_block_says(shop):
    before = value(shop, "emv.aids")
    shop.host.applications.pop("A0000000043060")
    shop.host.per_message = 2
    shop.download("card-applications", "已下载6项")
    rows = value(shop, "emv.aids")
    assert [row["aid"] for row in rows] == [row["aid"] for row in before if row["aid"] != "A0000000043060"]
    for old, new in zip(before, rows, strict=False):
        assert all(new.get(key) == old.get(key) for key in ("kernel", "ttq", "cvm_default", "tac_online", "cvm_limit_fen"))
    assert shop.said("应用参数查询") == 3 and shop.said("应用参数下载 ") == 6
    shop.sell(1234)
    assert shop.record()["phase"] == "approved" and shop.books_agree()


def test_keys_take_the_place_of_the_old_set_and_a_sale_goes_on_with_them(shop):
    dropped = shop.host.keys.popitem()[0]
    shop.download("card-keys", "已下载%d项" % len(shop.host.keys))
    keys = value(shop, "emv.keys")
    assert {key["rid"] + key["index"] for key in keys} == set(shop.host.keys) and dropped not in shop.host.keys
    assert {key["kind"] for key in keys} == {"test"}
    shop.sell(1234)
    assert shop.record()["phase"] == "approved"


def test_a_card_whose_number_begins_as_the_black_list_says_is_refused(shop):
    shop.host.blacklist = ["900001", shop.shelf.card("stripe").pan[:9]]
    shop.download("blacklist", "已下载2项")
    shop.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", lambda shop: shop.swipe("stripe")))
    shop.until(lambda: shop.state == "CardTrouble")
    assert not shop.terminal.ledger.newest(1)
    shop.walk(("", "CANCEL"), MENU)
    shop.sell(1234)
    assert shop.record()["phase"] == "approved"


def test_a_whole_number_on_the_black_list_is_refused_where_the_host_has_room_for_it():
    shop = Shop(**{"download.list_digits": 19})
    shop.host.list_room = 19
    shop.host.blacklist = [shop.shelf.card("debit").pan]
    shop.log_in()
    shop.run(2_000)
    shop.download("blacklist", "已下载1项")
    shop.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")))
    shop.until(lambda: shop.state != "PresentCard")
    assert shop.state in ("CardTrouble", "Declined") and not shop.terminal.ledger.totals()


def test_a_list_of_nobody_takes_every_card_off(shop):
    shop.host.blacklist = [shop.shelf.card("stripe").pan[:9]]
    shop.download("blacklist", "已下载1项")
    # An empty list that is the whole list, and not a host that has nothing to say.
    shop.acquirer._acts["blacklist"] = lambda request, terminal: Outcome("00", {62: b"1000"})
    shop.download("blacklist", "已下载0项")
    assert shop.terminal.ledger.exceptions() == 0 and shop.terminal.chores.sizes == []


def test_a_host_that_ends_the_connection_after_each_message_is_asked_on_new_ones(shop):
    answer = shop.link.hosts[HOST]

    def short():
        receive = answer()
        return lambda data: [*receive(data), (1, None)]

    shop.link.hosts[HOST] = short
    for name in ("card-keys", "blacklist", "card-applications"):
        began = shop.time_ms
        shop.download(name, "新数据已生效")
        assert shop.time_ms - began < 20_000


def test_the_limit_without_a_pin_comes_with_the_contactless_limits(shop):
    shop.download("contactless-limits", "已下载2项")
    assert value(shop, "pin.free_fen") == 30_000
    shop.walk(("6 管理", "1"), ("请输入金额", "30001 ENTER"), ("请挥卡", tap("debit")), ("密码", None))


def test_the_status_says_what_the_device_is_set_to_and_how_well_the_host_was_reached(shop):
    shop.host.parameters = shop.block(("13", b"2"), ("14", b"95516".ljust(14)), ("27", 10))
    shop.download("parameters", "已下载3项")
    shop.download("status-upload", "成功")
    data = shop.host.statuses[-1][1]
    assert data.startswith(b"011021031041051116012301321495516         ") and b"2710510000" in data
    assert data[-8:-3] == b"00004" or data[-8:-3] == b"00003"
    assert data[-3:] == b"999"


# -- because a header asks for it


@pytest.mark.parametrize(
    "name, word",
    [
        ("parameters", "参数下载 "), ("card-applications", "应用参数查询"), ("card-keys", "公钥查询"), ("blacklist", "黑名单下载 "),
        ("contactless-limits", "非接参数下载 "), ("status-upload", "状态上送"),
    ],
)  # fmt: skip
def test_what_the_header_of_a_sale_asks_for_is_done_after_the_sale_and_once(shop, name, word):
    shop.host.blacklist = ["900001"]
    shop.rules.add("next on sale require %d" % DIGIT[name])
    shop.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("请撕下", None))
    assert shop.said(word) == 0 and shop.terminal.chores.due == [name]
    shop.walk(("请撕下", "ENTER"), MENU)
    shop.until(lambda: not shop.terminal.chores.due)
    assert shop.said(word) == 1 and shop.state == "Menu"
    shop.run(200_000)
    shop.sell(1000)
    assert shop.said(word) == 1 and shop.books_agree()


def test_a_power_cut_does_not_forget_what_the_host_asked_for(shop):
    shop.rules.add("next on sale require 1")
    shop.walk(("6 管理", "1"), ("请输入金额", "1234 ENTER"), ("请挥卡", tap("debit")), ("请撕下", None))
    shop.plug()
    shop.log_in()
    shop.until(lambda: value(shop, "host.reply_ms") == 45_000)
    assert shop.terminal.chores.due == []


def test_a_host_that_asks_in_every_reply_is_served_once_an_hour(shop):
    shop.acquirer.requirement = 1
    for _ in range(3):
        shop.sell(1000)
        shop.run(60_000)
    assert shop.said("参数下载 ") == 1
    shop.run(3_600_000)
    shop.sell(1000)
    shop.run(5_000)
    assert shop.said("参数下载 ") == 2 and shop.books_agree()


def test_a_chore_that_fails_is_given_up_for_now_is_said_and_never_holds_up_a_sale(shop):
    shop.host.failing = True
    shop.rules.add("next on sale require 7")
    shop.sell(1000)
    shop.run(600_000)
    assert shop.said("黑名单下载 ") == 3 and shop.terminal.chores.due == ["blacklist"]
    shop.type("BACK")
    shop.until("有待下载")
    shop.walk(("6 管理", "6"), ("8 下载", "8"), ("7 待办事项", "7"), ("待下载:黑名单", "ENTER"), MENU)
    shop.host.failing = False
    shop.sell(1000)
    shop.run(60_000)
    assert shop.said("黑名单下载 ") == 3
    shop.plug()
    shop.log_in()
    shop.until(lambda: not shop.terminal.chores.due)
    assert shop.terminal.ledger.exceptions() == 3


def test_a_sale_takes_the_line_from_a_download_which_goes_on_behind_it(shop):
    shop.link.late_ms = 3_000
    shop.rules.add("next on sale require 5")
    shop.sell(1000)
    shop.until(lambda: len(shop.store.range("downloads")) == 4)
    began = shop.time_ms
    shop.walk(("6 管理", "1"), ("请输入金额", "2000 ENTER"), ("请挥卡", tap("debit")), ("请撕下", None))
    assert shop.time_ms - began < 15_000 and shop.record()["fen"] == 2000
    shop.walk(("请撕下", "ENTER"), MENU)
    shop.until(lambda: not shop.terminal.chores.due)
    names = shop.said("应用参数下载 ")
    assert shop.said("应用参数查询") == 1 and len(shop.host.applications) <= names <= len(shop.host.applications) + 1


def test_nothing_is_swapped_in_the_middle_of_a_transaction(shop):
    shop.rules.add("next on sale require 9")
    shop.link.late_ms = 2_000
    shop.sell(1000)
    shop.walk(("6 管理", "1"), ("请输入金额", None))
    shop.run(20_000)
    assert shop.said("非接参数下载 ") == 1 and value(shop, "pin.free_fen") == 100_000
    shop.walk(("请输入金额", "CANCEL"), MENU)
    shop.until(lambda: value(shop, "pin.free_fen") == 30_000)


def test_a_program_is_noted_for_the_technician_who_takes_the_note_off(shop):
    shop.rules.add("next on sale require 6")
    shop.sell(1000)
    assert shop.terminal.chores.noted == ["program"]
    shop.plug()
    shop.log_in("99", "12345678")
    shop.until("有新程序")
    shop.walk(("管理", "4"), ("8 下载", "8"), ("7 待办事项", "7"), ("有新程序", "ENTER"))
    shop.run(1_000)
    assert shop.terminal.chores.noted == []


def test_a_new_device_asks_for_its_card_data_after_the_sign_on_where_the_acquirer_has_them():
    shop = Shop(**{"download.after_sign_on": True})
    shop.log_in()
    shop.run(5_000)
    shop.sell(1000)
    shop.until(lambda: shop.terminal.chores.loaded("card-keys"))
    assert shop.terminal.chores.loaded("card-applications") and shop.said("公钥查询") == 1
    shop.plug()
    shop.log_in()
    shop.sell(1000)
    shop.run(30_000)
    assert shop.said("公钥查询") == 1


# -- what goes wrong


@pytest.mark.parametrize("name", ["card-applications", "card-keys", "blacklist"])
def test_a_download_that_the_power_cuts_goes_on_where_it_was(name):
    shop = Shop()
    shop.host.per_message = 1
    shop.host.keys.popitem()
    shop.log_in()
    shop.run(2_000)
    before = everything(shop)
    shop.link.late_ms = 500
    shop.walk(("6 管理", "6"), ("8 下载", "8"))
    shop.type(ROW[name])
    shop.until(lambda: len(shop.store.range("downloads")) == 3)
    shop.plug()
    shop.link.late_ms = 0
    shop.log_in()
    assert everything(shop) == before
    asked = len(shop.messages)
    shop.download(name, "新数据已生效")
    wanted = {"card-applications": len(shop.host.applications), "card-keys": len(shop.host.keys), "blacklist": 3}[name]
    came = [line for line in shop.messages[asked:] if line.startswith("→ 0800")]
    assert len(came) <= wanted and shop.store.range("downloads") == [] and everything(shop) != before


@pytest.mark.parametrize("damage", [[{}], [1], ["x"], [{"name": 1, "index": 2}]])
def test_a_list_in_the_store_that_is_not_what_was_written_is_given_up_and_asked_for_anew(shop, damage):
    head = {"day": shop.terminal.calendar_stamp()[:8], "list": damage, "whole": True}
    shop.store.commit([("downloads", "card-keys", json.dumps(head).encode(), None)])
    before = everything(shop)
    shop.walk(("6 管理", "6"), ("8 下载", "8"))
    shop.type(ROW["card-keys"])
    shop.walk(("原数据继续有效", "ENTER"))
    assert everything(shop) == before and shop.store.range("downloads") == []
    shop.until("6 管理")
    shop.download("card-keys", "新数据已生效")


@pytest.mark.parametrize("after", [False, True])
def test_a_cut_at_any_write_of_the_swap_leaves_the_old_data_or_the_new(after):
    for commit in range(1, 14):
        shop = Shop()
        shop.host.applications = dict(list(shop.host.applications.items())[:3])
        shop.log_in()
        shop.run(2_000)
        before = value(shop, "emv.aids")
        shop.walk(("6 管理", "6"), ("8 下载", "8"))
        shop.store.fuse(commit, after)
        shop.type(ROW["card-applications"])
        shop.run(10_000)
        if not shop.cut:
            break
        shop.log_in()
        assert value(shop, "emv.aids") == before or [row["aid"] for row in value(shop, "emv.aids")] == list(
            shop.host.applications
        )
        shop.run(2_000)
        shop.download("card-applications", "新数据已生效")
        assert len(value(shop, "emv.aids")) == 3
    assert commit > 3


def _unknown_tag(shop):
    shop.host.parameters = b"12451819901"


def _wrong_value(shop):
    shop.host.parameters = b"1200181"


def _bad_checksum(shop):
    name = list(shop.host.keys)[3]
    shop.host.keys[name] = shop.host.keys[name][:-1] + bytes((shop.host.keys[name][-1] ^ 1,))


def _other_key(shop):
    first, second = list(shop.host.keys)[:2]
    shop.host.keys[first] = shop.host.keys[second]


def _bad_application(shop):
    name = list(shop.host.applications)[1]
    shop.host.applications[name] = bytes.fromhex("9F0608A000000333010102DF1102FFFF")


def _endless(shop):
    shop.host.endless = True


def _failing(shop):
    shop.host.failing = True


def _noise(shop):
    shop.host.limits = b"1\xff\xff\x00"


BROKEN = [
    ("parameters", _unknown_tag, "有不认识的标签", "99"),
    ("parameters", _wrong_value, "参数值不可用", "host.reply_ms"),
    ("card-keys", _bad_checksum, "公钥或参数不可用", "A0000"),
    ("card-keys", _other_key, "主机数据有误", "370"),
    ("card-applications", _bad_application, "公钥或参数不可用", "A000000333010102"),
    ("card-applications", _endless, "主机数据没有尽头", ""),
    ("card-keys", _endless, "主机数据没有尽头", ""),
    ("blacklist", _endless, "主机数据没有尽头", ""),
    ("card-keys", _failing, "主机报告出错", ""),
    ("contactless-limits", _noise, "主机数据有误", ""),
]


@pytest.mark.parametrize("name, hurt, words, detail", BROKEN, ids=[row[1].__name__[1:] + " " + row[0] for row in BROKEN])
def test_data_that_cannot_be_used_are_refused_by_name_and_the_old_ones_stay(shop, name, hurt, words, detail):
    before = everything(shop)
    hurt(shop)
    shop.download(name, words)
    assert everything(shop) == before and shop.store.range("downloads") == []
    assert len(shop.messages) < 60 and shop.log_names() == []


@pytest.mark.parametrize("name, hurt, words, detail", BROKEN[:5], ids=["tag", "value", "key", "other key", "application"])
def test_the_page_names_what_was_wrong(shop, name, hurt, words, detail):
    hurt(shop)
    shop.walk(("6 管理", "6"), ("8 下载", "8"))
    shop.type(ROW[name])
    shop.until("原数据继续有效")
    assert words in shop.text and detail in shop.text


@pytest.mark.parametrize("name", sorted(download.CODES))
@pytest.mark.parametrize("rule", ["decline 12", "silence", "cut-after", "garbage", "half", "wrong-terminal"])
def test_a_host_that_does_not_answer_well_changes_nothing(name, rule):
    shop = Shop(**{"host.reply_ms": 2_000})
    shop.log_in()
    shop.run(2_000)
    before = everything(shop)
    shop.rules.add("always %s" % rule)
    shop.walk(("6 管理", "6"), ("8 下载", "8"))
    shop.type(ROW[name])
    shop.until("确认")
    assert everything(shop) == before and shop.state == "Notice" and shop.log_names() == []


def test_an_answer_that_comes_twice_is_not_taken_for_the_next_one(shop):
    shop.rules.add("always twice")
    shop.download("card-keys", "新数据已生效")
    assert len(value(shop, "emv.keys")) == len(shop.host.keys)


def test_a_host_with_nothing_to_give_is_said_and_changes_nothing(shop):
    shop.host.keys, shop.host.applications, shop.host.blacklist = {}, {}, []
    shop.host.limits = shop.host.parameters = b""
    before = everything(shop)
    for name in ("parameters", "card-applications", "card-keys", "blacklist", "contactless-limits"):
        shop.download(name, "主机没有新数据")
    assert everything(shop) == before


@pytest.mark.parametrize(("expiry", "good"), [("20201231", False), ("20261119", False), ("20261120", True)])
def test_keys_that_are_past_their_day_are_left_out(shop, expiry, good):
    from firmware.emv import download as blocks

    row = dict(shop.shelf.authority_rows()[0], expiry=expiry)
    name = row["rid"] + row["index"]
    shop.host.keys[name] = blocks.key_block(row)
    shop.download("card-keys", "新数据已生效")
    assert shop.terminal.calendar_stamp()[:8] == "20261120"
    assert (name in [key["rid"] + key["index"] for key in value(shop, "emv.keys")]) is good


def test_where_downloads_are_signed_one_without_a_mac_is_refused(shop):
    shop.plug()
    shop.set(**{"download.mac": True})
    shop.log_in()
    shop.run(2_000)
    shop.rules.add("always on parameters no-mac")
    shop.download("parameters", "银行应答校验错")
    assert value(shop, "host.reply_ms") == 30_000
    shop.rules.clear()
    shop.run(2_000)
    shop.download("parameters", "新数据已生效")
    assert value(shop, "host.reply_ms") == 45_000


def test_a_full_store_refuses_the_download_and_says_so(shop):
    shop.store.full = True
    before = everything(shop)
    shop.walk(("6 管理", "6"), ("8 下载", "8"))
    shop.type(ROW["parameters"])
    shop.until("存储已满或损坏")
    shop.store.full = False
    assert everything(shop) == before


# -- what must wait, and what the merchant is told


def test_the_name_on_the_slip_changes_when_the_batch_is_settled_and_not_before(shop):
    shop.sell(1000)
    shop.host.parameters = shop.block(("22", "新名字"), ("18", True))
    shop.download("parameters", "结算后改:商户名称")
    assert value(shop, "merchant.name") == "开付小店" and value(shop, "module.tip")
    shop.plug()
    shop.log_in()
    shop.run(1_000)
    assert value(shop, "merchant.name") == "开付小店"
    shop.walk(("6 管理", "6"), ("8 下载", "8"), ("7 待办事项", "7"), ("结算后改:商户名称", "ENTER"), MENU)
    shop.terminal.ledger.roll([])
    shop.walk(("6 管理", "6"), ("管理", "BACK"))
    shop.run(1_000)
    assert value(shop, "merchant.name") == "新名字" and shop.terminal.chores.pending == {}
    assert shop.log_names()[0] == "merchant.name"


def test_an_empty_batch_takes_the_new_name_at_once(shop):
    shop.host.parameters = shop.block(("22", "新名字"))
    shop.download("parameters", "新数据已生效")
    assert value(shop, "merchant.name") == "新名字"


def test_new_fee_rates_are_announced_once_and_kept_in_the_log():
    shop = Shop(fees=FEES)
    shop.log_in()
    shop.run(2_000)
    dearer = [dict(FEES[0], rate=55), FEES[1]]
    shop.host.parameters = shop.block(("80", dearer))
    shop.download("parameters", "已下载1项")
    shop.walk(("费率变更 借记卡 旧:0.50% 封顶20.00 新:0.55% 封顶20.00", "ENTER"), MENU)
    shop.plug()
    shop.log_in()
    assert shop.state == "Menu" and changes.to_tell(shop.store) == []
    shop.walk(("6 管理", "6"), ("8 下载", "8"), ("8 变更记录", "8"), ("费率 主机 新:debit", "BACK"), MENU)
    shop.walk(("6 管理", "6"), ("8 下载", "8 DOWN"), ("9 费率", "9"), ("借记卡 0.55% 信用卡", "ENTER"), MENU)


def test_an_announcement_that_nobody_saw_is_made_again(shop):
    shop.host.parameters = shop.block(("80", FEES))
    shop.download("parameters", "已下载1项")
    shop.until("费率变更")
    shop.run(70_000)
    assert shop.state == "Menu"
    shop.sell(1000)
    shop.plug()
    shop.power_on()
    shop.walk(
        ("操作员号", "01 ENTER"), ("请输入 位密码", "0000 ENTER"), ("费率变更", "ENTER"), ("费率变更 信用卡", "ENTER"), MENU
    )
    assert changes.to_tell(shop.store) == []


def test_what_a_technicians_tool_changes_is_in_the_log_and_fees_are_announced(shop):
    shop.plug()
    shop.set(fees=FEES, **{"tip.percent": 20})
    shop.power_on()
    shop.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "0000 ENTER"), ("费率变更", "ENTER"), ("费率变更", "ENTER"), MENU)
    found = {entry["name"]: entry for _, entry in changes.newest(shop.store, 9)}
    assert found["tip.percent"]["old"] == "10" and found["tip.percent"]["new"] == "20"
    assert {entry["by"] for entry in found.values()} == {"technician"} and found["fees"]["old"] == "-"


def test_the_log_can_be_printed(shop):
    shop.download("parameters", "已下载3项")
    shop.walk(("6 管理", "6"), ("8 下载", "8"), ("8 变更记录", "8"), ("旧:", "ENTER"), MENU)
    assert "应答等待(毫秒)" in shop.paper and "45000" in shop.paper and "主机" in shop.paper


def test_no_number_of_the_black_list_is_in_store_log_or_screen(shop):
    pan = shop.shelf.card("debit").pan[:14]
    shop.download("blacklist", "已下载3项")
    kept = b"".join(value for _, _, value, _ in shop.store.image()) + "".join(key for _, key, _, _ in shop.store.image()).encode()
    assert pan.encode() not in kept and pan not in "".join(map(str, shop.log.lines)) and pan not in shop.text
