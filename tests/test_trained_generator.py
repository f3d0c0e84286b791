"""Exported models come back as they were, or say in one sentence why not."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from dvdgan_lib import experiments
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.provenance import versions
from dvdgan_lib.trained_generator import export, load_generator


@pytest.fixture(scope="module")
def trees():
    rng = np.random.default_rng(0)
    params = {"gru_0": {"reset_kernel": rng.normal(size=(3, 3, 4, 2)).astype(np.float32)}, "b": np.float32([1, 2])}
    return params, {"final_norm": {"norm": {"mean": np.ones((12, 2), np.float32)}}}


@pytest.fixture
def exported(tmp_path, trees):
    """A model with an unusual value in each part of its configuration."""
    experiment = experiments.get("phi_crop", "smoke")
    experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, folder="my videos"))
    path = tmp_path / "run" / "model.safetensors"
    export(path, experiment, *trees, {"seed": 3, "steps": 7})
    return path, experiment


@pytest.mark.parametrize("by", ["file", "folder"])
def test_export_comes_back(exported, trees, by):
    path, experiment = exported
    loaded = load_generator(path if by == "file" else path.parent)
    assert loaded.experiment == experiment
    jax.tree.map(np.testing.assert_array_equal, (loaded.params, loaded.standing), trees)
    assert loaded.card["versions"] == versions()
    assert {"seed": 3, "steps": 7, "experiment": "phi_crop", "preset": "smoke"}.items() <= loaded.card.items()
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["config"]["model"]["phi"] == "crop"
    assert {name: card[name] for name in loaded.card} == loaded.card


def test_a_norm_without_statistics_comes_back_too(tmp_path, trees):
    path = tmp_path / "model.safetensors"
    export(path, experiments.get("norm_group", "smoke"), trees[0], {}, {})
    assert load_generator(path).standing == {}


def test_missing_model_is_one_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "model.safetensors"):
        with pytest.raises(CheckpointError, match=r"There is no trained model at .*: train it first"):
            load_generator(path)


def test_damaged_or_foreign_model_is_one_sentence(exported, tmp_path):
    from safetensors.numpy import save_file

    path, _ = exported
    whole = path.read_bytes()
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": np.ones(3)}, foreign)
    for damaged in (whole[: len(whole) // 2], whole[:4], b"", b"\0" * 100, foreign.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is not a model that this library exported, or it is damaged") as error:
            load_generator(path)
        assert "\n" not in str(error.value)
