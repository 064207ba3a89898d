"""The states of the terminal and the moves between them, as a picture and as text: `make diagram`.

    python -m tools.diagram             writes docs/states.svg and docs/states.txt
    python -m tools.diagram --check     writes nothing; status 1 when what lies there is not current

Both come from what the states declare (`leads_to`), which the machine enforces while it runs: the picture cannot lie.

The layout is a plain one. States stand below each other in the file that defines them; the files fill columns from left to
right in the order of the catalogue, which is the order of a sale. An arrow leaves on the right and arrives on the left; one
that leads back is drawn from the left. Moves to a state that almost everybody may go to would cover the rest: they are
named inside the box. Every box and arrow says in words what it is when the pointer rests on it.
"""

from __future__ import annotations

import sys
from collections import Counter
from html import escape
from pathlib import Path
from typing import NamedTuple

from firmware.machine import GLOBAL_MOVES, State
from firmware.states import catalogue

ROOT = Path(__file__).resolve().parents[1]
SVG, TEXT = "docs/states.svg", "docs/states.txt"
CROWD = 9  # so many states lead to one: it is named instead of drawn
FAN = 10  # the arrows of a state with so many are drawn thinner

# Pixels of the picture.
BOX_W, BOX_H, GAP = 168, 40, 12
FILE_HEAD, FILE_PAD, FILE_GAP = 24, 10, 18
COLUMN_GAP = 120
MARGIN = 24
ROWS = 12  # boxes in a column, as far as whole files allow
TITLE_H = 74
COLOURS = ("#1d6fa5", "#b3541e", "#2f7d4f", "#8a3ffc", "#a5304f", "#6b6b1d", "#00727a", "#5a4a8a")


class Node(NamedTuple):
    """A state: where it is defined, what it says of itself, where it leads."""

    name: str
    file: str
    says: str
    deadline: str
    untouchable: bool
    leads_to: tuple[str, ...]


def seconds(deadline_ms: object) -> str:
    """60000 is "60 s", 1 is "at once", None is "no deadline"; one that is worked out is "set when entered"."""
    if deadline_ms is None:
        return "no deadline"
    if not isinstance(deadline_ms, int):
        return "set when entered"
    return "at once" if deadline_ms < 100 else "%g s" % (deadline_ms / 1000)


