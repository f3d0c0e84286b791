"""What `evaluate` measures and against what; the metrics themselves are tested in tests/metrics."""

import dataclasses
import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dvdgan_lib import baselines, evaluation, evaluation_records, experiments, metrics
from dvdgan_lib.metrics.stand_in_network import RESOLUTION, ClassifierNet
from dvdgan_lib.sampling import draw


@pytest.fixture
def generator(tiny, tmp_path):
    """The tiny run's generator before its first step, as if read from a file, whose content is what checksums are of."""
    file = tmp_path / "run" / "model.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"weights")
    return dataclasses.replace(baselines.untrained(tiny), path=str(file))


@pytest.fixture
def seen(monkeypatch):
    """The videos that features were asked for, by name; the features are random numbers, not I3D's."""
    videos_by_name = {}

    def pretend(videos, cache, name, network=metrics.NETWORK, shipped=None):
        videos_by_name[name] = videos
        rng = np.random.default_rng(len(name))
        logits, pool = rng.normal(size=(len(videos), 400)), rng.gamma(1.0, size=(len(videos), 1024))
        return metrics.I3DFeatures(logits.astype(np.float32), pool.astype(np.float32), videos.shape[1:4])

    monkeypatch.setattr(metrics, "features_cached", pretend)
    return videos_by_name


def test_measures_samples_and_every_baseline_that_was_asked_for(generator, seen, tmp_path):
    result = evaluation.evaluate(generator, tmp_path, seed=1, num_clips=16, baselines=["held_out", "blurred", "untrained"])
    assert seen.keys() == {"real-train", "samples", "held_out", "blurred", "untrained"}
    assert {videos.shape for videos in seen.values()} == {(16, 3, 8, 8, 3)}
    assert not np.array_equal(seen["real-train"], seen["held_out"])
    np.testing.assert_array_equal(seen["blurred"], baselines.blurred(seen["held_out"]))
    for group in ("samples", "held_out", "blurred", "untrained"):
        assert result[group].keys() == {"fid", "fvd", "kvd", "inception_score", "coverage", "diversity"}
        assert all("I3D-K400" in result[group][key]["text"] for key in result[group].keys() - {"diversity"})
    assert "shuffled" not in result
    assert "stand-in" in result["data"]
    assert (result["num_clips"], result["seed"], result["model"]["file"]) == (16, 1, "model.safetensors")

    evaluation_records.save_evaluation(result, tmp_path / "evaluation.json")
    assert evaluation_records.load_evaluation(tmp_path / "evaluation.json") == json.loads(json.dumps(result))


def test_both_sides_are_blurred_alike(generator, seen, tmp_path):
    result = evaluation.evaluate(generator, tmp_path, num_clips=16, blurs=[0.5, 1.0])
    assert [scale["pixels"] for scale in result["both_blurred"]] == [0.5, 1.0]
    assert result["both_blurred"][0].keys() == {"pixels", "samples", "held_out"}
    assert "I3D-K400" in result["both_blurred"][1]["held_out"]["fvd"]["text"]
    for pixels in ("0.5", "1"):
        for name, whole in (("real", "real-train"), ("samples", "samples")):
            wanted = gaussian_filter(seen[whole].astype(float), (0, 0, float(pixels), float(pixels), 0))
            np.testing.assert_allclose(seen[f"{name}-blurred-{pixels}"], wanted, atol=0.51)
    assert not np.array_equal(seen["held_out-blurred-1"], seen["real-blurred-1"])
    assert "both_blurred" not in evaluation.evaluate(generator, tmp_path, num_clips=16)


def test_baselines_of_the_same_real_clips_are_taken_from_another_record(generator, seen, tmp_path):
    earlier = evaluation.evaluate(generator, tmp_path, num_clips=16, baselines=["held_out", "blurred", "untrained"])
    earlier["commit"] = "an earlier one"
    result = evaluation.evaluate(generator, tmp_path, seed=1, num_clips=16, baselines=["blurred"])
    taken = evaluation_records.with_baselines_of(earlier, result)
    assert (taken["held_out"], taken["baselines_of"]) == (earlier["held_out"], "an earlier one")
    assert (taken["samples"], taken["blurred"], taken["commit"]) == (result["samples"], result["blurred"], result["commit"])
    assert taken["by_number"] == result["by_number"] | {"held_out": earlier["by_number"]["held_out"]}
    assert "untrained" not in taken
    with pytest.raises(ValueError, match="num_clips 16 there, 8 here"):
        evaluation_records.with_baselines_of(earlier, evaluation.evaluate(generator, tmp_path, num_clips=8))


