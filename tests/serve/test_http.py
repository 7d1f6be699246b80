from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from mingmu.registry.store import Store
from mingmu.serve.http import create_app
from mingmu.settings import Settings
from tests.serve.conftest import RECOGNIZE, Serve, running


def labels(answer: dict[str, Any]) -> list[str]:
    return [label["label"] for label in answer["labels"]]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_raw_bytes_are_recognized(client: httpx.AsyncClient, data_dir: Path, red_png: bytes) -> None:
    response = await client.post(RECOGNIZE, content=red_png, headers={"content-type": "image/png"})
    assert response.status_code == 200
    said = response.json()
    assert list(said) == ["recognizer", "version", "digest", "answers", "timing_ms"]
    assert (said["recognizer"], said["version"], said["digest"]) == ("tiny", 1, Store(data_dir).resolve("tiny").digest)
    assert labels(said["answers"][0]) == ["red", "green", "blue"]
    assert sum(label["score"] for label in said["answers"][0]["labels"]) == pytest.approx(1)
    assert list(said["timing_ms"]) == ["decode", "queue", "network", "total"]


async def test_every_way_to_send_an_image_gives_the_same_answer(client: httpx.AsyncClient, red_png: bytes) -> None:
    responses = [
        await client.post(RECOGNIZE, content=red_png),
        await client.post(RECOGNIZE, content=red_png, headers={"content-type": "application/octet-stream"}),
        await client.post(RECOGNIZE, content=red_png, headers={"content-type": "IMAGE/PNG; q=1"}),
        await client.post("/v1/recognizers/tiny@1/recognize", content=red_png, headers={"content-type": "image/jpeg"}),
        await client.post(RECOGNIZE, files={"image": ("red.png", red_png)}),
        await client.post(RECOGNIZE, json={"images": [{"base64": b64(red_png)}]}),
    ]
    answers = [response.json()["answers"] for response in responses]
    assert all(answer == answers[0] for answer in answers)


async def test_several_images_get_their_answers_and_errors_in_order(client: httpx.AsyncClient, red_png: bytes, blue_png: bytes) -> None:
    files = [("image", ("a", red_png)), ("image", ("b", b"junk")), ("other", ("c", blue_png))]
    form = (await client.post(RECOGNIZE, files=files)).json()["answers"]
    images = [{"base64": b64(data)} for data in (red_png, b"junk", blue_png)]
    json = (await client.post(RECOGNIZE, json={"images": images})).json()["answers"]
    for answers in (form, json):
        assert labels(answers[0])[0] == "red"
        assert answers[1]["error"]["kind"] == "bad-image"
        assert labels(answers[2])[0] == "blue"


async def test_top_limits_the_labels(client: httpx.AsyncClient, red_png: bytes) -> None:
    one = await client.post(f"{RECOGNIZE}?top=1", content=red_png)
    assert labels(one.json()["answers"][0]) == ["red"]
    two = await client.post(f"{RECOGNIZE}?top=1", json={"images": [{"base64": b64(red_png)}], "top": 2})
    assert labels(two.json()["answers"][0]) == ["red", "green"]


async def test_explain_adds_a_picture(client: httpx.AsyncClient, red_png: bytes) -> None:
    response = await client.post(f"{RECOGNIZE}?explain=true", content=red_png)
    explanation = response.json()["answers"][0]["explanation"]
    assert explanation["label"] == "red"
    assert base64.b64decode(explanation["png"]).startswith(b"\x89PNG")


async def test_recognizers_are_listed_and_described(client: httpx.AsyncClient, data_dir: Path) -> None:
    digest = Store(data_dir).resolve("tiny").digest
    listed = (await client.get("/v1/recognizers")).json()["recognizers"]
    assert [(each["name"], each["version"], each["digest"]) for each in listed] == [("tiny", 1, digest)]
    about = (await client.get("/v1/recognizers/tiny")).json()
    assert about["labels"] == ["red", "green", "blue"]
    assert about["size"] == {"width": 8, "height": 8}
    assert about["aliases"] == {}
    missing = await client.get("/v1/recognizers/none")
    assert (missing.status_code, missing.json()["kind"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1/recognizers/", 404, "not-found"),
        ("PUT", "/v1/recognizers", 405, "method-not-allowed"),
        ("POST", "/v1/recognizers/none/recognize", 404, "not-found"),
        ("POST", "/v1/recognizers/tiny@9/recognize", 404, "not-found"),
        ("POST", "/v1/recognizers/..%2f..%2fetc/recognize", 404, "not-found"),
        ("POST", "/v1/recognizers/NO!/recognize", 400, "bad-request"),
        ("POST", f"{RECOGNIZE}?top=0", 400, "bad-request"),
        ("POST", f"{RECOGNIZE}?top=1001", 400, "bad-request"),
        ("POST", f"{RECOGNIZE}?top=%D9%A3", 400, "bad-request"),
        ("POST", f"{RECOGNIZE}?explain=maybe", 400, "bad-request"),
        ("POST", f"{RECOGNIZE}?topk=3", 400, "bad-request"),
        ("GET", "/problems/none", 404, "not-found"),
    ],
)
async def test_what_does_not_exist_is_a_problem(
    client: httpx.AsyncClient, red_png: bytes, method: str, path: str, status: int, kind: str
) -> None:
    response = await client.request(method, path, content=red_png)
    problem = response.json()
    assert (response.status_code, problem["status"], problem["kind"]) == (status, status, kind)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{kind}"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert (await client.get(problem["type"])).status_code == 200


