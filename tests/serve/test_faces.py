from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from mingmu.core.pixels import whole
from mingmu.registry.store import Store
from mingmu.serve import face_schemas
from tests import tiny_faces
from tests.serve.conftest import Serve
from tests.serve.test_hostile import jpeg, png_that_claims
from tests.tiny_faces import nobody, photo

VERIFY = "/v1/faces/verify"
PEOPLE = "/v1/faces/galleries/family/people"
IDENTIFY = "/v1/faces/galleries/family/identify"


@pytest.fixture
async def client(serve: Serve, data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    tiny_faces.publish(data_dir)
    async with serve() as client:
        yield client


def two(a: bytes, b: bytes) -> dict[str, tuple[str, bytes]]:
    return {"a": ("a.png", a), "b": ("b.png", b)}


async def test_two_photos_are_compared(client: httpx.AsyncClient) -> None:
    same = await client.post(VERIFY, files=two(photo("ada", 1), photo("ada", 2)))
    verdict = face_schemas.VerdictSchema.model_validate(same.json())
    assert (same.status_code, verdict.same, verdict.false_match_rate, verdict.a.faces) == (200, True, 0.001, 1)
    other = await client.post(VERIFY, files=two(photo("ada"), photo("bob")), params={"false_match_rate": "0.01"})
    assert (other.json()["same"], other.json()["false_match_rate"]) == (False, 0.01)
    assert other.json()["threshold"] < verdict.threshold


async def test_pictures_without_a_face_are_not_compared(client: httpx.AsyncClient) -> None:
    refused = await client.post(VERIFY, files=two(nobody(), nobody()))
    assert (refused.status_code, refused.json()["kind"]) == (422, "unfit-face")


async def test_many_are_compared_at_once(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.post(VERIFY, files=two(photo("ada", n), photo("ada" if n % 2 else "bob", n))) for n in range(12))
    )
    assert [answer.json()["same"] for answer in answers] == [n % 2 == 1 for n in range(12)]


async def test_people_are_enrolled_identified_listed_and_deleted(client: httpx.AsyncClient) -> None:
    files = [("image", ("1.png", photo("ada", 1))), ("image", ("2.png", photo("ada", 2)))]
    enrolled = await client.post(PEOPLE, params={"person": "Ada"}, files=files)
    assert enrolled.status_code == 200, enrolled.text
    assert face_schemas.EnrolledSchema.model_validate(enrolled.json()).faces == 2
    found = [(await client.post(IDENTIFY, content=photo(who, 7))).json() for who in ("ada", "bob")]
    assert [face_schemas.IdentificationSchema.model_validate(each).faces[0].person for each in found] == ["Ada", None]
    assert [each["person"] for each in (await client.get(PEOPLE)).json()["people"]] == ["Ada"]
    assert [each["name"] for each in (await client.get("/v1/faces/galleries")).json()["galleries"]] == ["family"]
    export = face_schemas.ExportSchema.model_validate((await client.get("/v1/faces/galleries/family/export")).json())
    assert len(export.people[0].faces) == 2
    whose = {who: await client.get("/v1/faces/galleries/family/export", params={"person": who}) for who in ("Ada", "Eve", "")}
    assert {who: answer.status_code for who, answer in whose.items()} == {"Ada": 200, "Eve": 404, "": 400}
    for path in (PEOPLE, "/v1/faces/galleries/family"):
        assert (await client.delete(path, params={"person": ""})).status_code == 400
    assert [(await client.delete(PEOPLE, params={"person": "Ada"})).json()["faces"] for _ in range(2)] == [2, 0]
    assert (await client.post(IDENTIFY, content=photo("ada", 7))).json()["faces"][0]["person"] is None
    for _ in range(2):  # whoever got no answer may ask again
        assert (await client.delete("/v1/faces/galleries/family")).json() == {"removed": "family"}
    assert (await client.get(PEOPLE)).status_code == 404


async def test_names_are_drawn_on_the_photo(client: httpx.AsyncClient) -> None:
    await client.post(PEOPLE, params={"person": "Ada"}, content=photo("ada"))
    found = face_schemas.IdentificationSchema.model_validate(
        (await client.post(IDENTIFY, content=photo("ada"), params={"draw": "true"})).json()
    )
    drawn = base64.b64decode(found.drawn or "")
    assert whole(drawn, most=4096).original == (320, 320)  # small photos are enlarged
    alone = await client.post(IDENTIFY, content=photo("ada"), headers={"Accept": "image/jpeg"})
    assert (alone.headers["content-type"], alone.headers["recognizer-digest"], alone.content) == ("image/jpeg", found.embedder, drawn)
    assert (await client.post(IDENTIFY, content=photo("ada"), params={"draw": "yes"})).status_code == 400


