"""UCF-101's folders, lists and archives; the official lists and real clips are read where they are."""

import os
import shutil
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from dvdgan_lib.data import DataError, raw, ucf101

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "clips"
AVI = "v_Archery_g01_c01.avi", "v_ApplyEyeMakeup_g01_c01.avi", "v_SoccerJuggling_g23_c01.avi", "v_BabyCrawling_g04_c01.avi"


@pytest.fixture(scope="module")
def clips():
    if not (SHARED / "ucf101").is_dir():
        pytest.skip(f"the real clips are not there: {SHARED / 'ucf101'}")
    return SHARED / "ucf101"


@pytest.fixture(scope="module")
def official():
    if not (SHARED / "labels" / "ucf101_splits").is_dir():
        pytest.skip(f"the official lists are not there: {SHARED / 'labels' / 'ucf101_splits'}")
    return SHARED / "labels" / "ucf101_splits"


@pytest.fixture
def lists(tmp_path):
    """Small lists: two classes, three training videos, two test videos; Windows' line ends."""
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "classInd.txt").write_bytes(b"\xef\xbb\xbf1 Archery\r\n2 YoYo\r\n")
    train = ["YoYo/v_YoYo_g08_c01.avi 2", "Archery/v_Archery_g08_c01.avi 1", "Archery/v_Archery_g09_c01.avi 1"]
    (folder / "trainlist01.txt").write_text("\r\n".join(train) + "\r\n\r\n")
    (folder / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\nYoYo/v_YoYo_g01_c01.avi\n")
    return folder


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_the_official_lists(official):
    names = ucf101.class_names(official)
    assert len(names) == 101
    assert (names[0], names[2], names[36], names[100]) == ("ApplyEyeMakeup", "Archery", "HandstandPushups", "YoYo")
    everything = set()
    for fold, (train, test) in ucf101.SIZES.items():
        found = ucf101.listed(official, fold)
        assert (len(found["train"]), len(found["test"])) == (train, test)
        everything |= found["train"].keys() | found["test"].keys()
    assert len(everything) == 13320
    # FACTS of the data set: the test groups of the first split are g01 to g07.
    assert {stem.split("_")[-2] for stem in ucf101.listed(official)["test"]} == {f"g0{i}" for i in range(1, 8)}


@pytest.mark.parametrize("layout", ["flat", "classes", "nested"])
def test_real_clips_by_the_official_lists(clips, official, tmp_path, layout):
    for name in AVI:
        folder = tmp_path / {"flat": "", "classes": name.split("_")[1], "nested": f"UCF-101/{name.split('_')[1]}"}[layout]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(clips / name)
    splits = {split: ucf101.find(tmp_path, official, split) for split in ("train", "test", "all")}
    assert [(v.key, v.label) for v in splits["train"].videos] == [("v_SoccerJuggling_g23_c01", 83)]
    assert [(v.key, v.label) for v in splits["test"].videos] == [
        ("v_ApplyEyeMakeup_g01_c01", 0),
        ("v_Archery_g01_c01", 2),
        ("v_BabyCrawling_g04_c01", 3),
    ]
    assert len(splits["all"].videos) == 4
    assert len(splits["all"].skipped) == 13316
    assert "13,316 left out, listed, but there is no such file" in splits["all"].summary()
    usable, facts = raw.check(splits["all"])
    assert [(fact.frames, fact.height, fact.width) for fact in facts] == [
        (164, 240, 320),
        (131, 240, 320),
        (127, 240, 320),
        (240, 240, 320),
    ]
    assert usable.videos == splits["all"].videos


def test_missing_extra_and_second_files_are_named(lists, tmp_path):
    folder = touch(
        tmp_path / "UCF-101",
        "Archery/v_Archery_g08_c01.avi",
        "Archery/v_Archery_g08_c01.mp4",
        "Archery/v_Archery_g01_c01.avi",
        "Archery/v_archery_G09_c01.mp4",
        "Archery/v_Archery_g99_c01.avi",
        "Archery/notes.txt",
    )
    split = ucf101.find(folder, lists)
    assert [(video.key, video.path.name) for video in split.videos] == [
        ("v_Archery_g08_c01", "v_Archery_g08_c01.avi"),
        ("v_Archery_g09_c01", "v_archery_G09_c01.mp4"),
    ]
    assert dict(split.skipped) == {
        str(folder / "Archery/v_Archery_g99_c01.avi"): "in no list of this data set",
        str(folder / "Archery/v_Archery_g08_c01.mp4"): f"a second copy: {folder / 'Archery/v_Archery_g08_c01.avi'} is taken",
        "v_YoYo_g08_c01.avi": "listed, but there is no such file",
    }
    assert [video.label for video in ucf101.find(folder, lists, "all").videos] == [0, 0, 0]


def test_the_lists_are_read_inside_their_zip(lists, tmp_path):
    folder = touch(tmp_path / "videos", "v_YoYo_g01_c01.avi")
    with zipfile.ZipFile(tmp_path / "lists.zip", "w") as archive:
        for path in lists.iterdir():
            archive.write(path, f"ucfTrainTestlist/{path.name}")
            archive.writestr(f"__MACOSX/ucfTrainTestlist/{path.name}", b"\0")
        archive.writestr("../outside.txt", "nothing is unpacked")
    assert ucf101.find(folder, tmp_path / "lists.zip", "test") == ucf101.find(folder, lists, "test")
    assert not (tmp_path.parent / "outside.txt").exists()
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.write(lists / "classInd.txt", "a/classInd.txt")
        archive.write(lists / "classInd.txt", "b/classInd.txt")
    with pytest.raises(DataError, match=r"does not hold one small classInd.txt"):
        ucf101.class_names(tmp_path / "twice.zip")
    (tmp_path / "broken.zip").write_bytes((tmp_path / "lists.zip").read_bytes()[:-30])
    with pytest.raises(DataError, match=r"classInd.txt cannot be read from .*broken.zip \(.*official lists"):
        ucf101.class_names(tmp_path / "broken.zip")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("classInd.txt", "1 Archery\n3 YoYo\n", r"line 2: '3 YoYo' is not `2 ClassName`"),
        ("classInd.txt", "", "is empty; it should list 101"),
        ("trainlist01.txt", "Archery/v_Archery_g08_c01.avi 2\n", r"trainlist01.txt, line 1: .* is not `Class/v_Class"),
        ("trainlist01.txt", "Archery/../../etc/passwd 1\n", "line 1: .* is not"),
        ("trainlist01.txt", "Fencing/v_Fencing_g08_c01.avi 1\n", "line 1: .* is not"),
        ("testlist01.txt", "YoYo/v_YoYo_g08_c01.avi\n", "testlist01.txt, line 1: v_YoYo_g08_c01 is listed a second time"),
    ],
)
def test_wrong_lists_are_refused(lists, tmp_path, file, text, message):
    (lists / file).write_text(text)
    with pytest.raises(DataError, match=message):
        ucf101.find(tmp_path, lists)


