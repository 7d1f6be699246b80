"""The ways to run a network, beside each other: made, judged and timed, and the fastest that may serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from mingmu.compress.gate import Answers, Kept, Verdict, judge_answers, judge_own, judge_probes
from mingmu.compress.speed import Speed, race
from mingmu.compress.variants import Maker
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadArtifact, BadModel, MingmuError
from mingmu.core.manifest import Runs
from mingmu.core.network import Network
from mingmu.registry.store import Version
from mingmu.registry.tuning import Accuracy, Share, Trial

WORTH_IT = 1.05  # times as fast as the sealed network, at least: less is noise, or not worth another answer
METHOD = "images a second from bytes to outputs on all processors, batches of 4, candidates in turns; medians"

Progress = Callable[[str, float], None]
Judge = Callable[[Network, Callable[[float], None]], Answers]


@dataclass
class Entry:
    """One way to run the network, and what is known of it so far."""

    runs: Runs
    network: Network | None  # None: it cannot be made, or does not run
    verdict: Verdict
    apart: tuple[Version, ...] = ()  # heads on the network that would answer otherwise on it
    speed: Speed | None = None

    def trial(self) -> Trial:
        """As it is kept."""
        return Trial(
            what=str(self.runs),
            passed=self.verdict.passed,
            verdict=self.verdict.reason,
            megabytes=round(self.network.artifact.size / 1e6, 1) if self.network else None,
            accuracy=accuracy_of(self.verdict.kept),
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
        first.verdict = replace(first.verdict, kept=Kept(len(before.right), int(before.right.sum()), 1.0, 1.0, 1.0))
        asked = [entry for entry in others if entry.network and entry.verdict.passed]
        tries = max(1, sum(entry.runs.precision != "fp32" for entry in asked))
        for entry in asked:
            if entry.network:
                try:
                    after = judge(entry.network, partial(self.progress, f"asking {entry.runs}"))
                except BadModel as error:  # it stands in the table with this reason
                    entry.verdict = Verdict(False, str(error))
                else:
                    _hold(entry, before, after, tries)


def _hold(entry: Entry, before: Answers, after: Answers, tries: int) -> None:
    """Judge what comes out with a variant. The recognizer must answer as before; other heads that do not are to stay where they are."""
    entry.verdict = judge_answers(before.right, after.right, tries=tries, exact=entry.runs.precision == "fp32")
    if before.own is not None and after.own is not None:
        entry.verdict &= judge_own(before.own, after.own)
    others = {version: judge_own(before.others[version], scores) for version, scores in after.others.items()}
    entry.apart = tuple(version for version, verdict in others.items() if not verdict.passed)
    if entry.apart:
        stay = ", ".join(f"{each.name}@{each.version} ({others[each].reason})" for each in entry.apart)
        entry.verdict = replace(entry.verdict, reason=f"{entry.verdict.reason}; on the sealed network stay {stay}")


def accuracy_of(kept: Kept | None) -> Accuracy | None:
    """As it is kept."""
    if kept is None:
        return None
    return Accuracy(photos=kept.photos, right=kept.right, kept=Share(value=kept.value, low=kept.low, high=kept.high))


def _ratio(entry: Entry) -> float:
    return entry.speed.ratio if entry.speed else 0.0
