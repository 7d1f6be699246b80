"""The memory that decoding takes."""

from __future__ import annotations

import threading
import time

import pytest

from mingmu.core.errors import BadImage
from mingmu.core.memory import Budget


def test_a_budget_is_never_overspent_and_what_exceeds_it_runs_alone() -> None:
    budget, lock = Budget(100), threading.Lock()
    running: list[int] = []
    seen: list[list[int]] = []

    def work(count: int) -> None:
        with budget.share(count):
            with lock:
                running.append(count)
                seen.append([*running])
            time.sleep(0.002)
            with lock:
                running.remove(count)

    threads = [threading.Thread(target=work, args=(count,), daemon=True) for count in (30, 60, 500, 10, 30, 90, 1000, 50) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seen) == len(threads)
    assert all(sum(counts) <= 100 or len(counts) == 1 for counts in seen)
    assert any(len(counts) > 1 for counts in seen)


def test_a_large_share_is_not_overtaken_for_ever() -> None:
    budget, order = Budget(100), list[str]()

    def work(name: str, count: int) -> None:
        with budget.share(count):
            order.append(name)

    with budget.share(50):
        threads = [threading.Thread(target=work, args=item, daemon=True) for item in (("large", 100), ("small", 10))]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == ["large", "small"]


def test_a_share_is_given_back_after_an_error() -> None:
    budget = Budget(100)
    for _ in range(3):
        with pytest.raises(BadImage), budget.share(100):
            raise BadImage("cut short")
    with budget.share(100):
        pass
