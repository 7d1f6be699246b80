"""Commands that look after versions, aliases and the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mingmu.cli.options import DataDir, Json, Name, open_store
from mingmu.core.errors import BadRequest

Alias = Annotated[str, typer.Argument(metavar="NAME@ALIAS", help="An alias of a recognizer, as in flowers@prod.")]


def versions(name: Name, as_json: Json = False, data_dir: DataDir = None) -> None:
    """List the versions of a recognizer, and what its aliases point to."""
    from mingmu.cli import render

    store = open_store(data_dir)
    found, aliases = store.versions(name), store.aliases(name)
    rows = [(version, sorted(alias for alias, target in aliases.items() if target == version)) for version in found]
    document = {"versions": [render.version_json(version) | {"aliases": names} for version, names in rows]}
    text = "\n".join(f"{version.version}\t{version.digest[:12]}\t{version.created}\t{' '.join(names)}".rstrip() for version, names in rows)
    render.print_result(as_json, document, text)


def publish(
    alias: Alias,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version that it shall point to.")],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Point an alias to a version; a running service follows within a second."""
    from mingmu.cli import render

    name, wanted = _parts(alias)
    render.print_version(as_json, open_store(data_dir).set_alias(name, wanted, version), f"is now {alias}")


def rollback(alias: Alias, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Point an alias to where it pointed before."""
    from mingmu.cli import render

    name, wanted = _parts(alias)
    render.print_version(as_json, open_store(data_dir).rollback(name, wanted), f"is {alias} again")


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A recognizer, one version as in flowers@3, or an alias as in flowers@prod.")],
    dataset: Annotated[bool, typer.Option("--dataset", help="NAME is a dataset, or one version of it.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Even a version that is served, or that a rollback leads to; even what a recognizer was taught on."),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Forget a recognizer with all its versions, one version, or an alias; or a dataset. `mingmu gc` then frees its files.

    The newest version is what the name alone means, so it is served: it goes with the recognizer as a whole, or by force.
    """
    store = open_store(data_dir)
    store.datasets.remove(name, force=force) if dataset else store.remove(name, force=force)
    print(f"{name} is removed")


def datasets(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A dataset, whose versions to list.", show_default=False)] = "",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List the datasets, each at its newest version; or the versions of one."""
    from dataclasses import asdict

    from mingmu.cli import render

    kept = open_store(data_dir).datasets
    found = kept.versions(name) if name else [kept.versions(each)[-1] for each in kept.names()]
    rows = [(version, kept.examples(version).count(b"\n")) for version in found]
    document = {"datasets": [asdict(version) | {"images": images} for version, images in rows]}
    text = "\n".join(f"{each.name}@{each.version}\t{images} images\t{each.digest[:12]}\t{each.created}" for each, images in rows)
    render.print_result(as_json, document, text or "no datasets yet")


def export_dataset(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset; flowers@3 is its version 3.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write it: a new folder, or an empty one.")],
    layout: Annotated[
        Literal["folder", "csv", "coco"] | None,
        typer.Option("--as", help="A folder for each class, a table, or COCO.", show_default="what keeps everything"),
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Write the photos of a dataset into a folder, with their labels; it reads back the same."""
    from mingmu.cli import render
    from mingmu.data.dataset import Dataset
    from mingmu.data.exports import export

    store = open_store(data_dir)
    version = store.datasets.resolve(name)
    dataset = Dataset.from_lines(store.datasets.examples(version))
    export(dataset, store.blobs, folder, layout)
    document = {
        "dataset": version.name,
        "version": version.version,
        "digest": version.digest,
        "images": len(dataset),
        "folder": str(folder),
    }
    render.print_result(as_json, document, f"{version.name}@{version.version} is in {folder}, {len(dataset)} images")


def gc(
    min_age: Annotated[float, typer.Option(min=0, help="Hours that something must lie unused before it is freed.")] = 24.0,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Free the files that nothing refers to any more."""
    from dataclasses import asdict

    from mingmu.cli import render
    from mingmu.registry.garbage import collect
    from mingmu.verbs.parting import cache_of

    store = open_store(data_dir)
    freed = collect(store, min_age * 3600)
    features = cache_of(store).keep({blob.sha256 for blob in store.blobs})
    parts = f"{freed.artifacts} artifacts, {freed.blobs} blobs, {freed.trainings} trainings, {freed.aside} left aside"
    text = f"freed {parts}, the features of {features} images"
    render.print_result(as_json, asdict(freed) | {"features": features}, text)


def _parts(alias: str) -> tuple[str, str]:
    name, _, wanted = alias.partition("@")
    if not wanted:
        raise BadRequest(f"{alias!r} names no alias; write it as in flowers@prod")
    return name, wanted
