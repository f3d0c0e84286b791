"""`train` and its command line, with a tiny run: resuming exactly, signals, damage, and what is refused."""

import contextlib
import dataclasses
import json
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import mediapy
import numpy as np
import pytest

from dvdgan_lib import (
    best_model,
    configuration,
    data,
    devices,
    experiments,
    paper,
    run_record,
    sampling,
    trained_models,
    training,
    training_data,
)
from dvdgan_lib import metrics as metrics_lib
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.run_record import TIMES, check_configuration, record_configuration
from dvdgan_lib.trained_generator import load_generator

ROOT = Path(__file__).resolve().parents[1]
NAME = "kinetics600_64x64_12f"


def replaced(experiment, part="training", **changes):
    return dataclasses.replace(experiment, **{part: dataclasses.replace(getattr(experiment, part), **changes)})


@pytest.fixture(scope="module")
def run(tiny, compiled):
    """`train` of the tiny run, which takes the programs that this process has compiled already."""

    def train(workdir, experiment=tiny, updates=compiled, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "Updates", updates)
            return training.train(experiment, workdir, progress=False, **options)

    train.updates = compiled
    return train


@pytest.fixture(scope="module")
def straight(run, tmp_path_factory):
    """Twelve steps without a stop: the folder of the run."""
    return run(tmp_path_factory.mktemp("straight"), steps=12).parent


