from __future__ import annotations

import base64
import struct
import tracemalloc
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

INFER = "/v2/models/tiny/infer"
PIXELS = np.full((2, 8, 8, 3), (250, 10, 10), np.uint8)


def image_json(*images: bytes) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": [len(images)], "data": [base64.b64encode(image).decode() for image in images]}


def pixels_json(**changes: object) -> dict[str, Any]:
    return {"name": "pixels", "datatype": "UINT8", "shape": [2, 8, 8, 3], "data": PIXELS.tolist()} | changes


def outputs_of(response: httpx.Response) -> dict[str, dict[str, Any]]:
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


async def test_the_server_and_its_models_describe_themselves(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}
    assert (await client.get("/v2")).json()["name"] == "mingmu"
    about = (await client.get("/v2/models/tiny")).json()
    assert about == (await client.get("/v2/models/tiny/versions/1")).json()
    assert [(i["name"], i["datatype"], i["shape"]) for i in about["inputs"]] == [
        ("image", "BYTES", [-1]),
        ("pixels", "UINT8", [-1, 8, 8, 3]),
    ]
    assert [(o["name"], o["datatype"], o["shape"]) for o in about["outputs"]] == [("scores", "FP32", [-1, 3]), ("labels", "BYTES", [-1])]
    assert (await client.get("/v2/models/tiny/ready")).json() == {"name": "tiny", "ready": True}
    assert (await client.get("/v2/models/tiny/versions/1/ready")).status_code == 200


async def test_images_and_pixels_in_json_give_scores_and_labels(client: httpx.AsyncClient, red_png: bytes, blue_png: bytes) -> None:
    response = await client.post(INFER, json={"id": "42", "inputs": [image_json(red_png, blue_png)]})
    outputs = outputs_of(response)
    assert response.json()["id"] == "42"
    assert (response.json()["model_name"], response.json()["model_version"]) == ("tiny", "1")
    assert outputs["labels"] == {"name": "labels", "datatype": "BYTES", "shape": [2], "data": ["red", "blue"]}
    assert outputs["scores"]["shape"] == [2, 3]
    for data in (PIXELS.tolist(), PIXELS.ravel().tolist()):
        again = outputs_of(await client.post(INFER, json={"inputs": [pixels_json(data=data)]}))
        assert again["labels"]["data"] == ["red", "red"]
        assert again["scores"]["data"][:3] == outputs["scores"]["data"][:3]


async def test_only_the_outputs_that_are_asked_for_are_given(client: httpx.AsyncClient, red_png: bytes) -> None:
    asked = {"inputs": [image_json(red_png)], "outputs": [{"name": "labels"}]}
    assert list(outputs_of(await client.post(INFER, json=asked))) == ["labels"]


async def test_scores_can_be_given_as_classes(client: httpx.AsyncClient, red_png: bytes) -> None:
    asked = {"inputs": [image_json(red_png)], "outputs": [{"name": "scores", "parameters": {"classification": 2}}]}
    scores = outputs_of(await client.post(INFER, json=asked))["scores"]
    assert (scores["datatype"], scores["shape"]) == ("BYTES", [1, 2])
    assert scores["data"][0].split(":")[1:] == ["0", "red"]


async def test_binary_tensors_follow_the_json_both_ways(client: httpx.AsyncClient, red_png: bytes) -> None:
    raw = struct.pack("<I", len(red_png)) + red_png
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    json = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    response = await client.post(INFER, content=json + raw, headers={"Inference-Header-Content-Length": str(len(json))})
    assert response.status_code == 200
    end = int(response.headers["inference-header-content-length"])
    scores, labels = orjson.loads(response.content[:end])["outputs"]
    assert scores["parameters"] == {"binary_data_size": 12}
    assert np.frombuffer(response.content[end : end + 12], "<f4").argmax() == 0
    assert response.content[end + 12 :] == struct.pack("<I", 3) + b"red"
    assert labels["parameters"] == {"binary_data_size": 7}


