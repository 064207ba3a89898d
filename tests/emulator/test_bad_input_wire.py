"""The real firmware's process: damaged files, a full or read-only disk, noise on its wires. A page says what happened and
what to do; the process neither ends nor hangs, and no traceback is written."""

import os
import random
import subprocess
import time
from contextlib import contextmanager

import pytest

from drivers.store import SqliteStore
from emulator.device import OFF, OFF_S, ON, Device


@contextmanager
def device_in(folder):
    with Device(folder, fast=True) as device:
        yield device
        said = [entry.text for entry in device.log if entry.kind == "terminal"]
        ends = [entry.text for entry in device.log if entry.kind == "power" and "by itself" in entry.text]
    assert not [line for line in said if "Traceback" in line or "Error" in line], said
    assert not ends, (ends, said)


@pytest.fixture
def device(tmp_path):
    with device_in(tmp_path / "device") as device:
        yield device


def shows(device, *words):
    for word in words:
        assert device.wait_screen(word, 15), (word, device.screen.text)


def log_in(device):
    device.power_on()
    shows(device, "操作员号")
    device.keys("01 ENTER 0000 ENTER")
    shows(device, "1 消费")


def switch_off(device):
    """In good order: the firmware listens, and ends before anybody has to kill it."""
    start = time.monotonic()
    device.power_off()
    assert device.power == OFF and time.monotonic() - start < OFF_S / 2


def sell(device, page, fen="1234"):
    device.keys("1 %s ENTER" % fen)
    shows(device, "请挥卡")
    device.tap("debit")
    shows(device, *page.split())
    device.remove_card()


