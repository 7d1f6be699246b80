"""Artifacts that differ from `tiny` in a number of the manifest: as many as a test needs, each in a millisecond."""

from __future__ import annotations

from pathlib import Path

from mingmu.core.artifact import Artifact, seal
from mingmu.registry.store import Store


def another(store: Store, number: int) -> Artifact:
    """`tiny@1`, sealed again with a number."""
    tiny = store.artifact(store.resolve("tiny@1").digest)

    def build(folder: Path) -> None:
        for name in tiny.manifest.files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(tiny.read(name))
        seal(folder, tiny.manifest.model_copy(update={"made_by": {"number": number}}))

    return store.add(build)
