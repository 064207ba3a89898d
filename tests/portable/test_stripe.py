"""The stripe under CPython and MicroPython alike."""

from firmware import stripe

NUMBER = "6212345678901232"
TRACK1 = "B" + NUMBER + "^LI/LEI^30122010000000"
TRACK2 = NUMBER + "=30122010000012300000"


def refused(text):
    try:
        stripe.parse(text)
    except stripe.StripeError as error:
        return error.why
    return ""


def test_a_swipe_is_read_with_and_without_check_characters():
    for check in (False, True):
        swipe = stripe.parse(stripe.compose(TRACK1, TRACK2, "01" + NUMBER + "==1", check))
        assert (swipe.pan, swipe.expiry, swipe.service, swipe.agrees) == (NUMBER, "3012", "201", True)
        assert swipe.track2 == TRACK2.replace("=", "D") and swipe.track3 == "01" + NUMBER + "DD1"
        assert swipe.failed == () and swipe.name == "LI/LEI"


def test_what_cannot_be_read_has_a_name():
    assert refused(b"%E?;E?+E?") == "unreadable"
    assert refused(b"%E?;E?+01" + NUMBER.encode() + b"=?") == "no-track2"
    assert refused(b";" + NUMBER.encode() + b"=30?") == "format"
    assert refused(b";" + NUMBER[:-1].encode() + b"9=3012201?") == "luhn"
    assert refused(bytes(range(256))) == "unreadable"


def test_the_service_code_has_rules():
    assert stripe.chip_card("201") and stripe.chip_card("601") and not stripe.chip_card("101")
    rules = stripe.service_rules("220")
    assert (rules.chip, rules.online, rules.pin, rules.goods) == (True, True, "required", True)
    assert stripe.expired("2610", "261101") and not stripe.expired("2611", "261130")
