"""Real UCF-101, Kinetics-600 and BAIR clips, laid out as the data sets come, from raw files to a training step.

And through the notebooks at the paper's preset, with a model small enough to train here.
"""

import copy
import dataclasses
import json
import shutil
import sys
from pathlib import Path

import jax
import jupytext
import numpy as np
import pytest
from matplotlib import pyplot as plt

from dvdgan_lib import (
    claims,
    compared_judges,
    data,
    evaluation,
    evaluation_records,
    experiments,
    metrics,
    paper,
    trained_judges,
    trained_models,
    training,
    training_data,
    updates,
    verdicts,
)
from dvdgan_lib.data import preparation, raw_splits
from dvdgan_lib.data.video import crop_square, read_frames, window_start
from dvdgan_lib.metrics import i3d_features

ROOT = Path(__file__).resolve().parents[1]
real_statistics = sys.modules["dvdgan_lib.metrics.real_statistics"]  # the package's name is the function's
SHARED = ROOT.parent / "shared" / "clips"
sys.path.insert(0, str(Path(__file__).parent / "data"))

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """{name: (raw splits, prepared folder)} of the three."""
    root = tmp_path_factory.mktemp("real")
    ucf = root / "UCF-101"
    for file in (SHARED / "ucf101").glob("*.avi"):
        place = ucf / file.stem.split("_")[1]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)

    videos, lists = root / "kinetics", root / "lists"
    lists.mkdir()
    official = (SHARED / "labels" / "kinetics-600_val.csv").read_text().splitlines()
    rows = {id_: next(line for line in official if f",{id_}," in line) for id_ in ("R6llTwEh07w", "SOX5yA1l24A")}
    for id_, row in rows.items():  # as the Common Visual Data Foundation names them, in class folders
        label, _, start, stop, *_ = row.split(",")
        place = videos / "val" / label / f"{id_}_{int(start):06}_{int(stop):06}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHARED / "kinetics" / f"{id_}.mp4", place)
    (videos / "train").mkdir()
    shutil.copy(SHARED / "kinetics" / "mmaction2_demo.mp4", videos / "train" / "AAAAAAAAAAA.mp4")
    shutil.copy(SHARED / "kinetics" / "flipping_a_pancake.mkv", videos / "train" / "BBBBBBBBBBB.mkv")
    classes = (SHARED / "labels" / "label_map_600.txt").read_text().splitlines()
    made = [f"{name},{i:011},0,10,train" for i, name in enumerate(classes)]  # every class has rows; few have files
    made += ["arm wrestling,AAAAAAAAAAA,10,20,train", "flipping pancake,BBBBBBBBBBB,0,10,train"]
    (lists / "train.csv").write_text("\n".join([official[0], *made]) + "\n")
    (lists / "val.csv").write_text("\n".join([official[0], *rows.values()]) + "\n")

    from test_bair import framed, sequence_example

    files = sorted((SHARED / "bair").glob("*.npy"))
    for split, share in (("train", files[:2]), ("test", files[2:])):
        place = root / "bair" / "softmotion30_44k" / split / f"traj_0_to_{len(share) - 1}.tfrecords"
        place.parent.mkdir(parents=True)
        place.write_bytes(framed(*(sequence_example(np.load(file)) for file in share)))

    found = {}
    for name, arguments, settings in (
        ("ucf101", (ucf, SHARED / "labels" / "ucf101_splits"), {}),
        ("kinetics600", (videos, lists), {"short_side": 64}),
        ("bair", (root / "bair",), {}),
    ):
        splits = raw_splits.find(name, *arguments)
        preparation.prepare(splits, root / "data" / name, shard_videos=2, **settings)
        found[name] = splits, root / "data" / name
    return found


def load(prepared, name, split, num_frames, resolution, stride=1):
    return data.load(
        name, split, num_frames=num_frames, resolution=resolution, stride=stride, data_dir=str(prepared[name][1])
    )


