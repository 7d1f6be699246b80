"""Looks at many images with all processors: each thread takes a portion from the bytes to the rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial

from mingmu.batch.rows import Row, row_of
from mingmu.batch.sources import Item, Source
from mingmu.core.answers import Answer
from mingmu.core.batching import BatchOptions
from mingmu.core.cpus import plain_products
from mingmu.core.errors import FetchFailed, MingmuError, Unreachable
from mingmu.core.recognizer import Recognizer

AHEAD = 3  # portions for each thread that are begun before the oldest is done
MOST_UNREACHABLE = 8  # images in a row
READERS = 16  # images that are fetched at a time where a network is in between

Read = Callable[[], bytes]


def look(
    recognizer: Recognizer, source: Source, portions: Iterable[Sequence[Item]], options: BatchOptions, threads: int
) -> Generator[list[Row]]:
    """The rows of each portion, in order; what cannot be read or decoded becomes a row that says why.

    Raises FetchFailed where MOST_UNREACHABLE images in a row cannot be reached: then it is not the images that are wrong. Portions
    that end in such images are held back until one after them is reached.
    """
    held: list[list[Row]] = []
    missed = 0
    with closing(_looked_at(recognizer, source, portions, options, threads)) as looked:
        for rows in looked:
            held.append(rows)
            for row in rows:
                missed = missed + 1 if row.error == Unreachable.kind else 0
                if missed == MOST_UNREACHABLE:
                    raise FetchFailed(f"{missed} images in a row could not be reached, the last is {row.path}: {row.detail}")
            if not missed:
                yield from held
                held.clear()
        yield from held


def _looked_at(
    recognizer: Recognizer, source: Source, portions: Iterable[Sequence[Item]], options: BatchOptions, threads: int
) -> Generator[list[Row]]:
    limit = recognizer.limits.max_bytes
    with plain_products(), ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(READERS) as readers:

        def begin(portion: Sequence[Item]) -> Future[list[Row]]:
            reads: list[Read] = [partial(source.read, item.key, limit) for item in portion]
            if source.remote:
                reads = [readers.submit(read).result for read in reads]
            return pool.submit(_rows, recognizer, portion, reads, options)

        running: deque[Future[list[Row]]] = deque()
        try:
            for portion in portions:
                running.append(begin(portion))
                if len(running) > AHEAD * threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(cancel_futures=True)


def _rows(recognizer: Recognizer, items: Sequence[Item], reads: Sequence[Read], options: BatchOptions) -> list[Row]:
    """One portion, in one thread."""
    answers: dict[int, Answer | MingmuError] = {}
    frames = {}
    for number, (item, read) in enumerate(zip(items, reads, strict=True)):
        try:
            if not item.error:
                frames[number] = recognizer.frame(read())
        except MingmuError as error:
            answers[number] = error
    if frames:
        seen = [*frames.values()]
        for number, reading in zip(frames, recognizer.readings(seen), strict=True):
            answers[number] = recognizer.interpret(reading, options.wish)
    return [row_of(item, answers.get(number), recognizer.digest) for number, item in enumerate(items)]
