"""MLServer with adaptive batching and parallel workers: https://docs.seldon.ai/mlserver/user-guide/adaptive-batching and .../custom.

Its quickstart has neither; the difference lies in its settings alone, so this file serves both tables.
"""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from bench.rivals.road import Road
from bench.rivals.terms import Terms


class Look(MLModel):
    async def load(self) -> bool:
        self.road = Road.told()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = Base64Codec.decode_input(payload.inputs[0])
        answers = self.road.answers([self.road.frame(image) for image in images])
        output = StringCodec.encode_output("answers", [json.dumps(answer) for answer in answers])
        return InferenceResponse(model_name=self.name, outputs=[output])


def main() -> None:
    terms = Terms.from_environment()
    folder = Path(tempfile.mkdtemp(prefix="mlserver-"))
    model: dict[str, object] = {"name": "look", "implementation": "bench.rivals.mlserver_server.Look"}
    ports = {"http_port": terms.port, "grpc_port": terms.port + 1, "metrics_port": terms.port + 2}
    server: dict[str, object] = {**ports, "parallel_workers": terms.workers, "debug": False}
    if terms.batch > 1:
        model |= {"max_batch_size": terms.batch, "max_batch_time": terms.wait_ms / 1e3}
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "settings.json").write_text(json.dumps(server))
    program = Path(sys.executable).with_name("mlserver")
    os.execv(program, [str(program), "start", str(folder)])


if __name__ == "__main__":
    main()
