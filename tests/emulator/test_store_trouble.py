"""A store that cannot be opened: the terminal says so on its display and touches nothing."""

from emulator.device import Device


def test_a_damaged_store_has_a_page_and_is_left_as_it_is(tmp_path):
    with Device(tmp_path, fast=True) as device:
        device.power_on()
        assert device.wait_screen("操作员号")
        device.plug()
        store = tmp_path / "terminal" / "store.db"
        damaged = b"damaged" + store.read_bytes()[7:]
        store.write_bytes(damaged)
        device.power_on()
        assert device.wait_screen("账本打不开"), device.screen.text
        assert "存储数据损坏" in device.screen.text
        device.plug()
        assert store.read_bytes() == damaged
