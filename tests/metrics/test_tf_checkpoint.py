"""The reader of TensorFlow's checkpoints, on bundles written from the formats' descriptions."""

import google_crc32c
import numpy as np
import pytest
import weight_writers as writers

from dvdgan_lib.metrics import tf_checkpoint


def tensors():
    rng = np.random.default_rng(0)
    arrays = {
        f"RGB/inception_i3d/Mixed_{i}/Branch_{i % 4}/conv_3d/w": rng.normal(size=(3, i)).astype("f4") for i in range(99)
    }
    return arrays | {
        "global_step": np.int64(7)[()].reshape(()),
        "half": np.float16([1, 2]),
        "double": rng.normal(size=(2, 1, 3)),
    }


def assert_read(index, shards, wanted):
    read = tf_checkpoint.read(index, shards)
    assert read.keys() == wanted.keys()
    for name, array in wanted.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
        assert read[name].shape == array.shape


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("shards", [1, 3])
def test_what_was_written_is_read(shards, compress):
    wanted = tensors()
    index, data = writers.bundle(wanted, shards=shards, compress=compress)
    assert tf_checkpoint.shard_names(index) == [f".data-{i:05d}-of-{shards:05d}" for i in range(shards)]
    assert_read(index, data, wanted)


def test_the_checksum_is_crc32c():
    """Its published check value (RFC 3720), which writer and reader rely on alike."""
    assert google_crc32c.value(b"123456789") == 0xE3069283


def test_copies_of_every_kind_are_uncompressed():
    literal = bytes([3 << 2]) + b"abcd"
    short = bytes([1 | (5 - 4) << 2, 3])  # 5 bytes from 3 back: bcdbc
    two = bytes([2 | (2 - 1) << 2]) + (9).to_bytes(2, "little")  # the first 2 bytes
    four = bytes([3 | (7 - 1) << 2]) + (1).to_bytes(4, "little")  # 7 times the last byte
    long = bytes([61 << 2]) + (299).to_bytes(2, "little") + b"x" * 300
    out = b"abcd" + b"bcdbc" + b"ab" + b"b" * 7 + b"x" * 300
    assert tf_checkpoint._unsnappy(writers.varint(len(out)) + literal + short + two + four + long) == out
    for damaged in (bytes([5]) + literal, bytes([9]) + literal + bytes([1 | 1 << 2, 5])):
        with pytest.raises(ValueError, match="compressed block"):
            tf_checkpoint._unsnappy(damaged)


def test_strings_are_passed_over():
    text = writers.field(1, 7) + writers.field(5, 3)
    index, data = writers.bundle({"a": np.ones(2, "f4")}, extra=[(b"_CHECKPOINTABLE_OBJECT_GRAPH", text)])
    assert_read(index, data, {"a": np.ones(2, "f4")})


@pytest.mark.parametrize("compress", [False, True])
def test_no_damaged_byte_goes_unnoticed(compress):
    wanted = tensors()
    index, (data,) = writers.bundle(wanted, compress=compress)
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(index) // 2, 60):  # Blocks of entries; the empty metaindex behind them is not read.
        damaged = bytearray(index)
        damaged[place] ^= 1 << rng.integers(8)
        with pytest.raises(ValueError, match="fails its checksum"):
            tf_checkpoint.read(bytes(damaged), [data])
    for place in rng.integers(0, len(data), 30):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match="fails its checksum"):
            tf_checkpoint.read(index, [bytes(damaged)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index, data: (index[:-1], data), "cut short"),
        (lambda index, data: (index[:20], data), "cut short"),
        (lambda index, data: (b"", data), "cut short"),
        (lambda index, data: (index, data[:-4]), "ends before b does"),
        (lambda index, data: (writers.bundle({}, header=writers.field(2, 1))[0], data), "big-endian"),
        (lambda index, data: (writers.table([(b"a", b"")]), data), "no header"),
        (
            lambda index, data: (writers.bundle({}, extra=[(b"c", writers.field(1, 1) + writers.field(7, b""))])[0], data),
            "slices",
        ),
        (
            lambda index, data: (writers.bundle({}, extra=[(b"c", writers.field(1, 1) + writers.field(3, 4))])[0], data),
            "damaged",
        ),
        (lambda index, data: (writers.bundle({}, extra=[(b"c", b"\xff\xff")])[0], data), "damaged"),
    ],
)
def test_what_is_no_bundle(change, message):
    index, (data,) = writers.bundle({"a": np.ones(2, "f4"), "b": np.ones(3, "f4")})
    index, data = change(index, data)
    with pytest.raises(ValueError, match=message):
        for _ in (tf_checkpoint.shard_names(index), tf_checkpoint.read(index, [data])):
            pass


def test_a_shape_must_fit_its_data():
    raw = np.ones(2, "f4").tobytes()
    shape = writers.field(2, writers.field(2, writers.field(1, 3)))
    entry = writers.field(1, 1) + shape + writers.field(5, 8) + writers.varint(6 << 3 | 5) + writers.checksum(raw)
    index, _ = writers.bundle({}, extra=[(b"c", entry)])
    with pytest.raises(ValueError, match="c has 2 numbers and the shape"):
        tf_checkpoint.read(index, [raw])
