"""Statistics of a whole data set: equal to those of all features at once, kept, and taken up again after a kill."""

import dataclasses
import importlib

import numpy as np
import pytest

from dvdgan_lib import metrics

module = importlib.import_module("dvdgan_lib.metrics.real_statistics")  # the package's name is the function's


class Source:
    """50 clips of single colours, which counts what is read."""

    def __init__(self, description="fifty clips", fail_after=None):
        self.description, self.read, self.fail_after = description, [], fail_after

    def __len__(self):
        return 50

    def example(self, index):
        if self.fail_after is not None and len(self.read) > self.fail_after:
            raise KeyboardInterrupt
        self.read.append(index)
        return {"video": np.full((12, 4, 4, 3), 5 * index, np.uint8)}


def pretend_features(videos, network="I3D-K400", weights=None, progress=True, resize="tf1"):
    """Features that are functions of a clip's colour alone."""
    colours = np.array([video.flat[0] for video in videos], np.float32)
    rng = np.random.default_rng(0)
    logits, pool = (np.sin(colours[:, None] * rng.normal(size=d)).astype(np.float32) for d in (400, 1024))
    return metrics.I3DFeatures(logits, pool, (12, 4, 4), resize=resize)


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "features", pretend_features)
    monkeypatch.setattr(module, "CHUNK", 8)


def test_they_equal_those_of_all_features_at_once(tmp_path):
    source = Source()
    found = metrics.real_statistics(source, tmp_path, "train", progress=False)
    assert sorted(source.read[1:]) == list(range(50))  # each once, behind the look at the first clip's shape
    at_once = pretend_features([np.full((12, 4, 4, 3), 5 * i, np.uint8) for i in range(50)])
    for field in ("logits", "pool"):
        values = getattr(at_once, field).astype(np.float64)
        np.testing.assert_allclose(found.moments[field].mean, values.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(found.moments[field].covariance(), np.cov(values.T), atol=1e-12)
    assert (len(found), found.clip_shape, found.source) == (50, (12, 4, 4), "fifty clips")


def test_features_by_other_weights_are_refused(tmp_path):
    found = metrics.real_statistics(Source(), tmp_path, "train", progress=False)
    others = pretend_features([np.zeros((12, 4, 4, 3), np.uint8)] * 3)
    with pytest.raises(ValueError, match="by different weights"):
        metrics.frechet_inception_distance(found, dataclasses.replace(others, weights="abcd"))


def test_a_second_call_reads_the_file_only(tmp_path):
    first = metrics.real_statistics(Source(), tmp_path, "train", progress=False)
    source = Source()
    again = metrics.real_statistics(source, tmp_path, "train", progress=False)
    assert len(source.read) == 1
    np.testing.assert_array_equal(first.moments["pool"].scatter, again.moments["pool"].scatter)


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        metrics.real_statistics(Source(fail_after=30), tmp_path, "train", progress=False)
    source = Source()
    found = metrics.real_statistics(source, tmp_path, "train", progress=False)
    assert len(source.read) - 1 == 50 - 24  # three chunks were saved
    np.testing.assert_allclose(
        found.moments["pool"].covariance(),
        metrics.real_statistics(Source(), tmp_path / "other", "train", progress=False).moments["pool"].covariance(),
        atol=1e-12,
    )


@pytest.mark.parametrize("change", ["another data set", "damaged"])
def test_what_does_not_belong_is_computed_anew(tmp_path, change):
    metrics.real_statistics(Source(), tmp_path, "train", progress=False)
    source = Source("fifty others") if change == "another data set" else Source()
    if change == "damaged":
        (file,) = tmp_path.glob("*.npz")
        file.write_bytes(file.read_bytes()[:1000])
    assert len(metrics.real_statistics(source, tmp_path, "train", progress=False)) == 50
    assert len(source.read) == 51
