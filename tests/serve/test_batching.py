from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from mingmu.core.errors import ForbiddenUrl
from mingmu.jobs.worker import Worker
from mingmu.registry.store import Store
from mingmu.serve import jobs
from mingmu.serve.jobs import check_url
from mingmu.settings import Settings
from tests.serve.conftest import Serve
from tests.serve.test_teaching import ZIP, archive, problem, uploads

JOBS = "/v1/jobs?recognizer=tiny"


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


async def work(data_dir: Path) -> None:
    assert await asyncio.to_thread(Worker(Settings(data_dir=data_dir, threads=1), "worker").run_next)


async def test_an_archive_becomes_a_job_and_its_rows_a_file(client: httpx.AsyncClient, store: Store, red_png: bytes) -> None:
    response = await client.post(f"{JOBS}&top=2&format=csv", content=archive(photo=b"", **{"a b.png": red_png}), headers=ZIP)
    job = response.json()["job"]
    assert (response.status_code, response.json()["recognizer"]) == (202, "tiny@1")
    assert (response.headers["location"], job["verb"], job["subject"]) == (f"/v1/jobs/{job['id']}", "batch", "tiny@1")
    (folder,) = uploads(store)
    assert str(folder) not in response.text
    result = f"/v1/jobs/{job['id']}/result"
    assert problem(await client.get(result)) == (404, "not-found")
    await work(store.data_dir)
    answer = await client.get(result)
    assert answer.text.startswith("path,label,score,labels,scores,ids,boxes,abstain,error,detail,digest\r\na b.png,red,")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == f'attachment; filename="job-{job["id"]}.csv"'
    about = (await client.get(f"/v1/jobs/{job['id']}")).json()["result"]
    assert (about["images"], about["errors"], about["labels"], about["recognizer"]) == (1, {}, {"red": 1}, "tiny")
    assert about["file"]["bytes"] == len(answer.content) == int(answer.headers["content-length"])
    assert uploads(store) == []


@pytest.mark.parametrize(
    ("wanted", "status", "begin"), [("bytes=10-", 206, 10), ("bytes=0-", 200, 0), ("bytes=9999999-", 200, 0), ("bytes=5-9", 200, 0)]
)
async def test_a_download_goes_on_where_it_broke_off(
    client: httpx.AsyncClient, store: Store, red_png: bytes, monkeypatch: pytest.MonkeyPatch, wanted: str, status: int, begin: int
) -> None:
    monkeypatch.setattr(jobs, "CHUNK", 7)
    await client.post(JOBS, content=archive(**{"a.png": red_png}), headers=ZIP)
    await work(store.data_dir)
    whole = (await client.get("/v1/jobs/1/result")).content
    answer = await client.get("/v1/jobs/1/result", headers={"range": wanted})
    assert (answer.status_code, answer.content, int(answer.headers["content-length"])) == (status, whole[begin:], len(whole) - begin)
    assert answer.headers.get("content-range") == (f"bytes {begin}-{len(whole) - 1}/{len(whole)}" if begin else None)


async def test_a_result_that_was_freed_is_gone(client: httpx.AsyncClient, store: Store, red_png: bytes) -> None:
    await client.post(JOBS, content=archive(**{"a.png": red_png}), headers=ZIP)
    await work(store.data_dir)
    store.blobs.delete((await client.get("/v1/jobs/1")).json()["result"]["file"]["sha256"])
    assert problem(await client.get("/v1/jobs/1/result")) == (404, "not-found")


async def test_a_dataset_is_looked_at_as_it_is_now(client: httpx.AsyncClient, store: Store, red_png: bytes) -> None:
    row = {"image": store.blobs.put(red_png), "labels": [], "name": "é.png"}
    store.datasets.add("colours", "d" * 64, json.dumps(row).encode())
    response = await client.post("/v1/jobs", json={"dataset": "colours", "recognizer": "tiny", "top": 1})
    assert response.status_code == 202
    assert store.jobs.get(response.json()["job"]["id"]).arguments["dataset"] == "colours@1"
    await work(store.data_dir)
    (line,) = (await client.get("/v1/jobs/1/result")).text.splitlines()
    assert [json.loads(line)[name] for name in ("path", "labels")] == ["é.png", ["red"]]


