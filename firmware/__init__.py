"""The terminal: pure logic, a function of its events.

Nothing in this folder does I/O, reads a clock, starts a thread or rolls a die; everything of that kind is a
port (`ports.py`), and what a port has to say arrives as an event (`events.py`). The code runs unchanged under
CPython and MicroPython. The one exception is `__main__.py`, which joins the ports of a board to the machine.
"""

VERSION = "0.1.0"
