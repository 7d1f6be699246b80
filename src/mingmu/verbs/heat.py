"""A recognizer and what may take its place: asked about the same photos, timed in turns, and let through a gate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from mingmu.compress.contest import WORTH_IT
from mingmu.compress.gate import Verdict, accuracy_of, judge_answers
from mingmu.compress.speed import Speed, race
from mingmu.compress.variants import Maker
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import MingmuError
from mingmu.core.manifest import Runs
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Dataset
from mingmu.evaluate.predictions import Predictions
from mingmu.registry.store import Store
from mingmu.registry.tuning import Trial
from mingmu.verbs.curriculum import Lesson
from mingmu.verbs.judging import CALIBRATION
from mingmu.verbs.measuring import predictions_of
from mingmu.verbs.recognizing import Progress
from mingmu.verbs.tuning import readable

SECONDS = 2.0  # that each candidate is timed
TIMED = 32  # photos
INT8 = Runs(precision="int8")
TRIES = 3  # candidates that are held against the first, at most: as it learned, in INT8, and after it learned on in INT8


@dataclass
class Candidate:
    """A recognizer that may take its parent's place, and what is known of it so far."""

    what: str
    recognizer: Recognizer
    said: Predictions
    verdict: Verdict
    speed: Speed | None = None

    def trial(self) -> Trial:
        return Trial(
            what=self.what,
            passed=self.verdict.passed,
            verdict=self.verdict.reason,
            megabytes=round(self.recognizer.network.artifact.size / 1e6, 2),
            accuracy=self.verdict.accuracy,
            **(asdict(self.speed) if self.speed else {}),
        )


@dataclass
class Heat:
    """A recognizer and those that may take its place, asked about the same photos and timed in turns."""

    store: Store
    judged: Dataset
    lesson: Lesson
    folder: Path
    progress: Progress
    candidates: list[Candidate]
    failed: list[Trial] = field(default_factory=list)  # what could not be made

    def enter(self, what: str, recognizer: Recognizer) -> Verdict:
        """One more, held against the first."""
        said = predictions_of(self.store, recognizer, self.judged, lambda _step, share: self.progress(f"asking {what}", share))
        verdict = judge_answers(self.candidates[0].said.right, said.right, tries=TRIES)
        self.candidates.append(Candidate(what, recognizer, said, verdict))
        return verdict

    def enter_int8(self, what: str, exact: Recognizer) -> Verdict | None:
        """One in whole numbers of 8 bits, held against the first; None where there is none of its network."""
        some = Dataset.of([*self.lesson.part("train")][:: max(1, len(self.lesson.part("train")) // CALIBRATION)])
        frames = (frame.pixels for _, frame in readable(self.store, some, exact.manifest.pixels))
        folder = self.folder / str(len(self.candidates))
        folder.mkdir()
        try:
            variant = Maker(exact.network.artifact, frames).make(folder, INT8)
            network = Network.open(variant, threads=cpu_count(), stands_for=exact.network.backbone)
            network.prove()
        except MingmuError as error:  # it stands in the table with this reason
            self.failed.append(Trial(what=what, passed=False, verdict=str(error)))
            return None
        return self.enter(what, replace(exact, network=network))

    def run(self) -> None:
        """Time them all; who is not faster than the first is out."""
        photos = [image for image, _ in islice(readable(self.store, self.judged, self.candidates[0].recognizer.manifest.pixels), TIMED)]
        networks = {each.what: each.recognizer.network for each in self.candidates}
        wanted = dict.fromkeys(name for each in self.candidates for name in each.recognizer.wants)
        speeds = race(networks, photos, [*wanted], seconds=SECONDS, progress=partial(self.progress, "timing"))
        for number, each in enumerate(self.candidates):
            each.speed = speeds[each.what]
            if number:
                said = f"{each.speed.ratio:.2f} times as fast"
                slow = each.speed.ratio < WORTH_IT
                each.verdict &= Verdict(not slow, f"only {said}; at least {WORTH_IT} is needed" if slow else said)

    @property
    def trials(self) -> tuple[Trial, ...]:
        return (*(each.trial() for each in self.candidates), *self.failed)

    @property
    def best(self) -> Candidate | None:
        """The fastest that passed."""
        passed = [each for each in self.candidates[1:] if each.verdict.passed and each.speed]
        return max(passed, key=lambda each: each.speed.ratio if each.speed else 0.0, default=None)


@contextmanager
def heat_of(store: Store, parent: Recognizer, what: str, judged: Dataset, lesson: Lesson, progress: Progress) -> Iterator[Heat]:
    """The parent alone, to begin with; variants lie in a folder that is there until the block is left."""
    said = predictions_of(store, parent, judged, lambda _step, share: progress(f"asking {what}", share))
    first = Candidate(what, parent, said, Verdict(True, "the one to be shrunk", accuracy_of(said.right)))
    with tempfile.TemporaryDirectory(prefix="mingmu-") as folder:
        yield Heat(store, judged, lesson, Path(folder), progress, [first])
