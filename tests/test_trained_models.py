"""Shipping a model: what is in the file afterwards, and what it says of itself."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from dvdgan_lib import experiments, trained_models
from dvdgan_lib.trained_generator import export, load_generator

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(tmp_path):
    """A finished run's folder with two weights and a statistic."""
    folder = tmp_path / "runs/laptop/phi_crop"
    params = {"a": {"kernel": np.linspace(-1, 1, 1000, dtype=np.float32).reshape(10, 100)}}
    standing = {"norm": {"mean": np.array([70_000.0, 1e-9], np.float32)}}  # neither fits float16
    card = {"steps": 7, "seed": 3, "data": "shapes", "date": "2000-01-01", "jax": "0.0"}
    export(folder / "model.safetensors", experiments.get("phi_crop"), params, standing, card)
    return folder


def test_a_shipped_model_is_the_runs(run, tmp_path, capsys):
    into = tmp_path / "pretrained"
    assert trained_models.main(["phi_crop", "--workdir", str(tmp_path / "runs"), "--into", str(into)]) == 0
    assert str(into / "phi_crop/model.safetensors") in capsys.readouterr().out
    before, after = load_generator(run), load_generator(into / "phi_crop")
    jax.tree.map(np.testing.assert_array_equal, (before.params, before.standing), (after.params, after.standing))
    assert after.card == before.card
    assert after.card["date"] == "2000-01-01"


def test_half_precision_rounds_weights_only_and_says_so(run, tmp_path):
    trained_models.ship(run, tmp_path / "half", half=True)
    before, after = load_generator(run), load_generator(tmp_path / "half")
    assert after.params["a"]["kernel"].dtype == np.float32
    np.testing.assert_allclose(after.params["a"]["kernel"], before.params["a"]["kernel"], rtol=2**-11)
    assert np.any(after.params["a"]["kernel"] != before.params["a"]["kernel"])
    np.testing.assert_array_equal(after.standing["norm"]["mean"], before.standing["norm"]["mean"])
    assert after.card["weights"] == "rounded to float16"
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (run, tmp_path / "half")]
    assert sizes[0] - sizes[1] == pytest.approx(2000, abs=100)


def test_without_a_model_it_says_so(tmp_path, capsys):
    assert trained_models.main(["phi_crop", "--workdir", str(tmp_path)]) == 1
    assert "There is no trained model at" in capsys.readouterr().err


@pytest.mark.parametrize("card", sorted(ROOT.glob("pretrained/*/model.json")), ids=lambda card: card.parent.name)
def test_a_shipped_card_says_what_differs_from_the_paper(card):
    said = json.loads(card.read_text())
    if "config" not in said:
        assert said["class_names"], "a classifier, which the paper hasn't"
        return
    differences = experiments.differs_from_paper(load_generator(card.parent).experiment)
    assert said["differs_from_paper"] == json.loads(json.dumps(differences))
    halved = said["experiment"] in ("kinetics600_128x128_12f", "kinetics600_256x256_12f")
    assert differences["training.batch_size"] == {"here": 4 if halved else 8, "paper": 512}
    assert "training.beta2" not in differences
    assert "model.k" not in differences


def test_the_paper_differs_from_itself_in_nothing():
    assert all(experiments.differs_from_paper(experiments.get(name, "paper")) == {} for name in experiments.NAMES)


GENERATORS = sorted(set(ROOT.glob("pretrained/*/model.safetensors")) - set(ROOT.glob("pretrained/classifier_*/*")))


@pytest.mark.parametrize("file", GENERATORS, ids=lambda file: file.parent.name)
def test_the_laptop_preset_trains_what_is_shipped(file):
    shipped = load_generator(file).experiment
    registered = experiments.get(shipped.name, "laptop")
    assert shipped.model == registered.model
    assert shipped.data == registered.data
    # A card has what a run was watched by, too, which changed over time and changes no weight.
    watched = {name: getattr(shipped.training, name) for name in experiments._WATCHING}
    assert shipped.training == dataclasses.replace(registered.training, **watched)
