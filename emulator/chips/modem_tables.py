"""What differs between modules, as data: who they say they are, what they say of themselves, how long things take.

Sources: reference/hardware.md 5; the answers are those of the makers' AT command manuals.
"""

from __future__ import annotations

from typing import NamedTuple


class Times(NamedTuple):
    """Seconds that things take.

    boot       from power to the first answer            sim        until the SIM is read
    register   from searching to registered              lose       until lost coverage is noticed
    drop       lost coverage until data connections die   move       from one cell to another
    activate   a data connection                          round     there and back over the air
    connect    until a connection that nobody answers is given up
    message    sending a short message                    search     looking for all operators
    down       switching off
    """

    boot: float
    sim: float
    register: float
    lose: float
    drop: float
    move: float
    activate: float
    round: float
    connect: float
    message: float
    search: float
    down: float


REAL = Times(3.0, 1.0, 2.5, 2.0, 25.0, 0.5, 0.8, 0.06, 30.0, 1.5, 6.0, 1.5)
FAST = Times(0.02, 0.01, 0.02, 0.05, 0.8, 0.02, 0.0, 0.0, 0.5, 0.0, 0.05, 0.02)


class Family(NamedTuple):
    """A make of modules. dialect: which commands it has for connections ("quectel", "simcom", "air").

    about      what ATI says, {imei} filled in        maker, model, revision    +CGMI, +CGMM, +CGMR
    ready      what it says when it can be spoken to   sim_ready, sim_out         and when its SIM comes or goes
    registered what it says when it has a network      down                       when it is off
    cmee       how errors are told before anybody asks
    epoch      what its clock says before the network has told the time
    """

    dialect: str
    maker: str
    model: str
    revision: str
    about: tuple[str, ...]
    ready: tuple[str, ...]
    sim_ready: tuple[str, ...]
    sim_out: tuple[str, ...]
    registered: tuple[str, ...]
    down: tuple[str, ...]
    cmee: int
    epoch: int


EPOCH_1980 = 315_964_800  # 1980-01-06
EPOCH_1970 = 0


def _quectel(model: str, revision: str) -> Family:
    return Family(
        "quectel", "Quectel", model, revision, ("Quectel", model, "Revision: " + revision),
        ("RDY", "+CFUN: 1"), ("+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE"), ("+CPIN: NOT READY",),
        (), ("POWERED DOWN",), 1, EPOCH_1980,
    )  # fmt: skip


def _simcom(model: str, revision: str, ready: tuple[str, ...]) -> Family:
    return Family(
        "simcom", "SIMCOM INCORPORATED", model, revision,
        ("Manufacturer: SIMCOM INCORPORATED", "Model: " + model, "Revision: " + revision, "IMEI: {imei}", "+GCAP: +CGSM"),
        ready, ("+CPIN: READY", "SMS DONE", "PB DONE"), ("+SIMCARD: NOT AVAILABLE",), (), ("NORMAL POWER DOWN",), 2, EPOCH_1970,
    )  # fmt: skip


FAMILIES = {
    "ec20": _quectel("EC20F", "EC20CEFAGR06A10M4G"),
    "ec25": _quectel("EC25", "EC25EFAR06A05M4G"),
    "sim7600": _simcom("SIMCOM_SIM7600CE", "SIM7600M22_V2.0", ("RDY",)),
    "a7670": _simcom("A7670C-LASL", "A7670M7_V1.11.1", ("*ATREADY: 1",)),
    "air724": Family(
        "air", "AirM2M", "Air724UG", "AirM2M_Air724UG_V401990_LTE_AT", ("AirM2M_Air724UG_V401990_LTE_AT",),
        ("RDY",), ("+CPIN: READY",), ("+CPIN: SIM REMOVED",), ("^MODE: 17,17", "+E_UTRAN Service", "+CGEV: ME PDN ACT 5"),
        ("NORMAL POWER DOWN",), 1, EPOCH_1970,
    ),
}  # fmt: skip
