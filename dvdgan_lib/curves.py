"""Curves over training: what the compared runs of Figure 6 and appendix D are compared by.

A run measures itself every `training.evaluate_every` steps (`best_model`). `read_run` takes those points from its folder;
`pretrained/RUN/curve.json` keeps them where the weights aren't shipped. As a command, writes such files:

    python -m dvdgan_lib.curves phi_crop phi_crop-seed1 --into pretrained

Small trials of a run's settings, `dvdgan_lib.training --set`, are kept in pretrained/trials, each in a folder of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from dvdgan_lib import experiments
from dvdgan_lib.atomic_files import write_atomically
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.metrics.frechet import SMALL_SAMPLE
from dvdgan_lib.run_record import OF_FEW_CLIPS, exported_steps

# What they are called on axes, with their directions.
WORDS = {
    "fid": "FID (lower is better)",
    "inception_score": "Inception Score (higher is better)",
    "class_accuracy": "share of samples of the class asked for",
    "motion": "motion of samples / of real clips",
}


@dataclass(frozen=True)
class Curve:
    """What one run measured of itself as it trained.

    Attributes:
      card: of the run's model: experiment, preset, seed, steps, command, commit, data, config.
      steps: at which it was measured, rising.
      values: by name (WORDS), one number a step.
      seconds_per_step: median over the run; depends on the machine.
    """

    card: Mapping[str, Any]
    steps: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    seconds_per_step: float

    @property
    def measured_by(self) -> str:
        """By what, and on how many clips."""
        t = self.card["config"]["training"]
        by = "I3D-K400" if t["evaluate_by"] == "I3D" else t["evaluate_by"]  # `best_model.measure_of` takes that one
        few = f" (fewer than {SMALL_SAMPLE}: biased)" if t["evaluate_clips"] < SMALL_SAMPLE else ""
        return f"{by}, {t['evaluate_clips']} clips a side{few}"


def read_run(folder: epath.PathLike) -> Curve:
    """The curve of a finished run.

    Raises:
      CheckpointError: it has not ended, or measured nothing on its way; one sentence.
    """
    folder = epath.Path(folder)
    card, lines = folder / "model.json", folder / "metrics.jsonl"
    if not (card.exists() and lines.exists()):
        raise CheckpointError(f"There is no finished run in {folder}: train it first.")
    card, points = json.loads(card.read_text()), []
    for line in lines.read_text().splitlines():
        with contextlib.suppress(ValueError):  # a line cut off by a kill
            points.append(json.loads(line))
    # Of a run that was being trained on, only what the one had that the model is of.
    length = exported_steps(folder) or card["config"]["training"]["steps"]
    points = [point for point in points if point["step"] <= length]
    measured = [point for point in points if f"fid{OF_FEW_CLIPS}" in point]
    if not measured:
        raise CheckpointError(f"The run in {folder} measured nothing as it trained: train it with --evaluate-every.")
    names = [name.removesuffix(OF_FEW_CLIPS) for name in measured[0] if name.endswith(OF_FEW_CLIPS)]
    return Curve(
        card,
        tuple(point["step"] for point in measured),
        {name: tuple(point[name + OF_FEW_CLIPS] for point in measured) for name in names},
        float(np.median([point["seconds_per_step"] for point in points])),
    )


def load(path: epath.PathLike) -> Curve:
    """The curve in a curve.json, or of the run that a model.safetensors belongs to.

    Raises:
      CheckpointError: missing or damaged; one sentence.
    """
    path = epath.Path(path)
    if path.name == "model.safetensors":
        return read_run(path.parent)
    try:
        found = json.loads(path.read_text())
        values = {name: tuple(numbers) for name, numbers in found["values"].items()}
        return Curve(found["card"], tuple(found["steps"]), values, found["seconds_per_step"])
    except FileNotFoundError:
        raise CheckpointError(f"There is no curve at {path}: train the run, or restore the file.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a curve that this library wrote, or it is damaged: {error!r}.") from error


def save(path: epath.PathLike, curve: Curve) -> None:
    """Writes a curve.json."""
    write_atomically(path, json.dumps(dataclasses.asdict(curve), indent=1))


def find(
    names: Sequence[str], preset: str, workdir: epath.PathLike, named: Mapping[str, str] | None = None
) -> dict[str, list[Curve]]:
    """The curves of experiments, one a seed, of those runs that there are.

    Args:
      names: of experiments.
      preset: their size.
      workdir: where runs are.
      named: {run: path of its curve or model}, and no others: the batch's.

    Returns:
      {name: curves, by seed}: from `named`; without it the finished run's own; else, for the laptop preset, the one shipped
      in pretrained/. Names without any are left out.
    """
    found: dict[str, list[Curve]] = {}
    for name in names:
        for seed in range(experiments.SEEDS):
            run = experiments.seeded_name(experiments.get(name, preset), seed)
            own = epath.Path(workdir) / preset / run / "model.safetensors"
            shipped = epath.Path("pretrained") / run / "curve.json"
            if named:
                path = epath.Path(named[run]) if run in named else None
            else:
                path = own if own.exists() else shipped if preset == "laptop" and shipped.exists() else None
            if path is not None:
                found.setdefault(name, []).append(load(path))
    return found


def trials(folder: epath.PathLike = "pretrained/trials") -> dict[str, list[Curve]]:
    """Kept curves of small trials on Figure 6's reference, by what they changed: {"batch_size=4": curves, "": of none}."""
    found: dict[str, list[Curve]] = {}
    for path in sorted(epath.Path(folder).glob("*/phi_pool2*/curve.json")):
        curve = load(path)
        words = shlex.split(curve.card["command"])
        changes = [words[i + 1].partition(".")[2] for i, word in enumerate(words) if word == "--set"]
        found.setdefault(", ".join(changes), []).append(curve)
    return found


