from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mingmu.registry.store import Store
from mingmu.serve.http import create_app
from mingmu.settings import Settings
from tests import tiny
from tests.registry.variants import another
from tests.serve.conftest import Serve, running

ZIP = {"content-type": "application/zip"}
TINY = "/v1/recognizers/tiny"


@pytest.fixture
def store(data_dir: Path, red_png: bytes) -> Store:
    """The store of the service; `tiny` was taught on the dataset `colours`, and measured."""
    store = Store(data_dir)
    row = {"image": store.blobs.put(red_png), "labels": ["red"], "name": "red.png", "split": None, "group": None, "regions": []}
    store.datasets.add("colours", "d" * 64, json.dumps(row).encode())
    digest = store.resolve("tiny").digest
    store.records.add_lineage(digest, "d" * 64, {})
    store.records.add_report(digest, "d" * 64, b'{"schema": "a report"}')
    return store


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return packed.getvalue()


def uploads(store: Store) -> list[Path]:
    return [path for path in (store.data_dir / "aside").iterdir() if path.name.startswith("upload")]


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["kind"]


async def test_an_upload_becomes_a_file_and_a_job(client: httpx.AsyncClient, store: Store) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        data = archive(photo=bytes(3_000_000))
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]

    response = await client.post("/v1/datasets?name=flowers", content=pieces(), headers=ZIP)
    assert response.status_code == 202
    job = response.json()["job"]
    assert (response.json()["dataset"], job["verb"], job["subject"], job["state"]) == ("flowers", "read", "flowers", "queued")
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    (folder,) = uploads(store)
    assert store.jobs.get(job["id"]).arguments == {"name": "flowers", "upload": str(folder / "dataset.zip")}
    assert zipfile.ZipFile(folder / "dataset.zip").namelist() == ["photo"]
    assert str(folder) not in response.text


@pytest.mark.parametrize(
    ("query", "headers", "body", "expected"),
    [
        ("", ZIP, archive(), (400, "bad-request")),
        ("?name=../etc", ZIP, archive(), (400, "bad-request")),
        ("?name=flowers&colour=red", ZIP, archive(), (400, "bad-request")),
        ("?name=flowers", ZIP, b"", (400, "bad-request")),
        ("?name=flowers", ZIP, b"no archive", (415, "unsupported-body")),
        ("?name=flowers", {"content-type": "text/plain"}, archive(), (415, "unsupported-body")),
        ("?name=flowers", ZIP | {"content-encoding": "gzip"}, archive(), (415, "unsupported-body")),
        ("?name=flowers", ZIP, bytes(2000), (413, "body-too-large")),
        ("?name=flowers", ZIP | {"transfer-encoding": "chunked"}, iter([bytes(900), bytes(900)]), (413, "body-too-large")),
    ],
)
async def test_an_upload_that_cannot_be_used_leaves_nothing(
    serve: Serve, store: Store, query: str, headers: dict[str, str], body: bytes | Iterator[bytes], expected: tuple[int, str]
) -> None:
    async def pieces(body: Iterator[bytes]) -> AsyncIterator[bytes]:
        for piece in body:
            yield piece

    async with serve(max_upload_bytes=1500) as client:
        content = body if isinstance(body, bytes) else pieces(body)
        assert problem(await client.post(f"/v1/datasets{query}", content=content, headers=headers)) == expected
    assert uploads(store) == []
    assert store.jobs.newest() == []


async def test_an_upload_that_dries_up_is_given_up(serve: Serve, store: Store) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield archive()
        await asyncio.sleep(2)

    async with serve(body_timeout=0.1) as client:
        assert problem(await client.post("/v1/datasets?name=flowers", content=pieces(), headers=ZIP)) == (408, "slow-body")
    assert uploads(store) == []


async def test_when_too_many_jobs_wait_the_next_is_refused_and_its_upload_removed(serve: Serve, store: Store) -> None:
    async with serve(max_jobs=1) as client:
        assert (await client.post(f"{TINY}/teach", json={"dataset": "colours", "backbone": "tiny"})).status_code == 202
        response = await client.post("/v1/datasets?name=flowers", content=archive(), headers=ZIP)
        assert problem(response) == (429, "queue-full")
        assert int(response.headers["retry-after"]) >= 1
    assert uploads(store) == []