async def test_a_fault_of_the_service_keeps_its_details_to_the_log(
    client: httpx.AsyncClient, data_dir: Path, red_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    head = Store(data_dir).resolve("tiny").digest
    (data_dir / "artifacts" / head / "head.npz").write_bytes(b"tampered")
    response = await client.post(RECOGNIZE, content=red_png, headers={"x-request-id": "find-me"})
    assert (response.status_code, response.json()["kind"]) == (500, "bad-artifact")
    assert str(data_dir) not in response.text
    assert any(str(data_dir) in record.getMessage() and vars(record)["request_id"] == "find-me" for record in caplog.records)


async def test_a_request_id_is_kept_if_it_is_sane(client: httpx.AsyncClient) -> None:
    kept = await client.get("/v2/health/live", headers={"x-request-id": "order-66.b_1"})
    assert kept.headers["x-request-id"] == "order-66.b_1"
    made = await client.get("/v2/health/live", headers={"x-request-id": 'evil"\t{}'})
    assert len(made.headers["x-request-id"]) == 16


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "600001", "9" * 500, "soon", ""])
async def test_a_timeout_that_is_not_one_is_refused(client: httpx.AsyncClient, red_png: bytes, given: str) -> None:
    response = await client.post(RECOGNIZE, content=red_png, headers={"x-request-timeout-ms": given})
    assert (response.status_code, response.json()["kind"]) == (400, "bad-request")


async def test_a_request_past_its_deadline_is_dropped(serve: Serve, red_png: bytes) -> None:
    async with serve(request_timeout=1e-6) as client:
        response = await client.post(RECOGNIZE, content=red_png)
        assert (response.status_code, response.json()["kind"]) == (504, "deadline-exceeded")
        patient = await client.post(RECOGNIZE, content=red_png, headers={"x-request-timeout-ms": "5000"})
        assert patient.status_code == 200


async def test_a_full_service_refuses_at_once_and_says_when_to_return(data_dir: Path, red_png: bytes) -> None:
    app = create_app(Settings(data_dir=data_dir, max_queue=1))
    async with running(app) as client:
        with app.state.service.admission.working():
            response = await client.post(RECOGNIZE, content=red_png)
        assert (response.status_code, response.json()["kind"]) == (429, "queue-full")
        assert int(response.headers["retry-after"]) >= 1
        assert (await client.post(RECOGNIZE, content=red_png)).status_code == 200


async def test_more_images_than_may_wait_are_refused_for_what_they_are(serve: Serve, red_png: bytes) -> None:
    async with serve(max_queue=2) as client:
        response = await client.post(RECOGNIZE, files=[("image", ("a", red_png))] * 3)
    assert (response.status_code, response.json()["kind"]) == (400, "bad-request")
    assert "max_queue" in response.json()["detail"]


async def test_a_recognizer_says_why_its_newest_version_is_not_served(data_dir: Path) -> None:
    app = create_app(Settings(data_dir=data_dir))
    async with running(app) as client:
        app.state.host.problems["tiny"] = "scores differ"
        assert (await client.get("/v1/recognizers")).json()["recognizers"][0]["problem"] == "scores differ"
        assert (await client.get("/v1/recognizers/tiny")).json()["problem"] == "scores differ"


async def test_a_closing_service_refuses_and_says_so(data_dir: Path, red_png: bytes) -> None:
    app = create_app(Settings(data_dir=data_dir))
    async with running(app) as client:
        assert (await client.get("/v2/health/ready")).status_code == 200
        app.state.service.admission.close()
        assert (await client.get("/v2/health/ready")).status_code == 503
        assert (await client.get("/v2/health/live")).status_code == 200
        response = await client.post(RECOGNIZE, content=red_png)
        assert (response.status_code, response.json()["kind"]) == (503, "overloaded")
        assert response.headers["connection"] == "close"


async def test_a_new_version_is_served_without_a_restart(data_dir: Path, red_png: bytes) -> None:
    app = create_app(Settings(data_dir=data_dir, reload_interval=0.02))
    async with running(app) as client:
        assert (await client.post(RECOGNIZE, content=red_png)).json()["version"] == 1
        store = Store(data_dir)
        store.publish("twin", store.resolve("tiny").digest)
        assert (await client.post("/v1/recognizers/twin/recognize", content=red_png)).json()["recognizer"] == "twin"


async def test_a_client_that_leaves_takes_its_request_along(data_dir: Path, red_png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="mingmu.requests")
    app = create_app(Settings(data_dir=data_dir))
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    await messages.put({"type": "http.request", "body": red_png, "more_body": False})
    sent: list[dict[str, Any]] = []
    stuck = asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        stuck.set()
        await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with running(app):
        app.state.host.see = never
        scope = {"type": "http", "method": "POST", "path": RECOGNIZE, "query_string": b"", "headers": [], "root_path": ""}
        request = asyncio.create_task(app(scope, messages.get, send))  # type: ignore[arg-type]
        await stuck.wait()
        await messages.put({"type": "http.disconnect"})
        await asyncio.wait_for(request, 5)
    assert sent == []
    assert [vars(record)["kind"] for record in caplog.records if record.name == "mingmu.requests"] == ["client-gone"]


async def test_the_documentation_needs_no_other_site(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "https://" not in page
    assert (await client.get("/static-offline-docs/swagger-ui-bundle.js")).status_code == 200
    assert (await client.get("/", follow_redirects=True)).text == page
