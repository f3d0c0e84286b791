"""BAIR's TFRecords, written here by an independent writer: protobuf's own serialisation and a bitwise CRC."""

import contextlib
import functools
import io
import struct
import tarfile
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan_lib.data import DataError, bair
from dvdgan_lib.data.video import VideoError

CLIPS = Path(__file__).resolve().parents[2].parent / "shared" / "clips" / "bair"


def bitwise_crc32c(data: bytes) -> int:
    """The definition: division by the polynomial, a bit at a time."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@functools.cache
def messages():
    """tensorflow.Feature's and SequenceExample's descriptions, as in tensorflow/core/example/{feature,example}.proto."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")

    def message(name, *fields):
        described = file.message_type.add(name=name)
        for number, field, kind, repeated in fields:
            label = 3 if repeated else 1
            if isinstance(kind, str):
                described.field.add(name=field, number=number, type=11, type_name=f".t.{kind}", label=label)
            else:
                described.field.add(name=field, number=number, type=kind, label=label)
        return described

    message("BytesList", (1, "value", 12, True))
    message("FloatList", (1, "value", 2, True))
    message("Feature", (1, "bytes_list", "BytesList", False), (2, "float_list", "FloatList", False))
    features = message("Features", (1, "feature", "Features.FeatureEntry", True))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=11, type_name=".t.Feature", label=1)
    entry.options.map_entry = True
    message("SequenceExample", (1, "context", "Features", False), (2, "feature_lists", "Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.SequenceExample"))


def sequence_example(video, **more) -> bytes:
    example = messages()()
    for i, frame in enumerate(video):
        feature = example.context.feature
        feature[f"{i}/image_main/encoded"].bytes_list.value.append(frame.tobytes())
        feature[f"{i}/image_aux1/encoded"].bytes_list.value.append(frame[::-1].tobytes())
        feature[f"{i}/action"].float_list.value.extend([0.5, -1, 2, i])
        feature[f"{i}/endeffector_pos"].float_list.value.extend([1, 2, i])
    for key, value in more.items():
        example.context.feature[key].bytes_list.value.append(value)
    return example.SerializeToString()


def framed(*records: bytes, data_crc=google_crc32c.value) -> bytes:
    """A TFRecord file. The long checksums by the code under test (which its own test compares), bitwise takes seconds."""

    def mask(crc):
        return struct.pack("<I", ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32)

    heads = [struct.pack("<Q", len(record)) for record in records]
    return b"".join(
        head + mask(bitwise_crc32c(head)) + record + mask(data_crc(record))
        for head, record in zip(heads, records, strict=True)
    )


@pytest.fixture(scope="module")
def videos():
    """Six videos: the real ones where they are, and noise."""
    real = [np.load(path) for path in sorted(CLIPS.glob("*.npy"))]
    return (real + list(np.random.default_rng(0).integers(0, 256, (6, 30, 64, 64, 3), np.uint8)))[:6]


@pytest.fixture
def folder(videos, tmp_path):
    """Four videos for training in two files, two for testing."""
    for name, share in (
        ("train/traj_0_to_1", videos[:2]),
        ("train/traj_2_to_3", videos[2:4]),
        ("test/traj_0_to_1", videos[4:]),
    ):
        path = tmp_path / "softmotion30_44k" / f"{name}.tfrecords"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(framed(*(sequence_example(video) for video in share)))
    return tmp_path


def test_the_checksum():
    assert google_crc32c.value(b"123456789") == 0xE3069283  # RFC 3720's check value, and its 32 zero bytes
    assert google_crc32c.value(bytes(32)) == 0x8A9136AA
    assert google_crc32c.value(b"record") == bitwise_crc32c(b"record")


def test_videos_come_back_as_they_were_written(folder, videos):
    train, test = bair.find(folder, "train", verify=True), bair.find(folder / "softmotion30_44k", "test")
    assert [video.key for video in train.videos] == [
        "train/traj_0_to_1.tfrecords:0",
        "train/traj_0_to_1.tfrecords:1",
        "train/traj_2_to_3.tfrecords:0",
        "train/traj_2_to_3.tfrecords:1",
    ]
    for found, written in zip([*train.videos, *test.videos], videos, strict=True):
        read = bair.read(found)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, written)
    # The only remark: the data set has more.
    assert [reason for _, reason in train.skipped] == ["fewer videos than the data set has: 4 of 43264"]
    assert train.summary().startswith("BAIR robot pushing train: 4 clips of 1 of 1 classes")


def test_the_real_videos_were_among_them(videos):
    if not CLIPS.is_dir():
        pytest.skip(f"the real clips are not there: {CLIPS}")
    assert all(video.std() > 20 for video in videos[:4])


