"""What a program compiled for a TPU costs, read from the compiled program itself.

XLA's `cost_analysis()` counts the body of a loop once, however often it runs, and its `optimal_seconds` is a roofline: work
over peak rate. The TPU compiler writes more into its text: for each fusion and convolution the cycles that its scheduler
reckoned with. Summed, with loops as often as they run, they are the compiler's own estimate of the time.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8}
_BYTES |= {"u64": 8, "f64": 8}

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_SHAPE = re.compile(r"\b(" + "|".join(_BYTES) + r")\[([\d,]*)\]")
_COLLECTIVE = re.compile(r" (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?\(")
_WHILE = re.compile(r" while\(.*?condition=%?([\w.\-]+), body=%?([\w.\-]+)")
_CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_LIMIT = re.compile(r"s32\[\]\S* constant\((\d+)\)")


@dataclass
class CompiledCost:
    """Totals of one run of a program on one device."""

    cycles: float = 0.0  # as the compiler's scheduler estimates them, collectives left out
    cycles_loops_once: float = 0.0  # the same with the body of each loop counted once
    collectives: dict[str, dict[str, float]] = field(default_factory=dict)  # kind: {"count", "bytes"} of whole results
    loops: list[int] = field(default_factory=list)  # how often each loop of the program runs

    @property
    def wire_bytes(self) -> float:
        """Bytes that a device sends in all: an all-reduce sends its array twice (reduce-scatter, then all-gather)."""
        return sum(c["bytes"] * (2 if kind == "all-reduce" else 1) for kind, c in self.collectives.items())


@dataclass
class _Computation:
    cycles: int = 0
    collectives: list[tuple[str, int]] = field(default_factory=list)
    loops: list[tuple[str, str]] = field(default_factory=list)  # (condition, body)
    called: list[str] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)  # integer constants: in a loop's condition, the number of its turns


def _array_bytes(text: str) -> int:
    """Bytes of all arrays whose shapes stand in a piece of HLO text."""
    return sum(_BYTES[dtype] * math.prod(int(n) for n in dims.split(",") if n) for dtype, dims in _SHAPE.findall(text))


def _collective(line: str, match: re.Match, operands: dict[str, int]) -> tuple[str, int]:
    """Kind and bytes of the whole array: what an all-gather gives, or what the others take."""
    kind, start = match[1], match[2]
    result = line[line.index(" = ") + 3 : match.start()]
    if kind == "reduce-scatter":  # its result is a piece: the operands are the whole
        names = re.findall(r"%([\w.\-]+)", line[match.end() : line.index(")", match.end())])
        return kind, sum(operands.get(name, 0) for name in names) or _array_bytes(result)
    size = _array_bytes(result)
    if start and kind == "all-gather":  # ((pieces), (whole))
        names = re.findall(r"%([\w.\-]+)", line[match.end() : line.index(")", match.end())])
        size -= sum(operands.get(name, 0) for name in names)
    if start and kind == "collective-permute":  # (operand, result, two counters)
        size //= 2
    return kind, size


def _read(hlo: str) -> tuple[dict[str, _Computation], str]:
    computations: dict[str, _Computation] = {}
    entry, current, sizes = "", _Computation(), {}
    for line in hlo.splitlines():
        if opened := _COMPUTATION.match(line):
            current, sizes = computations.setdefault(opened[2], _Computation()), {}
            entry = opened[2] if opened[1] else entry
            continue
        if " = " not in line:
            continue
        # Metadata and settings of the backend behind the operation hold names and numbers of their own.
        operation = re.split(r", (?:metadata|backend_config|frontend_attributes)=", line, maxsplit=1)[0]
        name, _, rest = operation.strip().removeprefix("ROOT ").partition(" = ")
        opcode = re.search(r" ([a-z][\w\-]*)\(", " " + rest)
        sizes[name.lstrip("%")] = _array_bytes(rest[: opcode.start()] if opcode else rest)
        current.cycles += sum(map(int, _CYCLES.findall(line)))
        current.limits += map(int, _LIMIT.findall(operation))
        if found := _COLLECTIVE.search(operation):
            current.collectives.append(_collective(operation, found, sizes))
        elif loop := _WHILE.search(operation):
            current.loops.append((loop[1], loop[2]))
        elif opcode and opcode[1] not in ("async-done", "async-update", "reduce", "reduce-window", "sort", "scatter", "map"):
            current.called += _CALLED.findall(operation)
            for branches in _BRANCHES.findall(operation):
                current.called += re.findall(r"%?([\w.\-]+)", branches)
    return computations, entry


def read_cost(hlo: str) -> CompiledCost:
    """The cost of a program from its text.

    Args:
      hlo: `compiled.as_text()` of a program compiled for a TPU.

    Returns:
      Totals of the entry computation and all that it calls; a loop counts as often as its condition's constant says.

    Raises:
      ValueError: text without an entry computation.
    """
    computations, entry = _read(hlo)
    if not entry:
        raise ValueError("This is no HLO text: it has no entry computation.")
    cost, totals = CompiledCost(), defaultdict(lambda: {"count": 0.0, "bytes": 0.0})

    def visit(name: str, times: float, once: float) -> None:
        computation = computations[name]
        cost.cycles += times * computation.cycles
        cost.cycles_loops_once += once * computation.cycles
        for kind, size in computation.collectives:
            totals[kind]["count"] += times
            totals[kind]["bytes"] += times * size
        for condition, body in computation.loops:
            turns = max(computations[condition].limits, default=1)
            cost.loops.append(turns)
            visit(body, times * turns, once)
        for called in computation.called:
            if called in computations:
                visit(called, times, once)

    visit(entry, 1.0, 1.0)
    cost.collectives = dict(totals)
    return cost
