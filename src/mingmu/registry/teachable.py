"""What may be taught, and on what: the same rules wherever a teaching is asked for."""

from __future__ import annotations

from collections.abc import Collection

from mingmu.core.errors import Conflict, NotFound
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.naming import check_name
from mingmu.registry.store import Store


def check_teachable(store: Store, name: str, shipped: Collection[str]) -> None:
    """Raise Conflict for names that mean something else: what ships with Mingmu, or what was imported. Raises BadRequest."""
    check_name(name)
    if name in shipped:
        raise Conflict(f"{name} ships with Mingmu; give what you teach a name of its own")
    if name in store.names() and taught_digest(store, store.resolve(name).digest) is None:
        raise Conflict(f"{name} is there already, and was not taught; give what you teach another name")


def check_backbone(store: Store, reference: str) -> None:
    """Raise NotFound, or Conflict for a whole model, whose features are not to be had."""
    if store.artifact(store.resolve(reference).digest).manifest.head is None:
        raise Conflict(f"{reference} is a whole model without features; teach on a backbone such as general")


def taught_digest(store: Store, digest: str) -> str | None:
    """The digest of the dataset that a recognizer was taught on; None if it was not taught here."""
    try:
        return store.records.lineage(digest).dataset
    except NotFound:
        return None


def taught_on(store: Store, name: str) -> DatasetVersion:
    """The dataset that the newest version of a recognizer was taught on, with what was added to it since. Raises NotFound."""
    digest = taught_digest(store, store.resolve(name).digest)
    versions = store.datasets.with_digest(digest) if digest else []
    if not versions:
        raise NotFound(f"the photos that {name} was taught on are no longer here; teach it anew, with all photos")
    newest, kin = versions[-1], {digest}
    for version in store.datasets.versions(newest.name, after=newest.version):
        if version.parent in kin:  # what was sent under the same name later, instead, is something else
            newest = version
            kin.add(version.digest)
    return newest
