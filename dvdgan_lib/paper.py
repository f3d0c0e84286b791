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
        "256: G [8, 8, 8, 8, 4, 2, 1], D [1, 2, 4, 8, 8, 16, 16]; 32 and 16 drop the widest entries; 8: [8, 4], [2, 4]",
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
        '"accumulated with decay [...] 0.9999 starting after 20,000 training steps" (B.3)',
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
        "layout of Figures 1, 4, 5 and 9 to 14",
        "captions only in the text",
        "Figure 1: six frames of the sample with most motion of 64, at each resolution; Figure 4: 4 rows of 15; Figure 5: 6 "
        "rows of 8; Figure 9: ten columns; Figures 10 to 14: 8 rows of 8, white gaps",
        "the captions' numbers; the rest fits a page",
        "any other",
    ),
    Assumption(
        "the samples of Figure 2",
        '"Generated video samples with interesting behavior" (Figure 2), chosen by eye',
        "of a random batch of 256 the highest by each of four rules: motion, growth, change that stays, cut and return",
        "a rule can be repeated, and says how far its pick stands out",
        "picks by eye",
    ),
    Assumption(
        "layout of Figures 15 and 16",
        '"at all six timesteps displayed here" (E.2); the number of columns is not in the text',
        "six frames evenly over the clip, nine columns",
        "the caption's number; an odd number of columns shows the middle of the walk",
        "any other",
    ),
    Assumption(
        "grid of the truncation curve",
        '"varying the standard deviation of the latent vectors between 0 and 1" (4.1.1)',
        "0.1 to 1 in steps of 0.1 (shipped for the laptop preset: 0.1, 0.25, 0.5, 0.75, 1); the same latents and classes at "
        "each, only scaled; standing statistics of each sigma",
        "ten points show the curve's shape",
        "a finer grid, as its best IS is at most higher",
    ),
    Assumption(
        "frames that FVD of predictions is taken over",
        '"FVD scores on Video Prediction for 16 frames" (Table 4), "exactly as Unterthiner et al. (2018)" (4.2)',
        "all 16, the given ones included",
        "plain reading of 16 frames: 5 given and 11 made, or 1 and 15",
        "the made ones only (Table 4 here has both)",
    ),
    Assumption(
        "number of clips of Table 4",
        "not said (4.2.1); 256 for BAIR, the whole of its test split (4.2.2)",
        "256 of each split (`num_clips` of notebook 09 to choose)",
        "one protocol for both tables of prediction",
        "as many as for Table 1: FVD is biased upwards by few",
    ),
    Assumption(
        "given and real clips of Table 4",
        "not said (4.2.1)",
        "given frames of the real clips themselves; drawn apart and with replacement as an option (`PredictionProtocol`)",
        "the plain reading; Ho et al. (2022) report that the paper's authors drew with replacement",
        "with replacement and another seed for the real clips",
    ),
    Assumption(
        "DVD-GAN-FP: which features go to the 4x4 ConvGRU",
        "D_S's blocks end at 32, 16, 8, 4 and 4 pixels for 64x64, the ConvGRUs sit at 4, 8, 16 and 32 (B.4)",
        "the last block's; the first 4x4 output is used on the way to it only",
        '"the smallest features ... (which have been through the most layers) are input earliest in G"',
        "the first 4x4 output, or both",
    ),
    Assumption(
        "DVD-GAN-FP: the encoder's weights",
        '"a deep residual network identical to D_S" (B.4)',
        "weights of its own, spectral norm, learned and averaged with G's; no score at its end",
        "G must not depend on D, which is thrown away after training",
        "shared with D_S",
    ),
    Assumption(
        "DVD-GAN-FP: what G predicts from in its own update",
        "not said",
        "the clips of D's last update in the same step",
        "no third batch to load",
        "another batch",
    ),
    Assumption(
        "DVD-GAN-FP: noise and class",
        '"setting the class id of all samples to 0" (B.4)',
        "[z; e(0)] enters as in synthesis: one embedding that is learned, z drawn as ever",
        "plain reading; z is what makes futures differ",
        "no latent",
    ),
    Assumption(
        "windows of the random crop phi",
        '"a random half-sized crop" (4.3)',
        "one window a video, the same over its frames, drawn anew for every video and update, for real and fake alike",
        "a window that moved would look like motion",
        "a window a batch",
    ),
    Assumption(
        "D_T at phi = identity and 4x4 pooling",
        "not said (4.3)",
        "the same blocks; a frame that is a single pixel already is not halved again",
        "one list of widths for all four",
        "as many halvings as reach 4x4",
    ),
    Assumption(
        "norms without batch statistics",
        "group, layer, instance and no norm, without details (D)",
        "of each frame by itself; groups: 32, or as many as leave two channels each; the conditional affine map stays",
        "information then passes between frames in the ConvGRUs only, as with the paper's batch norm",
        "statistics over all frames",
    ),
    Assumption(
        "`no_block_norm`",
        '"removing the Batch Normalization layers within G\'s residual blocks" (D)',
        "the normalisation goes, the class-conditional gain and bias stay",
        "the class would reach G at its input only",
        "both go",
    ),
    Assumption(
        "BigGAN-deep blocks in G and D",
        '"the residual blocks of BigGAN-deep" (D)',
        "bottlenecks of a quarter; G drops channels in shortcuts, D adds them by a 1x1 convolution; as many blocks; "
        "no convolution before D's first block; in D_T's first two all convolutions 3-D, the 1x1x1 too",
        "BigGAN-deep's blocks at the places of BigGAN's",
        "BigGAN-deep's depth, with two blocks a resolution in D",
    ),
    Assumption(
        "attention: where and how",
        "the module alone, for a model that doesn't contain it (A)",
        "x + gain * attention(x), the gain from 0; at one resolution of G, D_S and D_T, the last only where phi leaves it "
        "frames larger than that; single frames not over time; no 1/sqrt(C), as printed",
        "SAGAN's and BigGAN's way to add it",
        "in place of the features, as the pseudocode alone would",
    ),
    Assumption(
        "the class embedding's start",
        '"a learned linear embedding e(y)" (B.2); "orthogonal initialization" (B.3)',
        "orthogonal, in G and in D's projection",
        "all weight layers alike",
        "normal",
    ),
    Assumption(
        "UCF-101's training videos",
        '"a smaller dataset of 13,320 videos" (4.1.2), no split named',
        "split 1's training list",
        "the study of memorisation needs videos that were not trained on (C.1)",
        "all 13,320, or another split",
    ),
    Assumption(
        "order of classes",
        "not said",
        "UCF-101's classInd.txt; Kinetics' names sorted; both from 0",
        "the official order, and that of I3D's logits",
        "any other: only names matter",
    ),
    Assumption(
        "pruned and doubled videos of Kinetics",
        '"Kinetics is occasionally pruned and so we cannot give an exact size" (2.3)',
        "what the lists name and the disk has; of a clip with two labels the first row",
        "no other way",
        "a fixed list of survivors",
    ),
    Assumption(
        "where a Kinetics clip begins and ends",
        '"10-second high-resolution YouTube clips" (2.3)',
        "the row's seconds of a longer video; a file up to 2 seconds too long is the clip itself",
        "videos cut without encoding again run on to the next key frame",
        "cut exactly",
    ),
    Assumption(
        "stride of UCF-101 and BAIR",
        "every other frame for Kinetics-600, none skipped for its prediction (2.3, 4.2.1); nothing for UCF-101 and BAIR",
        "1",
        "16 frames without skipping are what C3D sees, and what TGAN and its followers generate; BAIR's clips are too short "
        "for 16 at stride 2",
        "2",
    ),
    Assumption(
        "videos shorter than a clip",
        '"All three datasets contain videos with more frames than we generate" (B.1)',
        "left out, and counted in the data set's description",
        "the sentence holds but for damaged copies, and for Kinetics' shortest at stride 2",
        "repeat the last frame",
    ),
    Assumption(
        "clips for measurements",
        "random crops and sequences are said for training (B.1)",
        "the middle window and the middle crop of each video, of training (Table 1, Table 4's first column) or of test",
        "the same clips each time",
        "random ones, drawn once",
    ),
    Assumption(
        "frame rates",
        "not said",
        "as they are: a clip's duration is its frames over its own video's rate",
        "plain reading of frames and strides",
        "resample all to 25 frames a second",
    ),
    Assumption(
        "how Kinetics-600 is stored",
        "not said",
        "the ten seconds encoded again at a short side of 128 pixels (to choose), H.264 4:4:4, CRF 14",
        "sizes that a lab can keep and decode; about 40 dB from the direct path at 64x64 (notebooks/01_data_prep)",
        "the uploaded files, three times as large and slower to decode",
    ),
    Assumption(
        "pixel aspect ratio",
        "not said",
        "stored pixels",
        "anamorphic flags are seldom right in what users uploaded",
        "scaled by the flag",
    ),
    Assumption(
        "what a model replica is",
        '"we randomly shuffle the training set for each model replica independently" (B.1)',
        "one device, that is one TPU core, whose share of a batch comes from an order of its own; a run keeps the number "
        "that it began with",
        "data parallel training keeps a copy of the weights on each core",
        "a host with its eight cores, or one order for all (`shuffling = disjoint`)",
    ),
    Assumption(
        "windows and crops of a model replica",
        "not said (B.1)",
        "its own: two replicas that meet the same video seldom cut the same clip from it",
        "independent shuffling is then that of everything random about the data",
        "drawn once for each video and epoch",
    ),
    Assumption(
        "the objective of two discriminators",
        '"the hinge formulation of the objective" for one D (2.2)',
        "a hinge for D_S and one for D_T, the losses summed with equal weights",
        "each has scores of its own, and either alone is then the same objective (`no_ds`, `no_dt`)",
        "one hinge of the sum of both scores",
    ),
    Assumption(
        "how many samples Table 1 measures",
        'not said; the real side is "the entire training set" (2.4)',
        "50,000",
        "the usual number; at fewer FID is biased upwards",
        "10,000, or as many as there are training clips",
    ),
    Assumption(
        "what the best FID is chosen by",
        '"the scores of the model taken at the point in training when the best FID was attained" (Table 1)',
        "FID by I3D of Kinetics-400 on 2,048 clips, every 5,000 steps; the chosen model is then measured as Table 1 says",
        "it ranks steps of one run; I3D-K600 with statistics of all training clips might cost as much as the training",
        "the table's own FID at every point",
    ),
    Assumption(
        "which clips D's two updates of a step see",
        '"The dual discriminator D is updated twice for every update of G" (B.3)',
        "consecutive batches of the same streams, so that an epoch passes after half as many steps",
        "as in BigGAN; other data each time",
        "the same batch twice",
    ),
    Assumption(
        "what compared runs are measured by",
        "Inception Score and FID by I3D of Kinetics-600, statistics of the entire training set (2.4)",
        "on their way, for Figure 6, section 3.1 and appendix D: I3D of Kinetics-400, 2,048 clips a side, every 5,000 steps",
        "curves of 31 runs, compared with each other only; their numbers never stand in a column of the paper's",
        "the paper's network and all training clips at every point",
    ),
    Assumption(
        "length of the runs without a discriminator, of few clips and of appendix D",
        "100,000 steps for Figure 6 (4.3); not said elsewhere (3.1, C.1, D)",
        "100,000 steps",
        "they are compared with a run of Figure 6, `phi_pool2`",
        "300,000, as the models of Table 1",
    ),
    Assumption(
        "which step's model Tables 2, 3, 4 and Figure 9 show",
        'the best by FID in Table 1; "our best UCF-101 model" (C.1); not said otherwise',
        "the last step's (at the laptop preset Table 4's synthesis has the best of its steps by FID, and says so)",
        "lengths are said (300,000 and 1,000,000 steps), and no rule to choose by",
        "the best by FID or FVD",
    ),
    Assumption(
        "the number behind +- in Tables 2, 3 and 4",
        "IS 32.97 +- 1.7, FVD 69.15 +- 1.16; what varies is not said",
        "Table 2: the standard deviation over four draws of samples, as TGAN's protocol has it; Tables 3 and 4: one draw, "
        "no deviation",
        '"the Chainer [...] implementation of Inception Score for C3D" (footnote 5) is TGAN\'s, with such a deviation',
        "several draws of samples, or several trainings",
    ),
    Assumption(
        "Kinetics-600's test set",
        '"Test Set FVD" (Table 4)',
        "the test list where one is given, else the validation list's clips; the caption names the split's clips",
        "test clips are the ones that seldom survive with their labels",
        "no number without test clips",
    ),
    Assumption(
        "BigGAN's self-attention",
        '"The rest of the architecture follows BigGAN" (B.2), whose G and D have an attention layer; the abandoned first '
        "version's was separable (A)",
        "none, in G, D_S and D_T; `ModelConfig.attention` adds one",
        "Figures 3, 7 and 8 show none",
        "one in D_S, as in BigGAN's D",
    ),
)
