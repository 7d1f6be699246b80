"""LitServe as its baseline server: https://lightning.ai/docs/litserve/speed-up-serving-by-200x (one worker, no batching)."""
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

    def predict(self, x: Pixels) -> Answer:
        return self.road.answers([x])[0]

    def encode_response(self, output: Answer) -> Any:
        return {"output": output}


if __name__ == "__main__":
    ls.LitServer(Look()).run(port=Terms.from_environment().port, log_level="warning", generate_client_file=False)