def node(state: type[State]) -> Node:
    words = (state.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    return Node(
        state.__name__,
        state.__module__.rpartition(".")[2] + ".py",
        " ".join(words.split()),
        seconds(state.deadline_ms),
        bool(state.untouchable),
        tuple(dict.fromkeys(name for name in state.leads_to if name not in GLOBAL_MOVES)),
    )


def nodes() -> list[Node]:
    """Every state, in the order of the catalogue."""
    return [node(state) for state in catalogue.ALL]


def files(states: list[Node]) -> dict[str, list[Node]]:
    """The states by file; files in the order in which they first appear."""
    grouped: dict[str, list[Node]] = {}
    for one in states:
        grouped.setdefault(one.file, []).append(one)
    return grouped


def crowded(states: list[Node]) -> list[str]:
    """Names of states to which so many lead that they are not drawn as arrows, the most wanted first."""
    counts = Counter(name for one in states for name in one.leads_to if name != one.name)
    order = {one.name: place for place, one in enumerate(states)}
    return sorted((name for name in counts if counts[name] >= CROWD), key=lambda name: (-counts[name], order.get(name, 0)))


def unreachable(states: list[Node], first: str) -> list[str]:
    """States to which no declared move leads from the first one, the global moves taken as possible."""
    leads = {one.name: one.leads_to for one in states}
    seen: set[str] = set()
    waiting = [first, *GLOBAL_MOVES]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += leads.get(name, ())
    return [one.name for one in states if one.name not in seen]


# -- text


def text(states: list[Node]) -> str:
    """A line a state, grouped by file, moves in the order in which they are declared."""
    width = max(len(one.name) for one in states)
    lines = [
        "The states of the terminal and where each may lead. Written by `make diagram` from firmware/states; do not edit.",
        "From anywhere: %s." % ", ".join(GLOBAL_MOVES),
    ]
    for file, group in files(states).items():
        lines += ["", file]
        for one in group:
            marks = one.deadline + (", no key" if one.untouchable else "")
            lines.append("  %-*s  %s" % (width, one.name, marks))
            lines.append("  %-*s  -> %s" % (width, "", " ".join(one.leads_to) or "(stays)"))
    return "\n".join(lines) + "\n"


# -- picture


class Box(NamedTuple):
    x: int
    y: int
    column: int
    colour: str

    @property
    def middle(self) -> int:
        return self.y + BOX_H // 2


def file_height(count: int) -> int:
    return FILE_HEAD + FILE_PAD + count * (BOX_H + GAP) - GAP + FILE_PAD


def columns(grouped: dict[str, list[Node]]) -> list[list[str]]:
    """Files for each column, in order; a file is never split."""
    found: list[list[str]] = [[]]
    filled = 0
    for file, group in grouped.items():
        if filled and filled + len(group) > ROWS:
            found.append([])
            filled = 0
        found[-1].append(file)
        filled += len(group)
    return found


def place(grouped: dict[str, list[Node]]) -> tuple[dict[str, Box], list[tuple[str, int, int, int, str]], int, int]:
    """Boxes by name, frames of files (file, x, y, height, colour), width and height of the picture."""
    boxes: dict[str, Box] = {}
    frames = []
    bottom = 0
    colours = dict(zip(grouped, COLOURS * (len(grouped) // len(COLOURS) + 1), strict=False))
    for number, column in enumerate(columns(grouped)):
        x, y = MARGIN + number * (BOX_W + 2 * FILE_PAD + COLUMN_GAP), MARGIN + TITLE_H
        for file in column:
            height = file_height(len(grouped[file]))
            frames.append((file, x, y, height, colours[file]))
            for row, one in enumerate(grouped[file]):
                top = y + FILE_HEAD + FILE_PAD + row * (BOX_H + GAP)
                boxes[one.name] = Box(x + FILE_PAD, top, number, colours[file])
            y += height + FILE_GAP
        bottom = max(bottom, y)
    right = max(box.x for box in boxes.values()) + BOX_W + FILE_PAD + COLUMN_GAP // 2
    return boxes, frames, right + MARGIN, bottom + MARGIN


def port(box: Box, place_in_row: int, count: int) -> int:
    """Where on the side of a box one of its arrows begins or ends: spread over the height."""
    return box.y + 6 + (BOX_H - 12) * (2 * place_in_row + 1) // (2 * count)


def path(start: Box, end: Box, y1: int, y2: int) -> str:
    """The line of an arrow, and so its way: forward, back, or round the right side within a column."""
    if start.column == end.column:
        x = start.x + BOX_W
        bend = x + 26 + min(70, abs(y2 - y1) // 5)
        return "M%d,%d C%d,%d %d,%d %d,%d" % (x, y1, bend, y1, bend, y2, x + 2, y2)
    forward = end.column > start.column
    x1 = start.x + BOX_W if forward else start.x
    x2 = end.x - 2 if forward else end.x + BOX_W + 2
    pull = max(60, abs(x2 - x1) // 2) * (1 if forward else -1)
    return "M%d,%d C%d,%d %d,%d %d,%d" % (x1, y1, x1 + pull, y1, x2 - pull, y2, x2, y2)


def arrows(states: list[Node], boxes: dict[str, Box], named: list[str]) -> list[str]:
    drawn = [(one.name, to) for one in states for to in one.leads_to if to not in named and to != one.name and to in boxes]
    out, into = Counter(start for start, _ in drawn), Counter(end for _, end in drawn)
    left: Counter[str] = Counter()
    came: Counter[str] = Counter()
    lines = []
    for start, end in sorted(drawn, key=lambda pair: (pair[0], boxes[pair[1]].middle)):
        y1 = port(boxes[start], left[start], out[start])
        left[start] += 1
        y2 = port(boxes[end], came[end], into[end])
        came[end] += 1
        kind = "arrow back" if boxes[end].column < boxes[start].column else "arrow"
        lines.append(
            '<path class="%s" stroke="%s" d="%s"><title>%s → %s</title></path>'
            % (kind + " fan" * (out[start] >= FAN), boxes[start].colour, path(boxes[start], boxes[end], y1, y2), start, end)
        )
    return lines


STYLE = """
text { font-family: system-ui, sans-serif; fill: #1b1f24 }
.title { font-size: 22px; font-weight: 600 } .note { font-size: 12px; fill: #555 }
.file { fill: #fff; stroke-width: 1.5 } .head { font-size: 12px; font-weight: 600 }
.box { fill: #fff; stroke-width: 1.2 } .untouchable { fill: #fff3d6 }
.name { font-size: 13px; font-weight: 600 }
.marks, .deadline { font-size: 9.5px; fill: #555 } .deadline { text-anchor: end }
.arrow { fill: none; stroke-width: 1.3; opacity: .7; marker-end: url(#tip) } .arrow.back { stroke-dasharray: 5 3 }
.arrow.fan { stroke-width: .9; opacity: .5 }
.arrow:hover { stroke-width: 3.5; opacity: 1 }
"""


def svg(states: list[Node]) -> str:
    """The picture, as a file of its own without script or outside fonts."""
    grouped = files(states)
    named = crowded(states)
    boxes, frames, width, height = place(grouped)
    notes = (
        "From anywhere: %s. In the box: the deadline, moves that most states have (%s), a turn back to itself (↻)."
        % (", ".join(GLOBAL_MOVES), ", ".join(named)),
        "Dashed: leads back. Yellow: no key reaches it. Written by make diagram from firmware/states.",
    )
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">' % (width, height, width, height),
        "<style>%s</style>" % STYLE,
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="context-stroke"/></marker></defs>',
        '<rect width="%d" height="%d" fill="#f6f7f9"/>' % (width, height),
        '<text class="title" x="%d" y="%d">States of the terminal 终端状态图</text>' % (MARGIN, MARGIN + 18),
    ]
    for row, note in enumerate(notes):
        lines.append('<text class="note" x="%d" y="%d">%s</text>' % (MARGIN, MARGIN + 38 + 16 * row, escape(note)))
    for file, x, y, tall, colour in frames:
        lines.append(
            '<rect class="file" x="%d" y="%d" width="%d" height="%d" rx="8" stroke="%s"/>'
            '<text class="head" x="%d" y="%d" style="fill: %s">%s</text>'
            % (x, y, BOX_W + 2 * FILE_PAD, tall, colour, x + FILE_PAD, y + 17, colour, escape(file))
        )
    lines += arrows(states, boxes, named)
    for one in states:
        lines.append(_box(one, boxes[one.name], named))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _box(one: Node, box: Box, named: list[str]) -> str:
    marks = [name for name in named if name in one.leads_to] + (["↻"] if one.name in one.leads_to else [])
    tip = "%s\n%s\n→ %s" % (one.name, one.says, " ".join(one.leads_to) or "(stays)")
    return (
        '<g><title>%s</title><rect class="box%s" x="%d" y="%d" width="%d" height="%d" rx="5" stroke="%s"/>'
        '<text class="name" x="%d" y="%d">%s</text><text class="deadline" x="%d" y="%d">%s</text>'
        '<text class="marks" x="%d" y="%d">%s</text></g>'
        % (
            escape(tip), " untouchable" if one.untouchable else "", box.x, box.y, BOX_W, BOX_H, box.colour,
            box.x + 9, box.y + 17, escape(one.name), box.x + BOX_W - 8, box.y + 17, escape(one.deadline),
            box.x + 9, box.y + 32, escape(" ".join(marks)),
        )
    )  # fmt: skip


def forms() -> dict[str, str]:
    """What each file ought to hold."""
    states = nodes()
    return {TEXT: text(states), SVG: svg(states)}


def stale(root: Path = ROOT) -> list[str]:
    """The files that are missing or not current."""
    wanted = forms()
    return [name for name in wanted if not (root / name).exists() or (root / name).read_text(encoding="utf-8") != wanted[name]]


def main(argv: list[str]) -> int:
    if argv == ["--check"]:
        old = stale()
        for name in old:
            print("%s is not current: make diagram" % name, file=sys.stderr)
        return 1 if old else 0
    if argv:
        print("python -m tools.diagram [--check]", file=sys.stderr)
        return 2
    for name, content in forms().items():
        path_of = ROOT / name
        path_of.parent.mkdir(exist_ok=True)
        path_of.write_text(content, encoding="utf-8")
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
