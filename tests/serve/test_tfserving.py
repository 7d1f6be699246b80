"""What a client of TensorFlow Serving sends, and what it expects."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mingmu.registry.store import Store
from mingmu.serve.http import create_app
from mingmu.settings import Settings
from tests.serve.conftest import Serve, running

MODEL = "/v1/models/tiny"
PIXELS = np.full((8, 8, 3), (250, 10, 10), np.uint8).tolist()


def b64(image: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(image).decode()}


async def scores_of(client: httpx.AsyncClient, image: bytes) -> dict[str, float]:
    """What the service's own route says."""
    answer = (await client.post("/v1/recognizers/tiny/recognize", content=image)).json()["answers"][0]
    return {each["label"]: each["score"] for each in answer["labels"]}


async def test_rows_and_columns_give_the_scores_of_every_other_door(client: httpx.AsyncClient, red_png: bytes, blue_png: bytes) -> None:
    both = [b64(red_png), b64(blue_png)]
    wanted = [[*map((await scores_of(client, image)).__getitem__, ("red", "green", "blue"))] for image in (red_png, blue_png)]
    rows: list[dict[str, Any]] = [
        {"instances": both},
        {"instances": [{"image_bytes": image} for image in both]},
        {"signature_name": "serving_default", "instances": both},
    ]
    for sent in rows:
        np.testing.assert_allclose((await client.post(f"{MODEL}:predict", json=sent)).json()["predictions"], wanted, rtol=1e-6)
    for columns in (both, {"image_bytes": both}):
        np.testing.assert_allclose((await client.post(f"{MODEL}:predict", json={"inputs": columns})).json()["outputs"], wanted, rtol=1e-6)


@pytest.mark.parametrize("pixels", [PIXELS, np.asarray(PIXELS, np.float32).tolist()])
async def test_pixels_in_nested_lists_give_the_scores_of_their_image(client: httpx.AsyncClient, red_png: bytes, pixels: object) -> None:
    by_image = (await client.post(f"{MODEL}:predict", json={"instances": [b64(red_png)]})).json()
    assert (await client.post(f"{MODEL}:predict", json={"instances": [pixels]})).json() == by_image
    assert (await client.post(f"{MODEL}:predict", json={"instances": [{"x": pixels}]})).json() == by_image
    assert (await client.post(f"{MODEL}:predict", json={"inputs": [pixels]})).json()["outputs"] == by_image["predictions"]


async def test_several_outputs_have_their_names(client: httpx.AsyncClient, red_png: bytes) -> None:
    sent = {"signature_name": "classification", "instances": [b64(red_png)]}
    (row,) = (await client.post(f"{MODEL}:predict", json=sent)).json()["predictions"]
    assert row["classes"] == ["red", "green", "blue"]
    assert np.argmax(row["scores"]) == 0
    columns = {"signature_name": "classification", "inputs": {"image": [b64(red_png)]}}
    assert (await client.post(f"{MODEL}:predict", json=columns)).json()["outputs"] == {
        "scores": [row["scores"]],
        "classes": [row["classes"]],
    }


async def test_classify_gives_labels_the_surest_first(client: httpx.AsyncClient, blue_png: bytes) -> None:
    (result,) = (await client.post(f"{MODEL}:classify", json={"examples": [{"image": b64(blue_png)}]})).json()["results"]
    assert result[0][0] == "blue"
    assert sum(score for _, score in result) == pytest.approx(1)


async def test_a_version_or_an_alias_can_be_named(client: httpx.AsyncClient, data_dir: Path, red_png: bytes) -> None:
    Store(data_dir).set_alias("tiny", "prod", 1)
    for model in (f"{MODEL}/versions/1", f"{MODEL}/labels/prod"):
        assert (await client.post(f"{model}:predict", json={"instances": [b64(red_png)]})).status_code == 200
        assert (await client.get(model)).json()["model_version_status"][0]["version"] == "1"
        assert (await client.get(f"{model}/metadata")).json()["model_spec"]["version"] == "1"
    assert (await client.post(f"{MODEL}/versions/9:predict", json={"instances": [b64(red_png)]})).status_code == 404


async def test_a_model_tells_its_status_and_its_signatures(client: httpx.AsyncClient) -> None:
    available = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert (await client.get(MODEL)).json() == {"model_version_status": [available]}
    metadata = (await client.get(f"{MODEL}/metadata")).json()["metadata"]["signature_def"]["signature_def"]
    assert metadata["serving_default"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    assert [each["size"] for each in metadata["serving_default"]["outputs"]["scores"]["tensor_shape"]["dim"]] == ["-1", "3"]


async def test_a_version_that_does_not_prove_itself_is_not_available(data_dir: Path) -> None:
    app = create_app(Settings(data_dir=data_dir))
    async with running(app) as client:
        app.state.host.problems["tiny"] = "scores differ"
        (status,) = (await client.get(MODEL)).json()["model_version_status"]
    assert status["state"] == "END"
    assert status["status"]["error_message"] == "scores differ"


WRONG: dict[str, Any] = {
    "not JSON": b"{",
    "nothing": {},
    "both formats": {"instances": [{"b64": ""}], "inputs": [{"b64": ""}]},
    "no instances": {"instances": []},
    "an unknown signature": {"signature_name": "other", "instances": [{"b64": ""}]},
    "an unknown key": {"instance": []},
    "a text instead of bytes": {"instances": ["AAAA"]},
    "bad base64": {"instances": [{"b64": "\x00"}]},
    "a number as base64": {"instances": [{"b64": 7}]},
    "several inputs": {"instances": [{"a": {"b64": ""}, "b": {"b64": ""}}]},
    "no input": {"instances": [{}]},
    "columns of several inputs": {"inputs": {"a": [PIXELS], "b": [PIXELS]}},
    "bytes beside pixels": {"instances": [PIXELS, {"b64": ""}]},
    "pixels of another size": {"instances": [PIXELS[1:]]},
    "ragged pixels": {"instances": [[[[1, 2, 3]], [[1, 2]]]]},
    "normalised pixels": {"instances": [(np.asarray(PIXELS) / 255).tolist()]},
    "too many images": {"instances": [{"b64": ""}] * 65},
    "an image that is none": {"instances": [{"b64": "anVuaw=="}]},
    "millions of values": {"instances": [0] * 2_000_000},
    "deep lists": b'{"instances": ' + b"[" * 500_000,
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_request_of_the_wrong_form_gets_an_error_of_its_shape(client: httpx.AsyncClient, red_png: bytes, name: str) -> None:
    sent = {"content": WRONG[name]} if isinstance(WRONG[name], bytes) else {"json": WRONG[name]}
    response = await client.post(f"{MODEL}:predict", **sent)
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert (await client.post(f"{MODEL}:predict", json={"instances": [b64(red_png)]})).status_code == 200


async def test_a_model_that_does_not_exist_and_a_full_service_have_their_statuses(serve: Serve, red_png: bytes) -> None:
    async with serve(max_body_bytes=1000) as client:
        for method, path in (("GET", "/v1/models/none"), ("POST", "/v1/models/none:predict"), ("GET", "/v1/models/none/metadata")):
            response = await client.request(method, path, json={"instances": [b64(red_png)]})
            assert (response.status_code, list(response.json())) == (404, ["error"])
        assert (await client.post(f"{MODEL}:predict", content=bytes(1001))).status_code == 413
