"""The pod table: rows that `pods` has compiled, read from `pod_table/`, in words and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvdgan_lib import pods
from dvdgan_lib.configuration import Experiment, UnknownExperimentError

Row = dict[str, Any]

# Above this share of the peak a time is no forecast: well-tuned large models on TPUs report 40 to 60 % (PaLM, 2022: 46 %).
REACHED_MFU = 0.6


def load(folder: Path = pods.TABLE) -> dict[tuple[str, str, str], Row]:
    """Rows by (experiment, preset, topology), those of today's configuration alone; others count as not compiled."""
    rows = {}
    for file in sorted(folder.glob("*.json")):
        row = json.loads(file.read_text())
        key = row["experiment"], row["preset"], row["topology"]
        if pods.is_kept(*key, folder):
            rows[key] = row
    return rows


def fitted(experiment: Experiment, topology: str) -> Experiment:
    """The experiment with what makes it fit on a slice (remat, weights in pieces), as the table has it.

    Raises:
      UnknownExperimentError: the table has no row of it for that slice, or one that doesn't fit; one sentence.
    """
    rows = {key[2]: row for key, row in load().items() if key[:2] == (experiment.name, experiment.preset) and row["fits"]}
    if topology not in rows:
        there = ", ".join(sorted(rows)) or "none"
        raise UnknownExperimentError(
            f"The pod table does not say what makes {experiment.name} [{experiment.preset}] fit on {topology}; it knows: "
            f"{there}. `python -m dvdgan_lib.pods {experiment.name} {topology}` (with libtpu) adds the row."
        )
    return pods.changed(experiment, rows[topology]["changes"])


def verdict(row: Row | None) -> str:
    """One sentence on a row: whether it fits and how, and what is to be thought of its time."""
    if row is None:
        return "not compiled yet"
    if not row["fits"]:
        return "does not fit: " + "; ".join(_missed(attempt) for attempt in row["attempts"])
    words = []
    if row.get("changes"):
        words.append(f"fits with {_changes(row['changes'])} ({_missed(row['attempts'][0])})")
    if row["mfu"] > REACHED_MFU:
        words.append(f"implies {row['mfu']:.0%} of peak, more than TPUs reach: no forecast")
    return "; ".join(words) or "fits as it is"


def _changes(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in changes.items()) or "nothing changed"


def _missed(attempt: Row) -> str:
    which, update = next((w, u) for w, u in attempt["updates"].items() if not u["fits"])
    return f"with {_changes(attempt['changes'])} the update of {which.upper()} {update['why']}"


def _cells(key: tuple[str, str, str], row: Row | None) -> list[str]:
    name, preset, topology = key
    head = [name + ("" if preset == "paper" else f" [{preset}]"), topology]
    if row is None or not row["fits"]:
        return [*head, *["–"] * 7, verdict(row)]
    device = pods.DEVICES[topology.partition("-")[0]]
    updates, times = row["updates"], {"d": row.get("d_updates", 1)}
    total = lambda of: sum(times.get(which, 1) * of(update) for which, update in updates.items())  # noqa: E731
    flops = sum(times.get(which, 1) * n for which, n in row["model_flops"].items())
    messages = total(lambda update: sum(kind["count"] for kind in update["collectives"].values()))
    sent = total(lambda update: sum(kind["bytes"] for kind in update["collectives"].values()))
    return [
        *head,
        f"{row['memory_gib']:.1f} of {device.memory_gib:g}",
        f"{flops / row['devices'] / 1e12:.2f}",
        f"{total(lambda update: update['bytes_accessed_loops_once']) / 1e9:.1f}",
        f"{messages:.0f}, {sent / 1e9:.2f}",
        f"{row['step_seconds'] * 1e3:.0f}",
        f"{row['hours']:.0f}" if "hours" in row else "–",
        f"{row['mfu']:.0%}",
        verdict(row),
    ]


def markdown(rows: dict[tuple[str, str, str], Row], plan: Iterable[tuple[str, str, str]] = pods.PLAN) -> str:
    """The table: a line for each planned row, compiled or not, and behind them what else there is.

    Columns a device and a step (two updates of D, one of G): memory of the larger update, FLOPs of the model, bytes of
    memory traffic (loops once), collectives and their bytes, the compiler's time, and what follows from it.
    """
    header = [
        "run",
        "slice",
        "memory, GiB",
        "TFLOP",
        "traffic, GB",
        "collectives, GB",
        "step, ms",
        "hours (paper: 12 to 96)",
        "MFU",
        "verdict",
    ]
    keys = [*plan, *(key for key in rows if key not in set(plan))]
    lines = [header, ["---"] * len(header), *(_cells(key, rows.get(key)) for key in keys)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def versions(rows: dict[tuple[str, str, str], Row]) -> str:
    """What the rows were compiled with, "jax 0.12.0, libtpu 0.0.50; commits abc1234": one line for each combination."""
    found: dict[str, set[str]] = {}
    for row in rows.values():
        what = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        found.setdefault(what, set()).add(row["commit"][:7] + ("-dirty" if row["commit"].endswith("dirty") else ""))
    return "\n".join(f"{what}; commits {', '.join(sorted(commits))}" for what, commits in found.items())


def page() -> str:
    """The table with what it was compiled with, as figures/pod_table.md shows it."""
    rows = load()
    return f"{markdown(rows)}\n\nCompiled with {versions(rows)}. How to read it: notebooks/05_tpu_pods.\n"


if __name__ == "__main__":
    print(page(), end="")
