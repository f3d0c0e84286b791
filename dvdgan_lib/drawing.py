"""Draws a traced graph (`diagrams.py`): where boxes go and how lines run.

Time of computation runs downwards. The longest way through the model is the middle column; what branches off it (shortcuts,
the second discriminator) has columns to its right. One unit of the plane is `UNIT` inches, so that the text fits the boxes.
"""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch
from matplotlib.path import Path

from dvdgan_lib.boxes import BOX, COLOURS, kind_of, shape_text, size_of, text_of
from dvdgan_lib.diagrams import Edge, Graph, Node

UNIT = 0.62  # inches
COLUMN, ROW = 4.5, 0.94  # from column to column, from row to row
BUS = 0.5  # how far left of its boxes the gray line runs
FONT, SMALL = 10, 8.5  # points: in boxes, beside lines
GRAY = "0.55"


# --- Where ------------------------------------------------------------------------------------------------------------

Positions = dict[int, tuple[float, float]]


def _is_side(edge: Edge) -> bool:
    """Conditioning is drawn beside the columns, not as a part of the flow."""
    return edge.role in ("condition", "labels")


def layered(graph: Graph) -> Positions:
    """Positions by number of node: a row for each step on the longest way, columns for what branches off.

    Inputs that are only conditions are left out; `draw` puts their names beside the boxes.
    """
    flow = [edge for edge in graph.edges if not _is_side(edge)]
    used = {number for edge in flow for number in (edge.source, edge.target)}
    nodes = [node.number for node in graph.nodes if node.number in used]
    before = {n: [e.source for e in flow if e.target == n] for n in nodes}
    after = {n: [e.target for e in flow if e.source == n] for n in nodes}
    row = dict.fromkeys(nodes, 0)
    for n in nodes:
        row[n] = max((row[m] + 1 for m in before[n]), default=0)
    for n in reversed(nodes):
        if not before[n]:
            row[n] = min(row[m] for m in after[n]) - 1

    # The main column: back from the lowest box, always to the one that it waits for.
    main = [max(nodes, key=lambda n: (row[n], -n))]
    while before[main[-1]]:
        main.append(max(before[main[-1]], key=lambda n: (row[n], n)))
    column = dict.fromkeys(main, 0)
    for n in nodes:
        if n in column:
            continue
        part, waiting = set(), [n]
        while waiting:
            if (m := waiting.pop()) not in part:
                part.add(m)
                waiting += [k for k in before[m] + after[m] if k not in main]
        starts = [k for m in part for k in before[m] if k in main]
        ends = [k for m in part for k in after[m] if k in main]
        # To the right, but what only joins a box that others branch off from comes from the left.
        joins_left = not starts and any(len(after[k]) > 1 for k in ends)
        column |= dict.fromkeys(part, min(column.values()) - 1 if joins_left else max(column.values()) + 1)
        if starts and ends:  # a shortcut: half way between its two ends
            shift = (min(row[k] for k in ends) - max(row[m] for m in part) - 1) / 2
            row |= {m: row[m] + shift for m in part}
    return {n: (column[n] * COLUMN, -row[n] * ROW) for n in nodes}


# --- Drawing ----------------------------------------------------------------------------------------------------------


