"""Seals chains of recognizers: their parts by digest, and what they said of a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from mingmu.core.artifact import ANSWERS, Artifact, seal
from mingmu.core.manifest import Manifest, PartSpec, PlatesSpec
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.tasks import chain_of, task_of
from mingmu.zoo.catalog import Chain, Entry
from mingmu.zoo.embedded import Add


def seal_ready_chain(add: Add, entry: Entry, chain: Chain, parts: Mapping[str, Artifact]) -> Artifact:
    """Seal and prove a chain of the catalog through `add`. Raises BadArtifact, Unproven."""
    first = next(iter(parts.values())).manifest
    readers = [part.manifest for part in parts.values() if part.manifest.task == "read"]
    manifest = Manifest(
        kind="chain",
        name=entry.name,
        task=entry.task,
        pixels=first.pixels,
        labels=tuple(dict.fromkeys(label for reader in readers for label in reader.labels)),
        plates=None if chain.rules is None else PlatesSpec(rules=chain.rules),
        parts=tuple(PartSpec(does=does, digest=part.digest) for does, part in parts.items()),
        origin=entry.origin("its parts"),
        made_by={"how": "a chain of the catalog"},
    )
    opened = {does: Recognizer(part, Network.open(part), task_of(part.manifest)) for does, part in parts.items()}
    pictures = {probe: (files("mingmu.zoo") / "probe_images" / probe).read_bytes() for probe in chain.probes}
    return add(lambda folder: seal_chain(folder, manifest, opened, pictures))


def seal_chain(folder: Path, manifest: Manifest, parts: Mapping[str, Recognizer], images: Mapping[str, bytes]) -> Artifact:
    """Seal a chain into an empty folder, with its answers about some pictures, which prove it wherever it is opened."""
    (folder / "probes").mkdir(parents=True)
    for name, image in images.items():
        (folder / "probes" / name).write_bytes(image)
    task = chain_of(manifest)
    first = next(iter(parts.values()))
    unsealed = Recognizer(Artifact(folder, manifest, ""), first.network, task, chain=task, parts=parts)
    answers = {f"probes/{name}": unsealed.interpret(unsealed.read(unsealed.frame(image))).document() for name, image in images.items()}
    (folder / ANSWERS).write_text(json.dumps(answers, ensure_ascii=False, sort_keys=True), encoding="utf-8")
    return seal(folder, manifest)
