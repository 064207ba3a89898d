"""Money is an integer number of fen (1/100 yuan). Nothing here or elsewhere makes a float of it."""


def yuan(fen: int) -> str:
    """123456 -> "1,234.56"."""
    sign = "-" if fen < 0 else ""
    whole, rest = divmod(abs(fen), 100)
    digits = str(whole)
    groups = []
    while len(digits) > 3:
        groups.append(digits[-3:])
        digits = digits[:-3]
    groups.append(digits)
    groups.reverse()
    return "%s%s.%02d" % (sign, ",".join(groups), rest)


def masked(pan: str) -> str:
    """First six and last four digits, the rest stars (PCI DSS 3.4.1). Short input is all stars."""
    if len(pan) < 13:
        return "*" * len(pan)
    return pan[:6] + "*" * (len(pan) - 10) + pan[-4:]
