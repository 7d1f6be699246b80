"""What names, aliases and version numbers may look like, and what is said about those that are not there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mingmu.core.errors import BadRequest, NotFound

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ALIAS = re.compile(r"[a-z][a-z0-9._-]{0,31}")
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
MOST_SHOWN = 10


def check_name(name: str) -> None:
    """Raise BadRequest unless `name` can name a recognizer or a dataset."""
    if not NAME.fullmatch(name):
        raise BadRequest(f"{name!r} cannot be a name: 1 to 64 of a-z 0-9 . _ - with a letter or digit first")


def check_alias(alias: str) -> None:
    """Raise BadRequest unless `alias` can follow the @ of a name."""
    if not ALIAS.fullmatch(alias):
        raise BadRequest(f"{alias!r} cannot be an alias: 1 to 32 of a-z 0-9 . _ - with a letter first")


def unknown_name(what: str, name: str, known: Sequence[str]) -> NotFound:
    """The error for a name that is not there; says which are."""
    return NotFound(f"no {what} named {name!r}; there are: {', '.join(known[:MOST_SHOWN]) or 'none yet'}")


def unknown_version(name: str, wanted: str, numbers: Sequence[int], aliases: Iterable[str] = ()) -> NotFound:
    """The error for a version or alias that is not there; says which are, the newest ones if they are many."""
    known = [*map(str, numbers[-MOST_SHOWN:]), *aliases]
    return NotFound(f"{name} has no version {wanted!r}; it has {', '.join(known)}")
