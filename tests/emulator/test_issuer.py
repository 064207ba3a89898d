"""The acquirer and a chip: its cryptogram in, authentication and scripts out; uploads, notices, fallback, stripe mode."""

import pytest

from emulator.acquirer import issuer
from emulator.acquirer.rules import RuleError, parse
from emulator.cards import builder, cryptogram
from emulator.cards.catalogue import NEVER, mastercard
from emulator.cards.profile import STRIPE_MODE
from firmware.emv import tlv
from firmware.iso8583 import unionpay
from tests.emulator.holder import ALONE, Holder, reply_of, settings
from tests.emulator.test_acquirer import TERMINAL, Till

OFFLINE = settings(**ALONE)


class Counter(Till):
    """A till whose bank checks cryptograms, and a customer."""

    def __init__(self, **changes):
        super().__init__()
        self.acquirer.verify = cryptogram.verify
        self.card = builder.build(**changes)
        self.record = builder.record_of(self.card) | {"balance_fen": 500_000}
        self.books.add_card(self.record)
        self.sign_on()
        self.before = self.books.balance(self.card.pan)

    def fields(self, outcome, kind=unionpay.SALE, amount_fen=1234, **more):
        fields = {
            2: self.card.pan, 3: "000000", 4: unionpay.amount(amount_fen), 11: self.next_trace(), 14: self.card.expiry,
            22: outcome.entry + "2", 23: "001", 25: "00", 49: "156", 55: outcome.field55(),
            60: unionpay.financial(kind, self.batch),
        }  # fmt: skip
        fields |= {int(name[1:]): value for name, value in more.items()}
        return {field: value for field, value in fields.items() if value is not None}

    def spent(self):
        return self.before - self.books.balance(self.card.pan)

    def sale(self, rule=None, at=None):
        """(outcome, reply): a sale of 12.34 by contacts, the host asked for real."""
        if rule:
            self.acquirer.rules.add(rule)
        holder, replies = Customer(self.card, self), []
        holder.replies = replies
        outcome = holder.insert(at=at)
        return outcome, replies[-1] if replies else None


class Customer(Holder):
    """A holder whose issuer is the till's host."""

    def __init__(self, card, till):
        super().__init__(card)
        self.till, self.replies = till, []

    def GoOnline(self, question, face):
        reply = self.till.ask("0200", self.till.fields(question.outcome))
        self.replies.append(reply)
        return reply_of(reply[39], reply.get(55, b""))


@pytest.fixture
def counter():
    counter = Counter()
    yield counter
    assert counter.books.balanced()
    counter.books.close()


def test_a_chip_is_answered_with_an_arpc_that_it_accepts(counter):
    outcome, reply = counter.sale()
    assert (outcome.status, reply[39], outcome.hex_of(0x9B)) == ("approved", "00", "F800")
    (tag, value) = tlv.decode(reply[55])[0]
    assert (tag, len(value), value[8:]) == (0x91, 10, b"00") and counter.spent() == 1234


def test_a_decline_is_authenticated_too(counter):
    outcome, reply = counter.sale("next decline 51")
    assert (outcome.status, outcome.why, reply[39]) == ("declined", "host-declined", "51")
    assert tlv.decode(reply[55])[0][1][8:] == b"51" and outcome.hex_of(0x9B) == "F800" and counter.spent() == 0


def test_a_contactless_card_has_left_and_is_told_nothing(counter):
    reply = counter.ask("0200", counter.fields(Holder(counter.card).tap()))
    assert reply[39] == "00" and 55 not in reply


def test_a_chip_with_a_wrong_cryptogram_is_refused_and_told_nothing(counter):
    counter.card.wrong_cryptogram = True
    outcome, reply = counter.sale()
    assert reply[39] == "59" and 55 not in reply and outcome.status == "declined" and counter.spent() == 0


@pytest.mark.parametrize(("rule", "tvr", "tsi"), [("wrong-arpc", "0000048040", "F800"), ("no-arpc", "0000048000", "E800")])
def test_a_rule_spoils_or_leaves_out_the_authentication(counter, rule, tvr, tsi):
    outcome, _ = counter.sale("next " + rule)
    assert (outcome.hex_of(0x95), outcome.hex_of(0x9B)) == (tvr, tsi)


