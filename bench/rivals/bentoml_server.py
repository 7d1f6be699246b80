"""BentoML with adaptive batching and workers: https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html."""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

import base64

import bentoml

from bench.rivals.road import Answer, Road
from bench.rivals.terms import Terms

TERMS = Terms.from_environment()


@bentoml.service(workers=TERMS.workers, logging={"access": {"enabled": False}})
class Look:
    def __init__(self) -> None:
        self.road = Road.told()

    @bentoml.api(batchable=True, max_batch_size=TERMS.batch, max_latency_ms=10_000)
    def recognize(self, images: list[str]) -> list[Answer]:
        return self.road.answers([self.road.frame(base64.b64decode(image)) for image in images])
