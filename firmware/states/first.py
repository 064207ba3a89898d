"""The pages that a device may show first, by name, and the way to all others.

The log-in page does not wait for the pages behind it. `catalogue`, which has every state there is, is imported when the first
of the others is wanted, or sooner, when the parts have had their time to start (`firmware.__main__`).
"""

from firmware.machine import Machine
from firmware.states import login, start, trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.machine import State
    from firmware.terminal import Terminal

STATES: "tuple[type[State], ...]" = (
    start.SelfTest, start.Unprovisioned, start.VaultTrouble, start.LastSale,
    login.Login, login.Password, login.LockedOut,
    trouble.Fault, trouble.StoreTrouble, trouble.Tampered, trouble.Stopping, trouble.PowerLow,
)  # fmt: skip
BY_NAME = {state.__name__: state for state in STATES}


def make(name: str, *arguments: "Any") -> "State":
    """A state by its name."""
    return (BY_NAME[name] if name in BY_NAME else others()[name])(*arguments)


def others() -> "dict[str, type[State]]":
    """Every state by name; imported with this."""
    from firmware.states import catalogue

    return catalogue.BY_NAME


def power_on(terminal: "Terminal", strict: bool = False) -> Machine:
    """Joins terminal, states and machine, and shows the first page."""
    terminal.make_state = make
    terminal.first = lambda draft: _steps().first(terminal, draft)
    terminal.once_more = lambda tried: _steps().once_more(terminal, tried)
    terminal.rest = lambda fen: _steps().rest(terminal, fen)
    terminal.after = lambda name: _steps().after(terminal, name)
    machine = Machine(terminal, strict)
    machine.start(start.SelfTest())
    return machine


def _steps() -> "Any":
    """The module of the flows: what they lead through is behind the first page."""
    from firmware.states import steps

    return steps
