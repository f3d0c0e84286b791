"""Writes what TensorFlow and PyTorch write, from their formats' descriptions: what the readers are tested on.

`bundle` follows leveldb's doc/table_format.md and tensor_bundle.proto, `torch_zip` and `torch_legacy` follow
torch/serialization.py. Nothing here is shared with the readers.
"""

import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import google_crc32c
import numpy as np


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number % 128 + 128])
        number //= 128
    return out + bytes([number])


def field(number, value):
    """A field of a protocol buffer: an int as a varint, bytes as a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def checksum(data):
    crc = google_crc32c.value(bytes(data))
    rotated = (crc >> 15) | (crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) % 2**32)


def snappy(data):
    """Greedy compression: literals, and copies with offsets of one and two bytes."""
    out, literal, at, seen = [varint(len(data))], b"", 0, {}

    def flush():
        for begin in range(0, len(literal), 200):
            piece = literal[begin : begin + 200]
            size = len(piece) - 1
            out.append((bytes([size << 2]) if size < 60 else bytes([60 << 2, size])) + piece)

    while at < len(data):
        start = seen.get(data[at : at + 4], -1) if at + 4 <= len(data) else -1
        seen[data[at : at + 4]] = at
        if start < 0 or at - start >= 65536:
            literal, at = literal + data[at : at + 1], at + 1
            continue
        flush()
        literal, length = b"", 4
        while length < 60 and at + length < len(data) and data[start + length] == data[at + length]:
            length += 1
        offset = at - start
        if length < 12 and offset < 2048:
            out.append(bytes([1 | (length - 4) << 2 | offset >> 8 << 5, offset & 255]))
        else:
            out.append(bytes([2 | (length - 1) << 2]) + struct.pack("<H", offset))
        at += length
    flush()
    return b"".join(out)


def table(entries, block_size=1024, compress=False):
    """A LevelDB table of sorted (key, value): data blocks, an empty metaindex, the index of blocks, the footer."""
    out = bytearray()

    def write(pairs):
        block, restarts, last = b"", [], b""
        for number, (key, value) in enumerate(pairs):
            shared = 0
            if number % 16 == 0:
                restarts.append(len(block))
            else:
                while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                    shared += 1
            block += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            last = key
        restarts = restarts or [0]
        block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
        stored = (snappy(block) + b"\x01") if compress else block + b"\x00"
        handle = varint(len(out)) + varint(len(stored) - 1)
        out.extend(stored + checksum(stored))
        return handle

    blocks, pending = [], []
    for pair in entries:
        pending.append(pair)
        if sum(len(k) + len(v) for k, v in pending) >= block_size:
            blocks.append((pending[-1][0], write(pending)))
            pending = []
    if pending:
        blocks.append((pending[-1][0], write(pending)))
    handles = write([]) + write(blocks)
    return bytes(out) + handles.ljust(40, b"\x00") + bytes.fromhex("57fb808b247547db")


DTYPES = {"f4": 1, "f8": 2, "i4": 3, "i8": 9, "f2": 19}


def bundle(tensors, shards=1, compress=False, extra=(), header=b""):
    """(what .index holds, [what each shard holds]) of {name: array}; extra (key, entry) as they are."""
    data = [bytearray() for _ in range(shards)]
    entries = [(b"", field(1, shards) + header + field(3, field(1, 1)))]
    rows = [*extra]
    for number, (name, array) in enumerate(sorted(tensors.items())):
        shard = number % shards
        raw = np.ascontiguousarray(array).tobytes()
        shape = b"".join(field(2, field(1, size)) for size in array.shape)
        entry = field(1, DTYPES[array.dtype.str[1:]]) + field(2, shape)
        entry += (field(3, shard) if shard else b"") + (field(4, len(data[shard])) if data[shard] else b"")
        entry += field(5, len(raw)) + varint(6 << 3 | 5) + checksum(raw)
        rows.append((name.encode(), entry))
        data[shard] += raw
    return table(entries + sorted(rows), compress=compress), [bytes(d) for d in data]


def write_bundle(prefix, tensors, **options):
    index, shards = bundle(tensors, **options)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_name(f"{prefix.name}.index").write_bytes(index)
    for number, shard in enumerate(shards):
        prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{len(shards):05d}").write_bytes(shard)


class Storage:
    def __init__(self, key, array):
        self.key, self.array = key, array


class Tensor:
    """What torch pickles a tensor as: a call of `_rebuild_tensor_v2` on a storage."""

    rebuild = "_rebuild_tensor_v2"

    def __init__(self, storage, offset, shape, strides):
        self.view = storage, offset, shape, strides

    def __reduce__(self):
        more = () if self.rebuild == "_rebuild_tensor" else (False, OrderedDict())
        return getattr(sys.modules["torch._utils"], self.rebuild), (*self.view, *more)


class OldTensor(Tensor):
    """As torch 0.3 did."""

    rebuild = "_rebuild_tensor"


def state_dict(arrays, kind=Tensor):
    """{name: array} -> what stands for it in a pickle, each array in a storage of its own."""
    tensors = OrderedDict()
    for key, (name, array) in enumerate(arrays.items()):
        strides = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
        tensors[name] = kind(Storage(str(key), np.ascontiguousarray(array).reshape(-1)), 0, array.shape, strides)
    tensors._metadata = OrderedDict([("", {"version": 1})])  # which torch keeps as an attribute
    return tensors


@contextlib.contextmanager
def pretended_torch():
    """Modules with the names that torch's pickles refer to, for as long as they are written."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "DoubleStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
        function = types.FunctionType((lambda *_: None).__code__, {}, name)
        function.__module__, function.__qualname__ = "torch._utils", name
        setattr(utils, name, function)
    torch._utils = utils
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield torch
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def pickled(tensors, legacy):
    """(the pickle, its storages by key)."""
    storages = {}
    with pretended_torch() as torch:

        class Pickler(pickle.Pickler):
            def persistent_id(self, value):
                if not isinstance(value, Storage):
                    return None
                storages[value.key] = value.array
                kind = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage"}[value.array.dtype.str[1:]]
                identity = ("storage", getattr(torch, kind), value.key, "cpu", value.array.size)
                return (*identity, None) if legacy else identity

        file = io.BytesIO()
        Pickler(file, protocol=2).dump(tensors)
    return file.getvalue(), storages


def torch_zip(tensors, folder="archive"):
    data, storages = pickled(tensors, legacy=False)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{folder}/data.pkl", data)
        archive.writestr(f"{folder}/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"{folder}/data/{key}", array.tobytes())
        archive.writestr(f"{folder}/version", "3\n")
    return file.getvalue()


def torch_legacy(tensors):
    data, storages = pickled(tensors, legacy=True)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    out = b"".join(pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, system))
    out += data + pickle.dumps(sorted(storages), protocol=2)
    for key in sorted(storages):
        out += struct.pack("<q", storages[key].size) + storages[key].tobytes()
    return out
