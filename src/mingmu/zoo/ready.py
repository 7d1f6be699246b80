"""Makes the recognizers that the catalog has ready, from their published weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mingmu.core.artifact import Artifact
from mingmu.zoo import catalog
from mingmu.zoo.catalog import Chain, Entry, Package, Web
from mingmu.zoo.chains import seal_ready_chain
from mingmu.zoo.embedded import Add, Progress, seal_embedded
from mingmu.zoo.faces import seal_mobilefacenet, seal_yunet
from mingmu.zoo.objects import seal_objects
from mingmu.zoo.plates import seal_clp_detector, seal_clp_reader, seal_ours
from mingmu.zoo.pull import installed, is_installed, pull
from mingmu.zoo.text import seal_locator, seal_text_reader, seal_turner

SEALERS: Mapping[str, Callable[[Add, Entry, Web, bytes], Artifact]] = {
    "objects": seal_objects,
    "yunet": seal_yunet,
    "mobilefacenet": seal_mobilefacenet,
}
PACKAGED: Mapping[str, Callable[[Add, Entry, str, bytes], Artifact]] = {
    "text-locator": seal_locator,
    "text-turner": seal_turner,
    "text-reader": seal_text_reader,
    "plate-detector-clp": seal_clp_detector,
    "plate-reader-clp": seal_clp_reader,
    "plate-detector": seal_ours,
    "plate-reader": seal_ours,
}


def seal_ready(add: Add, entry: Entry, weights_dir: Path, mirror: str | None, progress: Progress) -> Artifact:
    """Get the weights, build, seal and prove. Raises MissingExtra, PullFailed, Unproven."""
    if isinstance(entry.source, Chain):
        wanted = {**entry.source.parts, **{does: name for does, name in entry.source.more.items() if is_installed(catalog.entry(name))}}
        parts = {does: seal_ready(add, catalog.entry(name), weights_dir, mirror, progress) for does, name in wanted.items()}
        return seal_ready_chain(add, entry, entry.source, parts)
    if isinstance(entry.source, Package) and entry.name in PACKAGED:
        progress(f"sealing {entry.name}", 0.0)
        return PACKAGED[entry.name](add, entry, entry.source.requirement, installed(entry, entry.source).read_bytes())
    if isinstance(entry.source, Package):
        return seal_embedded(add, entry, entry.source, progress)
    weights = pull(entry, weights_dir, mirror, lambda have, size: progress(f"fetching {entry.file}", have / size))
    progress("sealing the network", 0.0)
    sealed = SEALERS[entry.name](add, entry, entry.source, weights.read_bytes())
    progress("done", 1.0)
    return sealed
