"""Every kind of transaction at the host: what it moves, what it refuses, what undoes it, what the same again is answered."""

import random

import pytest

from firmware.iso8583 import frame, unionpay
from tests.emulator.acquirer_desk import ZEROS, Desk, f61
from tests.emulator.test_acquirer import CARD, HEADER, MASTER_KEY, MERCHANT, OTHER, POOR, TERMINAL, TPDU, vectors


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    assert desk.books.balanced()
    desk.books.close()


# ---- refund


def test_a_refund_gives_back_parts_up_to_what_is_left(desk):
    _, sale = desk.sell(1000)
    desk.done("0220", desk.refund(sale, 400, date="0921"))
    assert desk.mti == "0230"
    desk.done("0220", desk.refund(sale, 500))
    assert desk.code("0220", desk.refund(sale, 101)) == "64"
    desk.done("0220", desk.refund(sale, 100))
    assert desk.code("0220", desk.refund(sale, 1)) == "64"
    assert desk.spent() == 0 and desk.books.takings(MERCHANT) == 0
    assert desk.stands() == [("sale", 1000), ("refund", 400), ("refund", 500), ("refund", 100)]


@pytest.mark.parametrize(
    "code, change",
    [
        ("25", {"f37": ZEROS}), ("25", {"f37": "092199999999"}), ("25", {"f61": f61(date="0920")}),
        ("25", {"f61": f61(trace="000099")}), ("25", {"f61": f61(batch="000009")}), ("14", {"f2": OTHER}),
        ("30", {"f61": "1"}), ("30", {"f61": None}), ("30", {"f37": None}), ("13", {"f4": ZEROS}), ("13", {"f49": "840"}),
    ],
)  # fmt: skip
def test_a_refund_that_does_not_fit_its_sale_is_refused(desk, code, change):
    _, sale = desk.sell(1000)
    assert desk.code("0220", desk.refund(sale, 100, **change)) == code
    assert desk.spent() == 1000


def test_a_refund_without_a_reference_is_found_by_batch_and_trace(desk):
    request, _ = desk.sell(1000)
    desk.done("0220", desk.refund(None, 100, request, "0921"))
    assert desk.spent() == 900


def test_a_sale_is_refunded_at_another_terminal_of_its_merchant_and_no_other(desk):
    _, sale = desk.sell(1000)
    for number, merchant, code in (("99999991", MERCHANT, "00"), ("99999992", "M" * 15, "25")):
        desk.books.add_terminal(number, merchant, MASTER_KEY)
        desk.books.sign_on(number, None, desk.keys["mac"], None)
        assert desk.code("0220", desk.refund(sale, 100, f41=number, f42=merchant)) == code


def test_a_refund_is_for_a_sale_that_stands(desk):
    request, sale = desk.sell(1000)
    desk.done("0200", desk.void(request, sale))
    assert desk.code("0220", desk.refund(sale, 100)) == "12"
    request, sale = desk.sell(1000)
    desk.reverse(request)
    assert desk.code("0220", desk.refund(sale, 100)) == "25"
    _, declined = desk.sell(200, pan=POOR)
    assert declined[39] == "51"
    assert desk.code("0220", desk.refund(declined, 100, pan=POOR)) == "25"
    _, void = desk.done("0200", desk.void(*desk.sell(1000)))
    assert desk.code("0220", desk.refund(void, 100)) == "25"


def test_what_was_refunded_in_part_is_neither_voided_nor_reversed(desk):
    request, sale = desk.sell(1000)
    desk.done("0220", desk.refund(sale, 1))
    assert desk.code("0200", desk.void(request, sale)) == "12"
    assert desk.reverse(request)[39] == "12"
    assert desk.spent() == 999


def test_a_refund_needs_no_card_and_a_lost_card_gets_its_money(desk):
    _, sale = desk.sell(1000)
    desk.books.set_status(CARD, "lost")
    desk.done("0220", desk.refund(sale, 1000, f2=None, f14=None))
    assert desk.spent() == 0


def test_a_refund_is_not_reversed(desk):
    _, sale = desk.sell(1000)
    request, _ = desk.done("0220", desk.refund(sale, 100))
    assert desk.reverse(request)[39] == "12"
    assert desk.spent() == 900


# ---- what is told may be told again


