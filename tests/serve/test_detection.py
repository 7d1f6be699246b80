from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from mingmu.core.pixels import encode_png
from mingmu.registry.store import Store
from mingmu.serve import schemas
from mingmu.serve.answer_schemas import RecognitionSchema
from tests import tiny
from tests.serve.conftest import Serve

RECOGNIZE = "/v1/recognizers/quarters/recognize"
RED = {"label": "red", "score": pytest.approx(0.92, abs=0.02), "x": 0.0, "y": 0.0, "width": 80.0, "height": 40.0}
BLUE = {"label": "blue", "score": pytest.approx(0.92, abs=0.02), "x": 80.0, "y": 40.0, "width": 80.0, "height": 40.0}


def picture(*colours: tuple[int, int, int]) -> bytes:
    """160x80, black, with the left upper and the right lower quarter in these colours."""
    pixels = np.zeros((80, 160, 3), np.uint8)
    for number, colour in enumerate(colours):
        pixels[40 * number : 40 * number + 40, 80 * number : 80 * number + 80] = colour
    return encode_png(pixels)


BOTH = picture((255, 0, 0), (0, 0, 255))


@pytest.fixture
async def client(serve: Serve, data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    store = Store(data_dir)
    store.publish("quarters", store.add(tiny.seal_detector).digest)
    async with serve(cache_bytes=2**20) as client:
        yield client


async def answers(client: httpx.AsyncClient, image: bytes = BOTH, **query: Any) -> list[dict[str, Any]]:
    response = await client.post(RECOGNIZE, content=image, params=query)
    assert response.status_code == 200, response.text
    RecognitionSchema.model_validate(response.json())
    found: list[dict[str, Any]] = response.json()["answers"]
    return found


async def test_boxes_are_answers(client: httpx.AsyncClient) -> None:
    [answer] = await answers(client)
    assert answer == {"type": "boxes", "boxes": [RED, BLUE]}
    assert [await answers(client), await answers(client)] == [[answer], [answer]]  # remembered


async def test_a_picture_of_nothing_has_no_boxes(client: httpx.AsyncClient) -> None:
    assert await answers(client, picture()) == [{"type": "boxes", "boxes": []}]


async def test_a_request_says_which_boxes_count(client: httpx.AsyncClient) -> None:
    assert len((await answers(client, top=1))[0]["boxes"]) == 1
    assert len((await answers(client, threshold=0.9))[0]["boxes"]) == 2
    assert len((await answers(client, overlap=0.95))[0]["boxes"]) == 3
    assert (await answers(client, threshold=1))[0]["boxes"] == []
    assert len((await answers(client, threshold=0))[0]["boxes"]) == 2


async def test_a_photo_comes_back_with_its_boxes_drawn_on_it(client: httpx.AsyncClient) -> None:
    [answer] = await answers(client, draw="true")
    drawn = Image.open(io.BytesIO(base64.b64decode(answer["drawn"])))
    assert (drawn.format, drawn.size) == ("JPEG", (320, 160))
    alone = await client.post(RECOGNIZE, content=BOTH, headers={"accept": "image/jpeg, */*;q=0.1"})
    assert alone.headers["content-type"] == "image/jpeg"
    assert alone.content == base64.b64decode(answer["drawn"])
    labels = await client.post("/v1/recognizers/tiny/recognize", content=BOTH, params={"draw": "true"})
    assert labels.json()["answers"][0].keys() == {"type", "labels", "drawn"}


async def test_several_images_are_no_single_picture(client: httpx.AsyncClient) -> None:
    files = [("image", (name, BOTH)) for name in ("a", "b")]
    refused = await client.post(RECOGNIZE, files=files, headers={"accept": "image/jpeg"})
    assert (refused.status_code, refused.json()["kind"]) == (400, "bad-request")
    both = await client.post(RECOGNIZE, files=[*files, ("image", ("c", b"junk"))], params={"draw": "true"})
    assert [set(answer) - {"type"} for answer in both.json()["answers"]] == [{"boxes", "drawn"}, {"boxes", "drawn"}, {"error"}]


async def test_a_share_is_any_number_between_0_and_1_as_python_writes_it(client: httpx.AsyncClient) -> None:
    for share in (1 / 3, 2 / 3, 5e-05, 5e-324, 1.0, 0.1 + 0.2, 0.30000000000000004e0):
        assert await answers(client, threshold=share, overlap=share)


@pytest.mark.parametrize(
    "query",
    [
        *("threshold=2", "threshold=nan", "threshold=inf", "threshold=-0.1", "threshold=1e1", "threshold=1e-9999", "threshold=0.1_2"),
        *("threshold=", "threshold=.", f"threshold=0.{'1' * 31}", "threshold=%D9%A1", "overlap=x", "overlap=1e999", "draw=1", "top=0"),
        *("threshold=.1&threshold=.2", "top=1&top=1"),
    ],
)
async def test_a_wish_that_cannot_be_meant_is_refused(client: httpx.AsyncClient, query: str) -> None:
    refused = await client.post(f"{RECOGNIZE}?{query}", content=BOTH)
    assert (refused.status_code, refused.json()["kind"]) == (400, "bad-request")


@pytest.mark.parametrize(
    ("name", "query", "kind"),
    [
        ("quarters", "explain=true", "not-explainable"),
        ("quarters", "coverage=0.9", "no-coverage"),
        ("tiny", "threshold=0.5", "bad-request"),
        ("tiny", "overlap=0.5", "bad-request"),
    ],
)
async def test_what_a_recognizer_cannot_give_is_refused(client: httpx.AsyncClient, name: str, query: str, kind: str) -> None:
    refused = await client.post(f"/v1/recognizers/{name}/recognize?{query}", content=BOTH)
    assert refused.status_code in (400, 422)
    assert refused.json()["kind"] == kind


@pytest.mark.parametrize("image", [b"", b"junk", BOTH[:60], b"GIF89a" + bytes(20), b"<svg/>", b"\xff\xd8\xff" + bytes(100)])
@pytest.mark.parametrize("draw", [{}, {"draw": "true"}, {"accept": "image/jpeg"}])
async def test_hostile_bytes_get_one_clear_answer(client: httpx.AsyncClient, image: bytes, draw: dict[str, str]) -> None:
    query, headers = ({}, draw) if "accept" in draw else (draw, {})
    refused = await client.post(RECOGNIZE, content=image, params=query, headers=headers)
    assert 400 <= refused.status_code < 500
    assert refused.json()["kind"]
    assert len(await answers(client)) == 1


async def infer(client: httpx.AsyncClient, images: list[bytes], *outputs: dict[str, Any], name: str = "quarters") -> httpx.Response:
    data = [base64.b64encode(image).decode() for image in images]
    body: dict[str, Any] = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [len(images)], "data": data}]}
    return await client.post(f"/v2/models/{name}/infer", json=body | ({"outputs": [*outputs]} if outputs else {}))


