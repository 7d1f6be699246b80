"""mosec with dynamic batching: https://mosecorg.github.io/mosec/reference/interface.html (append_worker)."""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

from mosec import Server, Worker

from bench.rivals.road import Answer, Pixels, Road
from bench.rivals.terms import Terms


class Look(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.road = Road.told()

    def deserialize(self, data: bytes) -> Pixels:
        return self.road.frame(data)

    def forward(self, data: list[Pixels]) -> list[Answer]:
        return self.road.answers(data)


if __name__ == "__main__":
    terms = Terms.from_environment()
    server = Server()
    server.append_worker(Look, num=terms.workers, max_batch_size=terms.batch, max_wait_time=terms.wait_ms)
    server.run()