def told(desk, kind):
    """(message, another amount) of one that is sent until it is answered."""
    if kind == "refund":
        return desk.refund(desk.sell(1000)[1], 300), 200
    if kind == "complete-notice":
        return desk.notice(desk.done("0100", desk.preauth(1000))[1], 900), 800
    if kind == "offline-sale":
        return desk.offline(500), 400
    if kind == "adjust":
        return desk.adjust(desk.done("0220", desk.offline(500))[0], 700), 600
    return desk.tip(desk.sell(1000)[0], 1100, 100), 1200


TOLD = ("refund", "complete-notice", "offline-sale", "adjust", "tip")


@pytest.mark.parametrize("kind", TOLD)
def test_the_identical_notice_again_is_94_and_books_nothing(desk, kind):
    message, _ = told(desk, kind)
    desk.done("0220", message)
    before = desk.spent(), desk.posted()
    desk.sign_on()
    for _ in range(2):
        assert desk.code("0220", message) == "94"
    assert (desk.spent(), desk.posted()) == before


@pytest.mark.parametrize("kind", TOLD)
def test_another_notice_under_the_same_trace_number_is_not_taken_for_the_first(desk, kind):
    message, other = told(desk, kind)
    desk.done("0220", message)
    before = desk.spent()
    assert desk.code("0220", message | {4: unionpay.amount(other)}) == "64"
    assert desk.code("0220", message | {2: OTHER}) == "12"
    assert desk.code("0200", desk.sale(f11=message[11])) == "94"
    assert desk.spent() == before


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("later", ["96", "77", "99", "A0"])
def test_a_notice_that_was_refused_is_refused_again_and_one_that_may_come_later_is_booked_then(desk, kind, later):
    message, _ = told(desk, kind)
    before = desk.spent()
    desk.acquirer.rules.add(f"next on {kind} decline {later}")
    assert desk.code("0220", message) == later and desk.spent() == before
    desk.acquirer.rules.add(f"next on {kind} decline 05")
    assert desk.code("0220", message) == "05"
    assert desk.code("0220", message) == "05" and desk.spent() == before


@pytest.mark.parametrize("kind", TOLD)
def test_a_notice_whose_answer_was_lost_is_booked_once(desk, kind):
    message, _ = told(desk, kind)
    for action in ("ignore", "silence", "cut-after", "cut-before"):
        desk.acquirer.rules.add(f"next on {kind} {action}")
        desk.answers("0220", message)
    assert desk.code("0220", message) == "94"
    assert [row.kind for row in desk.books.postings(TERMINAL)].count(kind) == 1


def test_a_refund_asks_for_a_sign_on_and_is_booked_after_it_though_the_batch_is_another(desk):
    _, sale = desk.sell(1000)
    message = desk.refund(sale, 100)
    desk.books.sign_off(TERMINAL)
    assert desk.code("0220", message) == "77"
    desk.books.next_batch(TERMINAL)
    desk.sign_on()
    assert desk.code("0220", message) == "00" and desk.code("0220", message) == "94"
    assert desk.spent() == 900


# ---- offline sale, adjustment, tip


def test_an_offline_sale_is_booked_whatever_is_on_the_account(desk):
    _, reply = desk.done("0220", desk.offline(900, 100, f2=POOR))
    assert reply[38] == "T12345" and desk.books.balance(POOR) == -800
    assert desk.stands() == [("offline-sale", 900)]
    assert desk.code("0220", desk.offline(900, 901)) == "13"
    assert desk.code("0220", desk.offline(900, f38=None)) == "30"
    assert desk.code("0220", desk.offline(900, f2="6222620000000012")) == "14"


def test_an_adjustment_books_the_difference_and_takes_the_place_of_its_original(desk):
    request, _ = desk.done("0220", desk.offline(500))
    second, _ = desk.done("0220", desk.adjust(request, 700, 100))
    assert desk.spent() == 700 and desk.books.takings(MERCHANT) == 700
    assert desk.stands() == [("adjust", 700)]
    desk.done("0220", desk.adjust(request, 600))
    assert desk.spent() == 600 and desk.stands() == [("adjust", 600)]
    desk.done("0220", desk.adjust(second, 650))
    assert desk.spent() == 650 and desk.stands() == [("adjust", 650)]
    assert desk.books.totals(TERMINAL, desk.batch) == {"adjust": (1, 650)}


