"""The public vectors of offline data authentication, under CPython and MicroPython alike."""

from tests.portable.plain_keys import hexes
from tests.portable.plain_vectors import cases_of, run_vector

SAID = (("dac_9F45", 0x9F45), ("icc_dynamic_number_9F4C", 0x9F4C), ("ac_9F26", 0x9F26))


def test_the_public_vectors_come_out_as_they_say():
    cases = cases_of("oda_vectors.json")
    for case in cases:
        held, data = run_vector(case)
        expected = case["expected"]
        assert held == expected["result"].endswith("ok"), case["id"]
        assert bool(data.tsi[0]) == (case["kind"] != "fdda")
        wanted = sum([int(bit.split(":")[1], 16) for bit in expected.get("tvr_set", ())])
        assert data.tvr[0] & ~0x02 == wanted and not any(data.tvr[1:]), case["id"]
        assert data.has_tvr(1, 0x02) == (case["kind"] == "sda")
        for name, tag in SAID:
            if name in expected:
                assert data.said[tag] == hexes(expected[name]), case["id"]
    assert len(cases) == 23