async def test_datasets_are_listed_and_described(client: httpx.AsyncClient, store: Store) -> None:
    finding = {"kind": "duplicate", "where": ["a", "b"]}
    store.records.add_report("d" * 64, "d" * 64, json.dumps([finding]).encode())
    listed = (await client.get("/v1/datasets")).json()["datasets"]
    assert [(each["name"], each["version"], each["digest"]) for each in listed] == [("colours", 1, "d" * 64)]
    about = (await client.get("/v1/datasets/colours")).json()
    assert (about["images"], about["labels"], about["findings"]) == (1, {"red": 1}, [finding])
    examples = store.datasets.examples(store.datasets.resolve("colours"))
    store.datasets.add("colours", "e" * 64, examples, parent="d" * 64)
    assert (await client.get("/v1/datasets/colours")).json()["findings"] == [finding]  # it is still true of what was made from it
    versions = (await client.get("/v1/datasets/colours/versions")).json()["versions"]
    assert [(each["version"], each["digest"]) for each in versions] == [(1, "d" * 64), (2, "e" * 64)]
    assert problem(await client.get("/v1/datasets/none")) == (404, "not-found")


async def test_teaching_is_a_job(client: httpx.AsyncClient, store: Store) -> None:
    given = {"dataset": "colours", "backbone": "tiny", "effort": "quick", "head": "svm", "seed": 7}
    response = await client.post("/v1/recognizers/new/teach", json=given)
    assert response.status_code == 202
    job = store.jobs.get(response.json()["job"]["id"])
    assert (job.verb, job.subject) == ("teach", "new")
    assert job.arguments == {"name": "new", "test": None, "add": False} | given
    assert (await client.get("/v1/jobs")).json()["jobs"][0]["id"] == job.id


async def test_training_is_a_job(client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mingmu.serve.teaching.find_spec", lambda name: name)
    given = {"dataset": "colours", "recipe": "batch = 8", "net": "cnn", "size": 16, "epochs": 2, "seconds": 60.0}
    response = await client.post("/v1/recognizers/new/train", json=given)
    assert response.status_code == 202
    job = store.jobs.get(response.json()["job"]["id"])
    assert (job.verb, job.subject, job.arguments) == ("train", "new", {"name": "new"} | given)


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("general", {}, (409, "conflict")),
        ("new", {"dataset": "none"}, (404, "not-found")),
        ("new", {"epochs": 0}, (400, "bad-request")),
        ("new", {"seconds": 0}, (400, "bad-request")),
        ("new", {"recipe": ""}, (400, "bad-request")),
        ("new", {"backbone": "tiny"}, (400, "bad-request")),
    ],
)
async def test_what_cannot_be_trained_is_refused_at_once(
    client: httpx.AsyncClient, store: Store, name: str, more: dict[str, Any], expected: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mingmu.serve.teaching.find_spec", lambda name: name)
    assert problem(await client.post(f"/v1/recognizers/{name}/train", json={"dataset": "colours"} | more)) == expected
    assert store.jobs.newest() == []


async def test_a_service_without_torch_says_so_at_once(client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mingmu.serve.teaching.find_spec", lambda _name: None)
    response = await client.post("/v1/recognizers/new/train", json={"dataset": "colours"})
    assert problem(response) == (501, "missing-extra")
    assert "pip install 'mingmu[train]'" in response.json()["detail"]
    assert store.jobs.newest() == []


async def test_a_listing_of_jobs_leaves_out_their_findings(client: httpx.AsyncClient, store: Store) -> None:
    store.jobs.submit("audit", "colours", {})
    claimed = store.jobs.claim("worker")
    assert claimed is not None
    store.jobs.finish(claimed, {"dataset": "colours", "findings": [{"kind": "duplicate"}]})
    assert (await client.get("/v1/jobs")).json()["jobs"][0]["result"] == {"dataset": "colours"}
    assert (await client.get(f"/v1/jobs/{claimed.id}")).json()["result"]["findings"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"json": {"dataset": "none"}}, (404, "not-found")),
        ({"json": {"dataset": "colours@2"}}, (404, "not-found")),
        ({"json": {"dataset": "colours", "test": "none"}}, (404, "not-found")),
        ({"json": {"dataset": "colours", "backbone": "none"}}, (404, "not-found")),
        ({"json": {"dataset": "colours", "backbone": "yunet"}}, (404, "not-found")),
        ({"json": {"dataset": "colours", "backbone": "whole"}}, (409, "conflict")),
        ({"json": {"dataset": "colours", "head": "forest"}}, (400, "bad-request")),
        ({"json": {"dataset": "colours", "seed": -1}}, (400, "bad-request")),
        ({"json": {"dataset": "colours", "effort": "heroic"}}, (400, "bad-request")),
        ({"json": {"dataset": "colours", "epochs": 9}}, (400, "bad-request")),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, (400, "bad-request")),
        ({"content": b'{"dataset": "colours"}', "headers": {"content-type": "text/plain"}}, (415, "unsupported-body")),
    ],
)
async def test_what_cannot_be_taught_is_refused_at_once(
    client: httpx.AsyncClient, store: Store, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    store.publish("whole", store.add(tiny.seal_whole).digest)
    assert problem(await client.post(f"{TINY}/teach", **body)) == expected
    assert store.jobs.newest() == []


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("general", {}, (409, "conflict")),
        ("imported", {}, (409, "conflict")),
        ("never-taught", {"add": True}, (404, "not-found")),
        ("A", {}, (400, "bad-request")),
    ],
)
async def test_a_name_that_cannot_be_taught_is_refused_at_once(
    client: httpx.AsyncClient, store: Store, name: str, more: dict[str, Any], expected: tuple[int, str]
) -> None:
    store.publish("imported", store.add(tiny.seal_whole).digest)
    assert problem(await client.post(f"/v1/recognizers/{name}/teach", json={"dataset": "colours", "backbone": "tiny"} | more)) == expected
    assert store.jobs.newest() == []