def metrics(folder):
    """Step -> what was logged, without the time; fails where a step is there twice."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len({line["step"] for line in lines}) == len(lines), "a step was logged twice"
    others = {"step", "sample_diversity", *TIMES}  # a sheet's number is there where there was a sheet
    return {line["step"]: {k: v for k, v in line.items() if k not in others} for line in lines}


def checkpoint_steps(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())


def assert_same_model(one, other):
    one, other = load_generator(one), load_generator(other)
    jax.tree.map(np.testing.assert_array_equal, (one.params, one.standing), (other.params, other.standing))


def test_a_run_leaves_what_it_promises(straight, tiny):
    assert straight.name == NAME
    logged = metrics(straight)
    assert list(logged) == list(range(1, 13))
    names = {"d_loss", "g_loss", "ema_distance"} | {f"{d}_{of}" for d in "dg" for of in ("gradient_norm", "singular_value")}
    names |= {f"{d}_{of}" for d in ("spatial", "temporal") for of in ("real", "fake", "accuracy")}
    assert all(values.keys() == names for values in logged.values())
    assert np.isfinite([list(values.values()) for values in logged.values()]).all()
    assert checkpoint_steps(straight) == [12]
    assert any((straight / "tensorboard").iterdir())
    sheets = sorted((straight / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["step_000004.png", "step_000008.png", "step_000012.png"]
    assert mediapy.read_image(sheets[0]).ndim == 3
    record = json.loads((straight / "experiment.json").read_text())
    assert record["experiment"]["model"]["num_frames"] == tiny.model.num_frames

    model = load_generator(straight)
    assert {"seed": 0, "steps": 12}.items() <= model.card.items()
    assert "moving shapes" in model.card["data"].lower()
    assert model.experiment == replaced(tiny, steps=12)
    videos = sampling.sample(straight, 2)
    assert videos.shape == (2, 3, 8, 8, 3)


def test_resumed_run_equals_the_straight_one(run, straight, tmp_path, caplog):
    """Weights, moments, spectral vectors, data order and draws: all come back, to the last bit."""
    run(tmp_path, steps=2)
    with caplog.at_level(logging.INFO):
        model = run(tmp_path, steps=4)
    assert "Going on from step 2" in caplog.text
    wanted = metrics(straight)
    assert metrics(model.parent) == {step: wanted[step] for step in range(1, 5)}
    whole = run(tmp_path / "whole", steps=4)
    assert_same_model(model, whole)
    assert checkpoint_steps(model.parent) == [2, 4]


def test_seeds_differ_and_have_folders_of_their_own(run, straight, tmp_path):
    other = run(tmp_path, steps=1, seed=3).parent
    assert other.name == f"{NAME}-seed3"
    assert metrics(other)[1] != metrics(straight)[1]


def test_a_finished_run_started_again_only_exports(run, tmp_path):
    model = run(tmp_path, steps=2)
    before = metrics(model.parent)
    model.unlink()
    assert run(tmp_path, steps=2) == model
    assert metrics(model.parent) == before
    assert model.exists()


def test_a_finished_run_is_left_as_it_is(run, tmp_path, monkeypatch):
    """Records are of a file's checksum: the same weights with today's commit in their card would be found in none."""
    model = run(tmp_path, steps=2)
    card = model.with_suffix(".json")
    said = json.loads(card.read_text())
    del said["config"]["training"]["export"]  # cards of runs older than that choice
    card.write_text(json.dumps(said))
    files = [model, card, model.with_name("experiment.json")]
    before = [file.read_bytes() for file in files]
    monkeypatch.setattr("dvdgan_lib.run_record.git_commit", lambda: ("another", False))
    assert run(tmp_path, steps=2) == model
    assert [file.read_bytes() for file in files] == before
    with pytest.raises(CheckpointError, match=r"has 2 steps already, more than the 1 asked for: ask for as many or more"):
        run(tmp_path, steps=1)
    assert [file.read_bytes() for file in files] == before


def test_a_finished_run_without_its_checkpoints_keeps_its_log_and_model(run, tmp_path, monkeypatch):
    """They are the most of what a run takes on a disk."""
    model = run(tmp_path, steps=2)
    shutil.rmtree(model.parent / "checkpoints")
    files = [model, model.with_name("experiment.json"), model.with_name("metrics.jsonl")]
    before = [file.read_bytes() for file in files]
    assert run(tmp_path, steps=2) == model
    for steps in (1, 3):
        with pytest.raises(
            CheckpointError, match=r"has a model of 2 steps, and no checkpoints to go on from: put them back"
        ):
            run(tmp_path, steps=steps)
    assert [file.read_bytes() for file in files] == before


def test_what_measuring_on_the_way_needs_is_missed_before_the_first_step(run, tiny, tmp_path, monkeypatch):
    measured = replaced(tiny, evaluate_every=2, evaluate_clips=4)
    with pytest.raises(configuration.UnknownExperimentError, match="I3D takes clips of at least 9 frames, and these have 3"):
        run(tmp_path, experiment=measured)

    def missing(network):
        raise metrics_lib.WeightsError(f"The weights of {network} are not there: install them.")

    monkeypatch.setattr("dvdgan_lib.metrics.i3d.load_params", missing)
    with pytest.raises(CheckpointError, match=r"measured on its way\. The weights of I3D-K400 are not there"):
        run(tmp_path, experiment=replaced(measured, "model", num_frames=9))
    assert not list(tmp_path.rglob("experiment.json")), "nothing is begun"


def test_on_the_way_i3d_sees_the_real_clips_once(tiny, tmp_path, monkeypatch):
    """They are half of a measurement. FID of the same features is 0."""
    seen = []

    def features(videos):
        seen.append(len(videos))
        pool = np.resize(videos.reshape(len(videos), -1).astype(np.float32), (len(videos), 1024))
        return metrics_lib.I3DFeatures(pool[:, :400] / 100, pool, videos.shape[1:4])

    monkeypatch.setattr("dvdgan_lib.metrics.i3d.load_params", lambda network: {})
    monkeypatch.setattr(metrics_lib, "features", features)
    measure = best_model.measure_of(replaced(tiny, "model", num_frames=9), tmp_path)
    rng = np.random.default_rng(0)
    real, fake = (rng.integers(0, 256, (5, 9, 8, 8, 3), np.uint8) for _ in range(2))
    apart, alike = measure(real, fake, np.zeros(5)), measure(real, real, np.zeros(5))
    assert seen == [5, 5, 5]
    assert float(apart["fid"]) > 1 > abs(float(alike["fid"]))
    assert float(alike["inception_score"]) >= 1


def test_a_longer_run_stopped_before_its_export_is_not_taken_for_finished(run, tmp_path, monkeypatch):
    """The model of fewer steps is still there: nothing is lost, but it isn't what was asked for."""
    model = run(tmp_path, steps=1)
    with monkeypatch.context() as patch:
        patch.setattr(training, "export", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, steps=2)
    assert load_generator(model).card["steps"] == 1
    assert load_generator(run(tmp_path, steps=2)).card["steps"] == 2


