from __future__ import annotations

import pytest

from mingmu.core.errors import BadImage, MingmuError, QueueFull
from mingmu.serve.problems import KINDS, Problem
from mingmu.serve.rpc.codes import CODES, code_of, metadata_of


def test_every_error_has_a_code() -> None:
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")

    def statuses(error: type[MingmuError]) -> set[int]:
        return {error.status}.union(*(statuses(child) for child in error.__subclasses__()))

    assert statuses(MingmuError) | {kind.status for kind in KINDS.values()} <= CODES.keys()
    assert all(hasattr(grpc.StatusCode, code) for code in CODES.values())
    assert code_of(Problem.of(BadImage("damaged"))) == grpc.StatusCode.INVALID_ARGUMENT


def test_an_error_says_its_kind_and_when_to_try_again() -> None:
    assert metadata_of(Problem.of(BadImage("damaged")), "7") == (("x-request-id", "7"), ("kind", "bad-image"))
    assert metadata_of(Problem.of(QueueFull("full", retry_after=1.5)), "7")[2] == ("grpc-retry-pushback-ms", "2000")
