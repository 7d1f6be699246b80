"""Ray Serve with batching and replicas: https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html."""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

import ray
from ray import serve
from starlette.requests import Request

from bench.rivals.road import Answer, Road
from bench.rivals.terms import Terms

TERMS = Terms.from_environment()


@serve.deployment(num_replicas=TERMS.workers, max_ongoing_requests=100, logging_config={"enable_access_log": False})
class Look:
    def __init__(self) -> None:
        self.road = Road.told()

    @serve.batch(max_batch_size=TERMS.batch, batch_wait_timeout_s=TERMS.wait_ms / 1e3)
    async def recognize(self, images: list[bytes]) -> list[Answer]:
        return self.road.answers([self.road.frame(image) for image in images])

    async def __call__(self, request: Request) -> Answer:
        answer: Answer = await self.recognize(await request.body())
        return answer


if __name__ == "__main__":
    ray.init(num_cpus=TERMS.workers, include_dashboard=False)
    serve.start(http_options={"port": TERMS.port})
    serve.run(Look.bind(), blocking=True)  # type: ignore[attr-defined]  # the decorator gives it that
