"""Makes the recognizers that the catalog has ready, from their published weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mingmu.core.artifact import Artifact
from mingmu.zoo.catalog import Entry, Package, Web
from mingmu.zoo.embedded import Add, Progress, seal_embedded
from mingmu.zoo.faces import seal_mobilefacenet, seal_yunet
from mingmu.zoo.objects import seal_objects
from mingmu.zoo.pull import pull

SEALERS: Mapping[str, Callable[[Add, Entry, Web, bytes], Artifact]] = {
    "objects": seal_objects,
    "yunet": seal_yunet,
    "mobilefacenet": seal_mobilefacenet,
}


def seal_ready(add: Add, entry: Entry, weights_dir: Path, mirror: str | None, progress: Progress) -> Artifact:
    """Get the weights, build, seal and prove. Raises MissingExtra, PullFailed, Unproven."""
    if isinstance(entry.source, Package):
        return seal_embedded(add, entry, entry.source, progress)
    weights = pull(entry, weights_dir, mirror, lambda have, size: progress(f"fetching {entry.file}", have / size))
    progress("sealing the network", 0.0)
    sealed = SEALERS[entry.name](add, entry, entry.source, weights.read_bytes())
    progress("done", 1.0)
    return sealed
