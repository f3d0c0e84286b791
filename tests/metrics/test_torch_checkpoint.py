"""The reader of PyTorch's files, on files written by hand in both of its formats."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import weight_writers as writers

from dvdgan_lib.metrics import torch_checkpoint

FORMATS = [writers.torch_zip, writers.torch_legacy]


def arrays():
    rng = np.random.default_rng(0)
    return {
        "conv3d.weight": rng.normal(size=(4, 3, 1, 2, 2)).astype("f4"),
        "bn.running_mean": rng.normal(size=4),
        "bn.num_batches_tracked": np.array(7, "i8"),
        "nothing": np.zeros((0, 3), "f4"),
    }


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("kind", [writers.Tensor, writers.OldTensor])
def test_what_was_written_is_read(write, kind):
    read = torch_checkpoint.read(write(writers.state_dict(arrays(), kind)))
    assert read.keys() == arrays().keys()
    for name, array in arrays().items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("write", FORMATS)
def test_views_of_one_storage(write):
    storage = writers.Storage("0", np.arange(12, dtype="f4"))
    tensors = {
        "whole": writers.Tensor(storage, 0, (3, 4), (4, 1)),
        "transposed": writers.Tensor(storage, 0, (4, 3), (1, 4)),
        "part": writers.Tensor(storage, 5, (2, 2), (4, 1)),
    }
    read = torch_checkpoint.read(write(tensors))
    whole = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(read["whole"], whole)
    np.testing.assert_array_equal(read["transposed"], whole.T)
    np.testing.assert_array_equal(read["part"], whole[1:, 1:3])


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("view", [(0, (13,), (1,)), (11, (2,), (1,)), (0, (4,), (4,)), (-1, (2,), (1,)), (1, (2,), (-1,))])
def test_a_view_beyond_its_storage(write, view):
    data = write({"a": writers.Tensor(writers.Storage("0", np.arange(12, dtype="f4")), *view)})
    with pytest.raises(ValueError, match="storage"):
        torch_checkpoint.read(data)


class Malicious:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("write", FORMATS)
def test_a_pickle_that_calls_is_refused(write, tmp_path):
    target = tmp_path / "made"
    data = write(writers.state_dict(arrays()) | {"evil": Malicious(os.mkdir, str(target))})
    with pytest.raises(ValueError, match=r"asks for posix\.mkdir, which no tensor needs"):
        torch_checkpoint.read(data)
    assert not target.exists()


@pytest.mark.parametrize("place", range(5))
def test_each_pickle_of_the_older_format_is_guarded(place, tmp_path):
    target = tmp_path / "made"
    evil = pickle.dumps(Malicious(os.mkdir, str(target)), protocol=2)
    values = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, [])
    pickles = [pickle.dumps(value, protocol=2) for value in values]
    with pytest.raises(ValueError, match=r"asks for posix\.mkdir"):
        torch_checkpoint.read(b"".join([*pickles[:place], evil, *pickles[place + 1 :]]))
    assert not target.exists()


def test_the_rebuilding_function_cannot_be_changed():
    """BUILD may set attributes of whatever a pickle can name: there must be none to set."""
    change = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x08\x00\x00\x00__call__K\x01s\x86b."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", change)
    with pytest.raises(ValueError, match="damaged"):
        torch_checkpoint.read(file.getvalue())


@pytest.mark.parametrize("write", FORMATS)
def test_damaged_files(write):
    data = write(writers.state_dict(arrays()))
    for size in (0, 10, 200, len(data) // 2, len(data) - 10, len(data) - 3):
        with pytest.raises(ValueError, match=r"damaged|cut short|no dict"):
            torch_checkpoint.read(data[:size])


def test_a_changed_byte_of_an_archive_is_noticed():
    data = bytearray(writers.torch_zip(writers.state_dict(arrays())))
    data[data.index(arrays()["conv3d.weight"].tobytes()) + 9] ^= 1
    with pytest.raises(ValueError, match="Bad CRC-32"):
        torch_checkpoint.read(bytes(data))


@pytest.mark.parametrize("write", FORMATS)
def test_something_else_than_a_state_dict(write):
    with pytest.raises(ValueError, match="no dict of tensors"):
        torch_checkpoint.read(write([1, 2]))