def spoil(path, how, chance):
    data = bytearray(path.read_bytes())
    if how == "one bit":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == "cut":
        del data[len(data) // 3 :]
    elif how == "empty":
        data.clear()
    else:
        data[:] = chance.randbytes(len(data))
    path.write_bytes(bytes(data))
    return bytes(data)


@pytest.mark.parametrize("how", ["one bit", "cut", "empty", "noise"])
@pytest.mark.parametrize("name", ["vault.sealed", "vault.key"])
def test_a_damaged_key_file_is_said_and_left_as_it_is(device, name, how):
    path = device.terminal_folder / name
    left = spoil(path, how, random.Random(3))
    device.power_on()
    shows(device, "密钥不可用", "密钥文件损坏", "账目还在", "技术人员")
    device.keys("01 ENTER CANCEL 5")
    shows(device, "密钥文件损坏")
    switch_off(device)
    assert path.read_bytes() == left


@pytest.mark.parametrize("how", ["cut", "empty", "noise"])
def test_a_damaged_store_is_said_and_left_as_it_is(device, how):
    path = device.terminal_folder / "store.db"
    left = spoil(path, how, random.Random(4))
    device.power_on()
    shows(device, "账本打不开", "存储数据损坏", "不能交易", "技术人员")
    device.keys("01 ENTER CANCEL 5")
    shows(device, "账本打不开")
    switch_off(device)
    assert path.read_bytes() == left


def test_damaged_counters_and_a_damaged_parameter_are_said_and_it_sells(device):
    store = SqliteStore(None, {}, device.terminal_folder)
    store.commit([("counters", "now", b"\xff{", None), ("parameters", "slip.copies", b'"many"', None)])
    store.close()
    device.power_on()
    shows(device, "参数错:slip.copies", "账目损坏:counters")
    shows(device, "操作员号")
    device.keys("01 ENTER 0000 ENTER")
    shows(device, "1 消费")
    sell(device, "请撕下")
    switch_off(device)


@contextmanager
def mounted(folder, size):
    """A small disk of its own."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=" + size, "none", folder]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here: a full and a read-only one are tried at the port level only")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Leaves no room for another page."""
    with (folder / "filler").open("ab", buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk_stops_a_sale_before_it_is_sent_and_is_said(tmp_path):
    terminal = tmp_path / "device" / "terminal"
    with mounted(terminal, "1m"), device_in(tmp_path / "device") as device:
        log_in(device)
        assert device.until(lambda: device.shows("操作员01") and not device.shows("未签到"), 15), device.screen.text
        fill(terminal)
        for _ in range(3):  # what SQLite has reserved may hold another commit or two
            device.keys("1 1234 ENTER")
            shows(device, "请挥卡")
            device.tap("debit")
            assert device.until(lambda: device.shows("请撕下") or device.shows("存储已满"), 15), device.screen.text
            device.remove_card()
            if device.shows("存储已满"):
                break
            device.keys("CANCEL")
            shows(device, "1 消费")
        shows(device, "存储已满", "未扣款", "技术人员")
        sold = len(device.books().approved_fen)
        (terminal / "filler").unlink()
        device.keys("ENTER")
        shows(device, "1 消费")
        sell(device, "请撕下")
        assert len(device.books().approved_fen) == sold + 1
        switch_off(device)


def test_a_disk_that_is_full_at_the_start_is_said_and_nothing_is_lost(tmp_path):
    terminal = tmp_path / "device" / "terminal"
    with mounted(terminal, "1m"), device_in(tmp_path / "device") as device:
        fill(terminal)
        device.power_on()
        assert device.until(lambda: device.shows("存储空间已满") or device.shows("操作员号"), 15), device.screen.text
        device.power_off()
        (terminal / "filler").unlink()
        log_in(device)
        sell(device, "请撕下")
        switch_off(device)


def test_a_read_only_disk_is_said(tmp_path):
    terminal = tmp_path / "device" / "terminal"
    with mounted(terminal, "4m"), device_in(tmp_path / "device") as device:
        subprocess.run(["mount", "-o", "remount,ro", terminal], check=True)
        device.power_on()
        shows(device, "账本打不开", "存储不可写", "技术人员")
        switch_off(device)
        subprocess.run(["mount", "-o", "remount,rw", terminal], check=True)
        log_in(device)
        switch_off(device)


def noise(device, part, seed, times=60):
    """Bytes that nobody asked for, from the chip's end of the wire."""
    chance = random.Random(seed)
    master = device.wires.uart(device.board.parts[part]["bus"])
    for _ in range(times):
        os.write(master, chance.randbytes(chance.randrange(1, 64)))


def to_menu(device):
    for _ in range(8):
        if device.until(lambda: device.shows("1 消费"), 2):
            return
        device.keys("CANCEL")
    raise AssertionError("stuck:\n" + device.screen.text)


def test_noise_from_the_printer_and_the_reader_ends_no_sale(device):
    log_in(device)
    noise(device, "printer", 1)
    noise(device, "contactless", 2)
    device.keys("1 1234 ENTER")
    shows(device, "请挥卡")
    noise(device, "contactless", 3)
    device.tap("debit")
    ends = ("请撕下", "交易已成功", "读卡器没有响应", "未扣款")  # a printer that says "no paper" is believed
    assert device.until(lambda: any(map(device.shows, ends)), 25), device.screen.text
    noise(device, "printer", 4, 200)
    device.remove_card()
    to_menu(device)
    for _ in range(5):  # a reader that was lost comes back by itself
        device.keys("1 500 ENTER")
        assert device.until(lambda: device.shows("请挥卡") or device.shows("没有响应"), 10)
        if device.shows("请挥卡"):
            break
        to_menu(device)
        device.until(lambda: False, 2)
    device.tap("debit")
    assert device.until(lambda: device.shows("请撕下") or device.shows("交易已成功"), 15), device.screen.text
    assert device.power == ON and 500 in device.books().approved_fen
    to_menu(device)
    switch_off(device)


def test_garbage_of_the_host_is_no_answer(device):
    log_in(device)
    for rule in ("next on sale garbage", "next on sale half", "next on sale wrong-mac"):
        device.rule(rule)
        sell(device, "已冲正 未扣款")
        device.keys("ENTER")
        shows(device, "1 消费")
    sell(device, "请撕下", "700")
    assert device.books().approved_fen == [700]
    switch_off(device)