def test_a_tip_is_what_was_sold_and_more(desk):
    request, sale = desk.sell(1000)
    assert desk.code("0220", desk.tip(request, 1100, 50)) == "64"
    desk.done("0220", desk.tip(request, 1100, 100, f37=sale[37], f38=sale[38]))
    assert desk.spent() == 1100 and desk.stands() == [("tip", 1100)]
    desk.done("0220", desk.tip(request, 1150, 150))
    assert desk.spent() == 1150 and desk.stands() == [("tip", 1150)]
    assert desk.code("0220", desk.tip(request, 100, 101)) == "13"


def test_a_sale_with_a_tip_is_refunded_with_it_by_either_reference(desk):
    request, sale = desk.sell(1000)
    _, tip = desk.done("0220", desk.tip(request, 1100, 100))
    desk.done("0220", desk.refund(sale, 600))
    desk.done("0220", desk.refund(tip, 500))
    assert desk.code("0220", desk.refund(sale, 1)) == "64"
    assert desk.spent() == 0


@pytest.mark.parametrize(
    "code, change",
    [
        ("25", {"f61": f61("000001", "000099")}), ("25", {"f37": "9" * 12}), ("25", {"f38": "XXXXXX"}), ("14", {"f2": OTHER}),
        ("30", {"f61": "12"}), ("30", {"f48": None}),
    ],
)  # fmt: skip
def test_a_tip_that_does_not_fit_its_sale_is_refused(desk, code, change):
    request, _ = desk.sell(1000)
    assert desk.code("0220", desk.tip(request, 1100, 100, **change)) == code
    assert desk.spent() == 1000


def test_a_voided_sale_gets_no_tip_and_one_with_a_tip_is_not_voided(desk):
    request, sale = desk.sell(1000)
    desk.done("0200", desk.void(request, sale))
    assert desk.code("0220", desk.tip(request, 1100, 100)) == "12"
    request, sale = desk.sell(1000)
    desk.done("0220", desk.tip(request, 1100, 100))
    assert desk.code("0200", desk.void(request, sale)) == "12"
    assert desk.reverse(request)[39] == "12"
    assert desk.code("0220", desk.adjust(request, 900)) == "25"


# ---- order by telephone, instalments, parts


def test_an_order_by_telephone_needs_the_number_and_its_expiry(desk):
    request, reply = desk.done("0200", desk.moto(800))
    assert desk.stands() == [("moto", 800)]
    assert desk.code("0200", desk.moto(800, f14="2911")) == "54"
    assert desk.code("0200", desk.moto(800, f14=None)) == "30"
    assert desk.code("0200", desk.moto(800, f22="022")) == "30"
    assert desk.code("0200", desk.moto(800, f35=CARD + "D3012")) == "30"
    assert desk.code("0200", desk.moto(101, f2=POOR)) == "51"
    desk.done("0200", desk.void(request, reply, f22="012", f25="08"))
    assert desk.spent() == 0


def test_instalments_are_booked_whole_and_the_plan_is_told(desk):
    request, reply = desk.done("0200", desk.instalment(10_000))
    assert reply[62].decode("gb18030") == "共12期，首期8.37元，每期8.33元"
    assert desk.stands() == [("instalment", 10_000)]
    for plan in (b"", b"12", b"00" + b" " * 30 + b"1", b"1x" + b" " * 30 + b"1", b"12" + b" " * 30 + b"x"):
        assert desk.code("0200", desk.instalment(10_000, plan)) == "30"
    desk.done("0200", desk.void(request, reply, f22="012", f25="64"))
    assert desk.spent() == 0


def test_a_terminal_that_takes_parts_is_given_what_there_is(desk):
    parts = unionpay.financial(unionpay.SALE, desk.batch, partial=True)
    request, reply = desk.sell(150, pan=POOR, f60=parts)
    assert reply[39] == "10" and int(reply[4]) == 100 and reply[38]
    assert desk.books.balance(POOR) == 0 and desk.stands() == [("sale", 100)]
    assert desk.sell(150, pan=POOR, f60=parts)[1][39] == "51"
    undone = desk.void(request, reply) | {4: reply[4]}
    assert desk.code("0200", undone) == "00" and desk.books.balance(POOR) == 100


