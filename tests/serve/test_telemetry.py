from __future__ import annotations

import json
import logging

import httpx
import pytest

from mingmu.core.logs import JsonFormatter
from mingmu.serve.telemetry import Telemetry, Visit
from tests.serve.conftest import RECOGNIZE, Serve


def metric(text: str, name: str) -> float:
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[-1])


async def test_requests_images_and_stages_are_counted(client: httpx.AsyncClient, red_png: bytes) -> None:
    await client.post(RECOGNIZE, content=red_png)
    await client.post(RECOGNIZE, content=b"junk")
    await client.post("/v1/recognizers/invented/recognize", content=red_png)
    text = (await client.get("/metrics")).text
    assert metric(text, 'mingmu_requests_total{kind="",recognizer="tiny",status="200"}') == 1
    assert metric(text, 'mingmu_requests_total{kind="bad-image",recognizer="tiny",status="400"}') == 1
    assert metric(text, 'mingmu_requests_total{kind="not-found",recognizer="",status="404"}') == 1
    assert metric(text, 'mingmu_images_total{kind="",recognizer="tiny"}') == 1
    assert metric(text, 'mingmu_stage_seconds_count{recognizer="tiny",stage="network"}') == 1
    assert metric(text, 'mingmu_batch_images_count{recognizer="tiny"}') == 1
    assert metric(text, 'mingmu_queue_images{recognizer="tiny"}') == 0
    assert "invented" not in text  # clients cannot make up metrics


async def test_a_request_leaves_one_line(client: httpx.AsyncClient, red_png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="mingmu.requests")
    response = await client.post(RECOGNIZE, content=red_png, headers={"x-request-id": "one"})
    (record,) = (record for record in caplog.records if record.name == "mingmu.requests")
    line = json.loads(JsonFormatter().format(record))
    assert (line["request_id"], line["method"], line["path"], line["status"], line["kind"]) == ("one", "POST", RECOGNIZE, 200, "")
    assert (line["recognizer"], line["version"], line["digest"]) == ("tiny", 1, response.json()["digest"])
    assert (line["images"], line["bytes"]) == (1, len(red_png))
    assert set(line["ms"]) == {"decode", "queue", "network", "total"}


def test_a_log_line_is_one_line_even_with_an_exception() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "it %s", ("failed",), (ValueError, error, error.__traceback__))
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert json.loads(text)["message"] == "it failed"
    assert "two\nlines" in json.loads(text)["exception"]


async def test_requests_and_images_that_are_given_up_are_counted_for_their_recognizer(serve: Serve, red_png: bytes) -> None:
    async with serve(request_timeout=1e-9) as client:
        await client.post(RECOGNIZE, content=red_png, headers={"x-request-timeout-ms": "5000"})
        await client.post(RECOGNIZE, content=red_png)
        text = (await client.get("/metrics")).text
    assert metric(text, 'mingmu_requests_total{kind="deadline-exceeded",recognizer="tiny",status="504"}') == 1


def test_an_image_without_an_end_of_its_own_ends_with_its_request_and_names_are_bounded() -> None:
    telemetry = Telemetry(lambda: {"name-0": 2, "name-999": 3})
    for number in range(1000):
        visit = Visit("id", "POST", "/", status=504, kind="deadline-exceeded", recognizer=f"name-{number}", images=3, counted=1)
        telemetry.end(visit)
    text = telemetry.exposition().decode()
    assert metric(text, 'mingmu_images_total{kind="deadline-exceeded",recognizer="name-0"}') == 2
    assert metric(text, 'mingmu_queue_images{recognizer="name-0"}') == 2
    assert metric(text, 'mingmu_queue_images{recognizer="other recognizers"}') == 3
    assert "name-999" not in text