@pytest.mark.parametrize(
    ("rule", "result", "tvr"),
    [
        ("script pin-unblock", "20", "0000048000"), ("script-before pin-unblock", "20", "0000048000"),
        ("wrong-script pin-unblock", "11", "0000048010"),
    ],
)  # fmt: skip
def test_a_rule_sends_a_script_and_its_result_comes_back_as_a_notice(counter, rule, result, tvr):
    outcome, _ = counter.sale("next " + rule)
    assert outcome.scripts and (outcome.hex_of(0xDF31)[:2], outcome.hex_of(0x95)) == (result, tvr)
    trace = "%06d" % counter.trace
    notice = {
        2: counter.card.pan, 3: "000000", 4: unionpay.amount(1234), 11: counter.next_trace(), 22: "052", 49: "156",
        55: outcome.field55(unionpay.SCRIPT_TAGS), 60: unionpay.management(counter.batch, "951"),
        61: unionpay.original(counter.batch, trace),
    }  # fmt: skip
    reply = counter.ask("0620", notice)
    assert (counter.mti, reply[39]) == ("0630", "00") and 64 in reply
    (kept,) = counter.books.notices(TERMINAL)
    assert (kept.kind, kept.trace, kept.results[:2]) == ("script-result", trace, result)
    assert counter.card.pan not in kept.card and counter.spent() == 1234


def test_a_script_blocks_the_application_for_the_next_sale(counter):
    assert counter.sale("next script block-application")[0].status == "approved"
    assert counter.sale()[0].why == "blocked"


def test_a_rule_names_a_command_that_there_is():
    for name in issuer.COMMANDS:
        assert str(parse("next script " + name)) == "next script " + name
    with pytest.raises(RuleError, match="pin-unblock"):
        parse("next script dance")


# What card and terminal settled between themselves


@pytest.fixture
def offline():
    counter = Counter(iac=NEVER, offline_fen=50_000, rules="1F03")
    yield counter
    assert counter.books.balanced()
    counter.books.close()


def upload_of(counter, outcome, **more):
    chip = outcome.field55() + tlv.encode([(0x8A, outcome.response.encode())])
    return counter.fields(outcome, kind="36", **{"f55": chip, "f63": b"CUP", **more})


@pytest.mark.parametrize("mti", ["0200", "0220"])
def test_an_offline_approval_is_uploaded_and_booked_once(offline, mti):
    outcome = Holder(offline.card).insert(at=OFFLINE)
    assert (outcome.status, outcome.response) == ("approved", "Y1")
    upload = upload_of(offline, outcome)
    assert offline.ask(mti, upload)[39] == "00" and offline.spent() == 1234
    assert offline.ask(mti, upload)[39] == "94" and offline.spent() == 1234
    assert [posting.kind for posting in offline.books.postings(TERMINAL)] == ["sale"]


def test_a_contactless_offline_approval_is_uploaded_too_whatever_is_on_the_account(offline):
    outcome = Holder(offline.card).tap(at=OFFLINE)
    assert (outcome.status, outcome.response) == ("approved", "Y1")
    offline.ask("0200", offline.fields(Holder(offline.card).insert(), amount_fen=1234))
    reply = offline.ask("0200", upload_of(offline, outcome))
    assert reply[39] == "00"  # its counter is older than that of the sale after it, and was not seen before
    again = Holder(offline.card).tap(at=OFFLINE)
    assert offline.ask("0200", upload_of(offline, again))[39] == "00"


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("30", {"f55": b"\x9f\x26"}), ("59", {"f4": unionpay.amount(1235)}), ("14", {"f2": "6200000000000000013"}),
        ("13", {"f49": "840"}),
    ],
)  # fmt: skip
def test_a_wrong_upload_is_refused_with_its_code_and_books_nothing(offline, code, change):
    outcome = Holder(offline.card).insert(at=OFFLINE)
    upload = upload_of(offline, outcome, **change)
    assert offline.ask("0200", upload)[39] == code and offline.spent() == 0