def test_a_part_is_reversed_by_what_was_asked_for_or_by_what_was_given(desk):
    for changed in ({}, {4: unionpay.amount(500)}):
        desk.acquirer.rules.add("next on sale partial 5.00")
        request, reply = desk.sell(1000)
        assert reply[39] == "10" and int(reply[4]) == 500 and desk.spent() == 500
        assert desk.reverse(request | changed)[39] == "00" and desk.spent() == 0
    desk.acquirer.rules.add("next on sale partial 5.00")
    assert desk.sell(400)[1][39] == "00"
    desk.acquirer.rules.add("next on sale partial 5.00")
    assert desk.sell(1000, pan=POOR)[1][39] == "51"


# ---- what undoes what


def reversible(desk, kind):
    """(MTI, message) of each kind that a reversal can undo."""
    if kind == "sale":
        return "0200", desk.sale(1000)
    if kind == "moto":
        return "0200", desk.moto(1000)
    if kind == "instalment":
        return "0200", desk.instalment(1000)
    if kind == "void":
        return "0200", desk.void(*desk.sell(1000))
    request, reply = desk.preauth(1000), None
    if kind == "preauth":
        return "0100", request
    reply = desk.done("0100", request)[1]
    if kind == "preauth-add":
        return "0100", desk.preauth_add(reply, 500)
    if kind == "preauth-void":
        return "0100", desk.preauth_void(request, reply)
    complete = desk.complete(reply, 900)
    if kind == "complete":
        return "0200", complete
    return "0200", desk.complete_void(*desk.done("0200", complete))


REVERSIBLE = (
    "sale", "moto", "instalment", "void", "preauth", "preauth-add", "preauth-void", "complete", "complete-void",
)  # fmt: skip


@pytest.mark.parametrize("kind", REVERSIBLE)
def test_a_reversal_puts_everything_back_as_it_was_however_often_it_is_sent(desk, kind):
    mti, request = reversible(desk, kind)
    before = desk.books.balance(CARD), desk.books.held(CARD), desk.books.takings(MERCHANT), desk.stands()
    desk.done(mti, request)
    assert desk.stands()[-1] == (kind, int(request[4]))
    for _ in range(3):
        assert desk.reverse(request)[39] == "00"
    assert (desk.books.balance(CARD), desk.books.held(CARD), desk.books.takings(MERCHANT), desk.stands()) == before
    assert desk.books.balanced()


@pytest.mark.parametrize("kind", REVERSIBLE)
def test_a_request_that_comes_after_its_reversal_is_refused(desk, kind):
    mti, request = reversible(desk, kind)
    before = desk.stands()
    assert desk.reverse(request)[39] == "25"
    assert desk.code(mti, request) == "68"
    assert desk.stands() == before


@pytest.mark.parametrize("kind", REVERSIBLE)
def test_the_same_request_twice_is_94(desk, kind):
    mti, request = reversible(desk, kind)
    desk.done(mti, request)
    before = desk.stands(), desk.spent()
    assert desk.code(mti, request) == "94"
    assert (desk.stands(), desk.spent()) == before


@pytest.mark.parametrize("kind", REVERSIBLE)
def test_every_kind_asks_for_a_mac_and_answers_with_one(desk, kind):
    mti, request = reversible(desk, kind)
    assert desk.ask(mti, request, mac=False)[39] == "A0"
    reply = desk.done(mti, request)[1]
    assert 64 in reply and desk.mti == unionpay.reply_to(mti)


def test_a_void_is_for_a_sale_of_this_batch(desk):
    request, sale = desk.sell(1000)
    desk.books.next_batch(TERMINAL)
    desk.sign_on()
    assert desk.code("0200", desk.void(request, sale, f61=f61("000001", request[11]))) == "25"
    assert desk.spent() == 1000


def test_a_card_that_takes_part_in_a_void_is_checked(desk):
    request, sale = desk.sell(1000)
    assert desk.code("0200", desk.void(request, sale, f26="12", f52=desk.pin_block("111111"), f53="26" + "0" * 14)) == "55"
    assert desk.code("0200", desk.void(request, sale, f26="12", f52=desk.pin_block(), f53="26" + "0" * 14)) == "00"


# ---- the books


def test_totals_count_as_a_settlement_does(desk):
    first, reply = desk.sell(1000)
    desk.sell(300)
    desk.done("0200", desk.void(first, reply))
    desk.reverse(desk.sell(70)[0])
    desk.sell(200, pan=POOR)
    _, held = desk.done("0100", desk.preauth(5000))
    desk.done("0200", desk.complete(held, 4000))
    assert desk.books.totals(TERMINAL, desk.batch) == {"sale": (2, 1300), "void": (1, 1000), "complete": (1, 4000)}
    assert desk.stands() == [("sale", 300), ("void", 1000), ("complete", 4000)]


