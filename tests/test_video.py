# ruff: noqa: F811 - fixtures are imported, and then are the parameters of tests
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mingmu import verbs
from mingmu.core.video import Every
from mingmu.settings import Settings
from tests import clips
from tests.test_cli import Run, photos, run  # noqa: F401 - fixtures

pytest.importorskip("cv2", reason="videos need the extra `video`")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Red, green and blue for a second each."""
    return clips.make(tmp_path / "clip.mp4")


def test_a_video_among_photos_is_answered_by_the_time(run: Run, photos: Path, clip: Path) -> None:
    done = run("recognize", photos / "blue.png", clip, photos / "red.png", "--recognizer", "tiny", "--top", "1")
    assert done.code == 0
    lines = [line.split("\t")[:2] for line in done.out.splitlines()]
    moments = [[f"{clip}#t={second}.000", label] for second, label in enumerate(("red", "green", "blue"))]
    assert lines == [[str(photos / "blue.png"), "blue"], *moments, [str(photos / "red.png"), "red"]]


def test_the_step_is_seconds_or_frames(run: Run, clip: Path) -> None:
    for step, count in (("0.5s", 6), ("15f", 2)):
        done = run("recognize", clip, "--every", step, "--recognizer", "tiny", "--json")
        assert (done.code, len(done.json["answers"])) == (0, count)
    assert done.json["answers"][1]["source"] == f"{clip}#t=1.500"
    assert done.json["answers"][1]["labels"][0]["label"] == "green"
    assert run("recognize", clip, "--every", "often").code == 2


def test_each_moment_is_drawn_under_its_time(run: Run, clip: Path, tmp_path: Path) -> None:
    assert run("recognize", clip, "--recognizer", "tiny", "--draw", tmp_path / "drawn").code == 0
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [f"clip-{second}.000.jpg" for second in range(3)]


def test_folders_are_searched_for_videos_only_where_they_are_asked_for(run: Run, photos: Path) -> None:
    clips.make(photos / "clip.mp4")
    assert len(run("recognize", photos, "--recognizer", "tiny", "--json").json["answers"]) == 3
    assert len(run("recognize", photos, "--recognizer", "tiny", "--json", "--every", "1s").json["answers"]) == 6


def test_what_a_damaged_video_has_is_kept(run: Run, photos: Path, tmp_path: Path) -> None:
    clip = clips.make(tmp_path / "clip.mkv")
    clip.write_bytes(clip.read_bytes()[:3500])
    done = run("recognize", clip, photos / "red.png", "--recognizer", "tiny", "--top", "1")
    assert done.code == 1
    assert [line.split("\t")[1] for line in done.out.splitlines()] == ["red", "green", "red"]
    assert done.err.startswith(f"error: {clip}: the video is cut short: 3500 of ")


def test_json_without_answers_is_valid_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    done = run("recognize", tmp_path / "none" / "*.png", "--recognizer", "tiny", "--json")
    assert done.json["answers"][0]["error"]["kind"] == "not-found"


def test_without_the_extra_the_photos_are_answered_and_the_video_says_what_it_needs(
    run: Run, photos: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    done = run("recognize", clip, photos / "red.png", "--recognizer", "tiny", "--json")
    assert done.code == 1
    assert done.json["answers"][0]["error"]["kind"] == "missing-extra"
    assert "mingmu[video]" in done.json["answers"][0]["error"]["detail"]
    assert done.json["answers"][1]["labels"][0]["label"] == "red"


def test_answers_come_while_the_video_is_still_being_read(data_dir: Path, tmp_path: Path) -> None:
    recognizer = verbs.open_recognizer(Settings(data_dir=data_dir), "tiny").recognizer
    asked = []

    def sources() -> Iterator[str]:
        for name in (clips.make(tmp_path / "long.mp4", ("red",) * 20), tmp_path / "after.png"):
            asked.append(name.name)
            yield str(name)

    answers = verbs.recognize(recognizer, sources(), threads=2, every=Every(frames=1))
    assert next(answers)[0].endswith("long.mp4#t=0.000")
    assert asked == ["long.mp4"]
    answers.close()  # type: ignore[attr-defined]  # a generator, though it is not promised
