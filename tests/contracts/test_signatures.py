"""The ports as `firmware/ports.py` writes them, and who fills them: drivers and stand-ins have the same methods.

What the methods do is the matter of the other contract tests. mypy reads this file too: its end is for mypy alone.
"""

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

import pytest

from drivers.catalogue import ROWS
from emulator import standins
from firmware import ports
from firmware.tasks import ANSWERS, CLOSERS

CONTRACTS = dict(ports.CONTRACTS)
MODULES = {"reader": "contactless"}  # a stand-in's module: its port, where the two names differ
STANDINS = {MODULES.get(found.name, found.name): found.name for found in pkgutil.iter_modules(standins.__path__)}

DRIVERS = [pytest.param(row.port, row.module, row.cls, id="%s-%s" % (row.port, row.driver)) for row in ROWS]
STAND_INS = [
    pytest.param(port, "emulator.standins." + module, "StandIn", id=port + "-stand-in") for port, module in STANDINS.items()
]


def methods(contract: type) -> dict:
    return {name: value for name, value in vars(contract).items() if inspect.isfunction(value)}


def attributes(contract: type) -> set:
    properties = {name for name, value in vars(contract).items() if isinstance(value, property)}
    return properties | set(inspect.get_annotations(contract))


def parameters(method) -> list:
    return list(inspect.signature(method).parameters.values())


def named(cls: type) -> set:
    """Every name that the code of a class and its bases reads or sets, and every attribute that it has."""
    names = set(dir(cls))
    for base in cls.__mro__:
        for value in vars(base).values():
            code = getattr(value, "__code__", None)
            names.update(code.co_names if code is not None else ())
    return names


@pytest.mark.parametrize(("port", "module", "name"), DRIVERS + STAND_INS)
def test_a_port_is_filled_with_the_methods_and_parameter_names_of_its_contract(port, module, name):
    cls = getattr(importlib.import_module(module), name)
    for method, wanted in methods(CONTRACTS[port]).items():
        assert callable(getattr(cls, method, None)), "%s.%s has no %s" % (module, name, method)
        expected, found = parameters(wanted), parameters(getattr(cls, method))
        assert [one.name for one in found[: len(expected)]] == [one.name for one in expected], method
        assert [one.kind for one in found[: len(expected)]] == [one.kind for one in expected], method
        for ours, theirs in zip(expected, found, strict=False):
            if ours.default is not inspect.Parameter.empty:
                assert theirs.default == ours.default, "%s(%s)" % (method, ours.name)
        assert all(one.default is not inspect.Parameter.empty for one in found[len(expected) :]), method
    assert not attributes(CONTRACTS[port]) - named(cls)


def test_every_contract_has_its_name_and_every_name_its_driver_and_stand_in():
    classes = {value for value in vars(ports).values() if inspect.isclass(value) and value.__module__ == ports.__name__}
    contracts = {value for value in classes if not issubclass(value, Exception)}
    assert contracts == set(CONTRACTS.values())
    assert set(ports.PORTS) == {row.port for row in ROWS} == set(STANDINS)
    assert len(ports.PORTS) == len(contracts)


def test_every_port_and_every_method_says_what_it_is():
    for contract in CONTRACTS.values():
        assert contract.__doc__
        assert all(method.__doc__ for method in methods(contract).values()), contract


def test_the_ports_that_take_a_ticket_are_those_that_the_tasks_know_answers_of():
    ticketed = {
        port: {name for name, method in methods(contract).items() if "ticket" in inspect.signature(method).parameters}
        for port, contract in CONTRACTS.items()
    }
    assert {port for port, names in ticketed.items() if names} == set(ANSWERS)
    for port, closer in CLOSERS.items():
        assert closer in ticketed[port]


if TYPE_CHECKING:
    from drivers import (
        chip,
        clock,
        display,
        keypad,
        light,
        link,
        log,
        modem,
        nfc,
        printer,
        random,
        sound,
        store,
        stripe,
        stripe_hid,
        text,
        vault_software,
        watchdog,
    )
    from emulator.standins import chip as chip_in
    from emulator.standins import clock as clock_in
    from emulator.standins import display as display_in
    from emulator.standins import keypad as keypad_in
    from emulator.standins import light as light_in
    from emulator.standins import link as link_in
    from emulator.standins import log as log_in
    from emulator.standins import modem as modem_in
    from emulator.standins import printer as printer_in
    from emulator.standins import random as random_in
    from emulator.standins import reader as reader_in
    from emulator.standins import sound as sound_in
    from emulator.standins import store as store_in
    from emulator.standins import stripe as stripe_in
    from emulator.standins import text as text_in
    from emulator.standins import vault as vault_in
    from emulator.standins import watchdog as watchdog_in

    # A type that differs from its contract's does not go into these lists.
    given: Any = ()
    displays: list[ports.Display] = [display.Ssd1306(*given), display.Sh1106(*given), display_in.StandIn(*given)]
    keypads: list[ports.Keypad] = [keypad.MatrixKeypad(*given), keypad_in.StandIn(*given)]
    readers: list[ports.Reader] = [nfc.Pn532(*given), reader_in.StandIn(*given)]
    chips: list[ports.ChipReader] = [chip.CcidReader(*given), chip_in.StandIn(*given)]
    stripes: list[ports.Stripe] = [stripe.SerialStripe(*given), stripe_hid.HidStripe(*given), stripe_in.StandIn(*given)]
    vaults: list[ports.Vault] = [vault_software.SoftwareVault(*given), vault_in.StandIn(*given)]
    printers: list[ports.Printer] = [printer.EscposPrinter(*given), printer_in.StandIn(*given)]
    links: list[ports.Link] = [link.TcpLink(*given), link_in.StandIn(*given)]
    modems: list[ports.Modem] = [modem.AtModem(*given), modem_in.StandIn(*given)]
    stores: list[ports.Store] = [store.SqliteStore(*given), store_in.StandIn(*given)]
    clocks: list[ports.Clock] = [clock.SystemClock(*given), clock_in.StandIn(*given)]
    randoms: list[ports.Random] = [random.SystemRandom(*given), random_in.StandIn(*given)]
    texts: list[ports.Text] = [text.Gb18030(*given), text_in.StandIn(*given)]
    sounds: list[ports.Sound] = [sound.PwmBuzzer(*given), sound_in.StandIn(*given)]
    lights: list[ports.Light] = [light.Lamps(*given), light_in.StandIn(*given)]
    watchdogs: list[ports.Watchdog] = [watchdog.SystemdWatchdog(*given), watchdog_in.StandIn(*given)]
    logs: list[ports.Log] = [log.FileLog(*given), log_in.StandIn(*given)]