def direct(video, num_frames, resolution, stride, rng):
    """The clip by appendix B.1 from all frames of the raw file."""
    frames = read_frames(video.path, resolution)
    start = window_start(len(frames), num_frames, stride, rng)
    return crop_square(frames[start::stride][:num_frames], rng)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_ucf101_clips_are_those_of_the_files(prepared, seed):
    splits, _ = prepared["ucf101"]
    for split, count in (("train", 1), ("test", 3)):
        source = load(prepared, "ucf101", split, 16, 128)
        assert len(source) == count
        assert len(source.class_names) == 101
        for i, video in enumerate(splits[split].videos):
            rngs = [None, None] if seed is None else [np.random.default_rng(seed), np.random.default_rng(seed)]
            example = source.example(i, rngs[0])
            np.testing.assert_array_equal(example["video"], direct(video, 16, 128, 1, rngs[1]))
            assert source.class_names[example["label"]] in video.path.name


def test_kinetics_clips_are_those_of_the_files_but_for_the_encoding(prepared):
    splits, _ = prepared["kinetics600"]
    assert {split: [raw.class_names[v.label] for v in raw.videos] for split, raw in splits.items()} == {
        "train": ["arm wrestling", "flipping pancake"],
        "val": ["using segway", "using segway"],
    }
    for split in ("train", "test"):  # there is no "test": "val" takes its place
        source = load(prepared, "kinetics600", split, 12, 64, stride=2)
        assert len(source) == 2
        for i, video in enumerate(splits["val" if split == "test" else split].videos):
            clip = source.example(i, np.random.default_rng(i))["video"].astype(float)
            wanted = direct(video, 12, 64, 2, np.random.default_rng(i))
            assert 10 * np.log10(255**2 / np.mean((clip - wanted) ** 2)) > 34


def test_bair_clips_are_those_of_the_records(prepared):
    files = sorted((SHARED / "bair").glob("*.npy"))
    source = load(prepared, "bair", "train", 30, 64)
    for i, file in enumerate(files[:2]):
        np.testing.assert_array_equal(source.example(i)["video"], np.load(file))
    window = load(prepared, "bair", "test", 16, 64).example(0, np.random.default_rng(0))["video"]
    whole = np.load(files[2])
    assert any(np.array_equal(window, whole[s : s + 16]) for s in range(15))


@pytest.mark.parametrize("name", ["ucf101", "kinetics600", "bair"])
def test_a_training_step_on_each(prepared, name, tiny, tiny_updates, tiny_state):
    m, b = tiny.model, tiny.training.batch_size
    source = load(prepared, name, "train", m.num_frames, m.resolution)
    state = tiny_state
    for batch, update in zip(data.batches(source, b, seed=0), range(2), strict=False):
        assert batch["video"].shape == (b, m.num_frames, m.resolution, m.resolution, 3)
        assert batch["video"].dtype == np.uint8
        labels = batch["label"] % m.num_classes  # the tiny model has few classes
        state, metrics = tiny_updates.update_d(state, batch["video"], labels, np.int32(update))
        assert np.isfinite(list(metrics.values())).all()
    state, metrics = tiny_updates.update_g(state)
    assert np.isfinite(metrics["g_loss"])
    before, after = jax.tree.leaves(tiny_state.g_params), jax.tree.leaves(state.g_params)
    assert any(not np.array_equal(x, y) for x, y in zip(before, after, strict=True))


def test_the_whole_data_set_as_an_experiment_reads_it(prepared, monkeypatch):
    monkeypatch.setenv("DVDGAN_DATA", str(prepared["bair"][1].parent))
    run = experiments.get("bair_fp_64x64_1to15", "paper")
    source = training_data.load_source(run)
    assert source.example(0)["video"].shape == (16, 64, 64, 3)
    run = experiments.get("kinetics600_64x64_12f", "paper")
    assert training_data.load_source(run, "test").example(0)["video"].shape == (12, 64, 64, 3)
    few = dataclasses.replace(run, data=dataclasses.replace(run.data, clips_per_class=1))
    assert len(training_data.load_source(few, "test")) == 2  # tests stay whole


# --- The notebooks at the paper's preset ---


def run_notebook(name, **parameters):
    """The cells of a notebook, one after the other in this process, where a preset can be made small; its variables."""
    variables = {"__name__": "__main__"}
    for cell in jupytext.read(ROOT / "notebooks" / f"{name}.py").cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, name, "exec"), variables)
            if "parameters" in cell.metadata.get("tags", ()):
                assert parameters.keys() <= variables.keys()
                variables.update(parameters)
    plt.close("all")  # a kernel's end would
    return variables


