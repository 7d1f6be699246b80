from __future__ import annotations

import sys
import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.errors import BadImage, BadRequest, ImageTooLarge, MissingExtra
from mingmu.core.pixels import Limits, encode_png
from mingmu.core.video import HEAD, Every, Shot, is_video, shots
from tests import clips

pytest.importorskip("cv2", reason="videos need the extra `video`")

HALF = Every(seconds=0.5)
FORMS = [".mp4", ".avi", ".mkv", ".webm"]


def colour(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return ("red", "green", "blue")[int(pixels.mean((0, 1)).argmax())]


@pytest.mark.parametrize("form", FORMS)
def test_pictures_come_at_the_times_asked_for(tmp_path: Path, form: str) -> None:
    found = list(shots(clips.make(tmp_path / f"clip{form}"), HALF))
    assert [round(shot.seconds, 3) for shot in found] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert [colour(shot.pixels) for shot in found] == ["red", "red", "green", "green", "blue", "blue"]
    assert {shot.pixels.shape for shot in found} == {(48, 64, 3)}


def test_a_step_may_be_in_frames_and_need_not_fit_the_frames(tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mp4")
    assert [round(shot.seconds, 3) for shot in shots(clip, Every.parse("10f"))] == [0, 1, 2]
    assert [round(shot.seconds, 3) for shot in shots(clip, Every.parse(".75s"))] == [0, 0.8, 1.5, 2.3]
    assert len(list(shots(clip, Every.parse("0.001s")))) == 30


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    assert next(shots(clips.turned(clips.make(tmp_path / "clip.mp4")), HALF)).pixels.shape == (64, 48, 3)


@pytest.mark.parametrize("text", ["", "1", "s", "0s", "0.0001s", "-1s", "1e3s", "0f", "1.5f", "1 s", "9999999s"])
def test_a_step_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"0\.5s"):
        Every.parse(text)


@pytest.mark.parametrize("form", FORMS)
def test_content_tells_a_video(tmp_path: Path, form: str) -> None:
    assert is_video(clips.make(tmp_path / f"clip{form}").read_bytes()[:HEAD])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"G" * 100,
        encode_png(np.zeros((2, 2, 3), np.uint8)),
        b"\0\0\0\x1cftypavif\0\0\0\0",
        b"\0\0\0\x1cftypheic\0\0\0\0",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"#EXTM3U\nhttp://example.com/a.ts\n",
        b"ffconcat version 1.0\nfile other.mp4\n",
    ],
)
def test_pictures_and_lists_of_files_are_no_videos(head: bytes) -> None:
    assert not is_video(head)


@pytest.mark.parametrize("form", [".avi", ".mkv", ".webm"])
def test_a_video_that_is_cut_short_gives_what_it_has_and_says_so(tmp_path: Path, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    clip = clips.make(tmp_path / f"clip{form}")
    whole = clip.read_bytes()
    part = len(whole) * 3 // 4
    clip.write_bytes(whole[:part])
    capfd.readouterr()
    found: list[Shot] = []
    with pytest.raises(BadImage, match=f"cut short: {part} of {len(whole)} bytes"):
        found.extend(shots(clip, Every(frames=1)))
    assert 1 <= len(found) < 30
    assert capfd.readouterr() == ("", "")  # the decoder keeps its own words to itself


def test_a_video_without_its_end_or_its_middle_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clip = clips.make(tmp_path / "clip.mp4")
    whole = clip.read_bytes()
    capfd.readouterr()
    clip.write_bytes(whole[:400])  # its table of contents is at its end
    with pytest.raises(BadImage, match="cut short: 400 of"):
        list(shots(clip, HALF))
    clip.write_bytes(whole[:100] + bytes(len(whole) - 100))
    with pytest.raises(BadImage, match="video"):
        list(shots(clip, HALF))
    assert capfd.readouterr() == ("", "")


def test_damage_anywhere_raises_nothing_but_bad_image(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    for form in FORMS:
        clip = clips.make(tmp_path / f"clip{form}")
        whole = np.frombuffer(clip.read_bytes(), np.uint8)
        for _ in range(8):
            hurt = whole.copy()
            hurt[random.integers(16, len(hurt), 40)] = random.integers(0, 256, 40)
            clip.write_bytes(hurt.tobytes())
            try:
                list(islice(shots(clip, HALF), 100))
            except BadImage:
                continue


def test_the_limits_of_images_hold_for_the_pictures_of_a_video(tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mp4")
    with pytest.raises(ImageTooLarge, match=r"64x48 .* max_image_pixels"):
        next(shots(clip, HALF, Limits(max_pixels=1000)))
    with pytest.raises(ImageTooLarge, match="max_image_side"):
        next(shots(clip, HALF, Limits(max_side=60)))


def test_a_long_video_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mp4", ("red",) * 20, size=(320, 240))
    tracemalloc.start()
    try:
        assert sum(1 for _ in shots(clip, Every(frames=1))) == 200
        assert tracemalloc.get_traced_memory()[1] < 5 * 320 * 240 * 3
    finally:
        tracemalloc.stop()


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = clips.make(tmp_path / "clip.mp4")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"mingmu\[video\]"):
        next(shots(clip, HALF))
