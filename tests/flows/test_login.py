"""Log-in, lock-out, change of password, operators."""

import pytest

from tests.flows.counter import Counter


@pytest.fixture
def world():
    counter = Counter()
    counter.power_on()
    return counter


def test_the_factory_password_opens_the_menu(world):
    world.log_in()
    assert "6 管理" in world.text and "操作员01" in world.text


def test_only_stars_of_a_password_are_shown(world):
    world.walk(("操作员号", "01 ENTER"), ("请输入4位密码", "00"))
    assert "密码: **" in world.text
    world.type("CLEAR")
    assert "密码: \n" in world.text + "\n" and "*" not in world.text


def test_an_unknown_operator_is_told_so(world):
    world.walk(("操作员号", "77 ENTER"), ("没有这个操作员", "01 ENTER"), ("请输入4位密码", None))


def test_one_digit_is_enough_for_an_operator_below_ten(world):
    world.walk(("操作员号", "1 ENTER"), ("操作员 01", None))


def test_a_wrong_password_counts_down_and_the_fifth_locks(world):
    for left in (4, 3, 2, 1):
        world.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "1111 ENTER"), ("密码错误 还可以试%d次" % left, "ENTER"))
    world.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "1111 ENTER"), ("操作员已锁定 30分钟 主管00", "ENTER"))
    world.walk(("操作员号", "01 ENTER"), ("操作员已锁定", None))


def locked(world):
    for _ in range(4):
        world.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "1111 ENTER"), ("密码错误", "ENTER"))
    world.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "1111 ENTER"), ("操作员已锁定", "ENTER"))


def test_a_lock_ends_after_its_time_with_the_power_on(world):
    locked(world)
    world.run(29 * 60_000)
    world.walk(("操作员号", "01 ENTER"), ("操作员已锁定 1分钟", "ENTER"))
    world.run(61_000)
    world.log_in()


def test_a_lock_survives_a_restart_and_time_without_power_does_not_shorten_it(world):
    locked(world)
    world.run(10 * 60_000)
    world.plug()
    world.time_ms += 24 * 3_600_000
    world.power_on()
    world.walk(("操作员号", "01 ENTER"), ("操作员已锁定 20分钟", "ENTER"))


def test_pulling_the_plug_gives_no_free_try(world):
    for _ in range(4):
        world.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "1111 ENTER"), ("密码错误", None))
        world.plug()
        world.power_on()
    world.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "1111 ENTER"), ("操作员已锁定", None))


def test_the_right_password_starts_the_count_anew(world):
    world.walk(("操作员号", "01 ENTER"), ("请输入 位密码", "1111 ENTER"), ("还可以试4次", "ENTER"))
    world.log_in()
    world.walk(
        ("6 管理", "6"), ("签到", "5"), ("操作员号", "01 ENTER"), ("请输入 位密码", "1111 ENTER"), ("还可以试4次", None)
    )


def test_the_supervisor_unlocks_a_clerk_and_99_unlocks_the_supervisor(world):
    locked(world)
    world.log_in("00", "123456")
    world.walk(("柜员管理", "1"), ("解锁柜员", "3"), ("请输入柜员号", "01 ENTER"), ("01 已解锁", "ENTER"), ("柜员管理", "4"), ("签到", "5"))
    for _ in range(4):
        world.walk(("操作员号", "00 ENTER"), ("请输入6位密码", "111111 ENTER"), ("密码错误", "ENTER"))
    world.walk(("操作员号", "00 ENTER"), ("请输入6位密码", "111111 ENTER"), ("操作员已锁定 管理员99", "ENTER"))
    world.log_in("99", "12345678")
    world.walk(("解锁主管00", "1"), ("00 已解锁", "ENTER"), ("管理", "4"), ("签到", "5"))
    world.log_in("00", "123456")


def test_the_supervisor_cannot_unlock_himself_or_99(world):
    world.log_in("00", "123456")
    world.walk(("柜员管理", "1"), ("解锁柜员", "3"), ("请输入柜员号", "00 ENTER"), ("只能是柜员", "99 ENTER"), ("只能是柜员", None))


def test_factory_passwords_must_be_changed_where_the_parameter_says_so():
    world = Counter(parameters={"operators.force_change": True})
    world.power_on()
    world.walk(
        ("操作员号", "01 ENTER"),
        ("请输入4位密码", "0000 ENTER"),
        ("首次使用须改密码 请输入新密码", "0000 ENTER"),
        ("太简单", "1111 ENTER"),
        ("太简单", "2580 ENTER"),
        ("请再输入一次", "2580 ENTER"),
        ("密码已修改", "ENTER"),
        ("6 管理", None),
    )
    world.plug()
    world.power_on()
    world.log_in("01", "2580")


