"""Every bit that a kernel can set, every outcome and every reason has a transaction that shows it; the rest is named."""

import pytest

from firmware.emv import card
from firmware.emv import outcome as result
from tests import emv_coverage
from tests.emv_coverage import NEVER_STATUS, NEVER_TSI, NEVER_TVR


@pytest.mark.parametrize(
    "size, never, value", [(5, NEVER_TVR, lambda it: it.tvr), (2, NEVER_TSI, lambda it: it.tsi)], ids=["TVR", "TSI"]
)
def test_every_bit_is_shown_or_has_a_reason_why_it_cannot_be(size, never, value):
    shown = emv_coverage.bits(emv_coverage.every_bit(size), value)
    assert {place for place in shown if not shown[place]} == set(never)


def test_every_method_of_verification_comes_to_every_result_that_it_can_have():
    assert set(emv_coverage.verdicts()) == set(emv_coverage.VERDICTS)


def test_every_outcome_and_every_reason_for_one_is_shown():
    assert set(emv_coverage.by(lambda it: [it.status])) == set(result.STATUSES) - set(NEVER_STATUS)
    assert set(emv_coverage.by(lambda it: [it.why])) == set(card.REASONS)


def test_entry_point_is_entered_at_every_start():
    assert [start for start, names in emv_coverage.starts().items() if not names] == []
    assert set(emv_coverage.by(lambda it: [it.start])) == {"", "B"}


def test_every_way_to_verify_a_holder_every_response_and_every_flag_is_shown():
    assert set(emv_coverage.by(lambda it: [it.cvm])) == set(result.METHODS)
    assert set(emv_coverage.RESPONSES) <= set(emv_coverage.by(lambda it: [it.response]))
    assert set(emv_coverage.by(lambda it: it.flags)) == set(emv_coverage.FLAGS)
    assert set(emv_coverage.by(lambda it: [it.kernel])) == set(emv_coverage.KERNELS)


def test_the_page_is_what_the_runs_give():
    assert emv_coverage.PAGE.read_text() == emv_coverage.page(), "make emv-coverage"