def test_features_of_the_real_clips_may_be_shipped(generator, monkeypatch, tmp_path):
    """Those that lie there are taken, of the real clips and nothing else, and the record says where from."""
    of = {}

    def pretend(videos, cache, name, network, shipped=None):
        of[name] = shipped
        rng = np.random.default_rng(len(name))
        logits, pool = (rng.normal(size=(len(videos), n)).astype(np.float32) for n in (400, 1024))
        return metrics.I3DFeatures(logits, pool, videos.shape[1:4], shipped_in=shipped if shipped == "there" else "")

    monkeypatch.setattr(metrics, "features_cached", pretend)
    options = {"num_clips": 16, "baselines": ["held_out"]}
    assert evaluation.evaluate(generator, tmp_path, **options, real_features="there")["real_features"] == "there"
    assert of == {"real-train": "there", "samples": None, "held_out": None}
    for found_nothing in ("elsewhere", "", None):
        assert "real_features" not in evaluation.evaluate(generator, tmp_path, **options, real_features=found_nothing)


SHIPPED = Path(__file__).resolve().parents[1] / "pretrained/real_features"


def test_shipped_features_are_i3ds_of_the_clips_that_table_1_measures_against(tmp_path):
    """Found for the clips that are drawn here, and for some of them computed anew."""
    experiment = experiments.get("kinetics600_64x64_12f")
    videos, _ = baselines.real_clips(experiment, "train")(0, experiment.evaluation.num_clips)
    shipped = metrics.features_cached(videos, tmp_path, "real-train", shipped=SHIPPED)
    assert not list(tmp_path.iterdir()), "they were found, not computed"
    assert shipped.shipped_in == str(SHIPPED)
    some = [0, 200, 511]
    computed = metrics.features(videos[some], batch_size=3, progress=False)
    np.testing.assert_allclose(shipped.logits[some], computed.logits, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(shipped.pool[some], computed.pool, rtol=1e-3, atol=1e-3)


def test_clips_are_made_seen_and_forgotten_a_block_at_a_time(generator, monkeypatch, tmp_path):
    """The numbers are those of all clips at once, and no block is larger than it may be."""
    sizes = []

    def pretend(videos, cache, name, network, shipped=None):
        sizes.append(len(videos))
        flat = videos.reshape(len(videos), -1).astype(np.float32)
        pool = np.pad(flat, ((0, 0), (0, 1024 - flat.shape[1])), mode="wrap")
        return metrics.I3DFeatures(flat[:, :400] / 100, pool, videos.shape[1:4])

    monkeypatch.setattr(metrics, "features_cached", pretend)
    whole = evaluation.evaluate(generator, tmp_path, num_clips=20, baselines=["other_half", "frozen", "untrained"])
    assert set(sizes) == {20}
    sizes.clear()
    monkeypatch.setattr(evaluation, "BLOCK", 8)
    assert evaluation.evaluate(generator, tmp_path, num_clips=20, baselines=["other_half", "frozen", "untrained"]) == whole
    assert sizes == [8, 8, 4] * 5, "of the reference, of the samples and of three baselines"


def test_a_record_is_found_for_the_weights_it_was_measured_on_only(generator, tmp_path):
    folders = [tmp_path / "none", tmp_path / "run"]
    assert evaluation_records.find_record("truncation", generator, folders) is None
    record = evaluation_records.measured_on(generator) | {
        "seed": 3,
        "num_clips": 8,
        "points": [{"sigma": 1.0}, {"sigma": 0.5}],
    }
    evaluation_records.save_evaluation(record, tmp_path / "run" / "truncation.json")
    assert evaluation_records.find_record("truncation", generator, folders) == record
    assert record["model"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "run" / "model.safetensors").write_bytes(b"other weights")
    assert evaluation_records.find_record("truncation", generator, folders) is None


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ({"seed": 3}, True),
        ({"seed": 0}, False),
        ({"num_clips": 0}, True),
        ({"num_clips": 8}, True),
        ({"num_clips": 16}, False),
        ({"sigmas": [0.5, 1.0]}, True),
        ({"sigmas": [1.0]}, False),
        ({"sigmas": [0.25, 1.0]}, False),
    ],
)
def test_a_record_is_found_where_it_is_of_what_was_asked_for(generator, tmp_path, asked, same):
    points = {"points": [{"sigma": 1.0}, {"sigma": 0.5}]}
    record = evaluation_records.measured_on(generator) | {"seed": 3, "num_clips": 8} | points
    evaluation_records.save_evaluation(record, tmp_path / "truncation.json")
    assert (evaluation_records.find_record("truncation", generator, [tmp_path], **asked) is not None) == same