def test_the_archive_is_read_without_unpacking(folder, videos, tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(folder / "softmotion30_44k", "softmotion30_44k")
    split = bair.find(tmp_path / "set.tar", "train", verify=True)
    assert [video.key for video in split.videos] == [video.key for video in bair.find(folder).videos]
    for found, written in zip(split.videos, videos, strict=False):
        np.testing.assert_array_equal(bair.read(found), written)
    whole = (tmp_path / "set.tar").read_bytes()
    last = split.videos[-1]
    (tmp_path / "cut.tar").write_bytes(whole[: last.offset + 1000])
    cut = bair.find(tmp_path / "cut.tar", "train")
    assert 2 <= len(cut.videos) <= 3
    assert any("cut off" in reason for _, reason in cut.skipped)


def test_members_of_an_archive_never_become_files(folder, tmp_path):
    data = (folder / "softmotion30_44k" / "test" / "traj_0_to_1.tfrecords").read_bytes()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for name, kind in (("../../test/a.tfrecords", tarfile.REGTYPE), ("test/b.tfrecords", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    assert [video.key for video in bair.find(tmp_path / "evil.tar", "test").videos] == [
        "test/a.tfrecords:0",
        "test/a.tfrecords:1",
    ]
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([*before, "evil.tar"])


@pytest.mark.parametrize(
    ("damage", "kept", "reason"),
    [
        (lambda data, second: data[: second - 5], 1, "cut off at byte {head}: 7 bytes where a record's head takes 12"),
        (lambda data, second: data[:-1], 1, "cut off at byte {head}: a record of"),
        (lambda data, second: data[: second - 12] + b"\1" + data[second - 11 :], 1, "damaged at byte {head}: the record's"),
        (lambda data, second: b"", 0, "fewer records than its name says: 0 of 2"),
        (lambda data, second: data[: second - 12], 1, "fewer records than its name says: 1 of 2"),
        (lambda data, second: data + struct.pack("<QI", 2**60, 7), 2, "damaged at byte {end}: the record's length"),
        (lambda data, second: data + framed(b"")[:8] + framed(b"")[8:12], 2, "cut off at byte {end}: a record of 0"),
    ],
)
def test_damaged_files_keep_what_comes_before(folder, damage, kept, reason):
    path = folder / "softmotion30_44k" / "train" / "traj_0_to_1.tfrecords"
    second = bair.find(folder).videos[1].offset
    data = path.read_bytes()
    path.write_bytes(damage(data, second))
    split = bair.find(folder)
    assert [video.key for video in split.videos[:-2]] == [f"train/traj_0_to_1.tfrecords:{i}" for i in range(kept)]
    assert len(split.videos) == kept + 2
    where, said = split.skipped[0]
    assert where == str(path)
    assert said.startswith(reason.format(head=second - 12, end=len(data)))


def test_damaged_pixels_are_refused_with_file_and_byte(folder, videos):
    path = folder / "softmotion30_44k" / "train" / "traj_0_to_1.tfrecords"
    first = bair.find(folder).videos[0]
    data = bytearray(path.read_bytes())
    at = data.index(videos[0][3].tobytes()) + 100
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(VideoError, match=rf"traj_0_to_1.tfrecords, byte {first.offset}: damaged, .* checksum"):
        bair.read(first)
    split = bair.find(folder, verify=True)
    assert len(split.videos) == 3
    assert split.skipped[0][0] == first.key
    path.write_bytes(data[: first.offset + 50])
    with pytest.raises(VideoError, match="ends within the record"):
        bair.read(first)
    path.unlink()
    with pytest.raises(VideoError, match="No such file"):
        bair.read(first)


def test_messages_of_another_shape_are_refused(videos):
    with pytest.raises(VideoError, match="frame 29/image_main/encoded is missing"):
        bair.parse(sequence_example(videos[0][:29]))
    with pytest.raises(VideoError, match="frame 0/image_main/encoded has 3072 bytes; 12288 bytes of raw pixels"):
        bair.parse(sequence_example(videos[0][:, ::2, ::2]))
    np.testing.assert_array_equal(bair.parse(sequence_example(videos[0], note=b"x")), videos[0])
    np.testing.assert_array_equal(bair.parse(sequence_example(videos[0]), "image_aux1/encoded"), videos[0][:, ::-1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_damaged_messages_never_crash(seed):
    rng = np.random.default_rng(seed)
    record = bytearray(small_record())
    for _ in range(rng.integers(1, 8)):
        record[rng.integers(0, 60 if rng.random() < 0.5 else len(record))] = rng.integers(256)
    record = record[: rng.integers(1, len(record))] if rng.random() < 0.3 else record
    with contextlib.suppress(VideoError):
        assert bair.parse(bytes(record)).shape == (30, 64, 64, 3)


@functools.cache
def small_record() -> bytes:
    return sequence_example(np.zeros((30, 64, 64, 3), np.uint8))


def test_wrong_places_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no TFRecord of BAIR's train split .*softmotion30_44k/train/traj_\*"):
        bair.find(tmp_path)
    (tmp_path / "x.tar").write_bytes(b"no archive" * 100)
    for name in ("x.tar", "absent.tar"):
        with pytest.raises(DataError, match=rf"{name} cannot be read .*bair_robot_pushing_dataset_v0"):
            bair.find(tmp_path / name)
    with pytest.raises(ValueError, match="train, test"):
        bair.find(tmp_path, "val")
