"""Assumptions about how they are trained."""

from __future__ import annotations

from dvdgan_lib.assumptions import Assumption

ASSUMPTIONS = (
    Assumption(
        "the objective of two discriminators",
        '"the hinge formulation of the objective" for one D (2.2)',
        "a hinge for D_S and one for D_T, the losses summed with equal weights",
        "each has scores of its own, and either alone is then the same objective (`no_ds`, `no_dt`)",
        "one hinge of the sum of both scores",
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
        "which clips D's two updates of a step see",
        '"The dual discriminator D is updated twice for every update of G" (B.3)',
        "consecutive batches of the same streams, so that an epoch passes after half as many steps",
        "as in BigGAN; other data each time",
        "the same batch twice",
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
        "statistics over replicas",
        "not said",
        "over the whole batch of all replicas",
        "BigGAN's cross-replica batch norm",
        "per replica",
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
        "length of the runs without a discriminator, of few clips and of appendix D",
        "100,000 steps for Figure 6 (4.3); not said elsewhere (3.1, C.1, D)",
        "100,000 steps",
        "they are compared with a run of Figure 6, `phi_pool2`",
        "300,000, as the models of Table 1",
    ),
)
