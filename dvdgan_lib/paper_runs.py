"""The paper's runs by name: each as the paper describes it, its laptop model as it was trained, and what that reached.

`experiments` makes an experiment of each at every size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The average of the weights takes in fewer steps where there are few.
_FEW_STEPS = {"ema_decay": 0.99, "ema_start": 100}
# A run's own measurements, by a network that takes seconds.
_BY_CLASSIFIER = {"evaluate_clips": 512, "evaluate_by": "stand-in classifier"}
# Ends in its best by FID, as the rows of Table 1 do at the paper's size.
_BEST = _FEW_STEPS | _BY_CLASSIFIER | {"evaluate_every": 500, "export": "best"}


@dataclass(frozen=True)
class Laptop:
    """A run at a laptop's size, as the shipped model of it was trained (`pretrained/`)."""

    steps: int
    hours: float  # that these steps took, on one core or two
    model: dict[str, Any] = field(default_factory=dict)  # what isn't as `experiments` has it for all, by field
    training: dict[str, Any] = field(default_factory=dict)
    reached: str = "not run yet"  # what was measured of it (pretrained/RUN), and what is seen


# Runs whose curves over training are compared: a tenth of the steps.
_COMPARED = Laptop(
    600,
    0.25,
    training=_FEW_STEPS | _BY_CLASSIFIER | {"evaluate_every": 100},
    reached="its curve over training, in Figure 6, discriminators.png or appendix_d.png (k_8's is phi_pool2's)",
)


@dataclass(frozen=True)
class Run:
    """A run as the paper describes it; presets resize it."""

    section: str
    note: str
    resolution: int = 64
    num_frames: int = 12
    data: str = "kinetics600"
    stride: int = 2
    steps: int = 300_000
    hours: str = "12-96"
    compared: bool = False  # one of several whose curves over training are compared
    clips_per_class: int | None = None
    laptop: Laptop = _COMPARED
    model: dict[str, Any] = field(default_factory=dict)


