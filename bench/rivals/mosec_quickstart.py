"""mosec as its first example: https://mosecorg.github.io/mosec/index.html (one worker, no batching)."""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

from mosec import Server, Worker

from bench.rivals.road import Answer, Pixels, Road


class Look(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.road = Road.told()

    def deserialize(self, data: bytes) -> Pixels:
        return self.road.frame(data)

    def forward(self, data: Pixels) -> Answer:
        return self.road.answers([data])[0]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Look)
    server.run()
