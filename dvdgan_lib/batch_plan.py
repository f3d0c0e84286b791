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
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dvdgan_lib import experiments
from dvdgan_lib.batch import (
    ARTEFACTS,
    ROOT,
    WALKTHROUGH,
    BatchError,
    anchors_of,
    check,
    experiment_of,
    model_path,
    real_features_are_shipped,
)

# Hours of a notebook that only reads what others made: it starts a kernel, compiles, and draws.
NOTEBOOK_HOURS = {"smoke": 0.01, "laptop": 0.02, "colab": 0.02, "paper": 0.1}
# What some measure, where there is no record of it beside the model: the names of the records, a model each.
RECORDS = {
    "truncation": ("truncation",),
    "prediction": ("prediction",),
    "table_4": ("prediction", "synthesis"),
    "table_2": ("inception_score",),
}
# The hours that this takes at the laptop preset, as notebooks 07 and 09 say.
MEASURING_HOURS = {"truncation": 0.5, "prediction": 0.25, "table_4": 0.5}
SIGMAS = {"smoke": 2, "laptop": 10, "colab": 10, "paper": 10}  # points of a truncation curve: protocols.SIGMAS, without JAX
PREDICTIONS = 256  # at most, as protocols.BAIR
CLASSIFIER_HOURS = 1 / 6  # at the laptop preset, the only one that trains them: ten minutes, as notebook 04_classifier says
C3D_CLIPS = 4 * 9984  # of Table 2's score on UCF-101 itself (notebook 08); that of the stand-in takes seconds


@dataclass(frozen=True)
class Step:
    """One job of the batch: a rule, what it is for, and what it takes."""

    rule: str
    target: str  # a run, or an artefact
    hours: float = 0.0
    gigabytes: float = 0.0


def step(rule: str, target: str, preset: str, from_scratch: bool = False) -> Step:
    """The job with its estimated cost on the preset's hardware."""
    if rule in ("train", "evaluate"):
        cost = experiments.get(experiment_of(target), preset).cost
        if rule == "train":
            return Step(rule, target, cost.train_hours, cost.gigabytes)
        sets = 1 + len(anchors_of(target, preset, from_scratch))  # of clips: the samples, and each anchor's
        sets += not real_features_are_shipped(target, preset, from_scratch)
        return Step(rule, target, cost.evaluate_hours * sets / 2)
    if rule == "classifier":
        return Step(rule, target, CLASSIFIER_HOURS)
    if rule not in ("data", "artefact", "truncate", "walkthrough"):
        return Step(rule, target)
    hours = NOTEBOOK_HOURS[preset]
    if rule == "truncate":  # a run's; the artefact `truncation` is the first one's
        hours += measuring_hours("truncation", preset)
    elif rule == "artefact" and not has_records(target, preset, from_scratch):
        hours += measuring_hours(target, preset)
    return Step(rule, target, hours)


def measuring_hours(artefact: str, preset: str) -> float:
    """Hours that an artefact's notebook measures for, where there is no record; 0 of one that measures nothing for long.

    At the laptop preset they are MEASURING_HOURS. At others as much more or less as there are more or fewer clips, and as
    evaluating one takes more or less (`cost.evaluate_hours`).
    """
    here, laptop = (experiments.get(experiments.NAMES[0], size) for size in (preset, "laptop"))
    n, laptop_n = here.evaluation.num_clips, laptop.evaluation.num_clips
    clip_hours, laptop_clip_hours = here.cost.evaluate_hours / n, laptop.cost.evaluate_hours / laptop_n
    if artefact == "table_2" and preset in ("colab", "paper"):
        return C3D_CLIPS * clip_hours / 2  # an evaluation has real clips beside the samples, this score has not
    if artefact not in MEASURING_HOURS:
        return 0.0
    if artefact == "truncation":
        more = n * SIGMAS[preset] / (laptop_n * SIGMAS["laptop"])
    else:
        more = min(n, PREDICTIONS) / PREDICTIONS
    return MEASURING_HOURS[artefact] * more * clip_hours / laptop_clip_hours


def has_records(artefact: str, preset: str, from_scratch: bool, runs: str = "runs") -> bool:
    """Whether an artefact's notebook finds what it would measure, beside the models that it reads."""
    models = [Path(model_path(run, preset, runs, from_scratch)) for run in ARTEFACTS[artefact].models]
    kinds = RECORDS.get(artefact, ())
    return all(model.with_name(f"{kind}.json").is_file() for kind, model in zip(kinds, models, strict=False))


def serves(work: Step) -> list[str]:
    """The artefacts that a step is for."""
    if work.target in ARTEFACTS:
        return [work.target]
    if work.rule == "truncate":
        return ["table_1"]
    if work.rule == "walkthrough":
        return list(WALKTHROUGH)
    readers = {name: {*a.models, *a.evaluations, *a.curves, *a.optional} for name, a in ARTEFACTS.items()}
    if work.rule == "evaluate":
        readers = {name: set(artefact.evaluations) for name, artefact in ARTEFACTS.items()}
    return sorted(name for name, runs in readers.items() if work.target in runs)


def pending(summary: str, preset: str, from_scratch: bool = False) -> list[Step]:
    """The steps that `snakemake --summary` says are due, cheapest first."""
    rows = csv.DictReader(io.StringIO(summary), delimiter="\t")
    steps = set()
    for row in rows:
        if row["plan"] == "update pending":
            path = Path(row["output_file"])
            of_a_folder = row["rule"] in ("train", "evaluate", "truncate", "classifier")
            target = path.parent.name.removeprefix("classifier_") if of_a_folder else path.stem
            if row["rule"] == "walkthrough":  # one job for all of its rows
                target = ARTEFACTS[target].notebook
            steps.add(step(row["rule"], target, preset, from_scratch))
    return sorted(steps, key=lambda work: (work.hours, work.rule, work.target))


def format_plan(steps: list[Step], preset: str) -> str:
    """The plan as a table, with totals."""
    if not steps:
        return f"Nothing to do: everything of preset {preset} is up to date."
    lines = [f"{'rule':10} {'of':32} {'hours':>8} {'GB':>7}  for"]
    for work in steps:
        readers = ", ".join(serves(work)) if work.target not in ARTEFACTS else ""
        lines.append(f"{work.rule:10} {work.target:32} {work.hours:8.2f} {work.gigabytes:7.2f}  {readers}".rstrip())
    hours, gigabytes = sum(work.hours for work in steps), sum(work.gigabytes for work in steps)
    lines.append(f"{len(steps)} steps{'':34} {hours:10.2f} {gigabytes:7.2f}")
    hardware = experiments.get(experiments.NAMES[0], preset).cost.hardware
    trained = [experiments.get(experiment_of(work.target), preset).cost for work in steps if work.rule == "train"]
    counted = Counter(cost.basis for cost in trained if cost.basis)
    bases = [f"Hours of {number} trainings: {basis}." for basis, number in counted.items()]
    return "\n".join([f"What would run, cheapest first (preset {preset}; hours on {hardware}):", *bases, *lines])


def plan(preset: str, from_scratch: bool, artefacts: Iterable[str] = ()) -> str:
    """Asks Snakemake what is missing or stale, and puts a price on it."""
    command = [sys.executable, "-m", "snakemake", "--summary", "--config", f"preset={preset}"]
    command += [f"from_scratch={int(from_scratch)}", "--", *(artefacts or ["all"])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BatchError(f"Snakemake could not make a plan:\n{done.stderr.strip()}")
    return format_plan(pending(done.stdout, preset, from_scratch), preset)


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
