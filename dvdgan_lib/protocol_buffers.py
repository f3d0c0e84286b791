"""The few rules by which TFRecords and TensorFlow's checkpoints are read without TensorFlow.

Protocol buffers by https://protobuf.dev/programming-guides/encoding, without their schema: who calls knows the fields.
"""

from __future__ import annotations

from collections.abc import Iterator

from google_crc32c import value as crc32c


def masked_crc(data: bytes) -> int:
    """CRC-32C as TFRecords and LevelDB store it: rotated and shifted, so that CRCs of data that holds CRCs stay sound."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits a byte, lowest first, and where the next thing begins.

    Raises:
      ValueError: it is too long.
      IndexError: the data end within it.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 10 bytes")


def fields(message: bytes | memoryview) -> Iterator[tuple[int, int | bytes | memoryview]]:
    """(field number, value) of a message: numbers, and bytes (parts of a memoryview) for strings and messages.

    Raises:
      ValueError: a field that goes beyond the message, or of an unknown kind.
      IndexError: the message ends within a number.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(message, at)
        elif kind in (1, 2, 5):
            size, at = varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            if at + size > len(message):
                raise ValueError(f"a field of {size} bytes where {len(message) - at} are left")
            value, at = message[at : at + size], at + size
            if kind != 2:
                value = int.from_bytes(value, "little")
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        yield tag >> 3, value
