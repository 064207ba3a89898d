"""The benchmarks compare the same work on both sides, and say what they found. No test here depends on a time."""

import math
import re

import pytest

from emulator.cards import pki
from firmware.emv import tlv
from tools.bench import __main__ as bench
from tools.bench import cards, codecs, settlement, start, tap
from tools.bench.table import Row, lines, number, percentile


@pytest.mark.parametrize(
    ("row", "ratio", "reached"),
    [
        (Row("a", 90, "ms", 100, most=1.0), 0.9, True),
        (Row("a", 110, "ms", 100, most=1.0), 1.1, False),
        (Row("a", 2, "µs", 10, least=3, faster=True), 5, True),
        (Row("a", 5, "µs", 10, least=3, faster=True), 2, False),
        (Row("a", 20, "bytes", most=32), None, True),
        (Row("a", 33, "bytes", most=32), None, False),
        (Row("a", 19_999, "", least=20_000), None, False),
        (Row("a", 3, "ms"), None, None),
        (Row("a", 3, "ms", 6), 0.5, None),
        (Row("a", 3, "ms", 0, most=1), math.inf, False),
    ],
)
def test_a_row_knows_its_ratio_and_whether_its_target_is_reached(row, ratio, reached):
    assert row.ratio == (pytest.approx(ratio) if ratio is not None else None)
    assert row.reached is reached


def test_the_table_shows_ours_the_peers_the_ratio_and_the_target():
    head, rule, first, second = lines(
        [Row("pack", 3.1, "µs", 19.2, least=3, faster=True, note="pyiso8583"), Row("star", 40, "bytes", most=32)]
    )
    assert head.split() == ["what", "ours", "peer's", "ratio", "wanted", "how"]
    assert re.split(" {2,}", first) == ["pack", "3.1 µs", "19.2 µs", "6.19x", "≥ 3x", "ok", "pyiso8583"]
    assert re.split(" {2,}", second) == ["star", "40 bytes", "≤ 32", "MISSED"]
    assert set(rule) == {"-", " "}


@pytest.mark.parametrize(("value", "words"), [(43303.6, "43,304"), (0.0171, "0.0171"), (12.84, "12.8"), (2.0, "2"), (None, "")])
def test_figures_are_written_with_as_many_digits_as_matter(value, words):
    assert number(value) == words


def test_percentiles_are_values_that_were_measured():
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (50, 99, 100)
    assert percentile([7.0], 99) == 7


@pytest.mark.parametrize("dialect", ["unionpay", "1987-ascii"])
def test_pyiso8583_and_we_pack_the_same_bytes_of_a_16_field_sale(dialect):
    pytest.importorskip("iso8583", reason="pyiso8583 is not installed: no peer to compare with")
    codec, message, theirs = codecs.agreed(dialect)
    assert len(codecs.SALE) == 16 == len(theirs) - 1
    assert codec.unpack(message)[1] == codecs.SALE


def test_the_fci_of_the_benchmark_has_250_bytes_and_four_levels():
    data = codecs.fci()
    assert len(data) == 250
    assert tlv.find(tlv.decode(data), 0x4F) == bytes.fromhex("A000000333010101")


def test_the_floor_of_the_uart_counts_ten_exchanges():
    assert len(tap.COMMANDS) == len(tap.SIZES) == len(set(tap.COMMANDS)) == 10
    payload = sum(map(len, tap.COMMANDS)) + sum(size + 2 for size in tap.SIZES)
    assert tap.floor_bytes() == payload + 10 * (10 + 6 + 10)


def test_the_peer_imports_what_the_issue_names_and_nothing_of_ours():
    assert start.IMPORTS == "import serial, smbus2, PIL.Image, luma.oled.device, nfc"
    assert not re.search("firmware|drivers|emulator", start.PEER)


def test_an_unknown_group_is_refused_and_the_groups_are_listed(capsys):
    assert bench.main(["everything"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in bench.GROUPS)


def test_the_shop_of_the_simulation_sells_and_the_books_agree():
    from emulator.world import World
    from tools.bench.simulation import Shop

    shop = Shop(World(seed=3, parameters=Shop.PARAMETERS))
    shop.open()
    shop.sell(3)
    assert shop.world.books_agree()
    assert len(shop.world.terminal.ledger.newest(10)) == 3


@pytest.mark.parametrize(("kind", "trips"), [("swiped", 5), ("tapped", 12)])
def test_a_settlement_over_tcp_makes_the_round_trips_of_its_floor_and_no_more(kind, trips):
    row = settlement.settled(kind, 9, trip_ms=4)
    assert row.peer == pytest.approx(trips * 0.004)
    assert row.note == "floor: %d round trips of 4 ms; %d messages, 1 connection" % (trips, trips - 1)


@pytest.mark.parametrize("chain", sorted(cards.CHAINS))
def test_the_tap_and_the_chip_sale_that_are_measured_are_proven_and_approved(chain):
    assert cards.tap_seconds(cards.CHAINS[chain], 1, cards.settings(offline=True)) > 0
    assert cards.chip_seconds(cards.CHAINS[chain], 1, cards.settings(offline=False)) > 0


def test_a_tap_that_is_not_proven_is_not_measured():
    bare = cards.settings(offline=True)
    bare.authority = type(bare.authority)()
    with pytest.raises(AssertionError, match="not approved offline"):
        cards.tap_seconds(cards.CHAINS["1024-bit"], 1, bare)


def test_the_keys_of_the_measured_cards_have_the_bits_that_the_table_names():
    for name, chain in cards.CHAINS.items():
        assert pki.key(chain[1]).size * 8 == pki.key(chain[2]).size * 8 == int(name.split("-")[0])


def test_the_largest_inputs_are_those_that_the_firmware_still_takes():
    assert tlv.MAX_SIZE - 8 < len(cards.tlv_input(tlv.MAX_SIZE)) <= tlv.MAX_SIZE
    assert len(tlv.decode(cards.tlv_input(4096))) == 4096 // 8
    kinds = cards.largest()
    assert len({kind.name for kind in kinds}) == 4
    for kind in kinds:
        assert len(kind.inputs) == 3
        kind.run(kind.inputs[-1])


def test_a_history_is_written_into_a_store_and_says_nothing_of_who_the_device_is(tmp_path):
    from drivers.store import SqliteStore
    from tools.bench import history

    history.write(tmp_path, 3)
    store = SqliteStore(None, {}, tmp_path)
    try:
        assert store.range("parameters") == []
        assert any(store.range(table) for table, _, _, _ in history.records(1))
    finally:
        store.close()