def test_wrong_places_are_refused(lists, tmp_path):
    with pytest.raises(DataError, match=r"There is no folder .*nowhere: expected .*UCF101.rar"):
        ucf101.find(tmp_path / "nowhere", lists)
    with pytest.raises(DataError, match=r"classInd.txt cannot be read from .*RecognitionTask.zip"):
        ucf101.find(tmp_path, tmp_path / "nowhere")
    with pytest.raises(DataError, match="None of the 3 videos of UCF-101's train split is in"):
        ucf101.find(tmp_path, lists)
    (tmp_path / "UCF101.rar").touch()
    with pytest.raises(DataError, match="is the archive: unpack it first"):
        ucf101.find(tmp_path / "UCF101.rar", lists)
    with pytest.raises(ValueError, match="train, test, all"):
        ucf101.find(tmp_path, lists, "val")
    with pytest.raises(ValueError, match="1, 2 and 3, not 4"):
        ucf101.find(tmp_path, lists, fold=4)


UNPACKER = """#!{python}
import os, sys
if sys.argv[1] in ("-tf", "lb", "l"):
    print({listing!r})
else:
    [target] = [a.removeprefix("-o") for a in sys.argv if a.rstrip("/").endswith(".partial")]
    os.makedirs(os.path.join(target, "UCF-101/YoYo"))
    open(os.path.join(target, "UCF-101/YoYo/v_YoYo_g01_c01.avi"), "w").close()
    if {link!r}: os.symlink("/etc", os.path.join(target, "UCF-101", "link"))
    if {fail!r}: sys.exit("CRC failed")
"""