async def test_the_open_inference_protocol_gives_tensors(client: httpx.AsyncClient) -> None:
    about = (await client.get("/v2/models/quarters")).json()
    assert {each["name"]: each["shape"] for each in about["outputs"]} == {"boxes": [-1, -1, 4], "scores": [-1, -1], "labels": [-1, -1]}
    response = await infer(client, [BOTH, picture((255, 0, 0)), picture()])
    schemas.InferenceSchema.model_validate(response.json())
    boxes, scores, labels = response.json()["outputs"]
    assert (boxes["shape"], scores["shape"], labels["shape"]) == ([3, 2, 4], [3, 2], [3, 2])
    assert boxes["data"] == [0, 0, 80, 40, 80, 40, 160, 80, 0, 0, 80, 40, *[0] * 12]
    assert labels["data"] == ["red", "blue", "red", "", "", ""]
    assert [score > 0.9 for score in scores["data"]] == [True, True, True, False, False, False]


async def test_pictures_of_nothing_are_empty_tensors(client: httpx.AsyncClient) -> None:
    boxes, *_ = (await infer(client, [picture()], {"name": "boxes"})).json()["outputs"]
    assert (boxes["shape"], boxes["data"]) == ([1, 0, 4], [])


@pytest.mark.parametrize("output", [{"name": "colour"}, {"name": "scores", "parameters": {"classification": 2}}])
async def test_outputs_that_a_detector_has_not_are_refused(client: httpx.AsyncClient, output: dict[str, Any]) -> None:
    assert (await infer(client, [BOTH], output)).status_code == 400


async def test_tensorflow_servings_clients_get_predictions(client: httpx.AsyncClient) -> None:
    images = [{"b64": base64.b64encode(image).decode()} for image in (BOTH, picture())]
    rows = (await client.post("/v1/models/quarters:predict", json={"instances": images})).json()["predictions"]
    assert [row["classes"] for row in rows] == [["red", "blue"], []]
    assert rows[0]["boxes"] == [[0, 0, 80, 40], [80, 40, 160, 80]]
    columns = (await client.post("/v1/models/quarters:predict", json={"inputs": images})).json()["outputs"]
    assert columns["classes"] == [["red", "blue"], []]
    signatures = (await client.get("/v1/models/quarters/metadata")).json()["metadata"]["signature_def"]["signature_def"]
    assert [*signatures] == ["serving_default"]


async def test_a_detector_does_not_classify(client: httpx.AsyncClient) -> None:
    image = {"b64": base64.b64encode(BOTH).decode()}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("classify", {"examples": [{"image": image}]}),
        ("predict", {"signature_name": "classification", "instances": [image]}),
    ]
    for verb, body in asked:
        refused = await client.post(f"/v1/models/quarters:{verb}", json=body)
        assert refused.status_code == 400
        assert "no classifier" in refused.json()["error"]
