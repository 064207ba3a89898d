"""Every text exists in every language, is used, has its glyphs, and fits with the longest values it can hold."""

import ast
from pathlib import Path

import pytest

from drivers.render import Renderer
from firmware import changes, chores, fees, ports, settlement, slip
from firmware.emv import cvm
from firmware.host import doctor
from firmware.host import download as host_download
from firmware.host import keys as host_keys
from firmware.iso8583 import codes
from firmware.screens import Screen
from firmware.screens.text import en, zh
from firmware.screens.texts import LANGUAGES, Texts
from firmware.states import download, keys, online, printing, settle, start
from firmware.transactions import TABLE

FIRMWARE = Path(__file__).parents[2] / "firmware"
RENDERER = Renderer((128, 64))
MOST = "9,999,999.99"

# Keys that are put together from parts, and what the parts may be.
MADE = (
    ["part.%s.bad" % part for part in start.TEST_PARTS]
    + ["part.printer.%s" % state for state in ("ok", "wait")]
    + ["state.%s" % state for state in ("ok", "wait", "none")]
    + ["%s.%s" % (row.name, what) for row in TABLE if row.kept for what in ("done", "title")]
    + [row.title for row in TABLE]
    + [row.name + ".confirm" for row in TABLE if row.undoes]
    + ["phase." + phase for phase in ("sent", "approved", "voided", "adjusted", "refused", "declined")]
    + ["phase." + phase for phase in ("reversing", "reversed", "repeating")]
    + ["printer.%s%s" % (do, why) for do in ("", "do.") for why in ("paper-out", "cover-open", "too-hot", "silent")]
    + ["cards.kind." + kind for kind in ("test", "live", "none")]
    + ["download." + name for name in chores.DOWNLOADS]
    + ["download.why." + why for why in host_download.WHY]
    + ["todo." + name for name in chores.NOTED]
    + ["changes.by." + who for who in changes.WHO]
    + ["changes.name." + name for name in download.NAMED]
    + ["fees." + method for method in fees.METHODS]
    + ["online." + stage for stage in online.PROGRESS]
    + ["document." + kind for kind in cvm.DOCUMENTS]
    + ["trouble.money." + (row.words or "taken") for row in TABLE if row.kept]
    + ["trouble.%s.%s" % (what, unknown) for what in ("what", "do") for unknown in ("reverse", "repeat")]
    + ["doctor.step." + step for step in doctor.STEPS]
    + ["doctor.%s.%s" % (what, fault) for what in ("what", "do") for fault in doctor.FAULTS]
    + ["network." + name for name in (*ports.BEARERS, "up", "down", "starting", "failed")]
    + ["sim." + word for word in ("right", "wrong", "no-modem")]
    + ["slip.state." + state for state in slip.NO_RECEIPT]
    + ["slip." + cvm for cvm in ("cdcvm", "document")]
    + ["slip.copy." + copy for copy in slip.COPIES]
    + ["vault." + why for why in ("wiped", "broken", "unapproved")]
    + ["password." + stage for stage in ("new", "repeat")]
    + ["settle.step." + step for step in settle.PROGRESS]
    + ["settle.reason.%d" % (number + 1) for number in range(settlement.REASONS)]
    + ["settle.%s.%s" % (what, paper) for what in ("ask", "paper") for paper in (settle.DETAILS, settle.FAILURES)]
    + ["settle.paper." + settle.TOTALS]
    + ["slip.%s_count" % name for name in ("unsent", "denied")]
    + ["keys.slot." + slot for slot in keys.SLOTS]
    + ["keys.hindered." + why for why, _ in host_keys.HINDRANCES]
    + ["keys.why." + why for why in (*host_keys.WHY, "batch")]
    + ["keys." + stage for stage in keys.FAR]
    + ["store." + kind for kind in ("StoreError", "StoreFull", "StoreReadOnly", "StoreCorrupt")]
)

