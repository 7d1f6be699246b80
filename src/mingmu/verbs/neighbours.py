"""The heads that share a network, each on the network that it was taught on."""

from __future__ import annotations

from dataclasses import replace

from mingmu.core.artifact import Artifact
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadArtifact, MingmuError, NotFound
from mingmu.core.head import Head
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.registry.store import Store, Version
from mingmu.tasks import task_of


class Homes:
    """Opens heads on the network that they were taught on: as it was sealed, or a variant of it."""

    def __init__(self, store: Store, sealed: Network) -> None:
        self._store = store
        self._networks = {sealed.artifact.digest: sealed}
        self._sealed = sealed

    def at_home(self, recognizer: Recognizer) -> Recognizer:
        """A recognizer where its answers are those that it was taught to give; on the sealed network if its own variant is gone."""
        spec = recognizer.manifest.head
        return replace(recognizer, network=self._network(spec.taught_on) if spec and spec.taught_on else self._sealed)

    def neighbours(self, digest: str) -> dict[Version, Recognizer]:
        """The heads on the network beside this one: what each name means now, and its aliases. What is damaged is passed over."""
        wanted = [version for name in self._store.names() for version in (self._store.resolve(name), *self._store.aliases(name).values())]
        found: dict[Version, Recognizer] = {}
        for version in dict.fromkeys(wanted):
            try:
                artifact = self._store.artifact(version.digest)
                head = artifact.manifest.head
                if version.digest != digest and head and head.backbone == self._sealed.artifact.digest:
                    found[version] = self._opened(artifact)
            except (BadArtifact, NotFound):  # it is not served, however the network runs
                continue
        return found

    def _opened(self, artifact: Artifact) -> Recognizer:
        found = self.at_home(Recognizer(artifact, self._sealed, task_of(artifact.manifest), Head.open(artifact)))
        found.prove()
        return found

    def _network(self, digest: str) -> Network:
        if digest not in self._networks:
            try:
                variant = self._store.artifact(digest)
                self._networks[digest] = Network.open(variant, threads=cpu_count(), stands_for=self._sealed.artifact.digest)
            except MingmuError:  # it was collected, or what runs it is gone: then the answers on the sealed network count
                self._networks[digest] = self._sealed
        return self._networks[digest]
