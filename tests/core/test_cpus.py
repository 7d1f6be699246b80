from __future__ import annotations

import os
from pathlib import Path

import pytest

from mingmu.core.cpus import cpu_count


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


@pytest.mark.parametrize(("text", "count"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("", 8)])
def test_the_quota_of_a_container_counts(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_count(tmp_path) == count


def test_the_quota_of_an_older_container_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert cpu_count(tmp_path) == 3
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert cpu_count(tmp_path) == 8


def test_without_a_container_all_processors_count(tmp_path: Path) -> None:
    assert cpu_count(tmp_path / "absent") == 8