def test_an_upload_without_the_terminals_word_or_with_an_arqc_is_refused(offline):
    outcome = Holder(offline.card).insert(at=OFFLINE)
    assert offline.ask("0200", upload_of(offline, outcome, f55=outcome.field55()))[39] == "30"
    outcome.tags[0x9F27] = b"\x80"
    assert offline.ask("0200", upload_of(offline, outcome))[39] == "59"
    outcome.tags[0x9F27], outcome.tags[0x9F26] = b"\x40", bytes(8)
    refused = upload_of(offline, outcome)
    assert offline.ask("0200", refused)[39] == "59"
    assert offline.ask("0200", refused)[39] == "59" and offline.spent() == 0


def test_a_sale_that_was_approved_by_telephone_is_booked(offline):
    fields = {
        2: offline.card.pan, 3: "000000", 4: unionpay.amount(77), 11: offline.next_trace(), 14: offline.card.expiry, 22: "012",
        25: "00", 38: "123456", 49: "156", 60: unionpay.financial("30", offline.batch),
    }  # fmt: skip
    assert offline.ask("0220", fields)[39] == "00" and offline.spent() == 77
    assert offline.ask("0220", fields)[39] == "94" and offline.spent() == 77


def test_a_failed_chip_is_noted(counter):
    fields = {2: counter.card.pan, 4: unionpay.amount(1), 11: counter.next_trace(), 60: unionpay.management(counter.batch, "204")}
    assert counter.ask("0320", fields, mac=False)[39] == "00" and counter.mti == "0330"
    assert [notice.kind for notice in counter.books.notices(TERMINAL)] == ["failed-chip"]


# Stripe


def swiped(counter, track, fallback=False, entry="022"):
    chip = unionpay.CHIP_FALLBACK if fallback else unionpay.CHIP_NORMAL
    return {
        3: "000000", 4: unionpay.amount(1234), 11: counter.next_trace(), 22: entry, 25: "00", 35: track, 49: "156",
        60: unionpay.financial(unionpay.SALE, counter.batch, chip=chip),
    }  # fmt: skip


def test_a_chip_card_is_taken_by_its_stripe_only_when_its_chip_failed(counter):
    track = counter.card.stripe.partition(";")[2].rstrip("?").replace("=", "D")
    assert counter.ask("0200", swiped(counter, track))[39] == "57"
    assert counter.ask("0200", swiped(counter, track, fallback=True))[39] == "00" and counter.spent() == 1234


def test_a_stripe_card_is_taken_by_its_stripe_and_its_date_is_that_of_the_track(counter):
    track = f"{counter.card.pan}D35121200000000"
    assert counter.ask("0200", swiped(counter, track))[39] == "00"
    assert counter.ask("0200", swiped(counter, track.replace("D3512", "D3612")))[39] == "54"


def test_a_track_in_stripe_mode_must_have_the_right_checksum_and_comes_once():
    changes = mastercard._replace(contactless=STRIPE_MODE)._asdict()
    counter = Counter(**changes, service="201", pan="5599990000000003")
    outcome = Holder(counter.card).tap()
    wrong = outcome.track2[:-4] + str((int(outcome.track2[-4]) + 1) % 10) + outcome.track2[-3:]
    codes = [counter.ask("0200", swiped(counter, track, entry="912"))[39] for track in (wrong, outcome.track2, outcome.track2)]
    assert codes == ["59", "00", "59"] and counter.spent() == 1234


# The books


def test_an_account_is_opened_when_its_card_is_first_asked_for():
    till = Till()
    records = {pan: {"pan": pan, "expiry": "3012", "sequence": "001", "pin": "1234", "balance_fen": 7} for pan in ("621", "622")}

    class Source:
        asked: list = []

        def record(self, pan):
            self.asked.append(pan)
            return records.get(pan)

        def records(self):
            return list(records.values())

    till.books.source = Source()
    assert till.books.balance("621") == 7 and till.books.card("621")["pin"] == "1234" and till.books.card("623") is None
    assert Source.asked == ["621", "623"] and till.books.balanced()
    till.books.set_status("622", "lost")
    assert till.books.card("622")["status"] == "lost" and {"621", "622"} <= set(till.books.cards()) and till.books.balanced()