def test_a_stand_ins_classifier_says_how_many_samples_show_their_class(generator, seen, tmp_path):
    classes = generator.experiment.model.num_classes
    names = tuple(map(str, range(classes)))
    shapes = ClassifierNet(classes).init(jax.random.key(0), np.zeros((1, 2, RESOLUTION, RESOLUTION, 3), np.float32))
    classifier = metrics.StandInClassifier(shapes["params"], names, {})  # its last layer is zero: it says class 0 of all
    result = evaluation.evaluate(generator, tmp_path, num_clips=16, baselines=["held_out"], classifier=classifier)
    asked = draw(generator.experiment.model, 16, 1.0, (0,))[1]
    assert result["samples"]["class_accuracy"]["value"] == np.mean(asked == 0)
    assert result["held_out"]["class_accuracy"]["value"] == np.mean(np.arange(16) % classes == 0)
    assert "stand-in classifier" in result["samples"]["stand_in_inception_score"]["text"]
    assert result["samples"]["stand_in_inception_score"]["value"] == pytest.approx(1)


def test_few_clips_are_measured_by_what_few_clips_allow(generator, seen, tmp_path):
    result = evaluation.evaluate(generator, tmp_path, num_clips=4)
    assert result["samples"].keys() == {"fid", "fvd", "kvd", "inception_score"}
    assert "SMALL SAMPLE" in result["samples"]["fvd"]["text"]


def test_diversity_is_one_for_the_same_clips_and_less_where_a_class_collapsed():
    rng = np.random.default_rng(0)
    pool, labels = rng.gamma(1.0, size=(40, 1024)).astype(np.float32), np.arange(40) % 4
    real = metrics.I3DFeatures(np.zeros((40, 400), np.float32), pool, (12, 32, 32))
    same = evaluation.diversity_ratio(real, labels, real, labels)
    assert same.value == pytest.approx(1)
    collapsed = pool.copy()
    collapsed[labels == 2] = pool[2]  # one clip stands for all of the class
    fake = metrics.I3DFeatures(real.logits, collapsed, (12, 32, 32))
    result = evaluation.diversity_ratio(real, labels, fake, labels)
    assert result.by_class == pytest.approx({0: 1, 1: 1, 2: 0, 3: 1})
    assert result.value == pytest.approx(0.75)
    assert "class 2 with 0.00" in str(result)
    with pytest.raises(ValueError, match="needs more clips"):
        evaluation.diversity_ratio(real[:4], labels[:4], real[:4], labels[:4])


def test_unknown_baseline_is_refused_before_anything_is_computed(generator, seen, tmp_path):
    with pytest.raises(ValueError, match=r"no baseline 'sharpened'; there are other_half, held_out, noisy, blurred"):
        evaluation.evaluate(generator, tmp_path, num_clips=2, baselines=["sharpened"])
    with pytest.raises(ValueError, match="copy_last_frame is for prediction"):
        evaluation.evaluate(generator, tmp_path, num_clips=2, baselines=["copy_last_frame"])
    assert not seen


@pytest.mark.parametrize(
    ("name", "baselines_asked", "most"),
    [
        ("ucf101_128x128_16f", [], 356),  # windows of three films
        ("ucf101_128x128_16f", ["untrained"], 356),
        ("ucf101_128x128_16f", ["other_half"], 178),
        ("ucf101_128x128_16f", ["untrained", "blurred"], 56),  # the test split's
        ("bair_fp_64x64_1to15", [], 256),  # predictions go on from test clips
    ],
)
def test_no_more_clips_are_taken_than_there_are(name, baselines_asked, most):
    assert baselines.available(experiments.get(name), baselines_asked) == most


def test_few_clips_of_every_class_mislead_upwards_and_kvd_does_not():
    """Both sides of one distribution: FVD falls with the number of clips, and each subset holds every class."""
    rng = np.random.default_rng(0)
    classes = np.arange(512) % 8
    means = rng.normal(scale=5, size=(8, 400))  # far apart: a subset that lacked classes would be far off

    def side():
        logits = (means[classes] + rng.normal(size=(512, 400))).astype(np.float32)
        return metrics.I3DFeatures(logits, np.zeros((512, 1024), np.float32), (12, 32, 32))

    curve = evaluation.by_number(side(), side(), smallest=128)
    assert [point["num"] for point in curve] == [128, 256, 512]
    fvd = [point["fvd"] for point in curve]
    assert fvd[0] > fvd[1] > fvd[2]
    assert fvd[0] < 1000  # one class against another: 20,000
    assert curve[0]["fvd_deviation"] > 0 == curve[-1]["fvd_deviation"]