def test_damaged_newest_checkpoint_is_passed_over(run, straight, tmp_path, caplog, tiny):
    folder = run(tmp_path, replaced(tiny, checkpoint_minutes=0.0), steps=3).parent
    assert checkpoint_steps(folder) == [2, 3]
    for file in Path(folder / "checkpoints" / "3").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:7])
    with caplog.at_level(logging.INFO):
        run(tmp_path, steps=4)
    assert "Checkpoint of step 3" in caplog.text
    assert "Going on from step 2" in caplog.text
    wanted = metrics(straight)
    assert metrics(folder) == {step: wanted[step] for step in range(1, 5)}


def test_a_line_cut_off_by_a_kill_is_dropped(run, straight, tmp_path):
    folder = run(tmp_path, steps=2).parent
    with (folder / "metrics.jsonl").open("a") as opened:
        opened.write('{"step": 3, "d_loss": 1.0}\n{"step": 4, "d_lo')
    run(tmp_path, steps=4)
    wanted = metrics(straight)
    assert metrics(folder) == {step: wanted[step] for step in range(1, 5)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(run, tmp_path, tiny, value):
    def diverging(experiment):
        updates = run.updates(experiment)
        update_g = updates.update_g

        def broken(state):
            state, metrics = update_g(state)
            return state, {"g_loss": value if state.step == 3 else metrics["g_loss"]}

        updates.update_g = broken
        return updates

    with pytest.raises(training.TrainingDivergedError, match=r"at step 3 g_loss is not .* good checkpoint is step 2") as e:
        run(tmp_path, replaced(tiny, checkpoint_minutes=0.0), diverging)
    assert "\n" not in str(e.value)
    folder = training.run_folder(tiny, tmp_path)
    assert checkpoint_steps(folder) == [1, 2]
    assert list(metrics(folder)) == [1, 2]
    page = (folder / "stopped.md").read_text()
    assert f'"g_loss": "{value}"' in page
    assert '"step": 2' in page
    assert f"goes on from step 2 in {folder / 'checkpoints'}" in page


def test_a_loss_without_bound_ends_the_command_with_a_code_of_its_own(run, tmp_path, tiny, monkeypatch, capsys):
    def diverging(experiment):
        updates = run.updates(experiment)
        update_d = updates.update_d
        updates.update_d = lambda *arguments: (lambda s, m: (s, m | {"d_loss": 2e4}))(*update_d(*arguments))
        return updates

    monkeypatch.setattr(training.experiments, "get", lambda *_: tiny)
    monkeypatch.setattr(training, "Updates", diverging)
    assert training.main([NAME, "--workdir", str(tmp_path)]) == training.DIVERGED
    said = capsys.readouterr().err
    assert "TrainingDivergedError: kinetics600_64x64_12f: at step 1 d_loss is without bound" in said
    assert "the last good checkpoint is none" in said


def test_the_best_model_is_kept_with_its_checkpoint(run, tmp_path, tiny):
    """FID falls, rises, falls a little: of four steps the second is the best, also where the run was resumed between."""
    values, seen, still = iter([5.0, 2.0, 9.0, 3.0]), [], []

    def measure(real, fake, labels):
        seen.append((real.shape, fake.shape, real.dtype, fake.dtype, labels.shape))
        still.append(np.abs(np.diff(fake.astype(float), axis=1)).mean() / np.abs(np.diff(real.astype(float), axis=1)).mean())
        return {"fid": next(values), "inception_score": 1.5}

    every = replaced(tiny, evaluate_every=1, evaluate_clips=6)
    folder = run(tmp_path, every, steps=2, measure=measure).parent
    at_2 = load_generator(folder)
    run(tmp_path, every, steps=4, measure=measure)
    assert seen == [((6, 3, 8, 8, 3), (6, 3, 8, 8, 3), np.uint8, np.uint8, (6,))] * 4
    assert [line["fid_of_few_clips"] for line in metrics(folder).values()] == [5.0, 2.0, 9.0, 3.0]
    assert {line["inception_score_of_few_clips"] for line in metrics(folder).values()} == {1.5}
    assert [line["motion_of_few_clips"] for line in metrics(folder).values()] == pytest.approx(still, abs=1e-5)
    best = load_generator(folder / "best")
    jax.tree.map(np.testing.assert_array_equal, (best.params, best.standing), (at_2.params, at_2.standing))
    assert (best.card["steps"], best.card["fid"]) == (2, 2.0)
    assert "6 clips a side: few" in best.card["fid_of"]
    assert json.loads((folder / "best" / "best.json").read_text())["step"] == 2
    assert checkpoint_steps(folder / "best") == [2]


def test_in_a_bucket_the_log_goes_up_with_checkpoints_and_what_was_missing(tmp_path):
    """Not with every line: each time the whole of it is written."""
    log = run_record.MetricsLog(tmp_path, 0)
    log.local = False
    log.write(1, {"a": 1.0})
    assert log.file.read_text() == ""
    log.upload()
    assert [json.loads(line) for line in log.file.read_text().splitlines()] == [{"step": 1, "a": 1.0}]
    resumed = run_record.MetricsLog(tmp_path, 1)
    resumed.local = False
    assert resumed.lacks("b")
    resumed.amend({"b": 2.0})
    assert [json.loads(line) for line in log.file.read_text().splitlines()] == [{"step": 1, "a": 1.0, "b": 2.0}]


def test_what_a_signal_left_unmeasured_is_measured_on_going_on(run, tmp_path, tiny, monkeypatch):
    """A curve with a gap would be compared by other steps than its like; and the last model might never be the best."""
    values = iter([9.0, 5.0])
    every = replaced(tiny, evaluate_every=2, evaluate_clips=6)
    options = {"steps": 4, "measure": lambda *_: {"fid": next(values), "inception_score": 1.5}}

    class FromTheSecondStep(list):
        steps = 0

        def __bool__(self):
            self.steps += 1
            return self.steps >= 2

    with monkeypatch.context() as patch:
        patch.setattr(training, "stop_on_signals", lambda: contextlib.nullcontext(FromTheSecondStep([signal.SIGTERM])))
        with pytest.raises(training.InterruptedTrainingError, match="at step 2 of 4"):
            run(tmp_path, every, **options)
    folder = run(tmp_path, every, **options).parent
    assert {step: line.get("fid_of_few_clips") for step, line in metrics(folder).items()} == {
        1: None,
        2: 9.0,
        3: None,
        4: 5.0,
    }
    assert all("seconds_per_step" in json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())


def test_a_run_ends_in_its_best_model_where_it_is_asked_to(run, tmp_path, tiny):
    """Table 1 is "taken at the point in training when the best FID was attained"."""
    values = iter([5.0, 2.0, 9.0, 8.0])
    every = replaced(tiny, evaluate_every=1, evaluate_clips=6, export="best")
    measured = {"measure": lambda *_: {"fid": next(values), "inception_score": 1.5}}
    model = run(tmp_path, every, steps=3, **measured)
    assert load_generator(model).card["steps"] == 2
    assert_same_model(model, model.parent / "best")
    assert json.loads(model.with_suffix(".json").read_text())["fid"] == 2.0
    assert "step 2, the best by FID of 3" in trained_models.described(load_generator(model))
    longer = run(tmp_path, every, steps=4, **measured)
    assert_same_model(longer, model.parent / "best")
    assert "step 2, the best by FID of 4" in trained_models.described(load_generator(longer)), "of the lengthened run"
    assert "--steps 4" in load_generator(longer).card["command"]
    last = run(tmp_path, replaced(every, export="last"), steps=4, **measured)
    assert load_generator(last).card["steps"] == 4, "asked for another of its models, a finished run exports that"
    assert_same_model(run(tmp_path, every, steps=4, **measured), model.parent / "best")
    unmeasured = run(tmp_path / "few", replaced(every, evaluate_every=5), steps=1, measure=lambda *_: {})
    assert load_generator(unmeasured).card["steps"] == 1
    with pytest.raises(configuration.UnknownExperimentError, match="measure it, with evaluate_every above 0"):
        configuration.check(replaced(every, evaluate_every=0))
    assert all(experiments.get(name, "paper").training.export == "best" for name in paper.TABLE_1)


def test_samples_that_stay_the_same_are_warned_of(run, tmp_path, tiny, monkeypatch, caplog):
    monkeypatch.setattr(training.health, "diversity", lambda samples, real: 0.001)
    run(tmp_path, replaced(tiny, sample_every=1), steps=6)
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and "collapsed" in r.getMessage()]
    assert warning.startswith(f"{NAME}: Samples have been nearly the same on 5 sheets")


