"""The paper as data: its reported numbers, and the choices it leaves open.

Clark, Donahue, Simonyan: Adversarial Video Generation on Complex Datasets, 2019 (its second version).
"""

from __future__ import annotations

from dataclasses import dataclass


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

# Table 3: FVD on BAIR, 1 -> 15 frames.
TABLE_3 = {
    "SVP-FP": 315.5,
    "CDNA": 296.5,
    "SV2P": 262.5,
    "SAVP": 116.4,
    "DVD-GAN-FP": 109.8,
    "Video Transformer": 94.0,
}

# Table 4: FVD on Kinetics-600, 16 frames of 64x64, (training, test), each with its deviation.
TABLE_4 = {
    "Video Transformer": (None, (170.0, 5.0)),
    "DVD-GAN-FP": ((68.66, 0.78), (69.15, 1.16)),
    "DVD-GAN": ((32.3, 0.82), (31.1, 0.56)),
}


@dataclass(frozen=True)
class Assumption:
    """A place where the paper is silent or ambiguous."""

    topic: str
    paper: str  # its words, or that there are none
    choice: str
    reason: str
    alternative: str


ASSUMPTIONS = (
    Assumption(
        "widths at other resolutions",
        "lists for 64x64 and 128x128 (B.2)",
        "256: G [8, 8, 8, 8, 4, 2, 1], D [1, 2, 4, 8, 8, 16, 16]; 32 and 16 drop the lists' widest entries",
        "continues the printed lists in the manner of BigGAN",
        "any other list",
    ),
    Assumption(
        "where G's width changes",
        '"the width of the i-th layer is given by the product of ch and the i-th constant" (B.2)',
        "the first of a resolution's two blocks; its ConvGRU is as wide as its input",
        "a resolution's two blocks then have one width, and the wider convolutions stay at the lower resolution",
        "the upsampling block, as in BigGAN-deep",
    ),
    Assumption(
        "h_0 in synthesis",
        "not said (B.2)",
        "zeros",
        "usual for GRUs",
        "a learned state",
    ),
    Assumption(
        "the final norm of G",
        '"the final Batch Normalization in G" (D)',
        "an unconditional gain and bias",
        "BigGAN's output layer",
        "class-conditional like the others",
    ),
    Assumption(
        "gain of the conditional norms",
        '"each parameter is a function of the noise vector and class conditioning" (B.3)',
        "1 + W [z; e(y)], bias W' [z; e(y)], both without offsets",
        "BigGAN's form; a gain around 1 keeps the signal at the start",
        "W [z; e(y)] + b",
    ),
    Assumption(
        "epsilon of the norms",
        "not said",
        "1e-5",
        "BigGAN's",
        "1e-4",
    ),
    Assumption(
        "batch statistics at sampling time",
        "not said (B.3 says only that the EMA weights are used)",
        "standing statistics of the EMA weights, per time step, averaged over batches of the training size",
        "BigGAN's; samples then don't depend on their batch",
        "moving averages gathered in training",
    ),
    Assumption(
        "statistics over replicas",
        "not said",
        "over the whole batch of all replicas",
        "BigGAN's cross-replica batch norm",
        "per replica",
    ),
    Assumption(
        "where D_T pools in time",
        '"the first two residual blocks of D_T are 3-D, where every convolution is replaced with a 3-D convolution" (B.2)',
        "in those two blocks, by 2 each, together with space",
        "a 3-D block pools in three dimensions; longer motion comes into the view of few layers",
        "in space only",
    ),
    Assumption(
        "shortcuts of 3-D blocks",
        '"every convolution is replaced with a 3-D convolution with a kernel size of 3 x 3 x 3" (B.2)',
        "1x1x1",
        "a shortcut is there to change the width; BigGAN's is 1x1",
        "3x3x3",
    ),
    Assumption(
        "D_T's score",
        "not said; D_S's is the sum over frames (3.1)",
        "the mean over the frames that are left after pooling",
        "keeps the hinge's margin in reach at any length; the sum let D win within 400 small steps",
        "the sum",
    ),
    Assumption(
        "D_T's depth",
        '"D_T has a similar architecture" (B.2), its input is half as large',
        "the same list of blocks and halvings, so that it ends at half of D_S's size",
        "the printed width lists are common to both",
        "one halving less",
    ),
    Assumption(
        "frames of D_S",
        '"randomly sampling k full-resolution frames" (3.1)',
        "without replacement, drawn for each video by itself, real and fake",
        "plain reading",
        "the same frames for real and fake",
    ),
    Assumption(
        "spectral norm's scope",
        '"for all weight layers (approximated by the first singular value)" (B.3)',
        "every kernel of G and D, and D's class embedding; not G's",
        "BigGAN's",
        "G's embedding too",
    ),
    Assumption(
        "power iteration",
        "not said",
        "one step for each update of the network that the weight belongs to; u rests otherwise",
        "Miyato et al. (2018)",
        "also when the other network is updated",
    ),
    Assumption(
        "Adam",
        '"optimized using Adam" (B.3), learning rates only',
        "beta_1 = 0, beta_2 = 0.999, epsilon = 1e-8",
        "BigGAN's betas, Adam's epsilon",
        "BigGAN's implementations have epsilon 1e-6",
    ),
    Assumption(
        "learning step",
        '"around 300,000 learning steps" (4)',
        "one update of G with its two updates of D",
        "as in BigGAN",
        "count updates of D",
    ),
    Assumption(
        "classes of generated clips",
        "not said",
        "uniform over the classes",
        "Kinetics-600 is nearly balanced",
        "the labels of the real batch",
    ),
    Assumption(
        "EMA before its start",
        '"accumulated with decay 0.9999 starting after 20,000 training steps" (B.3)',
        "a copy of the weights",
        "as in BigGAN",
        "none",
    ),
    Assumption(
        "resize",
        '"a bilinear resize" (B.1)',
        "antialiased",
        "unaliased frames; what image libraries do by default",
        "without antialiasing, as TensorFlow 1 did",
    ),
    Assumption(
        "layout of Figures 4, 5 and 10",
        "captions only in the text",
        "Figure 4: 4 rows of 15; Figure 5: 6 rows of 8; Figure 10: 8 rows of 8, white gaps",
        "the captions' numbers; the rest fits a page",
        "any other",
    ),
)
