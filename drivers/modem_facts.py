"""What a modem's answers mean. Pure functions of a line; each gives None for what it cannot read.

Registration comes in two forms, and only their second value tells them apart (27.007, 10.1.22):

    +CEREG: 2,1,"18BE","8608A7B",7     asked for: a mode in front of it
    +CEREG: 5,"18BE","8608A7C",7       unasked, without it

Values are compared as numbers. Some firmware leaves the quotes away.
"""

import re
from collections import namedtuple
from datetime import date

from drivers.at import fields

# What the registration's number means (27.007); 6 and 7 are registered for messages only, 8 for emergencies.
STATS = {
    0: "off", 1: "home", 2: "searching", 3: "denied", 4: "unknown", 5: "roaming", 6: "searching", 7: "searching", 8: "off",
    9: "home", 10: "roaming",
}  # fmt: skip
TECHNOLOGIES = {
    0: "2G", 1: "2G", 2: "3G", 3: "2G", 4: "3G", 5: "3G", 6: "3G", 7: "4G", 9: "4G", 10: "4G", 11: "4G", 12: "4G", 13: "4G",
}  # fmt: skip

# At least so many dBm are so many bars: of the carrier (CSQ), and of LTE's reference signal (CESQ).
BARS = ((-75, 4), (-85, 3), (-95, 2), (-105, 1))
LTE_BARS = ((-85, 4), (-95, 3), (-105, 2), (-115, 1))

EPOCH = date(1970, 1, 1).toordinal()
EARLIEST = 2024  # a year before it is the clock of a modem that was told nothing

Registration = namedtuple("Registration", ("kind", "stat", "area", "cell", "technology"))
Registration.__doc__ = (
    """kind: "" circuit, "G" packet, "E" LTE; stat: a number of STATS; area, cell: hexadecimal or ""; technology: "4G" ... or """
    ""
)

ASKED = r"\+C%sREG: ?\d, ?\d{1,2}(?:,.*)?"
UNASKED = r"\+C[GE]?REG: ?\d{1,2}(?:,(?:\"|[0-9A-Fa-f]{3,}).*)?"


def registration(line: str) -> "Registration | None":
    """Of either form."""
    named = re.match(r"\+C([GE]?)REG: ?\d", line)
    if not named:
        return None
    values = fields(line)
    if re.fullmatch(ASKED % named[1], line):
        values = values[1:]
    try:
        stat = int(values[0])
        technology = TECHNOLOGIES.get(int(values[3]), "") if len(values) > 3 and values[3] else ""
    except ValueError:
        return None
    area, cell = (values[1:3] + ["", ""])[:2]
    if not re.fullmatch(r"[0-9A-Fa-f]{1,8}", area) or not re.fullmatch(r"[0-9A-Fa-f]{1,8}", cell):
        area = cell = ""
    return Registration(named[1], stat, area.upper(), cell.upper(), technology)


def signal(line: str) -> "int | None":
    """dBm of +CSQ: -113 + 2n; None for 99, which is unknown."""
    match = re.match(r"\+CSQ: ?(\d{1,3}),", line)
    return -113 + 2 * int(match[1]) if match and int(match[1]) <= 31 else None


def lte_signal(line: str) -> "int | None":
    """dBm of the reference signal in +CESQ: -141 + n; None for 255, which is unknown."""
    match = re.match(r"\+CESQ: ?(?:\d{1,3},){5}(\d{1,3})", line)
    return -141 + int(match[1]) if match and int(match[1]) <= 97 else None


def bars(dbm: "int | None", lte: bool = False) -> int:
    """0..4."""
    if dbm is None:
        return 0
    return next((count for least, count in (LTE_BARS if lte else BARS) if dbm >= least), 0)


def operator(line: str) -> "tuple[str, str]":
    """(name or number, technology) of +COPS."""
    values = fields(line)
    name = values[2] if len(values) > 2 else ""
    technology = values[3] if len(values) > 3 else ""
    return name.strip()[:32], TECHNOLOGIES.get(int(technology), "") if technology.isdigit() else ""


def network(number: str) -> "tuple[str, str] | None":
    """(MCC, MNC) of an operator's number."""
    return (number[:3], number[3:]) if re.fullmatch(r"\d{5,6}", number) else None


def utc(time: str, zone: "str | None") -> "int | None":
    """Seconds since 1970 of "26/11/20,10:34:05" local and its zone in quarters of an hour ("+32")."""
    try:
        values = [int(one) for one in re.split(r"[/,:]", time)]
        year, month, day, hour, minute, second = values
        year += 0 if year >= 100 else 2000 if year < 70 else 1900
        quarters = int(zone or "0")
        days = date(year, month, day).toordinal() - EPOCH
    except (ValueError, OverflowError):
        return None
    good = EARLIEST <= year <= 2099 and hour < 24 and minute < 60 and second < 61
    if not good or abs(quarters) > 56:
        return None
    return ((days * 24 + hour) * 60 + minute) * 60 + second - 900 * quarters