def _runs() -> dict[str, Run]:
    runs = {
        "kinetics600_64x64_12f": Run(
            "Table 1",
            "synthesis, FID 0.85, IS 53.81; Figures 4, 10",
            laptop=Laptop(
                5_720,
                1.9,
                reached="FVD 559, FID 6.67 of 512 clips by I3D-K400, 5,720 steps (blurred data 783, 9.72): shapes move as "
                "asked (Figure 4)",
            ),
        ),
        # The paper narrows its larger models, too (128 to 96); by more here, so that an hour or two are hundreds of steps.
        # Not to ch = 2: that leaves two channels before G's last convolution, and after 200 steps of 128x128 one palette for
        # all classes. Half the batch, for twice as many steps in the time.
        "kinetics600_128x128_12f": Run(
            "Table 1",
            "synthesis, FID 1.16, IS 77.45; Figure 12",
            resolution=128,
            laptop=Laptop(
                4_000,
                1.5,
                {"ch": 4},
                _BEST | {"batch_size": 4},
                "FVD 2100, FID 21.5 of 512 clips, best of 4,000 steps of half the batch: things move as asked (Figure 12)",
            ),
        ),
        "kinetics600_256x256_12f": Run(
            "Table 1",
            "synthesis, FID 2.05, IS 62.78; Figures 1, 14",
            resolution=256,
            laptop=Laptop(
                2_500,
                1.4,
                {"ch": 4},
                _BEST | {"batch_size": 4},
                "FVD 1475, FID 14.0 of 512 clips, 2,500 steps of half the batch: coloured things that move (Figures 1, 14)",
            ),
        ),
        # Of 48 frames both are at a quarter of the paper's size. (The first one's hours were not written down: about two.)
        "kinetics600_64x64_48f": Run(
            "Table 1",
            "synthesis, FID 13.75, IS 104.09; Figures 5, 11",
            num_frames=48,
            laptop=Laptop(
                2_000,
                2.0,
                {"resolution": 16},
                {"ema_decay": 0.995, "ema_start": 200},
                "FVD 1806, FID 20.7 of 512 clips, 2,000 steps: coarse shapes that move",
            ),
        ),
        "kinetics600_128x128_48f": Run(
            "Table 1",
            "synthesis, FID 28.44, IS 81.41; Figure 13",
            resolution=128,
            num_frames=48,
            laptop=Laptop(
                5_000,
                2.9,
                {"resolution": 32, "ch": 4},
                _BEST,
                "FVD 1747, FID 20.1 of 512 clips, best of 5,000 steps: things move as asked, alike in a class (Figure 13)",
            ),
        ),
        "kinetics600_64x64_16f_stride1": Run(
            "Table 4, last row",
            "synthesis of 16 frames without skipping, FVD 31.1",
            num_frames=16,
            stride=1,
            laptop=Laptop(
                4_500,
                1.6,
                {"ch": 4},
                _BEST,
                "FVD 1306 of 256 clips, best of 4,500 steps: shapes of the asked class that move, their outlines frayed",
            ),
        ),
        "ucf101_128x128_16f": Run(
            "Table 2, C.1",
            "synthesis on UCF-101, IS 32.97 by C3D; Figure 9",
            128,
            16,
            "ucf101",
            stride=1,
            # Three films: there is little to learn.
            laptop=Laptop(
                2_000,
                1.5,
                {"resolution": 32},
                reached="score 2.38 of at most 3 by the classifier of the films, 512 samples, 2,000 steps: faces and "
                "meadows, bikes not",
            ),
        ),
        "bair_fp_64x64_1to15": Run(
            "Table 3",
            "prediction: 15 frames from 1, FVD 109.8",
            num_frames=15,
            data="bair",
            stride=1,
            steps=1_000_000,
            laptop=Laptop(
                3_710,
                1.6,
                reached="FVD 544 of 256 test clips (biased upwards) by I3D-K400, 3,710 steps (copying: 759): toys stay, "
                "arms move on",
            ),
            model={"conditioning_frames": 1, "num_classes": 1},
        ),
        "kinetics600_fp_64x64_5to11": Run(
            "Table 4",
            "prediction: 11 frames from 5, FVD 69.15 on test clips",
            num_frames=11,
            stride=1,
            steps=1_000_000,
            # As wide as the model of synthesis that Table 4 compares it with, and of the same step (its best of 4,500).
            laptop=Laptop(
                3_500,
                1.4,
                {"ch": 4},
                reached="FVD 663 of 256 test clips by I3D-K400, 3,500 steps (copying: 463): the given colours, about the "
                "given place",
            ),
            model={"conditioning_frames": 5, "num_classes": 1},
        ),
    }

    def variant(name: str, section: str, note: str, steps: int = 100_000, **model: Any) -> None:
        runs[name] = Run(section, note, steps=steps, compared=True, model=model)

    for kind in ("pool2", "pool4", "identity", "crop"):
        variant(f"phi_{kind}", "Figure 6, left two", f"D_T sees phi = {kind}; three seeds", phi=kind)
    for k in (1, 2, 8, 10):
        variant(f"k_{k}", "Figure 6, right two", f"D_S sees k = {k} frames; three seeds", k=k)
    for kind in ("group", "layer", "instance", "none"):
        what = f"with {kind} norm instead of batch norm" if kind != "none" else "without any norm"
        variant(f"norm_{kind}", "Appendix D", f"G {what}", norm=kind)
    variant("no_final_norm", "Appendix D", "G without the norm before its last convolution", final_norm=False)
    variant("no_block_norm", "Appendix D", "G without norms in its blocks: IS 110.05, FID 1.22", block_norm=False)
    variant("norm_over_time", "Appendix D", "batch norm over all frames at once", norm="batch_over_time")
    variant("biggan_deep", "Appendix D", "the residual blocks of BigGAN-deep", blocks="biggan_deep")
    for clips in (1, 16):
        note = f"trained on {clips} clip{'s' * (clips > 1)} of each class: how few are memorised"
        laptop = Laptop(700, 0.3, reached="700 steps, measured for the sweep of memorisation")
        runs[f"clips_{clips}"] = Run("Appendix C.1", note, steps=100_000, clips_per_class=clips, laptop=laptop)
    variant("no_ds", "Section 3.1", "without D_S", spatial_discriminator=False)
    variant("no_dt", "Section 3.1", "without D_T", temporal_discriminator=False)
    return runs


RUNS = _runs()
