"""The paper as data: its reported numbers, and the choices it leaves open.

Clark, Donahue, Simonyan: Adversarial Video Generation on Complex Datasets, 2019 (its second version).
"""

from __future__ import annotations

from dataclasses import dataclass

from dvdgan_lib.assumptions import data, measuring, model, training


@dataclass(frozen=True)
class Table1Row:
    """A row of Table 1: FID and IS on Kinetics-600 by the I3D of Kinetics-600 (lower FID and higher IS are better)."""

    num_frames: int
    resolution: int
    fid: float
    inception_score: float
    fid_truncated: float  # at the truncation with the best Inception Score
    inception_score_truncated: float


# By experiment. The columns come out of order in text copies of the paper; appendix D ("110.05 ... twice normal" for
# 12 frames of 64x64) confirms this one.
TABLE_1 = {
    "kinetics600_64x64_12f": Table1Row(12, 64, 0.85, 53.81, 7.13, 187.23),
    "kinetics600_128x128_12f": Table1Row(12, 128, 1.16, 77.45, 13.04, 246.18),
    "kinetics600_256x256_12f": Table1Row(12, 256, 2.05, 62.78, 10.17, 162.44),
    "kinetics600_64x64_48f": Table1Row(48, 64, 13.75, 104.09, 47.86, 264.12),
    "kinetics600_128x128_48f": Table1Row(48, 128, 28.44, 81.41, 45.79, 188.32),
}

# Table 2: Inception Score on UCF-101 by C3D, with its deviation.
TABLE_2 = {
    "VGAN": (8.31, 0.09),
    "TGAN": (11.85, 0.07),
    "MoCoGAN": (12.42, 0.03),
    "ProgressiveVGAN": (14.56, 0.05),
    "TGANv2": (24.34, 0.35),
    "DVD-GAN": (32.97, 1.7),
}

# Table 3: FVD on BAIR, 1 -> 15 frames, with its deviation where there is one.
TABLE_3 = {
    "SVP-FP": (315.5, None),
    "CDNA": (296.5, None),
    "SV2P": (262.5, None),
    "SAVP": (116.4, None),
    "DVD-GAN-FP": (109.8, None),
    "Video Transformer": (94.0, 2.0),
}

# Table 4: FVD on Kinetics-600, 16 frames of 64x64, (training, test), each with its deviation.
TABLE_4 = {
    "Video Transformer": (None, (170.0, 5.0)),
    "DVD-GAN-FP": ((68.66, 0.78), (69.15, 1.16)),
    "DVD-GAN": ((32.3, 0.82), (31.1, 0.56)),
}


# Where it is silent or ambiguous: what was chosen, why, and what else it could mean.
ASSUMPTIONS = model.ASSUMPTIONS + training.ASSUMPTIONS + data.ASSUMPTIONS + measuring.ASSUMPTIONS