WRONG = {
    "not JSON": "{",
    "no inputs": {"inputs": []},
    "two inputs": {"inputs": [pixels_json(), pixels_json()]},
    "thousands of inputs": {"inputs": [{}] * 500_000},
    "millions of values": {"inputs": [pixels_json(data=[0] * 2_000_000)]},
    "an unknown input": {"inputs": [pixels_json(name="other")]},
    "a wrong datatype": {"inputs": [pixels_json(datatype="FP32")]},
    "a wrong shape": {"inputs": [pixels_json(shape=[2, 8, 9, 3])]},
    "a negative shape": {"inputs": [pixels_json(shape=[-1, 8, 8, 3])]},
    "a huge shape": {"inputs": [pixels_json(shape=[2**62, 8, 8, 3])]},
    "no images": {"inputs": [pixels_json(shape=[0, 8, 8, 3], data=[])]},
    "too few values": {"inputs": [pixels_json(data=[1, 2, 3])]},
    "values over 255": {"inputs": [pixels_json(data=[256] * 384)]},
    "values that are no numbers": {"inputs": [pixels_json(data=["a"] * 384)]},
    "truths": {"inputs": [pixels_json(data=[True] * 384)]},
    "values that are not whole": {"inputs": [pixels_json(data=[0.5] * 384)]},
    "ragged values": {"inputs": [pixels_json(data=[[1], [2, 3]])]},
    "no data": {"inputs": [pixels_json(data=None)]},
    "data twice": {"inputs": [pixels_json(parameters={"binary_data_size": 0})]},
    "binary data that is not there": {"inputs": [pixels_json(data=None, parameters={"binary_data_size": 384})]},
    "a size that is none": {"inputs": [pixels_json(data=None, parameters={"binary_data_size": -1})]},
    "shared memory": {"inputs": [pixels_json(data=None, parameters={"shared_memory_region": "x"})]},
    "an image that is not base64": {"inputs": [image_json(b"") | {"data": ["\x00"]}]},
    "images that are no list": {"inputs": [image_json(b"") | {"data": "AAAA"}]},
    "fewer images than the shape says": {"inputs": [image_json(b"") | {"shape": [2]}]},
    "a shape of two dimensions": {"inputs": [image_json(b"") | {"shape": [1, 1]}]},
    "an unknown output": {"inputs": [pixels_json()], "outputs": [{"name": "boxes"}]},
    "classes that are a truth": {"inputs": [pixels_json()], "outputs": [{"name": "scores", "parameters": {"classification": True}}]},
    "classes beyond the last": {"inputs": [pixels_json()], "outputs": [{"name": "scores", "parameters": {"classification": 4}}]},
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_request_of_the_wrong_form_gets_an_error_object(client: httpx.AsyncClient, name: str) -> None:
    wrong = WRONG[name]
    response = await client.post(INFER, content=wrong if isinstance(wrong, str) else orjson.dumps(wrong))
    assert (response.status_code, list(response.json())) == (400, ["error"])


@pytest.mark.parametrize("length", ["-1", "x", "99999", "2", "9" * 5000])
async def test_a_header_length_that_does_not_fit_is_an_error(client: httpx.AsyncClient, length: str) -> None:
    body = orjson.dumps({"inputs": [pixels_json()]})
    response = await client.post(INFER, content=body, headers={"Inference-Header-Content-Length": length})
    assert (response.status_code, list(response.json())) == (400, ["error"])


async def test_a_bad_image_fails_the_request_and_is_named(client: httpx.AsyncClient, red_png: bytes) -> None:
    response = await client.post(INFER, json={"inputs": [image_json(red_png, b"junk")]})
    assert response.status_code == 400
    assert response.json()["error"].startswith("image 1: ")


@pytest.mark.parametrize("path", ["/v2/models/none", "/v2/models/none/ready", "/v2/models/tiny/versions/9", "/v2/nothing"])
async def test_a_model_that_does_not_exist_is_an_error(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, list(response.json())) == (404, ["error"])


async def test_long_texts_among_the_values_take_no_memory_of_their_own(client: httpx.AsyncClient) -> None:
    body = orjson.dumps({"inputs": [pixels_json(data=["x" * 1_000_000, *["a"] * 383])]})
    await client.get("/v2/models/tiny")
    tracemalloc.start()
    response = await client.post(INFER, content=body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert response.status_code == 400
    assert peak < 32 * 2**20
