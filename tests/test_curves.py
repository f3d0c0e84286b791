"""Curves over training: from a run's folder, shipped, found, and averaged."""

import json

import numpy as np
import pytest

from dvdgan_lib import curves, experiments
from dvdgan_lib.checkpoints import CheckpointError


def write_run(workdir, name="phi_crop", seed=0, fids=(4.0, 3.0, 1.0)):
    """A finished run's folder with a point every ten steps and lines between them."""
    experiment = experiments.get(name, "laptop")
    folder = workdir / "laptop" / experiments.seeded_name(experiment, seed)
    folder.mkdir(parents=True)
    lines = [{"step": 5, "d_loss": 1.0, "seconds_per_step": 9.0}]
    for i, fid in enumerate(fids):
        measured = {"fid_of_few_clips": fid, "motion_of_few_clips": 2 * fid}
        lines.append({"step": 10 * (i + 1), **measured, "seconds_per_step": 0.5})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    card = {
        "experiment": name,
        "preset": "laptop",
        "seed": seed,
        "steps": 30,
        "command": "c",
        "commit": "abc",
        "data": "shapes",
    }
    card["config"] = json.loads(experiment.to_json())
    (folder / "model.json").write_text(json.dumps(card))
    (folder / "model.safetensors").touch()
    return folder


def test_a_runs_points_and_nothing_else(tmp_path):
    curve = curves.read_run(write_run(tmp_path))
    assert curve.steps == (10, 20, 30)
    assert curve.values == {"fid": (4.0, 3.0, 1.0), "motion": (8.0, 6.0, 2.0)}
    assert curve.seconds_per_step == 0.5
    assert curve.measured_by == "stand-in classifier, 512 clips a side"


def test_of_a_run_that_was_being_trained_on_only_what_its_model_has(tmp_path):
    folder = write_run(tmp_path)
    before = curves.read_run(folder)
    card = json.loads((folder / "model.json").read_text())
    card["config"]["training"]["steps"] = 30
    (folder / "model.json").write_text(json.dumps(card))
    with (folder / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 40, "fid_of_few_clips": 0.5, "motion_of_few_clips": 1.0, "seconds_per_step": 0.5}\n{"step": 5')
    after = curves.read_run(folder)
    assert (after.steps, after.values) == (before.steps, before.values)


def test_a_shipped_curve_is_the_runs(tmp_path, capsys):
    folder = write_run(tmp_path)
    arguments = ["phi_crop", "--workdir", str(tmp_path), "--into", str(tmp_path / "shipped")]
    assert curves.main(arguments) == 0
    path = tmp_path / "shipped/phi_crop/curve.json"
    assert str(path) in capsys.readouterr().out
    assert curves.load(path) == curves.read_run(folder) == curves.load(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "model.json").unlink(), "There is no finished run in .*: train it first"),
        (lambda folder: (folder / "metrics.jsonl").write_text('{"step": 1}\n'), "measured nothing as it trained"),
    ],
)
def test_a_run_without_a_curve_says_so(tmp_path, spoil, sentence, capsys):
    spoil(write_run(tmp_path))
    assert curves.main(["phi_crop", "--workdir", str(tmp_path), "--into", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    with pytest.raises(CheckpointError, match=sentence):
        curves.read_run(tmp_path / "laptop/phi_crop")


@pytest.mark.parametrize("content", ["{", "[]", '{"card": {}, "steps": [1], "values": 3, "seconds_per_step": 1}'])
def test_a_damaged_curve_says_so(tmp_path, content):
    (tmp_path / "curve.json").write_text(content)
    with pytest.raises(CheckpointError, match="is not a curve that this library wrote, or it is damaged"):
        curves.load(tmp_path / "curve.json")
    with pytest.raises(CheckpointError, match="There is no curve at"):
        curves.load(tmp_path / "other.json")


def test_what_is_named_goes_before_own_runs_and_those_before_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, other = write_run(tmp_path / "runs", seed=1, fids=(5.0,)), write_run(tmp_path / "others", fids=(7.0,))
    for run, fid in (("phi_crop", 1.0), ("phi_crop-seed1", 2.0)):
        curve = curves.read_run(own)
        (tmp_path / "pretrained" / run).mkdir(parents=True)
        curves.save(tmp_path / "pretrained" / run / "curve.json", curves.dataclasses.replace(curve, values={"fid": (fid,)}))

    def seen(*more):
        return {k: [c.values["fid"][0] for c in v] for k, v in curves.find(["phi_crop", "k_1"], *more).items()}

    assert seen("laptop", "runs") == {"phi_crop": [1.0, 5.0]}
    assert seen("laptop", "nowhere") == {"phi_crop": [1.0, 2.0]}
    assert seen("paper", "runs") == {}
    assert seen("laptop", "runs", {"phi_crop": f"{other}/model.safetensors"}) == {"phi_crop": [7.0]}


def test_mean_and_ends_are_of_steps_that_all_have(tmp_path):
    group = [curves.read_run(write_run(tmp_path, seed=s, fids=f)) for s, f in enumerate([(4.0, 3.0, 1.0), (6.0, 5.0)])]
    steps, values = curves.at_shared_steps(group, "fid")
    assert steps.tolist() == [10, 20]
    assert values.tolist() == [[4.0, 3.0], [6.0, 5.0]]
    np.testing.assert_allclose(curves.ends(group, "fid"), [2.0, 5.5])
    groups = curves.of_groups({"phi_crop": group}, {"phi_crop": "crop", "k_1": "k = 1"}, "fid")
    assert groups["crop"][0].tolist() == [10, 20]
    assert groups["k = 1"] is None


def test_captions_say_what_is_missing(tmp_path):
    found = {"phi_crop": [curves.read_run(write_run(tmp_path))]}
    said = curves.described(found, ["phi_crop", "k_1"])
    assert "12 frames of 32x32" in said
    assert "trained on shapes. Measured in training, by stand-in classifier, 512 clips a side." in said
    assert "Fewer than 3 seeds: phi_crop. Not trained at this size yet: k_1." in said
    with pytest.raises(CheckpointError, match="None of k_1 has been trained"):
        curves.described(found, ["k_1"])
    assert curves.record(found, ["phi_crop", "k_1"])["phi_crop"][0]["values"]["fid"] == (4.0, 3.0, 1.0)


def test_trials_go_by_what_they_changed(tmp_path):
    """As kept by the command, each in a folder of its own."""
    for name, change in (("a", " --set training.batch_size=4 --set model.ch=16"), ("b", "")):
        folder = write_run(tmp_path / name, "phi_pool2", fids=(1.0, 2.0))
        card = json.loads((folder / "model.json").read_text())
        card["command"] = "python -m dvdgan_lib.training phi_pool2 --preset laptop --seed 0 --steps 20" + change
        (folder / "model.json").write_text(json.dumps(card))
        assert curves.main(["phi_pool2", "--workdir", str(tmp_path / name), "--into", str(tmp_path / "kept" / name)]) == 0
    found = curves.trials(tmp_path / "kept")
    assert list(found) == ["batch_size=4, ch=16", ""]
    assert [curve.values["fid"] for curve in found[""]] == [(1.0, 2.0)]
    assert curves.trials(tmp_path / "nothing") == {}
