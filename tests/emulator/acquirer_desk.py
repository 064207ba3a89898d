"""A till with every kind of message: what the acquirer's tests ask it with."""

from firmware.iso8583 import unionpay
from tests.emulator.test_acquirer import CARD, Till

ZEROS = "0" * 12


def f61(batch="000000", trace="000000", date="0000"):
    return batch + trace + date


class Desk(Till):
    """Signed on. Each maker of a message gives its fields; `done` asks and insists on 00."""

    def __init__(self, **options):
        super().__init__(**options)
        self.sign_on()

    def fields(self, kind, processing, condition, amount_fen, pan=CARD, **more):
        """What messages of all kinds have in common. more: f62="...", None takes a field out."""
        fields = {
            2: pan, 3: processing, 4: unionpay.amount(amount_fen), 11: self.next_trace(), 14: "3012", 22: "012",
            25: condition, 49: "156", 60: unionpay.financial(kind, self.batch, partial=False),
        }  # fmt: skip
        fields |= {int(name[1:]): value for name, value in more.items()}
        return {field: value for field, value in fields.items() if value is not None}

    def refund(self, reply, amount_fen, request=None, date="0000", pan=CARD, **more):
        where = f61(self.batch, request[11], date) if request else f61(date=date)
        more = {"f37": reply[37] if reply else ZEROS, "f61": where, "f63": b"000"} | more
        return self.fields("25", "200000", "00", amount_fen, pan, **more)

    def preauth(self, amount_fen, pan=CARD, **more):
        chip = {"f22": "072", "f23": "001", "f55": self.chip(amount_fen), "f14": None} | more
        return self.fields("10", "030000", "06", amount_fen, pan, **chip)

    def preauth_add(self, reply, amount_fen, **more):
        return self.preauth(amount_fen, **{"f25": "60", "f38": reply[38], "f61": f61()} | more)

    def preauth_void(self, request, reply, **more):
        where = f61(self.batch, request[11], "0921")
        fields = self.fields("11", "200000", "06", int(request[4]), **{"f38": reply[38], "f61": where} | more)
        return fields

    def complete(self, reply, amount_fen, **more):
        return self.fields("20", "000000", "06", amount_fen, **{"f38": reply[38], "f61": f61(date="0921")} | more)

    def notice(self, reply, amount_fen, **more):
        return self.fields("24", "000000", "06", amount_fen, **{"f38": reply[38], "f61": f61(date="0921")} | more)

    def complete_void(self, request, reply, **more):
        where = f61(self.batch, request[11], "0921")
        more = {"f37": reply[37], "f38": reply[38], "f61": where} | more
        return self.fields("21", "200000", "06", int(request[4]), **more)

    def offline(self, amount_fen, tip_fen=0, **more):
        return self.fields("30", "000000", "00", amount_fen, **{"f38": "T12345", "f48": "%012d" % tip_fen} | more)

    def adjust(self, request, amount_fen, tip_fen=0, kind="32", **more):
        where = f61(self.batch, request[11], "0921")
        return self.fields(kind, "000000", "00", amount_fen, **{"f48": "%012d" % tip_fen, "f61": where} | more)

    def tip(self, request, amount_fen, tip_fen, **more):
        return self.adjust(request, amount_fen, tip_fen, "34", **more)

    def moto(self, amount_fen, **more):
        return self.fields("22", "000000", "08", amount_fen, **more)

    def instalment(self, amount_fen, plan=b"12" + b" " * 30 + b"1", **more):
        return self.fields("22", "000000", "64", amount_fen, **{"f62": plan} | more)

    def done(self, mti, fields):
        """(request, reply), approved."""
        reply = self.ask(mti, fields)
        assert reply[39] == "00", reply[39]
        return fields, reply

    def code(self, mti, fields):
        return self.ask(mti, fields)[39]

    # What the books say

    def spent(self):
        return 500_000 - self.books.balance(CARD)

    def stands(self):
        """[(kind, fen)] of everything that stands."""
        return [(row.kind, row.amount_fen) for row in self.books.standing_all("12345678")]

    def posted(self):
        return [(row.kind, row.amount_fen, row.state) for row in self.books.postings("12345678")]
