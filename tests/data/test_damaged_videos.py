"""Files that are not what they should be, made here, and real and made ones with random damage.

    DVDGAN_DAMAGED=1000 .venv/bin/python -m pytest tests/data/test_damaged_videos.py

tries a thousand damaged copies instead of sixty.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dvdgan_lib.data import raw, video
from dvdgan_lib.data.raw import RawSplit, RawVideo, probe_all
from dvdgan_lib.data.video import VideoError, probe, read_frames

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "clips"
DAMAGED = int(os.environ.get("DVDGAN_DAMAGED", "60"))
SECONDS = 5.0


def write(path, frames=12, height=24, width=32, codec="mpeg4", pix_fmt="yuv420p", times=None, sound=False, **options):
    """Noise, so that there is something to damage; `times` in milliseconds make the frame rate vary."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", format=options.pop("format", None)) as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if times:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if sound:
            audio = container.add_stream("pcm_s16le", rate=8000)
            container.mux(audio.encode(silence(frames * 800)))
        for i in range(frames):
            picture = rng.integers(0, 256, (height, width, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        container.start_encoding()  # if there was no frame, for the header's sake
    return path


def silence(samples):
    frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.int16), layout="mono")
    frame.sample_rate = 8000
    return frame


def check(*paths, **limits):
    """(keys of the usable, {file name: reason} of the others)."""
    split = RawSplit("these", ("a",), tuple(RawVideo(path.name, 0, path) for path in paths))
    usable, facts = raw.check(split, **limits)
    assert len(facts) == len(usable.videos)
    return [v.key for v in usable.videos], {Path(name).name: reason for name, reason in usable.skipped}


def test_unusual_files_are_read(tmp_path):
    cases = {
        "one.mp4": (write(tmp_path / "one.mp4", frames=1), (1, 24, 32)),
        "odd.mkv": (write(tmp_path / "odd.mkv", height=25, width=37, codec="ffv1", pix_fmt="yuv444p"), (12, 25, 37)),
        "ten_bit.mkv": (write(tmp_path / "ten.mkv", codec="ffv1", pix_fmt="yuv420p10le"), (12, 24, 32)),
        "grey.avi": (write(tmp_path / "grey.avi", codec="ffv1", pix_fmt="gray"), (12, 24, 32)),
        "renamed.avi": (write(tmp_path / "x.mp4").rename(tmp_path / "renamed.avi"), (12, 24, 32)),
        "gif.mp4": (write(tmp_path / "x.gif", codec="gif", pix_fmt="rgb8").rename(tmp_path / "gif.mp4"), (12, 24, 32)),
        "sound.mkv": (write(tmp_path / "sound.mkv", sound=True), (12, 24, 32)),
        "name": (write(tmp_path / "a:b ü 視頻 %03d's.mkv"), (12, 24, 32)),
        "single": (write(tmp_path / "line.mkv", height=2, width=32, codec="ffv1", pix_fmt="yuv444p"), (12, 2, 32)),
    }
    if sys.platform == "linux":  # elsewhere names must be Unicode
        path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mkv")
        cases["bytes"] = (write(tmp_path / "z.mkv").rename(path), (12, 24, 32))
    found = probe_all([RawVideo(name, 0, Path(path)) for name, (path, _) in cases.items()])
    assert {name: fact[:3] for name, fact in zip(cases, found, strict=True)} == {k: v for k, (_, v) in cases.items()}
    for path, (frames, height, width) in cases.values():
        clip = read_frames(path, 16)
        assert clip.shape == (frames, *video.resized_size(height, width, 16), 3)
        assert clip.dtype == np.uint8


def test_a_rate_that_varies_is_no_damage(tmp_path):
    times = [0, 100, 200, 300, 400, 500, 600, 700, 3000, 3033, 3066, 6000]
    assert probe(write(tmp_path / "v.mkv", times=times, codec="ffv1")).frames == 12
    assert probe(write(tmp_path / "v.mp4", times=times)).frames == 12
    clip = read_frames(tmp_path / "v.mkv", 24, seconds=(0.6, 3.05))
    np.testing.assert_array_equal(clip, read_frames(tmp_path / "v.mkv", 24)[6:10])


def test_a_cut_without_new_encoding_is_no_damage(tmp_path):
    """An MP4 may count frames that it does not show (from the key frame to the cut), and sound may outlast pictures."""
    import imageio_ffmpeg

    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    write(tmp_path / "long.mp4", frames=100, codec="libx264", g="100")
    cut = ["-ss", "6", "-i", str(tmp_path / "long.mp4"), "-c", "copy", str(tmp_path / "cut.mp4")]
    subprocess.run(ffmpeg + cut, check=True)
    assert probe(tmp_path / "cut.mp4").frames == 40
    silent = ["-f", "lavfi", "-t", "9", "-i", "anullsrc", "-c:v", "copy", str(tmp_path / "outlast.mp4")]
    subprocess.run([*ffmpeg, "-i", str(tmp_path / "cut.mp4"), *silent], check=True)
    assert probe(tmp_path / "outlast.mp4").frames == 40


