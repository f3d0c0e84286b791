"""What one should see of a run after 10 minutes, an hour and at its end: what ours showed, by the records in `pretrained`.

Of the sizes that nobody here has run it says so, and gives what can be counted: how many clips will have been seen by then.
"""

from __future__ import annotations

import json
from pathlib import Path

from dvdgan_lib import curves, experiments
from dvdgan_lib.configuration import Experiment

FIRST = "kinetics600_64x64_12f"  # Table 1's first row: the one that was looked at on its way
SAME = {"k_8": "phi_pool2"}  # one configuration under two names
# The class at 10 minutes, 400 steps: of phi_pool2, the same model, three seeds had 27 to 38 % there, 43 to 51 at step 600.
_SEEN = (
    "After 10 minutes: blobs that move, in the colours of their class; our classifier finds the asked class in "
    "a quarter to a half.\nAfter an hour: shapes that move as asked. At the end: Figure 4, 99 of 100 as asked."
)


def forecast(run: Experiment, updates: int, hours: float, seed: int = 0, shipped: str | Path = "pretrained") -> str:
    """The forecast, in lines.

    Args:
      run: what is to be trained.
      updates: steps of G in all.
      hours: that they take.
      seed: of the run; where only another seed was run, that one is named.
      shipped: the folder with our own runs' records.
    """
    if run.preset == "smoke":
        return f"Look for nothing but that it runs: {updates:,} steps."
    if run.preset != "laptop":
        return _not_run(run, updates, hours, Path(shipped))
    if run.name == FIRST:
        return _SEEN
    if curve := _curve(run.name, seed, Path(shipped)):
        return _by_curve(curve, updates, hours)
    steps, pace = _steps(run.name, Path(shipped)), updates / hours
    if not steps:
        return "Not run by us at this size: nobody knows what is to be seen."
    when = f"{steps:,} steps" + (f" ({steps / pace:.1f} hours at this pace)" if steps <= updates else "")
    return (
        f"Ours was looked at after {when}: {run.cost.reached}.\nOf 10 minutes and an hour there is no record: look at the "
        f"sheets of samples, one every {run.training.sample_every:,} steps."
    )


def _curve(name: str, seed: int, shipped: Path) -> curves.Curve | None:
    """What our run of a name measured of itself: of the seed, else of the first one."""
    name = SAME.get(name, name)
    for file in (shipped / folder / "curve.json" for folder in dict.fromkeys((f"{name}-seed{seed}", name))):
        if file.exists():
            return curves.load(file)
    return None


def _steps(name: str, shipped: Path) -> int:
    """How long our run of a name at the laptop preset was, in steps; 0 without one."""
    file = shipped / name / "model.json"
    if file.exists():
        return json.loads(file.read_text(encoding="utf-8"))["steps"]
    curve = _curve(name, 0, shipped)
    return curve.card["steps"] if curve else 0


def _by_curve(curve: curves.Curve, updates: int, hours: float) -> str:
    """The curve's first point and those nearest before 10 minutes, an hour, and the end."""
    known = [step for step in curve.steps if step <= updates]
    if not known:
        return f"Ours measured itself at step {curve.steps[0]:,} first, which this run doesn't reach."
    when = {known[0]: "first"}
    for moment, step in (("10 minutes", updates / hours / 6), ("an hour", updates / hours)):
        if step < updates and (before := [s for s in known if s <= step]):
            when[before[-1]] = f"after {moment}"
    when[known[-1]] = "at the end"
    return (
        f"{_points(curve, when)}\nFrom point to point such a curve jumps, and seeds differ; but with all of ours FID was "
        "lower at the end than first."
    )


def _points(curve: curves.Curve, when: dict[int, str]) -> str:
    """A curve at some of its steps, {step: what moment that is}."""
    points = []
    for step, moment in when.items():
        i = curve.steps.index(step)
        fid, right = curve.values["fid"][i], curve.values["class_accuracy"][i]
        points.append(f"{moment}, at step {step:,}: FID {fid:.0f}, asked class in {right:.0%}")
    whose = f"{curve.card['experiment']} of seed {curve.card['seed']}"
    return f"Our {whose} (by {curve.measured_by}): {'; '.join(points)}."


def _not_run(run: Experiment, updates: int, hours: float, shipped: Path) -> str:
    """What can be counted of a run at a size that is not ours, beside what our small one saw and reached."""
    batch = run.training.batch_size
    moments = {"10 minutes": min(updates, updates / hours / 6), "an hour": min(updates, updates / hours)}
    small = experiments.get(run.name, "laptop")
    lines = ["Not run by us: what follows is counted, not seen."]
    if steps := _steps(run.name, shipped):
        clips = steps * small.training.batch_size
        seen = ", ".join(
            f"after {moment} {round(step * batch, -3):,.0f} ({step * batch / clips:,.1f} times)"
            for moment, step in moments.items()
        )
        curve = _curve(run.name, 0, shipped)
        reached = f"It reached: {small.cost.reached}."
        if curve:
            reached = _points(curve, {curve.steps[0]: "first", curve.steps[-1]: "at the end"})
        lines.append(
            f"Clips seen, beside the {clips:,} of our whole laptop run: {seen}, at the end {updates * batch:,}.\n{reached} "
            "That was of small clips of a stand-in; larger and other ones take more."
        )
    if run.training.evaluate_every:
        lines.append(f"It measures its own FID every {run.training.evaluate_every:,} steps: that should fall.")
    if run.preset == "paper":
        lines.append(f"The end: the paper's {run.section} ({run.note}). Of the way there it has Figure 6's curves only.")
    else:
        paper = experiments.get(run.name, "paper").training
        share = updates * batch / (paper.steps * paper.batch_size)
        lines.append(
            f"If nothing has a shape after an hour, something is wrong. At the end it has seen {share:.1%} of the paper's "
            "clips, with a smaller model: expect more than the laptop's, and none of the paper's numbers."
        )
    return "\n".join(lines)
