"""Real processes, killed at random moments: in the end there is every row once, the same as of a run that nobody disturbed."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pytest

from mingmu import verbs
from mingmu.core.batching import BatchOptions
from mingmu.core.pixels import encode_png
from mingmu.settings import Settings

IMAGES = 600
ROUNDS = 25


def photos_in(folder: Path) -> Path:
    """Small pictures, one of seven damaged."""
    for number in range(IMAGES):
        file = folder / f"{number % 5}" / f"{number}\n.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 10, 3), np.uint8)
        file.write_bytes(encode_png(pixels) if number % 7 else b"damaged")
    return folder


def look(data_dir: Path, photos: Path, out: Path, pause: float) -> None:
    settings = Settings(data_dir=data_dir, threads=2)
    opened = verbs.open_recognizer(settings, "tiny")
    verbs.batch(settings, opened, str(photos), out, BatchOptions(top=2), watch=lambda _done, _images: time.sleep(pause))


@pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="not tested here: this system starts processes slowly"
)
def test_runs_killed_at_any_moment_lose_nothing_and_do_nothing_twice(data_dir: Path, tmp_path: Path) -> None:
    photos = photos_in(tmp_path / "photos")
    look(data_dir, photos, tmp_path / "undisturbed.jsonl", 0)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    out, rows = tmp_path / "disturbed.jsonl", tmp_path / "disturbed.jsonl.part" / "rows"
    seen, longest = [0], 0.35
    for turn in range(ROUNDS):
        process = context.Process(target=look, args=(data_dir, photos, out, 0.02), daemon=True)
        process.start()
        process.join(random.Random(turn).uniform(0.02, longest))
        process.kill()
        process.join()
        seen.append(rows.stat().st_size if rows.exists() else 0)
        longest *= 1.0 if any(seen) else 1.2  # a slow machine has not begun by then
    assert len(set(seen)) > 3, "it was never killed at work"
    if rows.exists() or not out.exists():
        look(data_dir, photos, out, 0)
    assert out.read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()
    paths = [json.loads(line)["path"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert paths == sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    assert not rows.parent.exists()
