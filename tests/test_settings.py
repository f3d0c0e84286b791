"""Settings changed by name, and read back from what ran."""

import dataclasses
import json
import shlex

import pytest

from dvdgan_lib import configuration, experiments, settings, training


def test_a_changed_setting_is_the_only_difference():
    plain = experiments.get("phi_pool2", "laptop")
    run = settings.changed(plain, ["training.g_learning_rate=1e-3", "model.ch=16", "data.clips_per_class=4"])
    assert (run.training.g_learning_rate, run.model.ch, run.data.clips_per_class) == (1e-3, 16, 4)
    back = settings.changed(
        run, [f"training.g_learning_rate={plain.training.g_learning_rate}", "model.ch=8", "data.clips_per_class=null"]
    )
    assert back == plain


@pytest.mark.parametrize("name", experiments.NAMES)
def test_a_registered_run_has_none(name):
    for preset in experiments.PRESETS:
        assert settings.of(experiments.get(name, preset)) == []


def test_what_is_read_back_makes_the_same_run():
    changes = ["training.batch_size=16", "model.phi=crop", "data.folder=64", "training.d_learning_rate=2"]
    run = settings.changed(experiments.get("k_2", "colab"), changes)
    assert run.data.folder == "64", "text, where text is meant"
    assert run.training.d_learning_rate == 2.0
    assert settings.changed(experiments.get("k_2", "colab"), settings.of(run)) == run
    more = dataclasses.replace(run, training=dataclasses.replace(run.training, steps=7))
    assert settings.of(more) == settings.of(run), "steps have an option of their own"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("batch_size=16", "A setting reads PART.NAME=VALUE"),
        ("training.batch_size", "A setting reads PART.NAME=VALUE"),
        ("cost.train_hours=1", "A setting reads PART.NAME=VALUE"),
        ("training.batchsize=16", "There is no setting training.batchsize; of training there are "),
        ("training.batch_size=many", "training.batch_size takes int, not 'many'."),
        ("training.batch_size=1.5", "training.batch_size takes int, not '1.5'."),
        ("training.batch_size=true", "training.batch_size takes int, not 'true'."),
        ("model.remat=1", "model.remat takes bool, not '1'."),
        ("model.phi=pool3", "phi = 'pool3' does not exist"),
    ],
)
def test_a_wrong_setting_is_one_sentence(setting, said):
    with pytest.raises(configuration.UnknownExperimentError, match="^" + said.replace("(", r"\(")):
        settings.changed(experiments.get("phi_pool2", "laptop"), [setting])


def test_a_card_names_them(tmp_path, tiny, compiled, monkeypatch):
    """The command on the card, given again, is the same run: it is left as it is."""
    monkeypatch.setattr(experiments, "get", lambda name, preset: tiny)
    monkeypatch.setattr(training, "Updates", compiled)  # which know nothing of the setting: one step is the same with it
    told = [tiny.name, "--preset", "smoke", "--steps", "1", "--workdir", str(tmp_path), "--set", "training.ema_start=3"]
    assert training.main(told) == 0
    folder = tmp_path / "smoke" / tiny.name
    card = json.loads((folder / "model.json").read_text())
    assert (tiny.training.ema_start, card["config"]["training"]["ema_start"]) == (2, 3)
    assert card["command"].endswith("--seed 0 --steps 1 --set training.ema_start=3")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    again = shlex.split(card["command"])[3:]
    assert training.main([*again, "--workdir", str(tmp_path)]) == 0
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert training.main([word for word in told if "ema_start" not in word and word != "--set"]) == 1, "another run"