@pytest.mark.parametrize(
    ("query", "headers", "body", "expected"),
    [
        ("&top=0", ZIP, archive(), (400, "bad-request")),
        ("&top=", ZIP, archive(), (400, "bad-request")),
        ("&coverage=nan", ZIP, archive(), (400, "bad-request")),
        ("&coverage=0.9", ZIP, archive(), (422, "no-coverage")),
        ("&format=xls", ZIP, archive(), (400, "bad-request")),
        ("&dataset=flowers", ZIP, archive(), (400, "bad-request")),
        ("@7", ZIP, archive(), (404, "not-found")),
        ("", ZIP, b"no archive", (415, "unsupported-body")),
        ("", {"content-type": "image/jpeg"}, b"a photo", (415, "unsupported-body")),
    ],
)
async def test_an_archive_that_cannot_be_looked_at_leaves_nothing(
    client: httpx.AsyncClient, store: Store, query: str, headers: dict[str, str], body: bytes, expected: tuple[int, str]
) -> None:
    assert problem(await client.post(JOBS + query, content=body, headers=headers)) == expected
    assert uploads(store) == []
    assert store.jobs.newest() == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (400, "bad-request")),
        ({"dataset": "colours", "url": "s3://a/"}, (400, "bad-request")),
        ({"dataset": "colours", "top": "3"}, (400, "bad-request")),
        ({"dataset": "colours", "where": "here"}, (400, "bad-request")),
        ({"dataset": "colours"}, (404, "not-found")),
        ({"url": "s3://photos/"}, (403, "forbidden-url")),
    ],
)
async def test_what_is_named_and_cannot_be_looked_at_is_refused(
    client: httpx.AsyncClient, asked: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert problem(await client.post("/v1/jobs", json=asked | {"recognizer": "tiny"})) == expected


async def test_without_pyarrow_parquet_is_refused_at_once(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "find_spec", lambda _name: None)
    assert problem(await client.post(f"{JOBS}&format=parquet", content=archive(), headers=ZIP)) == (409, "conflict")


async def test_when_too_many_jobs_wait_the_next_is_refused_and_its_upload_removed(serve: Serve, store: Store) -> None:
    async with serve(max_jobs=1) as client:
        assert (await client.post(JOBS, content=archive(), headers=ZIP)).status_code == 202
        assert problem(await client.post(JOBS, content=archive(), headers=ZIP)) == (429, "queue-full")
    assert len(uploads(store)) == 1


async def test_a_url_that_the_operator_allows_is_queued(serve: Serve, store: Store) -> None:
    async with serve(batch_urls="s3://photos/, https://images.example.com") as client:
        response = await client.post("/v1/jobs", json={"url": "https://images.example.com/2026/", "recognizer": "tiny"})
    assert response.status_code == 202
    assert store.jobs.get(1).arguments["source"] == "https://images.example.com/2026/"


async def test_a_job_that_is_cancelled_before_it_begins_leaves_no_upload(client: httpx.AsyncClient, store: Store) -> None:
    await client.post(JOBS, content=archive(), headers=ZIP)
    await client.post("/v1/datasets?name=colours", content=archive(), headers=ZIP)
    assert len(uploads(store)) == 2
    for number in (1, 2):
        assert (await client.delete(f"/v1/jobs/{number}")).json()["state"] == "cancelled"
    assert uploads(store) == []


async def test_the_same_question_goes_on_where_the_one_that_failed_was(serve: Serve, store: Store) -> None:
    async with serve(batch_urls="s3://photos/") as client:
        for more in ({"top": 3}, {"top": 3}, {"top": 4}):
            assert (await client.post("/v1/jobs", json={"url": "s3://photos/a/", "recognizer": "tiny"} | more)).status_code == 202
    first, again, other = (store.jobs.get(number).arguments["folder"] for number in (1, 2, 3))
    assert first == again != other


ALLOWED = "s3://photos/public/,https://host/a"


@pytest.mark.parametrize("url", ["s3://photos/public", "s3://photos/public/x/", "https://host/a/b..c/1.jpg"])
def test_a_url_below_an_allowed_one_is_allowed(url: str) -> None:
    check_url(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        *("s3://photos/", "s3://photos/public2/x", "https://host.evil/a/", "https://host/a@evil/", "http://host/a/"),
        *("file:///etc/passwd", ""),
        *("https://host/a/../b", "https://host/a/%2E%2e/b", "https://host/a/..", "https://host/a\\..\\b", "https://host/a/?to=b", "s3://photos/public/./x"),
        *("https://host/a/x::file:///etc/passwd", "simplecache::s3://photos/public/"),
    ],
)  # fmt: skip
def test_a_url_that_leads_elsewhere_is_forbidden(url: str) -> None:
    with pytest.raises(ForbiddenUrl):
        check_url(url, ALLOWED)
    with pytest.raises(ForbiddenUrl):
        check_url(url, None)