@pytest.fixture
def unpacker(tmp_path, monkeypatch):
    """unpacker(name, ...) puts a program of that name on an otherwise empty PATH, which "unpacks" one video."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "UCF101.rar").write_bytes(b"Rar!\x1a\x07\x00")

    def install(name, listing="UCF-101/YoYo/v_YoYo_g01_c01.avi", link=False, fail=False):
        program = tmp_path / "bin" / name
        program.write_text(UNPACKER.format(python=sys.executable, listing=listing, link=link, fail=fail))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "UCF101.rar"

    return install


@pytest.mark.parametrize("name", ["bsdtar", "unrar", "7zz", "7z"])
def test_the_archive_is_unpacked_by_what_the_system_has(unpacker, lists, tmp_path, name):
    listing = "UCF-101/YoYo/v_YoYo_g01_c01.avi"
    archive = unpacker(name, f"Path = {listing}\nSize = 0" if "7z" in name else listing)
    folder = ucf101.extract(archive, tmp_path / "videos")
    assert [video.key for video in ucf101.find(folder, lists, "test").videos] == ["v_YoYo_g01_c01"]
    assert not (tmp_path / "videos.partial").exists()
    with pytest.raises(DataError, match="videos is not empty"):
        ucf101.extract(archive, tmp_path / "videos")


@pytest.mark.parametrize("member", ["../v.avi", "/etc/v.avi", "UCF-101/../../v.avi", "C:\\v.avi", "..\\v.avi"])
def test_members_that_point_outside_are_refused(unpacker, tmp_path, member):
    with pytest.raises(DataError, match="1 of its members point outside the folder"):
        ucf101.extract(unpacker("bsdtar", f"UCF-101/a.avi\n{member}"), tmp_path / "videos")
    with pytest.raises(DataError, match="1 of its members point outside the folder"):
        ucf101.extract(unpacker("7z", f"Path = UCF-101/a.avi\nPath = {member}"), tmp_path / "videos")
    with zipfile.ZipFile(tmp_path / "UCF101_videos.zip", "w") as archive:
        archive.writestr("UCF-101/a.avi", b"")
        archive.writestr(member, b"")
    with pytest.raises(DataError, match="1 of its members point outside the folder"):
        ucf101.extract(tmp_path / "UCF101_videos.zip", tmp_path / "videos")
    assert not (tmp_path / "videos").exists()


def test_archives_that_cannot_be_unpacked(unpacker, tmp_path):
    with pytest.raises(DataError, match=r"There is no archive .*absent.rar"):
        ucf101.extract(tmp_path / "absent.rar", tmp_path / "videos")
    with pytest.raises(DataError, match=r"none of bsdtar, unrar, 7zz, 7z on this system.*apt install libarchive-tools"):
        ucf101.extract(tmp_path / "UCF101.rar", tmp_path / "videos")
    with pytest.raises(DataError, match="ended with code 1 and said 'CRC failed'"):
        ucf101.extract(unpacker("unrar", fail=True), tmp_path / "videos")
    with pytest.raises(DataError, match="holds a link"):
        ucf101.extract(unpacker("unrar", link=True), tmp_path / "videos")
    assert not (tmp_path / "videos").exists()
    assert not (tmp_path / "videos.partial").exists()
    assert os.path.isdir("/etc")


def test_a_zip_of_the_folders_is_unpacked_too(lists, tmp_path):
    with zipfile.ZipFile(tmp_path / "UCF101_videos.zip", "w") as archive:
        archive.writestr("UCF101/v_YoYo_g01_c01.avi", b"the frames")
    folder = ucf101.extract(tmp_path / "UCF101_videos.zip", tmp_path / "videos")
    assert len(ucf101.find(folder, lists, "test").videos) == 1
    shutil.rmtree(folder)
    intact = (tmp_path / "UCF101_videos.zip").read_bytes()
    assert intact.count(b"the frames") == 1
    (tmp_path / "UCF101_videos.zip").write_bytes(intact.replace(b"the frames", b"tHe frames"))
    with pytest.raises(DataError, match="cannot be unpacked into"):
        ucf101.extract(tmp_path / "UCF101_videos.zip", tmp_path / "videos")