def test_going_on_with_another_configuration_is_refused(run, tmp_path, tiny):
    folder = run(tmp_path, steps=1).parent
    with pytest.raises(CheckpointError, match=r"training.d_learning_rate: 0.0004 then, 0.01 now") as error:
        run(tmp_path, replaced(tiny, d_learning_rate=0.01))
    assert "\n" not in str(error.value)
    with pytest.raises(CheckpointError, match=r"model.phi: pool2 then, crop now"):
        run(tmp_path, replaced(tiny, "model", phi="crop"))
    with pytest.raises(CheckpointError, match=r"training.evaluate_clips: \d+ then, 6 now"):
        run(tmp_path, replaced(tiny, evaluate_clips=6))  # with another bias of FID: the best step could not be told
    assert list(metrics(folder)) == [1]
    # What does not change what a step computes is free.
    run(tmp_path, replaced(tiny, steps=2, log_every=2, sample_every=3, checkpoint_minutes=1.0))
    assert list(metrics(folder)) == [1, 2]


@pytest.fixture
def asked(monkeypatch):
    """What `train` asks of the loader, call by call."""
    calls, batches = [], data.batches

    def spy(source, *arguments, **options):
        calls.append(options | {"clips": len(source)})
        return batches(source, *arguments, **options)

    monkeypatch.setattr(data, "batches", spy)
    return calls


