"""What 03_train says before it starts, against the records that it is read from."""

import json
from pathlib import Path

import pytest

from dvdgan_lib import curves, experiments, forecast


def told(name, preset="laptop", steps=None, seed=0, **options):
    run = experiments.get(name, preset)
    updates = steps or run.training.steps
    return forecast.forecast(run, updates, run.cost.train_hours * updates / run.training.steps, seed, **options)


@pytest.mark.parametrize("preset", experiments.PRESETS)
@pytest.mark.parametrize("name", experiments.NAMES)
def test_every_run_at_every_size_is_told_something_about_its_end(name, preset):
    said = told(name, preset)
    assert "not run yet" not in said
    assert "nobody knows" not in said, "each run of the laptop preset has a record"
    if preset in ("colab", "paper"):
        assert said.startswith("Not run by us")
        for moment in ("after 10 minutes", "after an hour", "at the end"):
            assert moment in said
    elif preset == "laptop":
        assert "10 minutes" in said
        assert "end" in said or "looked at after" in said


def test_a_compared_runs_forecast_is_its_shipped_curve():
    curve = curves.load("pretrained/phi_crop-seed1/curve.json")
    said = told("phi_crop", seed=1)
    assert "phi_crop of seed 1 (by stand-in classifier, 512 clips a side)" in said
    # 600 steps take a quarter of an hour: 10 minutes are 400, an hour is past the end.
    for moment, step in (("first", 100), ("after 10 minutes", 400), ("at the end", 600)):
        assert f"{moment}, at step {step}: FID {curve.values['fid'][curve.steps.index(step)]:.0f}, asked" in said
    assert "an hour" not in said
    assert "of seed 0" in told("k_1", seed=7), "whose own seed was not run"
    assert "phi_pool2 of seed 0" in told("k_8"), "the same configuration"
    assert "at the end, at step 300" in told("k_1", steps=300)
    assert told("k_1", steps=50) == "Ours measured itself at step 100 first, which this run doesn't reach."


def test_with_all_of_ours_fid_fell():
    """As the forecast says."""
    shipped = [curves.load(file) for file in Path("pretrained").glob("*/curve.json")]
    assert len(shipped) > 10
    assert all(curve.values["fid"][-1] < curve.values["fid"][0] for curve in shipped)


def test_clips_seen_are_counted_from_the_pod_tables_pace():
    steps = json.loads(Path("pretrained/kinetics600_64x64_12f/model.json").read_text())["steps"]
    for preset, batch in (("colab", 64), ("paper", 512)):
        run = experiments.get("kinetics600_64x64_12f", preset)
        clips = run.training.steps / run.cost.train_hours / 6 * batch
        said = told("kinetics600_64x64_12f", preset)
        assert f"beside the {steps * 8:,} of our whole laptop run" in said
        assert f"after 10 minutes {round(clips, -3):,.0f} ({clips / steps / 8:,.1f} times)" in said
        assert f"at the end {run.training.steps * batch:,}" in said
    assert "2.1% of the paper's clips" in told("kinetics600_64x64_12f", "colab")
    assert "every 5,000 steps" in told("kinetics600_64x64_12f", "paper")


def test_without_a_record_nothing_is_promised(tmp_path):
    assert told("no_ds", shipped=tmp_path) == "Not run by us at this size: nobody knows what is to be seen."
    said = told("no_ds", "paper", shipped=tmp_path)
    assert "laptop run" not in said
    assert "Section 3.1" in said


def test_a_run_that_was_looked_at_once_says_when():
    said = told("kinetics600_64x64_48f")
    assert said.startswith("Ours was looked at after 2,000 steps (2.0 hours at this pace): ")
    assert "every 100 steps" in said
