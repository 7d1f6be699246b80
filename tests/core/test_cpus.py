from __future__ import annotations

import os
from pathlib import Path

import numpy as np  # noqa: F401 - its algebra is what is limited
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mingmu.core.cpus import cpu_count, plain_products


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """What the kernel tells about the process: in a container, the root."""
    (tmp_path / "own").write_text("0::/\n")
    return tmp_path / "own"


@pytest.mark.parametrize(("text", "count"), [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("", 8)])
def test_the_quota_of_a_container_counts(tmp_path: Path, own: Path, text: str, count: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_count(tmp_path, own) == count


def test_the_quota_of_an_older_container_counts(tmp_path: Path, own: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert cpu_count(tmp_path, own) == 3
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert cpu_count(tmp_path, own) == 8


def test_without_a_container_all_processors_count(tmp_path: Path) -> None:
    assert cpu_count(tmp_path / "absent", tmp_path / "absent") == 8


@pytest.mark.parametrize(
    ("own", "folder", "name", "text"),
    [
        ("0::/system.slice/mingmu.service", "system.slice/mingmu.service", "cpu.max", "300000 100000"),
        ("0::/system.slice/mingmu.service", "system.slice", "cpu.max", "300000 100000"),
        ("4:cpu,cpuacct:/a b/c\n3:memory:/d\n0::/x", "cpu/a b/c", "cpu.cfs_quota_us", "300000"),
    ],
)
def test_the_quota_of_a_service_and_of_the_slice_it_is_in_counts(tmp_path: Path, own: str, folder: str, name: str, text: str) -> None:
    (tmp_path / "own").write_text(own + "\n")
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / name).write_text(text)
    (tmp_path / folder / "cpu.cfs_period_us").write_text("100000")
    assert cpu_count(tmp_path, tmp_path / "own") == 3


def test_products_take_one_processor_each_within_a_block() -> None:
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        with plain_products():
            assert threads() == {1}
        assert threads() == {2}
