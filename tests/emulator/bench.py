"""Devices for tests: with the toy terminal, which starts in an instant and needs no bank."""

import sys
import threading
from pathlib import Path

from emulator.device import Device

TOY = [sys.executable, str(Path(__file__).with_name("toy_terminal.py"))]


def toy_device(folder, **options):
    return Device(folder, fast=True, tls=True, command=[*TOY, str(folder)], **options)


def on(device):
    """The device, switched on and ready."""
    device.power_on()
    assert device.wait_screen("ready", 10), device.screen.text
    return device


def no_threads_but(before):
    """Whether every thread that was not there before has ended; those that are ending get a moment."""
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
    return not [thread for thread in set(threading.enumerate()) - before if thread.is_alive()]
