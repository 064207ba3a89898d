"""Civil time without a time zone database, from a clock that may be wrong.

The board's clock starts in the past when it has no battery, and F12/F13 of a host's reply carry no year. So the
terminal keeps an offset to the board's clock, set at each sign-on; the year is the one that brings the host's
date nearest to the last date that is trusted. A clock that is behind the last transaction is not trusted, and
neither is one that no host has confirmed since the terminal was made.

Dates are (year, month, day, hour, minute, second), local. China has one zone and no summer time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.ports import Clock

    Date = tuple[int, int, int, int, int, int]

EPOCH_DAYS = 719468  # days from 0000-03-01 to 1970-01-01


def days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the Gregorian calendar."""
    if month <= 2:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - EPOCH_DAYS


def date(seconds: int) -> "Date":
    """The civil date of local seconds since 1970-01-01."""
    day, rest = divmod(seconds, 86400)
    day += EPOCH_DAYS
    era, of_era = divmod(day, 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year += era * 400 + (1 if month <= 2 else 0)
    return (year, month, of_year - (153 * shifted + 2) // 5 + 1, rest // 3600, rest // 60 % 60, rest % 60)


def seconds(when: "Date") -> int:
    """Local seconds since 1970-01-01 of a civil date; the other way of `date`."""
    return days(when[0], when[1], when[2]) * 86400 + when[3] * 3600 + when[4] * 60 + when[5]


def stamp(when: "Date") -> str:
    """(2026, 11, 20, 10, 34, 0) -> "20261120103400": YYYYMMDDhhmmss, as the ledger keeps dates."""
    return "%04d%02d%02d%02d%02d%02d" % tuple(when)


def parse_stamp(text: str) -> "Date":
    """YYYYMMDDhhmmss -> date. ValueError when it is none."""
    if len(text) != 14 or not text.isdigit():
        raise ValueError("not a time stamp")
    when = (int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), int(text[12:]))
    if not (1 <= when[1] <= 12 and 1 <= when[2] <= 31 and when[3] < 24 and when[4] < 60 and when[5] < 60):
        raise ValueError("not a date")
    if date(seconds(when)) != when:  # 30 February
        raise ValueError("not a day of its month")
    return when


def is_day(mmdd: str, hhmmss: str = "000000") -> bool:
    """Whether MMDD is a day that some year has, and hhmmss a time of day."""
    try:
        parse_stamp("2000" + mmdd + hhmmss)
    except ValueError:
        return False
    return True


class Calendar:
    """What time it is for the terminal.

    clock         the board's; never set, only compared with
    zone_minutes  local time is so far before UTC: 480 in China
    offset_s      what is added to the board's clock; `confirmed`: a host has said so
    floor_s       the last date written to the ledger, local seconds
    """

    def __init__(self, clock: "Clock", zone_minutes: int) -> None:
        self._clock = clock
        self._zone_s = zone_minutes * 60
        self.offset_s = 0
        self.confirmed = False
        self.floor_s = 0

    def restore(self, offset_s: int, confirmed: bool, floor_s: int) -> None:
        """As it was stored before the restart."""
        self.offset_s = offset_s
        self.confirmed = confirmed
        self.floor_s = floor_s

    def now_s(self) -> int:
        """Local seconds since 1970-01-01. Never before the last transaction: time does not run backwards on paper."""
        return max(self._clock.utc_s() + self._zone_s + self.offset_s, self.floor_s)

    def now(self) -> "Date":
        """The same as a civil date."""
        return date(self.now_s())

    @property
    def trusted(self) -> bool:
        """False until a host or the network has set the clock, and while it is behind the last date written to the ledger."""
        return self.confirmed and self._clock.utc_s() + self._zone_s + self.offset_s >= self.floor_s

    def used(self, seconds: int) -> None:
        """This date is written in the ledger now: it is never earlier again."""
        self.floor_s = max(self.floor_s, seconds)

    def jumped(self, ms: int) -> None:
        """The board's clock was set by somebody: keep our time where it was, and trust it less."""
        self.offset_s -= ms // 1000
        self.confirmed = False

    def set_by_network(self, utc_s: int) -> None:
        """Seconds since 1970-01-01 UTC as the mobile network tells them: they count until a host says otherwise."""
        self.offset_s = utc_s - self._clock.utc_s()
        self.confirmed = True

    def set_by_host(self, mmdd: str, hhmmss: str) -> None:
        """F13 and F12 of a reply; the year is the nearest to what we believe. ValueError when they are no date."""
        if len(mmdd) != 4 or len(hhmmss) != 6 or not (mmdd + hhmmss).isdigit():
            raise ValueError("not a date")
        believed = self.now_s()
        year = date(believed)[0]
        found = [seconds(parse_stamp("%04d%s%s" % (one, mmdd, hhmmss))) for one in (year - 1, year, year + 1)]
        best = min(found, key=lambda s: abs(s - believed))
        self.offset_s = best - (self._clock.utc_s() + self._zone_s)
        self.confirmed = True
        self.floor_s = min(self.floor_s, best)
