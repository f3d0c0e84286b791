"""Assumptions about G, D_S and D_T, and the variants of appendices A, B.4 and D."""

from __future__ import annotations

from dvdgan_lib.assumptions import Assumption

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
        "the class embedding's start",
        '"a learned linear embedding e(y)" (B.2); "orthogonal initialization" (B.3)',
        "orthogonal, in G and in D's projection",
        "all weight layers alike",
        "normal",
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
        "BigGAN's self-attention",
        '"The rest of the architecture follows BigGAN" (B.2), whose G and D have an attention layer; the abandoned first '
        "version's was separable (A)",
        "none, in G, D_S and D_T; `ModelConfig.attention` adds one",
        "Figures 3, 7 and 8 show none",
        "one in D_S, as in BigGAN's D",
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
)