@pytest.fixture(scope="module")
def paper_runs(prepared, tmp_path_factory):
    """A function that trains a run at the paper's preset by 03_train, two steps, and gives its workdir.

    The model makes 9 frames (I3D takes no fewer) of 8x8 with ch = 1 and k = 2, compiled with little effort; a batch is
    two clips, a measurement two. Table 1's first run and those that are compared measure themselves at the last step. All
    else, such as data sets, strides, classes, frames that are given and learning rates, is the paper's. Runs whose models
    are alike share compiled updates. Other seeds: "phi_pool2-seed1".
    """
    whole = experiments._SIZES["paper"]
    compiled = {}

    def small(run):
        parts = whole(run)
        frames = 9 - parts["model"].conditioning_frames
        sizes = {"resolution": 8, "num_frames": frames, "ch": 1, "k": 2, "latent_dim": 8, "embedding_dim": 5}
        few = {"steps": 2, "batch_size": 2, "ema_start": 1, "log_every": 1}
        if parts["training"].evaluate_every and (run.resolution, run.num_frames) == (64, 12):  # seconds each
            few |= {"evaluate_every": 2, "evaluate_clips": 2}
        return parts | {
            "model": dataclasses.replace(parts["model"], **sizes),
            "training": dataclasses.replace(parts["training"], **few),
            "evaluation": dataclasses.replace(parts["evaluation"], num_clips=2, standing_batches=1, batch_size=2),
        }

    def updates_of(experiment):
        if experiment.model not in compiled:
            return compiled.setdefault(experiment.model, updates.Updates(experiment))
        alike = copy.copy(compiled[experiment.model])
        alike.experiment, alike.keep_traces = experiment, lambda: None
        return alike

    workdir = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setitem(experiments._SIZES, "paper", small)
        patch.setattr(updates, "compiler_options", lambda experiment: {"xla_backend_optimization_level": 0})
        patch.setattr(training, "Updates", updates_of)
        patch.setenv("DVDGAN_DATA", str(prepared["bair"][1].parent))

        def trained(*names):
            for name in names:
                if not (workdir / "paper" / name / "model.safetensors").exists():
                    experiment, _, seed = name.partition("-seed")
                    chosen = {"preset": "paper", "experiment": experiment, "seed": int(seed or 0)}
                    run_notebook("03_train", workdir=str(workdir), allow_cpu=True, **chosen)
            return {"preset": "paper", "workdir": str(workdir), "figures_dir": str(workdir / "figures")}

        yield trained


def artefact(parameters, name):
    folder = Path(parameters["figures_dir"])
    assert (folder / f"{name}.png").stat().st_size > 5000
    record = json.loads((folder / f"{name}.json").read_text())
    assert record["parameters"]["preset"] == "paper"
    assert "stand-in for Kinetics" not in record["caption"]
    assert all(model["steps"] == 2 and "stand-in" not in model["data"] for model in record["models"])
    return record


def test_data_preparation(paper_runs, prepared, tmp_path):
    videos = prepared["ucf101"][0]["train"].videos
    variables = run_notebook(
        "01_data_prep",
        preset="paper",
        experiment="ucf101_128x128_16f",
        raw_dir=str(Path(videos[0].path).parents[1]),
        lists_dir=str(SHARED / "labels" / "ucf101_splits"),
        data_dir=str(tmp_path / "ucf101"),
    )
    assert len(variables["sources"]["train"]) == len(videos)


@pytest.fixture
def kinetics_600_network(monkeypatch):
    """I3D-K600 as if its weights had been fetched: I3D-K400's, with half of its classes once more."""
    installed = i3d_features.load_params

    def load_params(network, weights=None):
        params = installed("I3D-K400", weights)
        if network == "I3D-K600":
            kernel, bias = params["Logits"]
            params = params | {"Logits": (np.tile(kernel, 2)[:, :600], np.tile(bias, 2)[:600])}
        return params

    monkeypatch.setattr(i3d_features, "load_params", load_params)
    monkeypatch.setattr(i3d_features, "weights_variant", lambda network, weights=None: "")
    monkeypatch.setattr(i3d_features, "weights_sha256", lambda network, path=None: network)
    monkeypatch.setattr(real_statistics, "weights_variant", lambda network, weights=None: "")
    monkeypatch.setattr(evaluation, "default_path", lambda network: network)


