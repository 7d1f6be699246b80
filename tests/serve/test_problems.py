from __future__ import annotations

import re
from pathlib import Path

import pytest

from mingmu.core import errors
from mingmu.serve.problems import KINDS, Problem

DOCS = Path(__file__).parents[2] / "docs" / "http.md"
NEVER_LEAVE_THE_SERVER = {"bad-settings", "pull-failed", "unreachable"}


def tree(error: type[errors.MingmuError]) -> list[type[errors.MingmuError]]:
    return [error, *(below for child in error.__subclasses__() for below in tree(child))]


def test_every_error_that_can_leave_the_server_is_a_kind_with_its_status() -> None:
    classes = {error.kind: error.status for error in tree(errors.MingmuError) if error.kind not in NEVER_LEAVE_THE_SERVER}
    assert classes.items() <= {name: kind.status for name, kind in KINDS.items()}.items()


def test_the_documentation_lists_every_kind() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(name, str(kind.status), kind.meaning) for name, kind in KINDS.items()]


@pytest.mark.parametrize("error", [errors.BadArtifact("/secret/path"), errors.Unproven("/secret/path"), ValueError("/secret/path")])
def test_faults_of_the_service_are_not_detailed(error: Exception) -> None:
    problem = Problem.of(error)
    assert problem.status == 500
    assert "secret" not in problem.detail


def test_a_refusal_says_when_to_come_back() -> None:
    assert Problem.of(errors.QueueFull("full", retry_after=1.2)).headers == {"retry-after": "2"}
