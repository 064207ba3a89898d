"""A step of a kernel against a script: the card's answers and the people's, each in its order."""

from binascii import hexlify, unhexlify

import pytest

from firmware.emv import card
from firmware.emv.data import Data
from firmware.emv.settings import Request, Settings
from tests.card_settings import TERMINAL_DATA, UNIONPAY_ROWS


def hexes(text):
    return unhexlify(text.replace(" ", ""))


def data_of(said=None, terminal=None, row=None, switches=None, **request):
    """The data of a transaction. said, terminal: {hex tag: hex value}; row: what differs from the first default row."""
    told = dict(TERMINAL_DATA)
    told.update(terminal or {})
    application = dict(UNIONPAY_ROWS[0])
    application.update(row or {})
    asked = {"amount_fen": 5000, "date": "261120", "time": "101500", "unpredictable": hexes("CAFE0123"), "counter": 17}
    asked.update(request)
    data = Data(Settings([application], told, switches=switches), Request(**asked))
    data.choose(data.settings.applications[0])
    for tag, value in (said or {}).items():
        data.said[int(tag, 16)] = hexes(value)
    return data


class Script:
    """commands: [(command, response)] in hex, response None for a card that leaves; answers: of the questions, in order."""

    def __init__(self, commands=(), answers=()):
        self.commands = [(hexes(c), None if r is None else hexes(r)) for c, r in commands]
        self.answers = list(answers)
        self.questions = []

    def answer(self, step):
        if isinstance(step, bytes):
            assert self.commands, "one command too many: %s" % hexlify(step).decode()
            command, response = self.commands.pop(0)
            assert hexlify(step) == hexlify(command)
            return response
        self.questions.append(step)
        assert self.answers, "one question too many: %r" % step
        return self.answers.pop(0)


def run(step, script=None, **kinds):
    """Drives a step to its end -> its result. Everything in the script must have been used."""
    script = script or Script(**kinds)
    try:
        given = next(step)
        while True:
            given = step.send(script.answer(given))
    except StopIteration as end:
        assert not script.commands and not script.answers
        return end.value


def why_ends(step, **kinds):
    """Drives a step that ends the transaction -> the reason."""
    with pytest.raises(card.Ended) as end:
        run(step, **kinds)
    return end.value.why