# The longest values that a place can be filled with; a text with places that is not here holds only short ones.
LONGEST = {
    "start.bad_parameter": ("pin.free_fen",),
    "start.damaged": ("0000000012",),
    "start.version": ("10.20.30", "2026-11-20"),
    "tip.total": (MOST,),
    "doctor.well": ("网络注册", 99_999),
    "doctor.total": (99_999,),
    "network.signal": ("-113 dBm",),
    "original.typed": ("123456789012",),
    "number.typed": (19,),
    "periods.line": (24,),
    "amount.over": (MOST,),
    "login.version": ("10.20.30", "11-20 10:34"),
    "login.number": ("99",),
    "confirm.card": ("622588*********1234",),
    "device.terminal": ("KF000001",),
    "device.key": ("12345678",),
    "query.at": ("11-20 10:34",),
    "query.reference": ("123456789012",),
    "query.authorisation": ("123456",),
    "query.amount": ("撤销", MOST),
    "password.typed": ("*" * 8,),
    "pin.typed": ("*" * 12,),
    "cards.next": ("2035-12-31",),
    "cards.applications": (64, 512),
    "cards.listed": (200_000,),
    "download.piece": (99, 99),
    "download.count": (999,),
    "download.done": (999,),
    "changes.old": ("0.50% max 20.00",),
    "fees.cap": ("9999.99",),
    "settle.batch": ("999999",),
    "settle.next": ("999999",),
    "settle.count": (999,),
    "settle.open": (99, "999999"),
    "settle.refused": ("A0",),
    "settle.step.upload": (1998, 1998),
    "settle.uploaded": (1998,),
    "settle.missing": (1998,),
    "keys.row": ("MAK", "3DES 0123ABCD"),
    "keys.who": ("99",),
    "keys.count": (64, 64),
    "keys.check": ("0123ABCD",),
    "keys.typed": ("0123AB",),
    "keys.new": ("0123ABCD",),
    "totals.line": ("撤销", 5000),
}
TITLES = ("declined.title", "query.one", "totals.title")


def used():
    """Every constant in the firmware that is the key of a text, and those that are put together."""
    found = set(MADE)
    for path in FIRMWARE.rglob("*.py"):
        if path.parent.name == "text":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in zh.TEXT:
                found.add(node.value)
    return found


def test_both_languages_have_the_same_keys_and_the_same_places():
    assert set(zh.TEXT) == set(en.TEXT)
    for key in zh.TEXT:
        assert places(zh.TEXT[key]) == places(en.TEXT[key]), key


def places(text):
    signs = [at for at in range(len(text) - 1) if text[at] == "%" and (at == 0 or text[at - 1] != "%")]
    return [text[at + 1] for at in signs if text[at + 1] != "%"]


def test_no_text_is_missing_and_none_is_unused():
    assert sorted(set(MADE) - set(zh.TEXT)) == []
    assert sorted(set(zh.TEXT) - used()) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_glyph_is_there(language):
    assert RENDERER.missing("".join(sorted(set("".join(LANGUAGES[language].values()))))) == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits_with_its_longest_values(language):
    texts = Texts(language)
    for key, values in LONGEST.items():
        line = texts((key,) + tuple(("", value) if isinstance(value, str) else value for value in values))
        assert RENDERER.fits(Screen("", (line,))) == [], line
    for key, text in LANGUAGES[language].items():
        if "%" not in text and key.split(".")[0] not in ("slip", "trouble", "menu", "key") and not key.endswith("title"):
            assert RENDERER.fits(Screen("", (text,))) == [], key


@pytest.mark.parametrize("language", (0, 1))
def test_the_words_of_every_response_code_fit_a_line(language):
    for code in codes.CODES.values():
        assert RENDERER.fits(Screen("", ((code.zh, code.en)[language], codes.ACTIONS[code.action][language]))) == [], code.code


def test_the_renderer_itself_would_notice():
    assert RENDERER.fits(Screen("", ("一二三四五六七八九十一二",))) and RENDERER.missing("\U0001f600")


def test_a_slip_line_of_label_and_longest_value_fits_the_paper():
    for label in ("slip.reference", "slip.merchant_number", "slip.when", "slip.card"):
        values = {"slip.when": "2026/11/20 10:34:00", "slip.merchant_number": "898110153310001"}
        value = values.get(label, "622588*********1234 /C")
        assert slip.cells(Texts("zh")((label, ("", value)))) <= slip.WIDTH, label


def test_the_pages_of_a_printer_in_trouble_name_every_reason_of_the_port():
    from firmware import events

    assert printing.PrinterTrouble and events.PRINT_STOPPED
    for why in ("paper-out", "cover-open", "too-hot", "silent"):
        assert "printer." + why in zh.TEXT