def rewrite_record(folder, change):
    record = json.loads((folder / "experiment.json").read_text())
    change(record)
    (folder / "experiment.json").write_text(json.dumps(record))


def test_a_replica_is_a_device_and_their_number_stays_that_of_the_first_start(run, tmp_path, asked):
    folder = run(tmp_path, steps=1).parent
    assert json.loads((folder / "experiment.json").read_text())["replicas"] == jax.device_count() == 2
    assert (asked[0]["replicas"], asked[0]["host"], asked[0]["hosts"]) == (2, 0, 1)
    rewrite_record(folder, lambda record: record.update(replicas=1))  # as if begun on one device
    run(tmp_path, steps=2)
    assert asked[1]["replicas"] == 1
    assert json.loads((folder / "experiment.json").read_text())["replicas"] == 1


def test_a_run_on_few_clips_in_one_order(run, tmp_path, tiny, asked):
    few = replaced(replaced(tiny, "data", clips_per_class=2), "data", shuffling="disjoint")
    model = load_generator(run(tmp_path, few, steps=1))
    assert (asked[0]["replicas"], asked[0]["clips"]) == (1, 2 * tiny.model.num_classes)
    assert "first 2 clips of each class" in model.card["data"]
    assert len(training_data.load_source(few, "test")) == len(training_data.load_source(tiny, "test")) > 1000, (
        "all are tested on"
    )
    with pytest.raises(CheckpointError, match=r"shuffling: disjoint then, independent now; data.clips_per_class: 2 then"):
        run(tmp_path, tiny)


def test_a_field_that_a_record_lacks_had_its_default(tmp_path, tiny):
    record_configuration(tmp_path, tiny, 0, ["a commit"], 4, None)
    rewrite_record(tmp_path, lambda record: record["experiment"]["data"].pop("shuffling"))
    assert check_configuration(tmp_path, tiny, 8)[1] == 4
    rewrite_record(tmp_path, lambda record: record.pop("replicas"))
    assert check_configuration(tmp_path, tiny, 8)[1] == 1, "before there were replicas, all devices had one order"
    with pytest.raises(CheckpointError, match=r"data.shuffling: independent then, disjoint now"):
        check_configuration(tmp_path, replaced(tiny, "data", shuffling="disjoint"), 1)