def _line(axes: Axes, points: list[tuple[float, float]], colour: str = "0.15", arrow: bool = True) -> None:
    """A line through these points with rounded corners, and an arrow's head at its end."""
    corners, codes, radius = [points[0]], [Path.MOVETO], 0.28
    for a, b, c in zip(points, points[1:], points[2:], strict=False):
        for end, code in ((a, Path.LINETO), (c, Path.CURVE3)):
            length = math.dist(b, end)
            part = min(radius, length / 2) / length if length else 0.0
            point = (b[0] + (end[0] - b[0]) * part, b[1] + (end[1] - b[1]) * part)
            corners += [point] if code == Path.LINETO else [b, point]
            codes += [code] if code == Path.LINETO else [code, code]
    axes.add_patch(PathPatch(Path([*corners, points[-1]], [*codes, Path.LINETO]), fill=False, ec=colour, lw=1.2))
    if arrow:
        style = {"arrowstyle": "-|>,head_width=0.22,head_length=0.42", "color": colour, "lw": 1.2}
        (x, y), (a, b) = points[-1], points[-2]
        length = math.dist((x, y), (a, b)) or 1.0
        start = (x + 0.02 * (a - x) / length, y + 0.02 * (b - y) / length)
        axes.annotate("", (x, y), start, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _way(graph: Graph, edge: Edge, at: Positions) -> tuple[list[tuple[float, float]], tuple[float, float, str]]:
    """The points of a line, and where its shape is written: x, y and horizontal alignment."""
    source, target = graph.nodes[edge.source], graph.nodes[edge.target]
    (x, y), (a, b) = at[edge.source], at[edge.target]
    (w, h), (v, g) = size_of(source), size_of(target)
    between = [n for n, (p, q) in at.items() if p == x == a and min(y, b) < q < max(y, b)]
    if x == a and not between:
        down = 1 if y > b else -1
        return [(x, y - down * h / 2), (a, b + down * g / 2)], (x + 0.12, (y + b - down * (h - g) / 2) / 2, "left")
    if y == b:
        side = 1 if a > x else -1
        ends = (x + side * w / 2, a - side * v / 2)
        return [(ends[0], y), (ends[1], b)], (sum(ends) / 2, y + 0.22, "center")
    if x == a:  # past the boxes in between
        aside = x + BOX[0] / 2 + 0.75
        return [(x + w / 2, y), (aside, y), (aside, b), (a + v / 2, b)], (aside + 0.14, (y + b) / 2, "left")
    side = 1 if a > x else -1
    if target.kind in ("add", "concat"):  # joins from the side
        return [(x, y - h / 2), (x, b), (a - side * v / 2, b)], (x + 0.14, (y - h / 2 + b) / 2, "left")
    return [(x + side * w / 2, y), (a, y), (a, b + g / 2)], (a + 0.14, (y + b + g / 2) / 2, "left")


def draw(
    axes: Axes, graph: Graph, at: Positions, names: dict[str, str] | None = None, conditions: dict[str, str] | None = None
) -> set[str]:
    """Draws a graph.

    Args:
      axes: one unit of it should be `UNIT` inches.
      graph: from `diagrams.dataflow`, traced with batch size `boxes.BATCH`.
      at: where, from `layered`.
      names: of inputs and outputs, for the reader.
      conditions: what the gray lines carry, by role: {"condition": "[z; e(y)]", "labels": "y"}.

    Returns:
      The kinds of boxes drawn, for the legend.
    """
    names, conditions = names or {}, conditions or {}
    for edge in graph.edges:
        if edge.target not in at:
            continue
        if _is_side(edge):
            x, y = at[edge.target]
            left = x - BOX[0] / 2
            _line(axes, [(left - BUS, y), (left, y)], GRAY)
            if edge.role != "condition":
                name = conditions.get(edge.role, edge.role)
                axes.text(left - BUS - 0.1, y, name, ha="right", va="center", fontsize=FONT, color=GRAY)
            continue
        points, (x, y, align) = _way(graph, edge, at)
        _line(axes, points)
        text = shape_text(edge.shape)
        if edge.role == "initial":  # the first state of a ConvGRU, written left of the gray line
            x -= BUS / 2
            axes.text(x, y - 0.44, "$h_0$", ha="center", va="center", fontsize=FONT, color="0.3")
        if len(points) > 2 or points[0][0] == points[1][0] or abs(points[0][0] - points[1][0]) > 0.11 * len(text):
            axes.text(x, y, text, ha=align, va="center", fontsize=SMALL, color="0.3")
    _draw_bus(axes, graph, at, conditions.get("condition", "condition"))

    drawn = set()
    for node in graph.nodes:
        if node.number not in at:
            continue
        (x, y), (w, h) = at[node.number], size_of(node)
        kind, text = kind_of(node), text_of(node, graph, names)
        if node.kind == "add":
            axes.add_patch(Circle((x, y), w / 2, fc=COLOURS[kind], ec="0.25", lw=1.0, zorder=3))
        else:
            plain = kind == "input or output"
            style = f"round,pad=0,rounding_size={0.26 if plain else 0.1}"
            ends = {"ls": (0, (3, 2)), "lw": 0.9} if plain else {"lw": 1.0}
            patch = FancyBboxPatch((x - w / 2, y - h / 2), w, h, style, fc=COLOURS[kind], ec="0.25", zorder=3, **ends)
            axes.add_patch(patch)
        fontsize = 12 if node.kind == "add" else FONT * min(1.0, 22 / max(1, len(text)))
        axes.text(x, y, text, ha="center", va="center_baseline", fontsize=fontsize, zorder=4)
        drawn.add(kind)
    return drawn


def _draw_bus(axes: Axes, graph: Graph, at: Positions, name: str) -> None:
    """The gray line of Figure 7: from [z; e(y)] past all the norms or blocks that it conditions."""
    conditioned = [edge for edge in graph.edges if edge.role == "condition" and edge.target in at]
    if not conditioned:
        return
    rows = [at[edge.target][1] for edge in conditioned]
    x = at[conditioned[0].target][0] - BOX[0] / 2 - BUS
    source = graph.nodes[conditioned[0].source]
    top = max(rows) + 0.6
    if source.number in at:  # made by the model itself, in a box
        left = at[source.number][0] - size_of(source)[0] / 2
        top = at[source.number][1]
        _line(axes, [(left, top), (x, top), (x, min(rows))], GRAY, arrow=False)
    else:
        _line(axes, [(x, top), (x, min(rows))], GRAY, arrow=False)
    axes.text(x - 0.12, max(rows), name, ha="right", va="center", fontsize=FONT, color=GRAY)


def draw_group(axes: Axes, graph: Graph, at: Positions, members: list[Node], text: str) -> None:
    """A tinted field behind some boxes of one column, with a remark at its right."""
    x = at[members[0].number][0]
    rows = [at[node.number][1] for node in members]
    half, (bottom, top) = BOX[0] / 2 + 0.2, (min(rows) - 0.4, max(rows) + 0.4)
    style = "round,pad=0,rounding_size=0.15"
    axes.add_patch(FancyBboxPatch((x - half, bottom), 2 * half + 0.75, top - bottom, style, fc="0.955", ec="none", zorder=0))
    axes.text(x + half + 0.9, (bottom + top) / 2, text, ha="left", va="center", fontsize=SMALL + 0.5, color="0.3")


def extent(graph: Graph, at: Positions) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) of a drawing, with room for conditions at its left and shapes at its right."""
    xs, ys = zip(*at.values(), strict=True)
    flow = [edge for edge in graph.edges if edge.target in at and not _is_side(edge)]
    conditions = any(_is_side(edge) and at.get(edge.target, (None,))[0] == min(xs) for edge in graph.edges)
    left = BOX[0] / 2 + (BUS + 1.4 if conditions else 0.3)
    bends = any(len(_way(graph, edge, at)[0]) > 2 and at[edge.source][0] == at[edge.target][0] == max(xs) for edge in flow)
    return min(xs) - left, max(xs) + BOX[0] / 2 + (2.6 if bends else 1.2), min(ys) - 0.6, max(ys) + 0.6