async def test_a_backbone_that_ships_may_be_built_at_its_first_use(client: httpx.AsyncClient, store: Store) -> None:
    assert (await client.post(f"{TINY}/teach", json={"dataset": "colours", "backbone": "general"})).status_code == 202


async def test_an_audit_and_an_evaluation_are_jobs_about_the_versions_that_are_there_now(client: httpx.AsyncClient, store: Store) -> None:
    audit = await client.post("/v1/datasets/colours/audit?backbone=tiny")
    evaluation = await client.post(f"{TINY}/evaluate", json={"dataset": "colours"})
    assert (audit.status_code, audit.json()["dataset"]) == (202, "colours")
    assert (evaluation.status_code, evaluation.json()["recognizer"]) == (202, "tiny")
    asked = {job.verb: (job.subject, job.arguments) for job in store.jobs.newest()}
    assert asked == {
        "audit": ("colours", {"dataset": "colours@1", "backbone": "tiny"}),
        "evaluate": ("tiny", {"recognizer": "tiny@1", "dataset": "colours@1"}),
    }
    assert problem(await client.post("/v1/datasets/none/audit")) == (404, "not-found")
    assert problem(await client.post(f"{TINY}/evaluate", json={"dataset": "none"})) == (404, "not-found")
    assert problem(await client.post(f"{TINY}/evaluate", json={})) == (400, "bad-request")


async def test_a_dataset_is_removed_and_what_taught_a_recognizer_only_by_force(client: httpx.AsyncClient, store: Store) -> None:
    refused = await client.delete("/v1/datasets/colours")
    assert problem(refused) == (409, "conflict")
    assert "tiny@1 was taught on colours" in refused.json()["detail"]
    assert (await client.delete("/v1/datasets/colours?force=true")).json() == {"removed": "colours"}
    assert store.datasets.names() == []


async def test_examples_are_kept_and_added_by_a_job(client: httpx.AsyncClient, store: Store, red_png: bytes, blue_png: bytes) -> None:
    one = await client.post(f"{TINY}/examples?label=pear&teach=true", content=blue_png)
    job = store.jobs.get(one.json()["job"]["id"])
    assert (job.verb, job.arguments["recognizer"], job.arguments["label"], job.arguments["teach"]) == ("add", "tiny", "pear", True)
    assert [store.blobs.get(image) for image in job.arguments["images"]] == [blue_png]
    files = [("image", ("a", red_png)), ("image", ("b", blue_png))]
    several = await client.post(f"{TINY}/examples?label=a%0Apear%1B", files=files)
    assert store.jobs.get(several.json()["job"]["id"]).arguments["label"] == "a pear"
    assert len(store.jobs.get(several.json()["job"]["id"]).arguments["images"]) == 2


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (f"{TINY}/examples", None, (400, "bad-request")),
        (f"{TINY}/examples?label=%0A%00", None, (400, "bad-request")),
        (f"{TINY}/examples?label=pear&teach=maybe", None, (400, "bad-request")),
        (f"{TINY}/examples?label=pear", b"junk", (400, "bad-image")),
        ("/v1/recognizers/none/examples?label=pear", None, (404, "not-found")),
    ],
)
async def test_an_example_that_cannot_be_used_is_refused_at_once(
    client: httpx.AsyncClient, store: Store, red_png: bytes, path: str, body: bytes | None, expected: tuple[int, str]
) -> None:
    assert problem(await client.post(path, content=red_png if body is None else body)) == expected
    assert store.jobs.newest() == []


