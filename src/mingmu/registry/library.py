"""Opens recognizers from the store, each proven, all heads of one backbone on the same network."""

from __future__ import annotations

import logging
import threading
import weakref

from mingmu.core.artifact import Artifact
from mingmu.core.errors import BadArtifact, NotFound, Unproven
from mingmu.core.head import Head
from mingmu.core.network import Network
from mingmu.core.pixels import Limits
from mingmu.core.recognizer import Recognizer
from mingmu.registry.store import Store
from mingmu.registry.tuning import Tunings
from mingmu.tasks import chain_of, task_of

MOST_DEEP = 4  # chains within one another

log = logging.getLogger("mingmu.registry")


class Library:
    """Recognizers by digest. A network stays in memory as long as a recognizer uses it."""

    def __init__(self, store: Store, *, threads: int = 1, calls: int = 0, limits: Limits = Limits()) -> None:
        self.store = store
        self.limits = limits
        self.tunings = Tunings(store.data_dir)
        self.refused: dict[str, str] = {}  # by digest of the recognizer or network that was asked for: why what was chosen does not run
        self._threads, self._calls = threads, calls
        self._networks: weakref.WeakValueDictionary[tuple[str, str], Network] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def open(self, digest: str) -> Recognizer:
        """Load and prove a recognizer; raises BadArtifact or Unproven.

        It runs on the variant of its network that was chosen for this machine, unless it does not prove itself there.
        """
        return self._opened(digest, deep=0, tuned=True)

    def _opened(self, digest: str, deep: int, *, tuned: bool) -> Recognizer:
        artifact = self._artifact(digest)
        manifest = artifact.manifest
        if manifest.parts:
            return self._chain(artifact, deep + 1, tuned=tuned)
        if manifest.head is None:
            network = self.network(artifact) if tuned else self.sealed(artifact)
            return Recognizer(artifact, network, task_of(manifest), limits=self.limits)
        backbone = self._artifact(manifest.head.backbone)
        network = self.network(backbone, digest) if tuned else self.sealed(backbone)
        try:
            return self._with_head(artifact, network)
        except BadArtifact as error:
            if network.artifact.digest == backbone.digest:
                raise
            self.refused[digest] = str(error)
            log.warning("%s runs on the sealed network: on its variant (%s) it fails: %s", manifest.name, network.runtime.name, error)
            return self._with_head(artifact, self.sealed(backbone))

    def chosen(self, digest: str) -> dict[str, str]:
        """By the digest of each that looks, see `Recognizer.lookers`, that of the network it is to run on here; raises BadArtifact."""
        found: dict[str, str] = {}
        known, ahead = {digest}, [digest]
        while ahead:
            each = ahead.pop()
            manifest = self._artifact(each).manifest
            parts = {part.digest for part in manifest.parts}
            if not parts:
                found[each] = self.tunings.chosen(manifest.head.backbone if manifest.head else each, each)
            ahead += parts - known  # chains may share parts, and chains of chains share many
            known |= parts
        return found

    def changes(self) -> tuple[int, int]:
        """Numbers that change when there is something new to open, or a network is to run in another way."""
        return self.store.revision(), self.tunings.stamp()

    def _artifact(self, digest: str) -> Artifact:
        try:
            return self.store.artifact(digest)
        except NotFound as error:  # it was published, or a head names it: not the caller's mistake
            raise BadArtifact(f"the data folder has lost an artifact: {error}") from error

    def network(self, artifact: Artifact, head: str = "") -> Network:
        """The proven network of a backbone or whole model, shared by all who ask for it, as it runs best under a head on this machine."""
        chosen = self.tunings.chosen(artifact.digest, head)
        if chosen != artifact.digest:
            try:
                return self._proven(self._variant(chosen, artifact), artifact)
            except Exception as error:  # noqa: BLE001 - whatever a variant meets, nothing is down: what was sealed is still there
                self.refused[artifact.digest] = str(error)
                log.warning("%s runs as it was sealed: the variant that was chosen fails: %s", artifact.manifest.name, error)
        return self.sealed(artifact)

    def _variant(self, digest: str, of: Artifact) -> Artifact:
        variant = self._artifact(digest)
        if variant.manifest.parent != of.digest:
            raise BadArtifact(f"{digest[:12]}… is no variant of {of.digest[:12]}…")
        return variant

    def sealed(self, artifact: Artifact) -> Network:
        """The proven network as it was sealed, whatever was chosen for this machine."""
        return self._proven(artifact, artifact)

    def _with_head(self, artifact: Artifact, network: Network) -> Recognizer:
        recognizer = Recognizer(artifact, network, task_of(artifact.manifest), Head.open(artifact), self.limits)
        recognizer.prove()
        return recognizer

    def _chain(self, artifact: Artifact, deep: int, *, tuned: bool) -> Recognizer:
        if deep > MOST_DEEP:
            raise BadArtifact(f"{artifact.manifest.name} is a chain within {deep - 1} others; the limit is {MOST_DEEP - 1}")
        try:
            return self._with_parts(artifact, deep, tuned=tuned)
        except Unproven as error:
            if not tuned:
                raise
            found = self._with_parts(artifact, deep, tuned=False)  # what moves each part a little may change what they say together
            self.refused[artifact.digest] = str(error)
            log.warning("%s runs on the networks that were sealed: on their variants it fails: %s", artifact.manifest.name, error)
            return found

    def _with_parts(self, artifact: Artifact, deep: int, *, tuned: bool) -> Recognizer:
        parts = {part.does: self._opened(part.digest, deep, tuned=tuned) for part in artifact.manifest.parts}
        task = chain_of(artifact.manifest)
        recognizer = Recognizer(artifact, next(iter(parts.values())).network, task, limits=self.limits, chain=task, parts=parts)
        recognizer.prove()
        return recognizer

    def _proven(self, artifact: Artifact, asked: Artifact) -> Network:
        key = artifact.digest, asked.digest
        with self._lock:  # one at a time: two threads must not load the same large graph twice
            network = self._networks.get(key)
            if network is None:
                network = Network.open(artifact, threads=self._threads, calls=self._calls, stands_for=asked.digest)
                network.prove()
                self._networks[key] = network
            return network
