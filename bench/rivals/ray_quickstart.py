"""Ray Serve as its first example: https://docs.ray.io/en/latest/serve/getting_started.html (one replica, no batching)."""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

from ray import serve
from starlette.requests import Request

from bench.rivals.road import Answer, Road
from bench.rivals.terms import Terms


@serve.deployment(logging_config={"enable_access_log": False})
class Look:
    def __init__(self) -> None:
        self.road = Road.told()

    async def __call__(self, request: Request) -> Answer:
        return self.road.look(await request.body())


if __name__ == "__main__":
    serve.start(http_options={"port": Terms.from_environment().port})
    serve.run(Look.bind(), blocking=True)  # type: ignore[attr-defined]  # the decorator gives it that
