"""LitServe with batching and several workers: https://lightning.ai/docs/litserve/features/batching and .../speed-up-serving-by-200x."""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

import base64
from typing import Any

import litserve as ls
from starlette.requests import Request

from bench.rivals.road import Answer, Pixels, Road
from bench.rivals.terms import Terms


class Look(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.road = Road.told()

    def decode_request(self, request: Request) -> Pixels:  # LitServe hands over its JSON
        return self.road.frame(base64.b64decode(request["image_data"]))

    def batch(self, inputs: list[Pixels]) -> list[Pixels]:
        return inputs

    def predict(self, batch: list[Pixels]) -> list[Answer]:
        return self.road.answers(batch)

    def unbatch(self, output: list[Answer]) -> list[Answer]:
        return output

    def encode_response(self, output: Answer) -> Any:
        return {"output": output}


if __name__ == "__main__":
    terms = Terms.from_environment()
    api = Look(max_batch_size=terms.batch, batch_timeout=terms.wait_ms / 1e3)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=terms.workers)
    server.run(port=terms.port, log_level="warning", generate_client_file=False)