def test_synthesis(paper_runs):
    settings = paper_runs("kinetics600_64x64_12f")
    run_notebook("06_synthesis", artefacts="table_1,figure_04,figure_10", **settings)
    record = artefact(settings, "table_1")
    assert record["metric_network"] == "I3D-K400"
    assert "not comparable" in record["caption"]
    assert "kinetics600_64x64_12f --preset paper" in record["models"][0]["command"]
    artefact(settings, "figure_04")
    artefact(settings, "figure_10")


def test_figures_of_other_sizes(paper_runs):
    """Figures 1, 2, 5 and 11 to 14: of all rows of Table 1, the first of which ended in its best model."""
    rows = [name for name in paper.TABLE_1 if name != "kinetics600_64x64_12f"]
    settings = paper_runs("kinetics600_64x64_12f", *rows)
    figures = {
        "figure_01": ("kinetics600_256x256_12f", "kinetics600_128x128_12f", "kinetics600_64x64_12f"),
        "figure_02": ("kinetics600_64x64_12f",),
        "figure_05": ("kinetics600_64x64_48f",),
        "figure_11": ("kinetics600_64x64_48f",),
        "figure_12": ("kinetics600_128x128_12f",),
        "figure_13": ("kinetics600_128x128_48f",),
        "figure_14": ("kinetics600_256x256_12f",),
    }
    run_notebook("06_synthesis", artefacts=",".join(figures), **settings)
    for name, runs in figures.items():
        record = artefact(settings, name)
        assert [model["command"].split()[3] for model in record["models"]] == list(runs)
        assert "preset paper: 9 frames of 8x8, 2 steps; trained on Kinetics-600 train" in record["caption"]
    assert "I3D-K400" in artefact(settings, "figure_02")["models"][0]["fid_of"]
    assert "'cutting watermelon' (chosen)" in artefact(settings, "figure_05")["caption"]


def test_metrics(paper_runs):
    """Of a row of Table 1 that nothing else measures, beside held-out clips."""
    settings = paper_runs("kinetics600_128x128_12f")
    del settings["figures_dir"]
    run_notebook("04_metrics", experiment="kinetics600_128x128_12f", baselines="held_out", **settings)
    record = json.loads((Path(settings["workdir"]) / "paper" / "kinetics600_128x128_12f" / "evaluation.json").read_text())
    assert (record["preset"], record["num_clips"], record["model"]["steps"]) == ("paper", 2, 2)
    assert record["data"].startswith("Kinetics-600 train")
    for group in ("samples", "held_out"):
        assert record[group]["fid"]["name"] == "FID (I3D-K400 avgpool)"
        assert np.isfinite([result["value"] for result in record[group].values()]).all()
    assert "class_accuracy" not in record["samples"], "a stand-in's classifier has nothing to say"


def test_the_papers_columns_are_filled_by_the_papers_network(paper_runs, kinetics_600_network, monkeypatch):
    """Table 1's FID and IS, with and without truncation, as soon as I3D-K600's weights are there."""
    settings = paper_runs("kinetics600_64x64_12f")
    row = dataclasses.replace(paper.TABLE_1["kinetics600_64x64_12f"], num_frames=9, resolution=8)
    monkeypatch.setitem(paper.TABLE_1, "kinetics600_64x64_12f", row)  # the test's own size is the paper's
    run_notebook("07_truncation", sigmas="0.5,1", again=True, **settings)
    record = artefact(settings, "truncation")
    assert record["metric_network"] == record["measured"]["network"] == "I3D-K600"
    assert record["measured"]["num_real"] == 2  # all training clips there are
    (Path(settings["workdir"]) / "paper" / "kinetics600_64x64_12f" / "evaluation.json").unlink(missing_ok=True)
    run_notebook("06_synthesis", artefacts="table_1", **settings)
    measured = artefact(settings, "table_1")["measured"]["kinetics600_64x64_12f"]["paper"]
    assert measured["fid"]["num_real"] == 2
    assert measured["fid"]["name"] == "FID (I3D-K600 avgpool)"
    _, _, _, ours, truncated, *_ = (Path(settings["figures_dir"]) / "table_1.md").read_text().splitlines()
    assert [cell.strip() for cell in ours.split("|")][4:6] == [
        f"{measured['fid']['value']:.2f} / {measured['inception_score']['value']:.2f}",
        "",
    ]
    best = record["measured"]["best"]
    point = next(point for point in record["measured"]["points"] if point["sigma"] == best)
    assert [cell.strip() for cell in truncated.split("|")][4:7] == [
        "",
        f"{point['fid']['value']:.2f} / {point['inception_score']['value']:.2f}",
        "",
    ]