def at_shared_steps(curves: Sequence[Curve], name: str) -> tuple[np.ndarray, np.ndarray]:
    """A measure's values at the steps that all curves have: steps, int [S], and values, float [len(curves), S]."""
    steps = sorted(set.intersection(*(set(curve.steps) for curve in curves)))
    return np.array(steps), np.array([[c.values[name][c.steps.index(step)] for step in steps] for c in curves])


def of_groups(
    found: Mapping[str, Sequence[Curve]], labels: Mapping[str, str], name: str
) -> dict[str, tuple[np.ndarray, np.ndarray] | None]:
    """A measure of experiments, {name: label}, for `plots.training_curves`: {label: `at_shared_steps`; None without any}."""
    return {label: at_shared_steps(found[run], name) if run in found else None for run, label in labels.items()}


def ends(curves: Sequence[Curve], name: str, points: int = 2) -> np.ndarray:
    """The mean of each curve's last points, float [len(curves)]: one number a seed, less noisy than its last point."""
    return np.array([np.mean(curve.values[name][-points:]) for curve in curves])


def described(found: Mapping[str, Sequence[Curve]], names: Sequence[str]) -> str:
    """For captions: size, steps, data, what measured and when, and what is not trained yet.

    Raises:
      CheckpointError: there is none of them; one sentence.
    """
    shown = [curve for name in names for curve in found.get(name, ())]
    if not shown:
        raise CheckpointError(
            f"None of {', '.join(names)} has been trained: notebooks/03_train does, and `make plan` says how long."
        )
    card, m, t = shown[0].card, shown[0].card["config"]["model"], shown[0].card["config"]["training"]
    few = [name for name in names if 0 < len(found.get(name, ())) < experiments.SEEDS]
    missing = [name for name in names if name not in found]
    return (
        f"Preset {card['preset']}: {m['num_frames']} frames of {m['resolution']}x{m['resolution']}, ch {m['ch']}, "
        f"{card['steps']:,} steps at batch {t['batch_size']}; trained on {card['data']}. Measured in training, "
        f"by {shown[0].measured_by}"
        + (f". Fewer than {experiments.SEEDS} seeds: {', '.join(few)}" if few else "")
        + (f". Not trained at this size yet: {', '.join(missing)}" if missing else "")
        + "."
    )


def record(found: Mapping[str, Sequence[Curve]], names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """For provenance: what is drawn, and by which commands and commits it was made."""
    said = lambda c: {key: c.card[key] for key in ("seed", "command", "commit")} | {"steps": c.steps, "values": c.values}  # noqa: E731
    return {name: [said(curve) for curve in found[name]] for name in names if name in found}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dvdgan_lib.curves", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="phi_crop, phi_crop-seed1, ...")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--workdir", default="runs")
    parser.add_argument("--into", default="pretrained", help="where RUN/curve.json goes")
    options = parser.parse_args(arguments)
    try:
        for run in options.runs:
            curve = read_run(epath.Path(options.workdir) / options.preset / run)
            path = epath.Path(options.into) / run / "curve.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            save(path, curve)
            print(path)
    except CheckpointError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