def test_processes_that_cannot_share_a_batch_are_one_sentence(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(devices.WrongDeviceError, match="A batch of 2 cannot be split over 3 processes evenly"):
        training.train(tiny, tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is begun"


# --- The command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no_such_run"], "There is no experiment 'no_such_run'; the experiments are kinetics600_64x64_12f"),
        ([NAME, "--preset", "huge"], "There is no preset 'huge'; the presets are smoke"),
        ([NAME, "--preset", "colab"], "needs an accelerator"),
        ([NAME, "--preset", "paper"], "needs an accelerator"),
        ([NAME, "--steps", "0"], "steps = 0: it must be at least 1"),
        ([NAME, "--seed", "-1"], "A seed is a whole number from 0 to"),
        ([NAME, "--set", "training.log_every=0"], "log_every = 0: it must be at least 1"),
        (
            [NAME, "--set", "training.evaluate_every=5", "--set", "training.evaluate_clips=1"],
            "FID on the way takes at least 2",
        ),
        ([NAME, "--set", "model.conditioning_frames=5"], "Prediction from 5 frames with 8 classes: it takes"),
        ([NAME, "--set", "model.num_classes=3000"], "moving_shapes can't serve kinetics600_64x64_12f: "),
        ([NAME, "--preset", "paper", "--allow-cpu"], "there is no prepared data set in"),
        ([NAME, "--preset", "smoke", "--data-dir", "{tmp}"], "{tmp}"),
        ([NAME, "--preset", "smoke", "--data-dir", "{tmp}/nowhere"], "{tmp}/nowhere"),
    ],
)
def test_mistakes_are_one_sentence_on_stderr(arguments, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    workdir, videos = tmp_path / "runs", tmp_path / "videos"
    videos.mkdir()
    arguments = [argument.replace("{tmp}", str(videos)) for argument in arguments]
    assert training.main([*arguments, "--workdir", str(workdir)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence.replace("{tmp}", str(videos)) in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not workdir.exists(), "nothing is begun"


def test_ones_own_videos_are_measured_by_i3d(monkeypatch):
    """Compared runs are by the stand-in's classifier at the laptop preset: nobody has one of a folder of videos."""
    asked = []
    monkeypatch.setattr(training, "train", lambda experiment, *_, **__: asked.append(experiment.training.evaluate_by))
    chosen = ["--set", "training.evaluate_by=stand-in classifier"]
    for more in ([], ["--data-dir", "videos"], ["--data-dir", "videos", *chosen]):
        assert training.main(["phi_crop", "--preset", "laptop", *more]) == 0
    assert asked == ["stand-in classifier", "I3D", "stand-in classifier"]


def test_a_bug_is_not_taken_for_a_mistake(monkeypatch, tmp_path):
    def broken(*_, **__):
        raise RuntimeError("XLA fell over")

    monkeypatch.setattr(training, "train", broken)
    with pytest.raises(RuntimeError, match="XLA fell over"):
        training.main([NAME, "--workdir", str(tmp_path)])


COMMAND = """
import pickle, sys
from dvdgan_lib import experiments, training
experiment = pickle.load(open(sys.argv.pop(1), "rb"))
experiments.get = lambda name, preset: experiment
sys.exit(training.main(sys.argv[1:]))
"""


def start(workdir, experiment, steps=100000, library=ROOT, **variables):
    """The command in a process of its own, with the tiny run for the one that it names."""
    pickled = workdir / "experiment.pickle"
    pickled.write_bytes(pickle.dumps(experiment))
    command = [sys.executable, "-c", COMMAND, str(pickled), NAME, "--workdir", str(workdir), "--steps", str(steps)]
    # As many devices as the tests have: sums in another order would round otherwise.
    paths = os.pathsep.join([str(library), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": paths, "JAX_NUM_CPU_DEVICES": str(jax.device_count())}
    environment |= variables
    return subprocess.Popen(command, cwd=workdir, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process, condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_sigterm_saves_and_sigkill_loses_nothing_saved(run, straight, tmp_path, tiny, caplog):
    """One run: SIGTERM; resumed, SIGKILL; resumed, to the end. Its every step equals that of the straight run."""
    folder, log = training.run_folder(tiny, tmp_path), training.run_folder(tiny, tmp_path) / "metrics.jsonl"

    # Saves by the clock only, in ten minutes: the checkpoint is SIGTERM's own.
    process = start(tmp_path, replaced(tiny, checkpoint_minutes=10.0, sample_every=1000))
    wait_for(process, lambda: log.exists() and log.read_text().count("\n") >= 2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    (stopped,) = checkpoint_steps(folder)
    assert stopped == max(metrics(folder))
    assert f"Stopped by SIGTERM at step {stopped} of 100000" in err
    assert "Traceback" not in err
    assert out == ""

    # A checkpoint a step: killed in the midst of saving, most of the time.
    process = start(tmp_path, replaced(tiny, checkpoint_minutes=0.0, sample_every=1000))
    wait_for(process, lambda: max(checkpoint_steps(folder)) >= stopped + 2)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    saved = max(checkpoint_steps(folder))

    with caplog.at_level(logging.INFO):
        run(tmp_path, steps=saved + 2)
    assert f"Going on from step {saved}" in caplog.text
    found, wanted = metrics(folder), metrics(straight)
    assert list(found) == list(range(1, saved + 3))
    for step in wanted.keys() & found.keys():
        assert found[step] == wanted[step], step


def test_killed_at_random_moments_the_weights_are_those_of_the_straight_run(run, tmp_path, tiny):
    """Three kills here; `benchmarks/kills.py` does twenty."""
    rng, folder = np.random.default_rng(0), training.run_folder(tiny, tmp_path)
    every_step = replaced(tiny, checkpoint_minutes=0.0, sample_every=1000)
    for _ in range(3):
        before = max(checkpoint_steps(folder), default=0) if (folder / "checkpoints").exists() else 0
        process = start(tmp_path, every_step)
        wait_for(process, lambda: (folder / "checkpoints").exists() and max(checkpoint_steps(folder), default=0) > before)  # noqa: B023
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.communicate()
    steps = max(checkpoint_steps(folder)) + 1
    assert_same_model(run(tmp_path, steps=steps), run(tmp_path / "straight", steps=steps))


def test_a_wiped_machine_goes_on_from_a_kept_folder(run, tmp_path, tiny):
    """As on Colab with a mounted Drive: of the first machine nothing is left but the run's folder, under another path."""

    def machine(name, drive, **options):
        home = tmp_path / name
        shutil.copytree(ROOT / "dvdgan_lib", home / "checkout" / "dvdgan_lib")
        variables = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "DVDGAN_CACHE": str(home / "dvdgan")}
        # But for the compiled programs: a machine would make the same again, in minutes.
        variables["JAX_COMPILATION_CACHE_DIR"] = str(jax.config.jax_compilation_cache_dir or devices.cache_dir() / "xla")
        experiment = replaced(tiny, checkpoint_minutes=0.0, sample_every=1000)
        return start(drive, experiment, library=home / "checkout", **variables, **options)

    drive = tmp_path / "drive"
    drive.mkdir()
    process, folder = machine("first", drive), training.run_folder(tiny, drive)
    wait_for(process, lambda: (folder / "checkpoints").exists() and max(checkpoint_steps(folder), default=0) >= 2)
    process.kill()
    process.communicate()
    saved = max(checkpoint_steps(folder))
    shutil.rmtree(tmp_path / "first")
    mounted = (tmp_path / "content" / "drive").resolve()
    shutil.copytree(drive, mounted)
    shutil.rmtree(drive)

    process = machine("second", mounted, steps=saved + 2)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert f"Going on from step {saved}" in said
    model = training.run_folder(tiny, mounted) / "model.safetensors"
    assert_same_model(model, run(tmp_path / "whole", steps=saved + 2))


def test_the_machine_is_set_up_before_anything_is_compiled(monkeypatch, tiny, tmp_path):
    called = []

    def updates(_):
        called.append("updates")
        raise KeyboardInterrupt

    monkeypatch.setattr(devices, "setup", lambda: called.append("setup"))
    monkeypatch.setattr(training, "Updates", updates)
    with pytest.raises(KeyboardInterrupt):
        training.train(tiny, tmp_path)
    assert called == ["setup", "updates"]