def test_a_statement_shows_what_moved_on_an_account(desk):
    request, reply = desk.sell(1000)
    desk.done("0200", desk.void(request, reply))
    entries = desk.books.statement("card:" + CARD)
    assert [(entry.kind, entry.amount_fen) for entry in entries] == [("void", 1000), ("sale", -1000)]
    assert [entry.amount_fen for entry in desk.books.statement("merchant:" + MERCHANT, 1)] == [-1000]
    assert desk.books.merchants() == {MERCHANT: 0}
    assert desk.books.terminals() == [(TERMINAL, MERCHANT, 1, True)]


def test_a_limit_of_the_terminal_is_kept(desk):
    desk.books.set_profile(TERMINAL, {"limit_fen": 1000})
    assert desk.sell(1000)[1][39] == "00"
    request, reply = desk.sell(1001)
    assert reply[39] == "61" and desk.reverse(request)[39] == "25"


# ---- strange messages


def test_every_published_request_is_answered_or_ends_the_line(desk):
    known = 0
    for vector in vectors("upmsg.json")["vectors"]:
        data = bytes.fromhex(vector["hex"])
        if not vector.get("has_length_prefix"):
            data = len(data).to_bytes(2, "big") + data
        for delay, answer in desk.acquirer.handle(data):
            assert delay == 0 and (answer is None or len(answer) > 20)
            known += answer is not None
    assert known > 20
    assert desk.stands() == []


def test_the_published_messages_of_every_kind_mean_something_here(desk):
    """Their fields under this host's keys: each is refused for what it names, none for what it is."""
    codes = {}
    for vector in vectors("upmsg.json")["vectors"]:
        if vector["id"].startswith("syn_") and vector["expect"]["mti"] in ("0100", "0200", "0220", "0400", "0620"):
            mti, fields = desk.codec.unpack(bytes.fromhex(vector["hex"])[13:])
            fields.pop(64, None)
            fields |= {41: TERMINAL, 42: MERCHANT, 11: desk.next_trace()}
            fields[60] = fields[60][:2] + desk.batch + fields[60][8:]
            codes[vector["id"]] = desk.code(mti, fields)
    assert len(codes) > 15
    assert set(codes.values()) <= {"00", "14", "25", "54", "57", "59", "99"}


def test_every_field_of_every_kind_may_be_nonsense(desk):
    chance = random.Random(5)
    sale, preauth = desk.sell(1000), desk.done("0100", desk.preauth(1000))
    makers = (
        ("0220", lambda: desk.refund(sale[1], 10)), ("0100", lambda: desk.preauth(10)),
        ("0100", lambda: desk.preauth_add(preauth[1], 10)), ("0100", lambda: desk.preauth_void(*preauth)),
        ("0200", lambda: desk.complete(preauth[1], 10)), ("0220", lambda: desk.notice(preauth[1], 10)),
        ("0200", lambda: desk.complete_void(*sale)), ("0220", lambda: desk.offline(10)),
        ("0220", lambda: desk.adjust(sale[0], 10)), ("0220", lambda: desk.tip(sale[0], 1010, 10)),
        ("0200", lambda: desk.moto(10)), ("0200", lambda: desk.instalment(10)),
    )  # fmt: skip
    for _ in range(500):
        mti, made = chance.choice(makers)
        request = made()
        mti = "0400" if chance.random() < 0.2 else mti
        for field in chance.sample(sorted(request), 2):
            value = request[field]
            if isinstance(value, bytes):
                request[field] = chance.randbytes(chance.randrange(len(value) + 1) if field == 62 else len(value))
            elif value.isdigit():
                request[field] = "".join(chance.choice("0123456789") for _ in value)
            if chance.random() < 0.3:
                del request[field]
        for _, answer in desk.answers(mti, request):
            assert answer is None or desk.read(answer)[39]


def test_a_frame_of_the_right_length_and_nothing_in_it_ends_the_line(desk):
    chance = random.Random(6)
    for size in range(10, 60):
        for _, answer in desk.acquirer.handle(frame.pack(TPDU, HEADER, chance.randbytes(size))):
            assert answer is None
