"""What a person can break: each fault is a switch of one chip, or of the line to the acquirer."""

from __future__ import annotations

FAULTS = (
    # name, part, attribute of its chip
    ("paper-out", "printer", "paper_out"),
    ("low-paper", "printer", "paper_low"),
    ("cover-open", "printer", "cover_open"),
    ("hot", "printer", "too_hot"),
    ("printer-silent", "printer", "silent"),
    ("line-down", "line", "down"),
    ("tls-wrong-name", "line", "wrong_name"),
    ("tls-expired", "line", "expired"),
    ("tls-self-made", "line", "self_made"),
    ("reader-silent", "contactless", "silent"),
    ("chip-gone", "chip", "silent"),
    ("stripe-gone", "stripe", "silent"),
    ("display-gone", "display", "absent"),
    ("modem-gone", "modem", "gone"),
    ("modem-silent", "modem", "silent"),
    ("modem-noise", "modem", "noise"),
    ("modem-storm", "modem", "storm"),
)


class Faults:
    """The switches of one device; `parts` are its chips by the names of the table."""

    def __init__(self, parts: dict[str, object]) -> None:
        self._parts = parts
        self._on = {name: False for name, _, _ in FAULTS}

    def set(self, name: str, on: bool) -> None:
        """Breaks something, or mends it. ValueError names the faults that there are."""
        for known, part, attribute in FAULTS:
            if known == name:
                setattr(self._parts[part], attribute, on)
                self._on[name] = on
                return
        raise ValueError(f"no such fault: {name}; there are " + " ".join(self._on))

    @property
    def now(self) -> dict[str, bool]:
        """Which are on. A switch that somebody else has moved is where it is."""
        return {name: bool(getattr(self._parts.get(part), attribute, self._on[name])) for name, part, attribute in FAULTS}
