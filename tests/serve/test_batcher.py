from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mingmu.core.errors import DeadlineExceeded, QueueFull
from mingmu.serve.batcher import Batcher, Crew, IsAlone
from mingmu.serve.company import Company


class Gate:
    """Doubles numbers, but only once it is opened; remembers every batch it was given."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int], is_alone: IsAlone) -> list[int]:
        self.batches.append(list(items))
        assert self.open.wait(10)
        return [item * 2 for item in items]

    async def reached(self, batches: int) -> None:
        while len(self.batches) < batches:  # noqa: ASYNC110 - a thread adds them
            await asyncio.sleep(0.001)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def crew() -> AsyncIterator[Crew]:
    with ThreadPoolExecutor(4) as threads:
        yield Crew(threads)


async def test_a_lone_item_runs_at_once(crew: Crew) -> None:
    batcher: Batcher[int, int] = Batcher(lambda items, _: [item * 2 for item in items], crew)
    outcome = await batcher.submit(21)
    assert (outcome.value, outcome.batch) == (42, 1)


async def test_items_gather_while_the_worker_is_busy(gate: Gate, crew: Crew) -> None:
    batcher = Batcher(gate, crew, max_batch=4)
    first = asyncio.create_task(batcher.submit(0))
    await gate.reached(1)
    rest = [asyncio.create_task(batcher.submit(i)) for i in range(1, 7)]
    await asyncio.sleep(0)
    gate.open.set()
    assert [(await task).value for task in [first, *rest]] == [0, 2, 4, 6, 8, 10, 12]
    assert gate.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_what_has_gathered_is_divided_among_idle_workers(gate: Gate, crew: Crew) -> None:
    batcher = Batcher(gate, crew, workers=2, max_batch=8)
    held = [asyncio.create_task(batcher.submit(i)) for i in (100, 200)]
    await gate.reached(2)
    gathered = [asyncio.create_task(batcher.submit(i)) for i in range(8)]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(*held, *gathered)
    assert max(len(batch) for batch in gate.batches) < 9
    assert sorted(item for batch in gate.batches for item in batch) == [*range(8), 100, 200]


async def test_a_full_queue_refuses_at_once_and_says_when_to_retry(gate: Gate, crew: Crew) -> None:
    batcher = Batcher(gate, crew, max_queue=2)
    tasks = [asyncio.create_task(batcher.submit(0))]
    await gate.reached(1)
    tasks += [asyncio.create_task(batcher.submit(i)) for i in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="2 images") as refusal:
        await batcher.submit(3)
    assert refusal.value.retry_after >= 1
    gate.open.set()
    assert [(await task).value for task in tasks] == [0, 2, 4]


async def test_a_cancelled_client_does_not_hurt_its_batch(gate: Gate, crew: Crew) -> None:
    batcher = Batcher(gate, crew)
    busy = asyncio.create_task(batcher.submit(0))
    await gate.reached(1)
    leaver, stayer = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    leaver.cancel()
    busy.cancel()  # this one is running already
    await asyncio.sleep(0)
    assert len(batcher) == 1
    gate.open.set()
    assert (await stayer).value == 4
    assert gate.batches == [[0], [2]]  # who left was never run


async def test_work_past_its_deadline_is_refused_in_time_and_never_run(gate: Gate, crew: Crew) -> None:
    batcher = Batcher(gate, crew)
    busy = asyncio.create_task(batcher.submit(0))
    await gate.reached(1)
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(1, deadline=time.monotonic() + 0.02)
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(2, deadline=time.monotonic() - 1)
    gate.open.set()
    await busy
    assert (await batcher.submit(3)).value == 6
    assert gate.batches == [[0], [3]]


async def test_a_call_is_alone_only_if_nothing_else_runs_in_the_whole_crew(gate: Gate, crew: Crew) -> None:
    told: list[bool] = []

    def call(items: Sequence[int], is_alone: IsAlone) -> list[int]:
        told.append(is_alone())
        return list(items)

    batcher, other = Batcher(call, crew, workers=2), Batcher(gate, crew, workers=2)
    await batcher.submit(1)
    elsewhere = asyncio.create_task(other.submit(1))
    await gate.reached(1)
    await batcher.submit(2)
    gate.open.set()
    await elsewhere
    while crew.awake:  # noqa: ASYNC110 - the threads go to rest by themselves
        await asyncio.sleep(0.001)
    with crew.busy():
        await batcher.submit(3)
    while crew.awake:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await batcher.submit(4)
    assert told == [True, False, False, True]


async def test_a_call_is_not_alone_while_another_process_of_the_company_is_busy(tmp_path: Path) -> None:
    told: list[bool] = []

    def call(items: Sequence[int], is_alone: IsAlone) -> list[int]:
        told.append(is_alone())
        return list(items)

    one, other = (Company.joined(tmp_path, number, size=2) for number in (1, 2))
    with ThreadPoolExecutor(1) as threads:
        batcher = Batcher(call, Crew(threads, one))
        for busy in (False, True):
            other.tell(busy=busy)
            await batcher.submit(1)
    assert told == [True, False]


async def test_a_failing_batch_fails_only_its_members(crew: Crew) -> None:
    def call(items: Sequence[int], is_alone: IsAlone) -> list[int]:
        if 13 in items:
            raise ValueError("unlucky")
        return list(items)

    batcher = Batcher(call, crew, max_batch=1)
    answers = await asyncio.gather(*(batcher.submit(i) for i in (12, 13, 14)), return_exceptions=True)
    assert isinstance(answers[1], ValueError)
    assert [getattr(answers[i], "value", None) for i in (0, 2)] == [12, 14]


async def test_a_wrong_number_of_answers_is_an_error_for_all_members(crew: Crew) -> None:
    empty: Callable[[Sequence[int], IsAlone], list[int]] = lambda items, _: []  # noqa: E731
    with pytest.raises(RuntimeError, match="1 items in, 0 answers out"):
        await Batcher(empty, crew).submit(1)


async def test_a_thousand_items_all_get_their_own_answer(crew: Crew) -> None:
    batcher: Batcher[int, int] = Batcher(lambda items, _: [item + 1 for item in items], crew, workers=3, max_queue=2000)
    outcomes = await asyncio.gather(*(batcher.submit(i) for i in range(1000)))
    assert [outcome.value for outcome in outcomes] == list(range(1, 1001))
