"""What a run is, as frozen dataclasses, and whether their parts fit together.

Defaults are the paper's own values (appendix B), or assumptions listed in `paper.py`; the runs are in `experiments`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

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


class UnknownExperimentError(ValueError):
    """An experiment, a preset or a combination that does not exist; the message lists what does."""


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
