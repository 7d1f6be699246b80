"""What a query may say, and how listings are asked for and given in pages.

A page has at most `limit` entries, those that come after the entry `after`; `next` is what to give as `after` for the next
page, null where there is none. Entries that come or go meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import HTTPConnection, Request

from mingmu.core.errors import BadRequest
from mingmu.registry.index import MOST_LISTED
from mingmu.registry.naming import NAME, NUMBER

MOST = 1000  # entries of a page
PAGED = ("limit", "after")
SHARE = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
LONGEST = 32  # characters of a number
JPEG = "image/jpeg"

T = TypeVar("T")


def query(request: HTTPConnection, *known: str) -> dict[str, str]:
    """The parameters of the query; raises BadRequest for one that is not known, or that comes twice."""
    given = dict(request.query_params)
    if unknown := sorted(set(given) - set(known)):
        there = f"there are {', '.join(known)}" if known else "there are none here"
        raise BadRequest(f"unknown query parameter {unknown[0][:100]!r}; {there}")
    if twice := [name for name in given if len(request.query_params.getlist(name)) > 1]:
        raise BadRequest(f"the query parameter {twice[0]!r} comes more than once; give it once")
    return given


def share(given: Mapping[str, str], name: str) -> float | None:
    """A parameter that is a number from 0 to 1; None if it is not there."""
    said = given.get(name)
    if said is not None and not (len(said) <= LONGEST and SHARE.fullmatch(said) and float(said) <= 1):
        raise BadRequest(f"{name} is {said[:20]!r}; it is a number from 0 to 1, such as 0.5")
    return None if said is None else float(said)


def flag(given: Mapping[str, str], name: str) -> bool:
    """A parameter that is true or false; false if it is not there."""
    said = given.get(name, "false")
    if said not in ("true", "false"):
        raise BadRequest(f"{name} is {said[:20]!r}; it is true or false")
    return said == "true"


def wants_picture(request: HTTPConnection) -> bool:
    """Whether a picture is to be the whole answer: the first of what is accepted is a JPEG."""
    first = request.headers.get("accept", "").partition(",")[0]
    return first.partition(";")[0].strip().lower() == JPEG


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a listing is wanted."""

    limit: int
    after: str | None

    @classmethod
    def of(cls, request: Request) -> Page:
        """Read the query; raises BadRequest."""
        given = query(request, *PAGED)
        limit = given.get("limit", str(MOST_LISTED))
        if not (NUMBER.fullmatch(limit) and int(limit) <= MOST):
            raise BadRequest(f"limit is {limit[:20]!r}; it is a whole number from 1 to {MOST}")
        return cls(int(limit), given.get("after"))

    @property
    def name(self) -> str:
        """The name after which the page begins; raises BadRequest."""
        if self.after is None:
            return ""
        if not NAME.fullmatch(self.after):
            raise BadRequest(f"after is {self.after[:20]!r}; it is the `next` of the page before, a name")
        return self.after

    @property
    def number(self) -> int | None:
        """The number after which the page begins; raises BadRequest."""
        if self.after is None:
            return None
        if not NUMBER.fullmatch(self.after):
            raise BadRequest(f"after is {self.after[:20]!r}; it is the `next` of the page before, a number")
        return int(self.after)

    @property
    def wanted(self) -> int:
        """How many entries to look up: one more than are shown, to know whether there are more."""
        return self.limit + 1

    def show(self, what: str, found: Sequence[T], entry: Callable[[T], dict[str, Any]], cursor: Callable[[T], str | int]) -> dict[str, Any]:
        """The page, of the `wanted` entries that were found."""
        shown = found[: self.limit]
        return {what: [entry(each) for each in shown], "next": str(cursor(shown[-1])) if len(found) > self.limit else None}
