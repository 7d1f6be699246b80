"""Artifacts that differ from others in little: as many as a test needs, each in a millisecond."""

from __future__ import annotations

from pathlib import Path

from mingmu.core.artifact import Artifact, seal
from mingmu.core.manifest import Runs
from mingmu.core.sealing import seal_variant
from mingmu.registry.store import Store
from mingmu.registry.tuning import Tuning, Tunings


def another(store: Store, number: int) -> Artifact:
    """`tiny@1`, sealed again with a number."""
    tiny = store.artifact(store.resolve("tiny@1").digest)

    def build(folder: Path) -> None:
        for name in tiny.manifest.files:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(tiny.read(name))
        seal(folder, tiny.manifest.model_copy(update={"made_by": {"number": number}}))

    return store.add(build)


def retuned(store: Store, digest: str) -> Artifact:
    """A variant of a network, chosen to run in its place on this machine; it says the same."""
    network = store.artifact(digest)
    variant = store.add(lambda folder: seal_variant(folder, network, Runs(precision="int8")))
    about = {"what": "onnxruntime int8", "machine": "a machine", "trials": (), "data": "", "method": "by hand", "created": ""}
    Tunings(store.data_dir).put(Tuning.model_validate(about | {"network": digest, "chosen": variant.digest}))
    return variant
