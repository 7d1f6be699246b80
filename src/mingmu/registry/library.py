"""Opens recognizers from the store, each proven, all heads of one backbone on the same network."""

from __future__ import annotations

import threading
import weakref

from mingmu.core.artifact import Artifact
from mingmu.core.errors import BadArtifact, NotFound
from mingmu.core.head import Head
from mingmu.core.network import Network
from mingmu.core.pixels import Limits
from mingmu.core.recognizer import Recognizer
from mingmu.registry.store import Store
from mingmu.tasks import task_named


class Library:
    """Recognizers by digest. A network stays in memory as long as a recognizer uses it."""

    def __init__(self, store: Store, *, threads: int = 1, limits: Limits = Limits()) -> None:
        self.store = store
        self.limits = limits
        self._threads = threads
        self._networks: weakref.WeakValueDictionary[str, Network] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def open(self, digest: str) -> Recognizer:
        """Load and prove a recognizer; raises BadArtifact or Unproven."""
        artifact = self._artifact(digest)
        manifest = artifact.manifest
        task = task_named(manifest.task)
        if manifest.head is None:
            return Recognizer(artifact, self.network(artifact), task, limits=self.limits)
        network = self.network(self._artifact(manifest.head.backbone))
        recognizer = Recognizer(artifact, network, task, Head.open(artifact), self.limits)
        recognizer.prove()
        return recognizer

    def _artifact(self, digest: str) -> Artifact:
        try:
            return self.store.artifact(digest)
        except NotFound as error:  # it was published, or a head names it: not the caller's mistake
            raise BadArtifact(f"the data folder has lost an artifact: {error}") from error

    def network(self, artifact: Artifact) -> Network:
        """The proven network of a backbone or whole model, shared by all who ask for it."""
        with self._lock:  # one at a time: two threads must not load the same large graph twice
            network = self._networks.get(artifact.digest)
            if network is None:
                network = Network.open(artifact, threads=self._threads)
                network.prove()
                self._networks[artifact.digest] = network
            return network
