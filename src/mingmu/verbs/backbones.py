"""Networks that were trained here: sealed apart from their last layer, so that other heads can be taught on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from mingmu.core.manifest import HeadSpec, Manifest
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.core.sealing import seal_head, seal_network
from mingmu.registry.store import Store
from mingmu.train.recipe import NetTable

if TYPE_CHECKING:
    from mingmu.train.export import Exported, Last

ABOUT = ("how", "torch", "keep", "rounded")  # of how a recognizer was made, what is of its network


def seal_in_two(store: Store, manifest: Manifest, exported: Exported, last: Last, table: NetTable) -> str:
    """Seal as a backbone, and a head on it, what would be a whole model by its manifest; gives the digest of the head.

    A backbone that learned nothing has nothing of its head, so all such trainings make the same one, and share it.
    """
    made_by: dict[str, JsonValue] = {key: manifest.made_by[key] for key in ABOUT if key in manifest.made_by}
    backbone = Manifest(
        kind="backbone",
        name=table.name if table.freeze else manifest.name,
        task="embed",
        pixels=manifest.pixels,
        origin=manifest.origin,
        made_by={**made_by, "net": table.model_dump(mode="json")},
    )
    network = Network.open(store.add(lambda folder: seal_network(folder, backbone, exported.graph)))
    spec = HeadSpec(backbone=network.artifact.digest, temperature=exported.temperature)
    head = manifest.model_copy(update={"kind": "head", "head": spec})
    return store.add(lambda folder: seal_head(folder, head, last.weight, last.bias, network)).digest


def net_under(recognizer: Recognizer) -> NetTable | None:
    """The network under a recognizer as a recipe says it; None where it was not trained here, or was pruned, so that no recipe makes it."""
    made_by = recognizer.network.artifact.manifest.made_by
    return NetTable.model_validate(made_by["net"]) if "net" in made_by and made_by.get("keep", 1) == 1 else None