def test_interpolation(paper_runs):
    settings = paper_runs("kinetics600_64x64_12f")
    run_notebook("11_interpolation", walks=2, columns=3, **settings)
    artefact(settings, "figure_15")
    artefact(settings, "figure_16")


def test_ucf101(paper_runs):
    settings = paper_runs("ucf101_128x128_16f")
    run_notebook("08_ucf101", artefacts="figure_09", columns=3, **settings)
    assert "UCF-101" in artefact(settings, "figure_09")["data"]


def test_memorization(paper_runs):
    settings = paper_runs(*experiments.MEMORIZATION)
    run_notebook("08_ucf101", artefacts="memorization", **settings)
    record = artefact(settings, "memorization")
    assert [model["command"].split()[3] for model in record["models"]] == list(experiments.MEMORIZATION)
    assert [found["clips"] for found in record["measured"]] == ["2 clips", "2 clips", "all clips"]
    assert all(len(found["ratios"]) == 128 and len(found["abruptness"]) == 16 for found in record["measured"])
    assert "Kinetics-600 train" in record["data"]


def test_table_2_and_its_ranking(paper_runs, monkeypatch):
    """C3D's score, measured once (here made up: its 39,936 clips take an accelerator), is in the table and in the ledger."""
    settings = paper_runs("ucf101_128x128_16f")
    score = metrics.C3DInceptionScoreResult("IS (C3D)", (20.0, 22.0), (9984, 9984), (16, 8, 8), "C3D", "tgan")
    asked = []
    monkeypatch.setattr(metrics, "c3d_inception_score", lambda draws, protocol: asked.append(protocol) or score)
    for _ in range(2):
        variables = run_notebook("08_ucf101", artefacts="table_2", **settings)
    assert asked == ["tgan"], "the second time it is read"
    measured = artefact(settings, "table_2")["measured"]["ours: DVD-GAN"]
    assert (measured["score"], measured["clips"]) == (21.0, 2 * 9984)
    assert "| 21.00 +- 1.00 |" in (Path(settings["figures_dir"]) / "table_2.md").read_text()
    folders = trained_models.record_folders(variables["generator"], settings["workdir"])
    record = evaluation_records.find_record("inception_score", variables["generator"], folders)
    judged = trained_judges.beats_published_models(
        verdicts.Evidence(None, {("ucf101_128x128_16f", "inception_score"): record})
    )
    assert judged.verdict == verdicts.CONTRADICTED
    assert "TGANv2's, as published: 24.34" in judged.measured


def test_prediction(paper_runs):
    settings = paper_runs("bair_fp_64x64_1to15")
    run_notebook("09_prediction", artefacts="table_3,prediction", num_clips=2, **settings)
    assert "BAIR" in artefact(settings, "table_3")["data"]
    artefact(settings, "prediction")


def test_table_4(paper_runs):
    settings = paper_runs("kinetics600_fp_64x64_5to11", "kinetics600_64x64_16f_stride1")
    run_notebook("09_prediction", artefacts="table_4", num_clips=2, **settings)
    both = artefact(settings, "table_4")["measured"]
    assert both["prediction"]["results"].keys() == both["synthesis"]["results"].keys() == {"train", "test"}