def test_who_does_not_change_the_factory_password_does_not_get_in():
    world = Counter(parameters={"operators.force_change": True})
    world.power_on()
    world.walk(("操作员号", "01 ENTER"), ("请输入4位密码", "0000 ENTER"), ("首次使用须改密码", "CANCEL"), ("操作员号", None))
    world.walk(("操作员号", "01 ENTER"), ("请输入4位密码", "0000 ENTER"), ("首次使用须改密码", "2580 ENTER"), ("再输入", "2581 ENTER"))
    world.walk(("不一致", "ENTER"), ("操作员号", None))


def test_an_added_operator_logs_in_and_a_removed_one_does_not(world):
    world.log_in("00", "123456")
    world.walk(("柜员管理", "1"), ("增加柜员", "1"), ("请输入柜员号", "02 ENTER"), ("柜员02 已增加 初始密码", "ENTER"), ("柜员管理", "4"), ("签到", "5"))
    world.log_in("02", "0000")
    world.walk(("6 管理", "6"), ("签到", "5"))
    world.log_in("00", "123456")
    world.walk(("柜员管理", "1"), ("删除柜员", "2"), ("请输入柜员号", "02 ENTER"), ("柜员02 已删除", "ENTER"), ("柜员管理", "4"), ("签到", "5"))
    world.walk(("操作员号", "02 ENTER"), ("没有这个操作员", None))


def test_a_left_alone_terminal_locks_and_its_operator_opens_it(world):
    world.log_in()
    world.run(11 * 60_000)
    world.walk(("终端已锁定 操作员 01", "ENTER"), ("请输入4位密码", "0000 ENTER"), ("6 管理", None))


def test_the_supervisor_opens_a_locked_terminal_and_the_clerk_is_logged_out(world):
    world.log_in()
    world.walk(("6 管理", "6"), ("锁定终端", "3"), ("终端已锁定", "DOWN"), ("请输入6位密码", "123456 ENTER"), ("操作员号", None))


def test_log_in_never_waits_for_the_network(world):
    world.link.down = "unreachable"
    before = world.time_ms
    world.log_in()
    assert world.time_ms - before < 2_000
    assert "未签到" in world.text


def test_sign_on_loads_keys_sets_the_clock_and_takes_the_batch(world):
    world.log_in()
    world.run(3_000)
    assert world.terminal.signed_on()
    assert world.terminal.calendar.trusted
    assert world.vault.check_value("mac") is not None and world.vault.check_value("pin") is not None


def test_keys_with_a_wrong_check_value_are_refused_and_the_old_ones_kept(world):
    world.log_in()
    world.run(3_000)
    old = world.vault.check_value("mac")
    world.bank.add_terminal("KF000001", "898110153310001", bytes(range(16)))
    world.walk(("6 管理", "6"), ("签到", "1"), ("下载工作密钥失败", None))
    assert world.vault.check_value("mac") == old


def test_sign_off_tells_the_host_and_logs_out(world):
    world.log_in()
    world.run(3_000)
    world.walk(("6 管理", "6"), ("签退", "2"), ("成功", "ENTER"), ("操作员号", None))
    assert not world.terminal.signed_on()


def test_a_panel_that_nobody_looks_at_goes_dark_and_the_key_that_lights_it_does_nothing_else(world):
    world.run(301_000)
    assert world.display.asleep
    world.type("7")
    assert not world.display.asleep and "操作员号: \n" in world.text
    world.log_in()


def test_a_new_password_that_cannot_be_kept_says_so_and_the_old_one_opens(world):
    world.log_in()
    world.walk(("6 管理", "6"), ("修改密码", "4"))
    world.walk(("请输入4位密码", "0000 ENTER"), ("请输入新密码", "2580 ENTER"), ("再输入", ""))
    world.vault.full = True
    world.walk(("再输入", "2580 ENTER"), ("存储已满 密码没有改变", "ENTER"), ("6 管理", "6"), ("签到", "5"))
    world.log_in()


def test_a_panel_without_chinese_glyphs_speaks_english_whatever_the_parameter_says():
    world = Counter()
    world.display.chinese = False
    world.power_on()
    world.walk(("Operator:", "01 ENTER"), ("Enter 4 digits", "0000 ENTER"), ("Sale Void", None))


def test_a_void_given_up_before_its_sale_is_named_speaks_of_no_sale(world):
    world.log_in()
    world.walk(("6 管理", "2"), ("请输入6位密码", "CANCEL"), ("没有送往银行 未扣款", None))
