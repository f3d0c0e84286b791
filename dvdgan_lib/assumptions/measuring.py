"""Assumptions about what is sampled, measured and shown."""

from __future__ import annotations

from dvdgan_lib.assumptions import Assumption

ASSUMPTIONS = (
    Assumption(
        "batch statistics at sampling time",
        "not said (B.3 says only that the EMA weights are used)",
        "standing statistics of the EMA weights, per time step, averaged over batches of the training size",
        "BigGAN's; samples then don't depend on their batch",
        "moving averages gathered in training",
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
        "which step's model Tables 2, 3, 4 and Figure 9 show",
        'the best by FID in Table 1; "our best UCF-101 model" (C.1); not said otherwise',
        "the last step's (at the laptop preset Table 4's synthesis has the best of its steps by FID, and says so)",
        "lengths are said (300,000 and 1,000,000 steps), and no rule to choose by",
        "the best by FID or FVD",
    ),
    Assumption(
        "what compared runs are measured by",
        "Inception Score and FID by I3D of Kinetics-600, statistics of the entire training set (2.4)",
        "on their way, for Figure 6, section 3.1 and appendix D: I3D of Kinetics-400, 2,048 clips a side, every 5,000 steps",
        "curves of 31 runs, compared with each other only; their numbers never stand in a column of the paper's",
        "the paper's network and all training clips at every point",
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
        "layout of Figures 1, 4, 5 and 9 to 14",
        "captions only in the text",
        "Figure 1: six frames of the sample with most motion of 64, at each resolution, without those that change more than "
        "any of 64 real clips; Figure 4: 4 rows of 15; Figure 5: 6 rows of 8; Figure 9: ten columns; Figures 10 to 14: 8 "
        "rows of 8, white gaps",
        "the captions' numbers; the rest fits a page. What changes more than any real clip flickers, and that is no motion",
        "any other; Figure 1 by eye",
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
)
