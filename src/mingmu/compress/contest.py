"""The ways to run a network, beside each other: made, judged and timed, and the fastest that may serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, Self

from mingmu.compress.gate import Verdict, judge_probes
from mingmu.compress.speed import Speed, race
from mingmu.compress.variants import Maker
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadArtifact, BadModel, MingmuError
from mingmu.core.manifest import Runs
from mingmu.core.network import Network
from mingmu.registry.tuning import Accuracy, BoxAccuracy, Trial

WORTH_IT = 1.05  # times as fast as the sealed network, at least: less is noise, or not worth another answer
METHOD = "images a second from bytes to outputs on all processors, batches of 4, candidates in turns; medians"

Progress = Callable[[str, float], None]


class Outcome(Protocol):
    """What comes out on photos with one network."""

    @property
    def accuracy(self) -> Accuracy | BoxAccuracy:
        """Held against itself."""
        ...

    def judge(self, after: Self, *, tries: int, exact: bool) -> Verdict:
        """Hold what comes out with a variant, one of so many `tries`, against this; what is `exact` computes the same."""
        ...


Judge = Callable[[Network, Callable[[float], None]], Outcome]


@dataclass
class Entry:
    """One way to run the network, and what is known of it so far."""

    runs: Runs
    network: Network | None  # None: it cannot be made, or does not run
    verdict: Verdict
    speed: Speed | None = None

    def trial(self) -> Trial:
        """As it is kept."""
        return Trial(
            what=str(self.runs),
            passed=self.verdict.passed,
            verdict=self.verdict.reason,
            megabytes=round(self.network.artifact.size / 1e6, 1) if self.network else None,
            accuracy=self.verdict.accuracy,
            **(asdict(self.speed) if self.speed else {}),
        )


@dataclass
class Contest:
    """A network as it was sealed, and its variants. They lie in a folder of the caller's, who keeps what he wants to keep."""

    sealed: Network
    maker: Maker
    folder: Path
    prove: Callable[[Network], None]  # raises BadArtifact if the recognizer that all this is for does not prove itself on a variant
    progress: Progress
    entries: list[Entry] = field(default_factory=list)

    def run(self, found: Sequence[Runs], judge: Judge | None, photos: Sequence[bytes], outputs: Sequence[str], seconds: float) -> None:
        """Make the variants, judge and time them; the sealed network is the first entry. Raises Conflict if none can be judged."""
        sealed = Entry(self.sealed.artifact.manifest.runs, self.sealed, Verdict(True, "as it was sealed"))
        self.entries = [sealed, *map(self._made, found)]
        if judge:
            self._ask(judge)
        networks = {str(entry.runs): entry.network for entry in self.entries if entry.network}
        speeds = race(networks, photos, outputs, seconds=seconds, progress=partial(self.progress, "timing"))
        for entry in self.entries:
            entry.speed = speeds.get(str(entry.runs))

    def best(self) -> Entry:
        """The fastest that passed; the sealed network unless one is clearly faster."""
        return max((e for e in self.entries if e.verdict.passed and _ratio(e) >= WORTH_IT), key=_ratio, default=self.entries[0])

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(entry.trial() for entry in self.entries)

    def _made(self, runs: Runs) -> Entry:
        self.progress(f"making {runs}", 0.0)
        folder = self.folder / str(runs).replace(" ", "-")
        folder.mkdir()
        try:
            variant = self.maker.make(folder, runs)
            network = Network.open(variant, threads=cpu_count(), stands_for=self.sealed.artifact.digest)
            network.prove()
        except MingmuError as error:  # it stands in the table with this reason
            return Entry(runs, None, Verdict(False, str(error)))
        return Entry(runs, network, self._judged(network))

    def _judged(self, network: Network) -> Verdict:
        verdict = judge_probes(self.sealed.artifact, network.artifact)
        try:
            if verdict.passed:
                self.prove(network)
        except BadArtifact as error:
            return Verdict(False, str(error))
        return verdict

    def _ask(self, judge: Judge) -> None:
        first, *others = self.entries
        before = judge(self.sealed, partial(self.progress, f"asking {first.runs}"))
        first.verdict = replace(first.verdict, accuracy=before.accuracy)
        asked = [entry for entry in others if entry.network and entry.verdict.passed]
        tries = max(1, sum(entry.runs.precision != "fp32" for entry in asked))
        for entry in asked:
            if entry.network:
                try:
                    after = judge(entry.network, partial(self.progress, f"asking {entry.runs}"))
                except BadModel as error:  # it stands in the table with this reason
                    entry.verdict = Verdict(False, str(error))
                else:
                    entry.verdict = before.judge(after, tries=tries, exact=entry.runs.precision == "fp32")


def _ratio(entry: Entry) -> float:
    return entry.speed.ratio if entry.speed else 0.0
