"""The picture of the states is what the states declare."""

from xml.etree import ElementTree

import pytest

from firmware.machine import GLOBAL_MOVES, State
from firmware.states import catalogue
from tools import diagram
from tools.diagram import Node

NS = "{http://www.w3.org/2000/svg}"


def titles(picture):
    return [title.text for title in ElementTree.fromstring(picture).iter(NS + "title")]


def test_the_diagram_in_the_tree_is_current():
    assert diagram.stale() == [], "make diagram"


def test_every_state_is_in_both_forms():
    states = diagram.nodes()
    assert [one.name for one in states] == [state.__name__ for state in catalogue.ALL]
    lines = [line.split()[0] for line in diagram.text(states).splitlines() if line.startswith("  ") and "->" not in line]
    assert sorted(lines) == sorted(one.name for one in states)
    boxes = [title.splitlines()[0] for title in titles(diagram.svg(states)) if "\n" in title]
    assert sorted(boxes) == sorted(one.name for one in states)


def test_every_declared_move_is_an_arrow_or_named_in_its_box():
    states = diagram.nodes()
    said = titles(diagram.svg(states))
    named = diagram.crowded(states)
    for start, end in catalogue.moves():
        assert "%s → %s" % (start, end) in said or end in named or start == end


def test_every_declared_move_is_in_the_text():
    lines = diagram.text(diagram.nodes()).splitlines()
    for start, end in catalogue.moves():
        place = next(number for number, line in enumerate(lines) if line.startswith("  %s " % start))
        assert end in lines[place + 1].split("->")[1].split()


def test_every_state_can_be_reached_from_power_on():
    assert diagram.unreachable(diagram.nodes(), "SelfTest") == []


def test_a_state_to_which_nothing_leads_is_found():
    lost = [*diagram.nodes(), Node("Lost", "x.py", "", "60 s", False, ("Menu",))]
    assert diagram.unreachable(lost, "SelfTest") == ["Lost"]


def test_boxes_do_not_lie_on_each_other_and_lie_on_the_picture():
    grouped = diagram.files(diagram.nodes())
    boxes, _, width, height = diagram.place(grouped)
    places = list(boxes.values())
    for number, one in enumerate(places):
        assert 0 < one.x < width - diagram.BOX_W and 0 < one.y < height - diagram.BOX_H
        for other in places[number + 1 :]:
            assert abs(one.x - other.x) >= diagram.BOX_W or abs(one.y - other.y) >= diagram.BOX_H


@pytest.mark.parametrize("change", ["text", "missing"])
def test_a_file_that_is_not_current_is_named(tmp_path, change):
    for name, content in diagram.forms().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert diagram.stale(tmp_path) == []
    if change == "text":
        (tmp_path / diagram.TEXT).write_text("old", encoding="utf-8")
    else:
        (tmp_path / diagram.TEXT).unlink()
    assert diagram.stale(tmp_path) == [diagram.TEXT]


def test_what_a_state_says_of_itself_is_in_its_node():
    class Waiting(State):
        """Waits for
        a card.

        And more.
        """

        leads_to = ("Menu", GLOBAL_MOVES[0], "Menu", "Waiting")
        deadline_ms = 90_500
        untouchable = True

    assert diagram.node(Waiting)._replace(file="") == Node(
        "Waiting", "", "Waits for a card.", "90.5 s", True, ("Menu", "Waiting")
    )
