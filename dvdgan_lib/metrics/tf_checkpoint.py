"""TensorFlow's checkpoints ("tensor bundles") read without TensorFlow.

`NAME.index` is a LevelDB table from a tensor's name to a `BundleEntryProto`, which says where in the shards
`NAME.data-00000-of-00001` ... its bytes lie. Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.cc and
tensorflow/core/protobuf/tensor_bundle.proto, leveldb's doc/table_format.md, snappy's format_description.txt.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from dvdgan_lib.protocol_buffers import fields, masked_crc, varint

_FOOTER_SIZE = 48
_MAGIC = 0xDB4775248B80FB57
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}  # of types.proto; others, such as strings, are passed over


def _unsnappy(data: bytes) -> bytes:
    """Snappy's raw format: literals, and copies of what was written before."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if length > 60:  # The length follows, in 1 to 4 bytes.
                width = length - 60
                length, at = int.from_bytes(data[at : at + width], "little") + 1, at + width
            out += data[at : at + length]
            at += length
            continue
        width = (1, 2, 4)[kind - 1]
        offset, at = int.from_bytes(data[at : at + width], "little"), at + width
        if kind == 1:
            length, offset = (tag >> 2 & 7) + 4, offset | tag >> 5 << 8
        if not 0 < offset <= len(out):
            raise ValueError("a compressed block of its index is damaged")
        for _ in range(length):  # A byte at a time: a copy may reach into itself.
            out.append(out[-offset])
    if len(out) != size:
        raise ValueError("a compressed block of its index is damaged")
    return bytes(out)


def _block(table: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of the block at (offset, size): each key shares a prefix with the one before it."""
    offset, at = varint(handle, 0)
    size, _ = varint(handle, at)
    data, kind = table[offset : offset + size], table[offset + size]
    (checksum,) = struct.unpack_from("<I", table, offset + size + 1)
    if masked_crc(table[offset : offset + size + 1]) != checksum:
        raise ValueError(f"the block at byte {offset} of its index fails its checksum")
    if kind not in (0, 1):
        raise ValueError(f"its index is compressed in the unknown way {kind}")
    data = _unsnappy(data) if kind else data
    (restarts,) = struct.unpack_from("<I", data, len(data) - 4)
    at, end, key = 0, len(data) - 4 * (restarts + 1), b""
    while at < end:
        shared, at = varint(data, at)
        rest, at = varint(data, at)
        length, at = varint(data, at)
        key = key[:shared] + data[at : at + rest]
        yield key, data[at + rest : at + rest + length]
        at += rest + length


def _table(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a LevelDB table, in the order of the keys."""
    if len(index) < _FOOTER_SIZE or struct.unpack("<Q", index[-8:])[0] != _MAGIC:
        raise ValueError("its .index is no table of TensorFlow's (it may be cut short)")
    footer = index[-_FOOTER_SIZE:]
    at = 0
    for _ in range(2):  # Over the handle of the block about the table itself, which says nothing of interest.
        _, at = varint(footer, at)
    for _, handle in _block(index, footer[at:]):
        yield from _block(index, handle)


@contextlib.contextmanager
def _damage_named() -> Iterator[None]:
    """What a damaged index raises where no checksum covers it, as a ValueError."""
    try:
        yield
    except (IndexError, struct.error, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"its index is damaged ({error})") from error


def shard_names(index: bytes) -> list[str]:
    """How the names of a bundle's shards go on after its own, as ".data-00000-of-00001"; ValueError as for `read`."""
    with _damage_named():
        key, header = next(_table(index), (None, b""))
        header = dict(fields(header))
        if key != b"" or header.get(2, 0) != 0:
            raise ValueError("its index has no header, or is from a big-endian machine")
        count = header.get(1, 0)
    return [f".data-{number:05d}-of-{count:05d}" for number in range(count)]


def read(index: bytes, shards: Sequence[bytes]) -> dict[str, np.ndarray]:
    """The numeric tensors of a bundle, by name; each one's checksum is compared.

    Args:
      index: what the `.index` file holds.
      shards: what the files of `shard_names` hold.

    Raises:
      ValueError: the bundle is damaged or of a kind that is not read; the message goes on from "the file is refused:".
    """
    with _damage_named():
        return {
            key.decode(): array
            for key, value in _table(index)
            if key and (array := _tensor(key.decode(), dict(fields(value)), shards)) is not None
        }


def _tensor(name: str, entry: dict, shards: Sequence[bytes]) -> np.ndarray | None:
    """The array of a `BundleEntryProto`; None for strings and the like."""
    if 7 in entry:
        raise ValueError(f"{name} is stored in slices, which are not read here")
    if entry.get(1) not in _DTYPES:
        return None
    dimensions = [dict(fields(dimension)) for number, dimension in fields(entry.get(2, b"")) if number == 2]
    shape = tuple(dimension.get(1, 0) for dimension in dimensions)
    begin, size = entry.get(4, 0), entry.get(5, 0)
    data = shards[entry.get(3, 0)][begin : begin + size]
    if len(data) != size:
        raise ValueError(f"its data ends before {name} does")
    if masked_crc(data) != entry.get(6, 0):
        raise ValueError(f"{name} fails its checksum")
    array = np.frombuffer(data, _DTYPES[entry[1]])
    if array.size != math.prod(shape):
        raise ValueError(f"{name} has {array.size} numbers and the shape {shape}")
    return array.reshape(shape)