async def test_a_job_can_be_asked_for_and_cancelled(client: httpx.AsyncClient, store: Store) -> None:
    number = store.jobs.submit("teach", "tiny", {}).id
    assert (await client.get(f"/v1/jobs/{number}")).json()["state"] == "queued"
    assert (await client.delete(f"/v1/jobs/{number}")).json()["state"] == "cancelled"
    for path in ("/v1/jobs/99", "/v1/jobs/99/events", "/v1/jobs/x", f"/v1/jobs/{'9' * 30}"):
        assert problem(await client.get(path)) == (404, "not-found")
    refused = await client.put(f"/v1/jobs/{number}")
    assert problem(refused) == (405, "method-not-allowed")
    assert {"GET", "DELETE"} <= set(refused.headers["allow"].split(", "))


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((fields["event"], json.loads(fields["data"])))
    return found


async def test_a_job_is_followed_to_its_end(client: httpx.AsyncClient, store: Store) -> None:
    number = store.jobs.submit("teach", "tiny", {}).id
    following = asyncio.create_task(client.get(f"/v1/jobs/{number}/events"))
    job = await asyncio.to_thread(store.jobs.claim, "worker")
    assert job is not None
    await asyncio.to_thread(store.jobs.progress, job, "looking", 0.5)
    await asyncio.sleep(0.4)
    assert not following.done()
    await asyncio.to_thread(store.jobs.finish, job, {"version": 2})
    response = await asyncio.wait_for(following, 5)
    assert response.headers["content-type"].startswith("text/event-stream")
    told = events(response.text)
    assert [kind for kind, _ in told] == ["queued", "running", "progress", "done", "end"]
    assert told[2][1] == {"step": "looking", "share": 0.5}
    assert told[-1][1]["result"] == {"version": 2}
    last = store.jobs.events(number)[-2].id
    again = await client.get(f"/v1/jobs/{number}/events", headers={"last-event-id": str(last)})
    assert [kind for kind, _ in events(again.text)] == ["done", "end"]
    assert problem(await client.get(f"/v1/jobs/{number}/events", headers={"last-event-id": "x"})) == (400, "bad-request")


async def test_a_service_that_stops_lets_go_of_those_who_follow(data_dir: Path, store: Store) -> None:
    number = store.jobs.submit("teach", "tiny", {}).id
    app = create_app(Settings(data_dir=data_dir))
    async with running(app) as client:
        following = asyncio.create_task(client.get(f"/v1/jobs/{number}/events"))
        await asyncio.sleep(0.4)
        app.state.service.admission.close()
        assert [kind for kind, _ in events((await asyncio.wait_for(following, 5)).text)] == ["queued"]


async def test_the_report_is_json_or_a_page(client: httpx.AsyncClient, store: Store) -> None:
    html = {"accept": "text/html,*/*"}
    assert (await client.get(f"{TINY}/report", headers=html)).json() == {"schema": "a report"}
    store.records.add_report(store.resolve("tiny").digest, "d" * 64, b"<!doctype html><title>a page</title>")
    assert (await client.get(f"{TINY}/report")).json() == {"schema": "a report"}
    page = await client.get(f"{TINY}/report", headers=html)
    assert (page.headers["content-type"].partition(";")[0], "a page" in page.text) == ("text/html", True)
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_an_evaluation_is_kept_beside_the_report_of_the_teaching(client: httpx.AsyncClient, store: Store) -> None:
    digest = store.resolve("tiny").digest
    for turn in (1, 2):
        store.records.add_report(digest, "e" * 64, b"<!doctype html><title>an evaluation</title>")
        store.records.add_report(digest, "e" * 64, b'{"schema": "evaluation %d"}' % turn)
    taught = await client.get(f"{TINY}/report", headers={"accept": "text/html,*/*"})
    assert taught.json() == (await client.get(f"{TINY}/report")).json() == {"schema": "a report"}
    for dataset in ("colours", "colours@1", "d" * 64):
        assert (await client.get(f"{TINY}/report?dataset={dataset}")).json() == {"schema": "a report"}
    assert (await client.get(f"{TINY}/report?dataset={'e' * 64}")).json() == {"schema": "evaluation 2"}
    assert problem(await client.get(f"{TINY}/report?dataset={'f' * 64}")) == (404, "not-found")
    assert problem(await client.get(f"{TINY}/report?kind=x")) == (400, "bad-request")
    listed = (await client.get(f"{TINY}/reports")).json()
    found = [(each["kind"], each["dataset"][0], each["names"]) for each in listed["reports"]]
    assert (found, listed["next"]) == ([("teaching", "d", ["colours@1"]), ("evaluation", "e", [])], None)
    first = (await client.get(f"{TINY}/reports?limit=1")).json()
    rest = (await client.get(f"{TINY}/reports?limit=1&after={first['next']}")).json()
    assert (first["reports"] + rest["reports"], rest["next"]) == (listed["reports"], None)


