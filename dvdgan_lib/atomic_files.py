"""Files that are there whole or not at all."""

from __future__ import annotations

import uuid

from etils import epath


def write_atomically(path: epath.PathLike, content: bytes | str) -> None:
    """Writes beside the file, then renames: a reader, or a killed process, never sees half a file."""
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not named by the process: in two containers on one disk these have the same numbers.
    partial = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.partial"
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    except BaseException:  # as on a full disk, where what is left behind would be in the way of the next
        partial.unlink(missing_ok=True)
        raise