def curves_of(record):
    """How many curves of which experiment are drawn, each by real data's measures."""
    for group in record["curves"].values():
        for curve in group:
            assert curve["steps"] == [2]
            assert curve["values"].keys() == {"fid", "inception_score", "motion"}
            assert np.isfinite(list(curve["values"].values())).all()
            assert "--preset paper" in curve["command"]
    assert "Preset paper: 9 frames of 8x8" in record["caption"]
    assert "trained on Kinetics-600 train" in record["caption"]
    assert "by I3D-K400, 2 clips a side" in record["caption"]
    return {name: len(group) for name, group in record["curves"].items()}


def test_ablations(paper_runs):
    """Figure 6, and training without D_T, from the runs that there are: with two seeds and with one."""
    settings = paper_runs("phi_pool2", "phi_pool2-seed1", "no_dt")
    run_notebook("10_ablations", **settings)
    record = artefact(settings, "figure_06")
    assert curves_of(record) == {"phi_pool2": 2}
    assert "Fewer than 3 seeds: phi_pool2." in record["caption"]
    assert "Not trained at this size yet: phi_identity, phi_pool4, phi_crop, k_1, k_2, k_10." in record["caption"]
    assert curves_of(artefact(settings, "discriminators")) == {"phi_pool2": 2, "no_dt": 1}


def test_appendix_d(paper_runs):
    settings = paper_runs("phi_pool2", "norm_over_time")
    variables = run_notebook("12_appendix_d", **settings)
    assert curves_of(artefact(settings, "appendix_d")).keys() == {"phi_pool2", "norm_over_time"}
    for generator in variables["normed"].values():
        folders = trained_models.record_folders(generator, settings["workdir"])
        record = evaluation_records.find_record("statistics", generator, folders, seed=0)
        assert np.isfinite([record[kind]["fid"] for kind in ("standing", "batch")]).all()


def test_the_ledger(paper_runs):
    """Every claim has its verdict: by what these runs are, or that they are not there."""
    settings = paper_runs(
        *(name for name in paper.TABLE_1 if name != "kinetics600_128x128_48f"),
        *("phi_pool2", "phi_pool2-seed1", "no_dt", "norm_over_time", "clips_1", "clips_16"),
    )
    home = Path(settings["workdir"]) / "paper"
    for record, notebook, of in (  # what the ledger waits for
        (home / "clips_1/memorization.json", "08_ucf101", "memorization"),
        (home / "norm_over_time/statistics.json", "12_appendix_d", "appendix_d"),
    ):
        if not record.exists():  # the test of that notebook was not run before this one
            run_notebook(notebook, artefacts=of, **settings)
    variables = run_notebook("13_claims", **settings)
    record = artefact(settings, "claims")
    assert "stand-in" not in record["caption"]
    assert [entry["words"] for entry in record["ledger"]] == [claim.words for claim in claims.CLAIMS]
    assert all(entry["verdict"] in verdicts.VERDICTS and entry["measured"] for entry in record["ledger"])
    found = {claim.judge: finding for claim, finding in variables["ledger"]}
    for judge, what in (
        (compared_judges.motion_from_temporal, "motion phi_pool2"),  # where no classifier tells
        (trained_judges.few_clips_are_memorised, "2 clips (2 steps)"),
        (trained_judges.longer_keeps_detail, "after 2 steps"),
        (trained_judges.statistics_are_needed, "norm_over_time"),
        (trained_judges.smooth_in_latents, ""),
    ):
        assert what in found[judge].measured
        assert "paper" in found[judge].size
        assert found[judge].verdict not in (verdicts.NOT_MEASURED, verdicts.NOT_TESTABLE)
    assert found[compared_judges.needs_spatial].verdict == verdicts.NOT_MEASURED
    assert found[compared_judges.needs_spatial].measured.startswith("takes no_ds, phi_pool2, ")
    assert "Kinetics-600 train" in record["data"]


def test_reading_guide(paper_runs, capsys):
    settings = paper_runs("kinetics600_64x64_12f")
    del settings["figures_dir"]
    variables = run_notebook("00_reading_guide", **settings)
    assert len(variables["classes"]) == 600
    assert variables["videos"].shape == (8, 9, 8, 8, 3)
    assert "preset paper: 9 frames of 8x8, 2 steps; trained on Kinetics-600 train" in capsys.readouterr().out
