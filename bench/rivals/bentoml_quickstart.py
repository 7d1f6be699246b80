"""BentoML as its first example: https://docs.bentoml.com/en/latest/get-started/hello-world.html (one worker, no batching)."""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

import base64

import bentoml

from bench.rivals.road import Answer, Road


@bentoml.service(logging={"access": {"enabled": False}})
class Look:
    def __init__(self) -> None:
        self.road = Road.told()

    @bentoml.api
    def recognize(self, image: str) -> Answer:
        return self.road.look(base64.b64decode(image))
