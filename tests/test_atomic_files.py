"""Files that are written whole or not at all."""

import pytest

from dvdgan_lib.atomic_files import write_atomically


def test_writing_leaves_one_whole_file(tmp_path):
    file = tmp_path / "folder" / "notes.txt"
    write_atomically(file, "first")
    write_atomically(file, b"second")
    assert file.read_bytes() == b"second"
    assert list(file.parent.iterdir()) == [file]


def test_what_is_written_atomically_leaves_nothing_behind_on_a_full_disk(tmp_path, no_file_above):
    file = tmp_path / "record.json"
    write_atomically(file, "{}")
    with pytest.raises(OSError, match="File too large"), no_file_above(64):
        write_atomically(file, 100 * " ")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "{}"
