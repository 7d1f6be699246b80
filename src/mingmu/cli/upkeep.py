"""Commands that look after versions, aliases and the data folder."""

from __future__ import annotations

from typing import Annotated

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
    force: Annotated[
        bool, typer.Option("--force", help="Even a version that is served: the newest, or what an alias points to, which then goes too.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Forget a recognizer with all its versions, one version, or an alias. `mingmu gc` then frees its files.

    The newest version is what the name alone means, so it is served: it goes with the recognizer as a whole, or by force.
    """
    open_store(data_dir).remove(name, force=force)
    print(f"{name} is removed")


def gc(
    min_age: Annotated[float, typer.Option(min=0, help="Hours that something must lie unused before it is freed.")] = 24.0,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Free the files that nothing refers to any more."""
    from dataclasses import asdict

    from mingmu.cli import render
    from mingmu.registry.garbage import collect

    freed = collect(open_store(data_dir), min_age * 3600)
    render.print_result(as_json, asdict(freed), f"freed {freed.artifacts} artifacts, {freed.blobs} blobs, {freed.aside} left aside")


def _parts(alias: str) -> tuple[str, str]:
    name, _, wanted = alias.partition("@")
    if not wanted:
        raise BadRequest(f"{alias!r} names no alias; write it as in flowers@prod")
    return name, wanted