def test_files_that_are_no_video_are_refused_and_their_neighbours_unharmed(tmp_path):
    good = write(tmp_path / "good.mp4")
    whole = good.read_bytes()
    (tmp_path / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "zeros.avi").write_bytes(bytes(5000))
    (tmp_path / "text.mkv").write_text("not a video\n" * 50)
    Image.new("RGB", (32, 24)).save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "photo.mp4")
    with av.open(str(tmp_path / "sound_only.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        container.mux(stream.encode(silence(800)))
    write(tmp_path / "no_frames.avi", frames=0)
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "circle.mp4").symlink_to(tmp_path / "circle.mp4")
    good2 = write(tmp_path / "good 2.avi")
    kept, reasons = check(*sorted(tmp_path.iterdir()))
    assert sorted(kept) == [good2.name, good.name]
    assert len(reasons) == 10
    assert reasons["sound_only.mkv"] == "no video in it"
    assert all(reason.split(":")[0] for reason in reasons.values())
    assert not any("crashed" in reason or "slow" in reason for reason in reasons.values())


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {name}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_playlist_leads_nowhere(tmp_path, text):
    secret = write(tmp_path / "secret.ts", codec="mpeg2video", format="mpegts")
    assert probe(secret).frames == 12
    (tmp_path / "v.mp4").write_text(text.format(name=secret.name))
    with pytest.raises(VideoError, match="unreadable after 0 frames"):
        probe(tmp_path / "v.mp4")


def test_pictures_of_absurd_size_are_refused_without_the_memory_for_them(tmp_path):
    small = write(tmp_path / "s.mkv", codec="ffv1", pix_fmt="yuv420p").read_bytes()
    with av.open(str(tmp_path / "giant.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 8190, 8190, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(8190, 8190, "yuv420p")))
        container.mux(stream.encode())
    write(tmp_path / "thin.avi", frames=2, height=16, width=4096)
    at = small.index(b"\xb0\x81\x20\xba\x81\x18")  # Matroska: PixelWidth 32, PixelHeight 24
    (tmp_path / "header.mkv").write_bytes(small[:at] + b"\xb0\x81\xff\xba\x81\xff" + small[at + 6 :])
    kept, reasons = check(tmp_path / "giant.avi", tmp_path / "thin.avi")
    assert kept == []
    assert reasons["thin.avi"] == "a picture of 4096x16 pixels, longer than 16 to 1"
    assert reasons["giant.avi"].startswith("unreadable after 0 frames")
    if sys.platform == "linux":
        # In a process of its own. VmHWM, since ru_maxrss starts at the size of the process that forked this one.
        peak = (
            "import sys; from dvdgan_lib.data.video import VideoError, probe\n"
            "try: probe(sys.argv[1])\n"
            "except VideoError: print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
        )
        found = subprocess.run(
            [sys.executable, "-c", peak, str(tmp_path / "giant.avi")], capture_output=True, text=True, check=True
        )
        assert 10_000 < int(found.stdout) < 1_500_000  # kB
    try:
        clip = read_frames(tmp_path / "header.mkv", 16)
        assert clip.shape[1:] in ((16, 16, 3), (16, 21, 3))
    except VideoError:
        pass


def test_a_picture_that_changes_its_size_is_refused(tmp_path):
    parts = [
        write(tmp_path / f"{i}.ts", height=h, codec="mpeg2video", format="mpegts").read_bytes()
        for i, h in enumerate((24, 48))
    ]
    (tmp_path / "v.ts").write_bytes(b"".join(parts))
    with pytest.raises(VideoError, match="size changes within"):
        probe(tmp_path / "v.ts")
    with pytest.raises(VideoError, match="size changes within"):
        read_frames(tmp_path / "v.ts", 16)


def test_a_decoder_that_hangs_or_dies_is_replaced(tmp_path, monkeypatch):
    stub = tmp_path / "stub.py"
    stub.write_text(
        "import json, os, sys, time\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        "    path = json.loads(line)[0]\n"
        "    if 'hang' in path: time.sleep(60)\n"
        "    if 'crash' in path: os.kill(os.getpid(), 11)\n"
        "    print(json.dumps([7, 24, 32, 10.0, 0, 0]), flush=True)\n"
    )
    monkeypatch.setattr(raw.decoder_process, "__file__", str(stub))
    videos = [RawVideo(name, 0, Path(name)) for name in ("a", "hang", "b", "crash", "c", "hang", "d")]
    began = time.monotonic()
    found = probe_all(videos, seconds=2, workers=2)
    assert time.monotonic() - began < 40
    late, died = "too slow: not decoded within 2 s", "the decoder crashed: exit code -11"
    assert [fact if isinstance(fact, str) else fact.frames for fact in found] == [7, late, 7, died, 7, late, 7]
    stub.write_text("import sys; sys.exit(3)")
    with pytest.raises(RuntimeError, match="does not start; to see why, run"):
        probe_all(videos)


def test_an_interrupt_does_not_wait_for_a_decoder_that_hangs(tmp_path, monkeypatch):
    stub = tmp_path / "stub.py"
    seen = tmp_path / "seen"
    stub.write_text(
        f"import sys, time\nprint('ready', flush=True)\nsys.stdin.readline()\nopen({str(seen)!r}, 'w')\ntime.sleep(600)\n"
    )
    monkeypatch.setattr(raw.decoder_process, "__file__", str(stub))

    def interrupt():
        while not seen.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    before, began = signal.signal(signal.SIGINT, signal.default_int_handler), time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            probe_all([RawVideo("a", 0, Path("a"))], seconds=300)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 60


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
def test_memory_is_bounded(tmp_path):
    write(tmp_path / "v.mkv", frames=2, height=2160, width=3840, codec="mpeg4")
    kept, reasons = check(tmp_path / "v.mkv", memory=48 << 20)
    assert kept == []
    assert len(reasons["v.mkv"]) > 5
    assert check(tmp_path / "v.mkv")[0] == ["v.mkv"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Files to damage: containers and codecs made here, and the real clips where they are."""
    folder = tmp_path_factory.mktemp("originals")
    made = [
        write(folder / "mpeg4.avi", frames=30),
        write(folder / "mpeg4.mp4", frames=30),
        write(folder / "h264.mp4", frames=30, codec="libx264"),
        write(folder / "h264_sound.mkv", frames=30, codec="libx264", sound=True),
        write(folder / "vp8.webm", frames=30, codec="libvpx"),
        write(folder / "vp9.webm", frames=15, codec="libvpx-vp9"),
        write(folder / "ten_bit.mkv", frames=8, codec="ffv1", pix_fmt="yuv420p10le"),
        write(folder / "gif.gif", frames=20, codec="gif", pix_fmt="rgb8"),
        write(folder / "mpeg2.ts", frames=20, codec="mpeg2video", format="mpegts"),
    ]
    real = sorted((SHARED / "ucf101").glob("*")) + sorted((SHARED / "kinetics").glob("*"))
    return made + [path for path in real if path.stat().st_size < 1_000_000]


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed (half the time near the beginning, where headers are), a piece cut out, or the end cut off."""
    damaged = bytearray(data)
    for _ in range(int(2 ** rng.uniform(0, 7))):
        at = int(rng.integers(min(len(data), 2000) if rng.random() < 0.5 else len(data)))
        damaged[at] = int(rng.choice([0, 255, rng.integers(256), damaged[at] ^ 1 << int(rng.integers(8))]))
    kind = rng.random()
    if kind < 0.15:
        del damaged[int(rng.integers(len(data))) :]
    elif kind < 0.3:
        at = int(rng.integers(len(data)))
        del damaged[at : at + int(2 ** rng.uniform(0, 14))]
    elif kind < 0.4:
        at = int(rng.integers(len(data)))
        damaged[at:at] = rng.bytes(int(2 ** rng.uniform(0, 12)))
    return bytes(damaged)


def test_random_damage(originals, tmp_path):
    """No crash, no hang over 5 s a file, no clip of another shape than asked for."""
    videos = []
    for i in range(DAMAGED):
        original = originals[i % len(originals)]
        path = tmp_path / f"{i:04}{original.suffix}"
        path.write_bytes(damage(original.read_bytes(), np.random.default_rng(i)))
        videos.append(RawVideo(path.name, 0, path))
    found = probe_all(videos, seconds=SECONDS)
    for i, fact in enumerate(found):
        if "too slow" in str(fact):  # it, or the machine? Once more, by itself
            [found[i]] = probe_all([videos[i]], seconds=SECONDS)
    bad = [(v.key, fact) for v, fact in zip(videos, found, strict=True) if isinstance(fact, str)]
    assert [entry for entry in bad if "crashed" in entry[1] or "slow" in entry[1]] == []
    assert len(bad) < len(videos)  # some survive, so that the rest of this test tests something
    slowest = 0.0
    for item, fact in zip(videos, found, strict=True):
        began = time.process_time()
        frames = 6 if isinstance(fact, str) else min(fact.frames, 6)
        try:
            clip = read_frames(item.path, 16, stop=frames)
        except VideoError:
            assert isinstance(fact, str), f"{item.key} could be decoded once, and then not"
            continue
        finally:
            slowest = max(slowest, time.process_time() - began)
        assert clip.dtype == np.uint8
        assert len(clip) == frames
        assert min(clip.shape[1:3]) == 16
        if not isinstance(fact, str):
            assert clip.shape == (frames, *video.resized_size(fact.height, fact.width, 16), 3)
    assert slowest < SECONDS
