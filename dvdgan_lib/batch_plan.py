"""What the batch would do and what that costs, before it starts; a command that the Makefile calls:

python -m dvdgan_lib.batch_plan check --preset laptop [figure_04 ...]   what would stop the batch, in a sentence
python -m dvdgan_lib.batch_plan plan --preset laptop [--from-scratch]   what would run, cheapest first
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dvdgan_lib import experiments
from dvdgan_lib.batch import ARTEFACTS, ROOT, BatchError, check, experiment_of

# Hours of a notebook that only reads what others made: it starts a kernel, compiles, and draws.
NOTEBOOK_HOURS = {"smoke": 0.01, "laptop": 0.02, "colab": 0.02, "paper": 0.1}


@dataclass(frozen=True)
class Step:
    """One job of the batch: a rule, what it is for, and what it takes."""

    rule: str
    target: str  # a run, or an artefact
    hours: float = 0.0
    gigabytes: float = 0.0


def step(rule: str, target: str, preset: str) -> Step:
    """The job with its estimated cost on the preset's hardware."""
    if rule in ("train", "evaluate"):
        cost = experiments.get(experiment_of(target), preset).cost
        if rule == "train":
            return Step(rule, target, cost.train_hours, cost.gigabytes)
        return Step(rule, target, cost.evaluate_hours)
    return Step(rule, target, NOTEBOOK_HOURS[preset] if rule in ("data", "artefact") else 0.0)


def serves(work: Step) -> list[str]:
    """The artefacts that a step is for."""
    if work.target in ARTEFACTS:
        return [work.target]
    readers = {name: {*a.models, *a.evaluations, *a.curves, *a.optional} for name, a in ARTEFACTS.items()}
    if work.rule == "evaluate":
        readers = {name: set(artefact.evaluations) for name, artefact in ARTEFACTS.items()}
    return sorted(name for name, runs in readers.items() if work.target in runs)


def pending(summary: str, preset: str) -> list[Step]:
    """The steps that `snakemake --summary` says are due, cheapest first."""
    rows = csv.DictReader(io.StringIO(summary), delimiter="\t")
    steps = set()
    for row in rows:
        if row["plan"] == "update pending":
            path = Path(row["output_file"])
            target = path.parent.name if row["rule"] in ("train", "evaluate") else path.stem
            steps.add(step(row["rule"], target, preset))
    return sorted(steps, key=lambda work: (work.hours, work.rule, work.target))


def format_plan(steps: list[Step], preset: str) -> str:
    """The plan as a table, with totals."""
    if not steps:
        return f"Nothing to do: everything of preset {preset} is up to date."
    lines = [f"{'rule':9} {'of':32} {'hours':>8} {'GB':>7}  for"]
    for work in steps:
        readers = ", ".join(serves(work)) if work.target not in ARTEFACTS else ""
        lines.append(f"{work.rule:9} {work.target:32} {work.hours:8.2f} {work.gigabytes:7.2f}  {readers}".rstrip())
    hours, gigabytes = sum(work.hours for work in steps), sum(work.gigabytes for work in steps)
    lines.append(f"{len(steps)} steps{'':33} {hours:10.2f} {gigabytes:7.2f}")
    hardware = experiments.get(experiments.NAMES[0], preset).cost.hardware
    return "\n".join([f"What would run, cheapest first (preset {preset}; hours on {hardware}):", *lines])


def plan(preset: str, from_scratch: bool, artefacts: Iterable[str] = ()) -> str:
    """Asks Snakemake what is missing or stale, and puts a price on it."""
    command = [sys.executable, "-m", "snakemake", "--summary", "--config", f"preset={preset}"]
    command += [f"from_scratch={int(from_scratch)}", "--", *(artefacts or ["all"])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BatchError(f"Snakemake could not make a plan:\n{done.stderr.strip()}")
    return format_plan(pending(done.stdout, preset), preset)


def main(arguments: list[str] | None = None) -> None:
    """The commands that the Makefile calls."""
    parser = argparse.ArgumentParser(description="Asks the batch what it would do, or what would stop it.")
    parser.add_argument("command", choices=("check", "plan"))
    parser.add_argument("artefacts", nargs="*", help="only these (default: all)")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--from-scratch", action="store_true", help="train instead of starting from pretrained/")
    options = parser.parse_intermixed_args(arguments)
    try:
        check(options.preset, options.artefacts, options.from_scratch)
        if options.command == "plan":
            print(plan(options.preset, options.from_scratch, options.artefacts))
    except BatchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