async def test_a_gallery_is_made_once(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/faces/galleries", params={"name": "family"})).json()["name"] == "family"
    assert (await client.post("/v1/faces/galleries", params={"name": "family"})).json()["kind"] == "conflict"
    assert (await client.post("/v1/faces/galleries", params={"name": "../x"})).json()["kind"] == "bad-request"


async def test_a_photo_that_is_not_fit_is_not_enrolled(client: httpx.AsyncClient) -> None:
    for bad, kind in ((nobody(), "unfit-face"), (photo("ada", side=40), "unfit-face"), (b"junk", "bad-image")):
        refused = await client.post(PEOPLE, params={"person": "Ada"}, content=bad)
        assert refused.json()["kind"] == kind
    assert (await client.get(PEOPLE)).status_code == 404
    forced = await client.post(PEOPLE, params={"person": "Ada", "force": "true"}, content=photo("ada", side=40))
    assert forced.status_code == 200


HOSTILE = {
    "rubbish": (b"\x00\x01" * 5000, "bad-image"),
    "an empty file": (b"", "bad-image"),
    "a cut JPEG": (jpeg()[:200], "bad-image"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported-image"),
    "a pixel bomb": (png_that_claims(16_000, 16_000), "image-too-large"),
    "a 60,000-pixel side": (png_that_claims(60_000, 1), "image-too-large"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_photos_are_refused_and_disturb_nobody(client: httpx.AsyncClient, name: str) -> None:
    body, kind = HOSTILE[name]
    for answer in (
        await client.post(VERIFY, files=two(photo("ada"), body)),
        await client.post(VERIFY, files=two(body, photo("ada"))),
        await client.post(PEOPLE, params={"person": "Ada"}, files={"image": ("a", body)}),
    ):
        assert answer.json()["kind"] == kind
        assert 400 <= answer.status_code < 500
    assert (await client.post(VERIFY, files=two(photo("ada"), photo("ada")))).status_code == 200


@pytest.mark.parametrize("fields", [("a",), ("a", "a"), ("a", "c"), ("a", "b", "c")])
async def test_a_form_has_the_files_a_and_b(client: httpx.AsyncClient, fields: tuple[str, ...]) -> None:
    refused = await client.post(VERIFY, files=[(name, ("x.png", photo("ada"))) for name in fields])
    assert refused.json()["kind"] == "bad-request"


async def test_what_is_no_form_or_no_rate_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post(VERIFY, content=photo("ada"))).json()["kind"] == "unsupported-body"
    for rate in ("0", "1", "x", "-1", "0.5", "nan", "1e-999"):
        refused = await client.post(VERIFY, params={"false_match_rate": rate}, files=two(photo("ada"), photo("ada")))
        assert refused.json()["kind"] == "bad-request"
    assert (await client.post(IDENTIFY, content=photo("ada"))).json()["kind"] == "not-found"
    assert (await client.post(PEOPLE, content=photo("ada"))).json()["kind"] == "bad-request"
    json = {"images": [{"url": "http://127.0.0.1/"}]}
    assert (await client.post(PEOPLE, params={"person": "Ada"}, json=json)).json()["kind"] == "unsupported-body"


async def test_a_service_without_the_networks_says_what_to_do(serve: Serve) -> None:
    async with serve() as client:
        refused = await client.post(VERIFY, files=two(photo("ada"), photo("ada")))
    assert refused.status_code == 404
    assert "mingmu pull mobilefacenet" in refused.json()["detail"]


async def test_the_operator_says_what_makes_vectors(serve: Serve, data_dir: Path) -> None:
    tiny_faces.publish(data_dir)
    store = Store(data_dir)
    store.publish("own", store.add(lambda folder: tiny_faces.seal_embedder(folder, longer=1.0001)).digest)
    for embedder, status in (("own", 200), ("yunet", 409)):
        async with serve(face_embedder=embedder) as client:
            answer = await client.post(VERIFY, files=two(photo("ada"), photo("ada")))
        assert answer.status_code == status
        assert answer.json().get("embedder", store.resolve("own").digest) == store.resolve("own").digest


async def test_a_vector_is_no_answer_of_any_door(client: httpx.AsyncClient) -> None:
    asked = await client.post("/v1/recognizers/mobilefacenet/recognize", content=photo("ada"))
    assert (asked.status_code, asked.json()["kind"]) == (409, "conflict")
    assert (await client.post("/v2/models/mobilefacenet/infer", json={"inputs": []})).status_code == 409
    found = (await client.post("/v1/recognizers/yunet/recognize", content=photo("ada"))).json()["answers"][0]["boxes"][0]
    assert len(found["landmarks"]) == 5


async def test_a_detector_that_finds_no_faces_is_refused(serve: Serve, data_dir: Path) -> None:
    tiny_faces.publish(data_dir)
    store = Store(data_dir)
    store.publish("yunet", store.add(lambda folder: tiny_faces.seal_finder(folder, landmarks=0)).digest)
    async with serve() as client:
        refused = await client.post(VERIFY, files=two(photo("ada"), photo("ada")))
    assert (refused.status_code, refused.json()["kind"]) == (409, "conflict")