async def test_a_recognizer_that_was_not_taught_here_shows_its_latest_evaluation(client: httpx.AsyncClient, data_dir: Path) -> None:
    store = Store(data_dir)
    store.records.add_report(store.resolve("tiny").digest, "e" * 64, b'{"schema": "an evaluation"}')
    assert (await client.get(f"{TINY}/report")).json() == {"schema": "an evaluation"}


@pytest.mark.parametrize(
    ("listing", "what"), [("recognizers", "name"), ("datasets", "name"), ("jobs", "id"), ("recognizers/tiny/versions", "version")]
)
async def test_listings_come_in_pages(client: httpx.AsyncClient, store: Store, listing: str, what: str) -> None:
    digest = store.resolve("tiny").digest
    for number in range(4):
        store.publish(f"more-{number}", digest)
        store.publish("tiny", another(store, number).digest)
        store.datasets.add(f"more-{number}", "d" * 64, b"")
        store.jobs.submit("teach", "tiny", {})
    kind = listing.rpartition("/")[2]
    whole = (await client.get(f"/v1/{listing}")).json()
    assert whole["next"] is None
    found, after = [], ""
    while after is not None:
        page = (await client.get(f"/v1/{listing}?limit=2{f'&after={after}' if after else ''}")).json()
        assert len(page[kind]) <= 2
        found += page[kind]
        after = page["next"]
    assert found == whole[kind]
    assert len(found) == 5 - (kind == "jobs")
    assert [each[what] for each in found] == sorted((each[what] for each in found), reverse=kind == "jobs")
    for query in ("limit=0", "limit=1001", "limit=x", "after=-1", "after=%00", "first=1"):
        assert problem(await client.get(f"/v1/{listing}?{query}")) == (400, "bad-request")


async def test_the_versions_of_a_recognizer_name_the_aliases_that_point_to_them(client: httpx.AsyncClient, store: Store) -> None:
    store.publish("tiny", another(store, 2).digest)
    store.set_alias("tiny", "prod", 1)
    versions = (await client.get(f"{TINY}/versions")).json()["versions"]
    assert [(each["version"], each["aliases"]) for each in versions] == [(1, ["prod"]), (2, [])]
    assert problem(await client.get("/v1/recognizers/none/versions")) == (404, "not-found")


async def test_a_recognizer_without_a_report_says_so(client: httpx.AsyncClient) -> None:
    assert problem(await client.get(f"{TINY}/report")) == (404, "not-found")


async def test_aliases_are_set_rolled_back_and_removed(client: httpx.AsyncClient, store: Store) -> None:
    alias = {"alias": "prod", "version": 1}
    assert (await client.post(f"{TINY}/aliases", json=alias)).json()["version"] == 1
    assert (await client.get(TINY)).json()["aliases"] == {"prod": 1}
    assert problem(await client.post(f"{TINY}/rollback", json={"alias": "prod"})) == (409, "conflict")
    assert problem(await client.post(f"{TINY}/aliases", json=alias | {"version": 9})) == (404, "not-found")
    assert problem(await client.delete(f"{TINY}@1")) == (409, "conflict")
    assert (await client.delete(f"{TINY}@prod")).json() == {"removed": "tiny@prod"}
    refused = await client.delete(f"{TINY}@1")
    assert problem(refused) == (409, "conflict")
    assert "tiny@1 is what tiny alone means" in refused.json()["detail"]
    assert problem(await client.delete(f"{TINY}?force=maybe")) == (400, "bad-request")
    assert (await client.delete(TINY)).status_code == 200
    assert problem(await client.get(TINY)) == (404, "not-found")
