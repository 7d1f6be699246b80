"""The routes that compare faces, and find people of a gallery."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mingmu.core.errors import BadRequest, NotFound, UnsupportedBody
from mingmu.registry.galleries import person_named
from mingmu.registry.naming import check_name
from mingmu.serve.bodies import images_in, media_type_of
from mingmu.serve.forms import named_files_in_form
from mingmu.serve.queries import JPEG, Page, flag, query, share, wants_picture
from mingmu.serve.replies import JSON, json_answer, service_of, store_of
from mingmu.serve.service import Call
from mingmu.tasks import identification, verification
from mingmu.tasks.faces import DETECTOR, EMBEDDER, FaceParts


async def verify(request: Request) -> Response:
    """Say whether two photos, `a` and `b` of a form, show the same person; of several faces in a photo, the largest counts."""
    service, rate = service_of(request), _rate(query(request, "false_match_rate"))
    async with service.call(request) as call:
        a, b = _two_photos(call.body, request.headers.get("content-type", ""))
        call.visit.images = 2
        parts = await _parts(request)
        road = verification.verify(parts, a, b, rate)
        verdict = await service.host.follow(road, deadline=call.deadline, turns=call.turns)
    return json_answer(verdict.document() | parts.digests)


def galleries(request: Request) -> Response:
    """The galleries that there are by name."""
    page = Page.of(request)
    found = store_of(request).galleries.listing(page.name, page.wanted)
    return json_answer(page.show("galleries", found, asdict, lambda gallery: gallery.name))


async def create_gallery(request: Request) -> Response:
    """Make an empty gallery."""
    service, name = service_of(request), query(request, "name").get("name", "")
    check_name(name)
    embedder = (await _parts(request)).embedder.digest
    return json_answer(asdict(await service.host.look_up(service.host.store.galleries.create, name, embedder)))


def people(request: Request) -> Response:
    """The people of a gallery by name, with how many faces of each it holds."""
    page = Page.of(request)
    found = store_of(request).galleries.people(request.path_params["name"], page.after or "", page.wanted)
    return json_answer(page.show("people", found, asdict, lambda person: person.person))


async def enrol(request: Request) -> Response:
    """Add a person to a gallery, which is made if it is not there. All photos are taken, or none."""
    service, name, given = service_of(request), request.path_params["name"], query(request, "person", "force")
    check_name(name)
    person, force, kept = person_named(given.get("person", "")), flag(given, "force"), service.host.store.galleries
    async with service.call(request) as call:
        photos = _photos(call, request.headers.get("content-type", ""), service.max_images)
        parts = await _parts(request)
        await service.host.look_up(kept.check, name, parts.embedder.digest)
        road = identification.fit_faces(parts, photos, force=force)
        vectors = await service.host.follow(road, deadline=call.deadline, turns=call.turns)
        enrolled = await service.host.look_up(kept.enrol, name, parts.embedder.digest, person, vectors)
    return json_answer({"gallery": name} | asdict(enrolled))


async def identify(request: Request) -> Response:
    """Say whose faces a photo shows; who is not in the gallery has no name."""
    service, name, given = service_of(request), request.path_params["name"], query(request, "false_match_rate", "draw")
    rate, draw, pictured = _rate(given), flag(given, "draw"), wants_picture(request)
    async with service.call(request) as call:
        (photo,) = _photos(call, request.headers.get("content-type", ""), 1)
        parts = await _parts(request)
        known = await service.host.galleries.known(name, parts.embedder.digest)
        found = await service.host.follow(identification.identify(parts, photo, known, rate), deadline=call.deadline, turns=call.turns)
        drawn = await service.host.draw(photo, found.boxes()) if draw or pictured else b""
    if pictured:
        return Response(drawn, headers={"recognizer-digest": parts.embedder.digest}, media_type=JPEG)
    picture = {"drawn": base64.b64encode(drawn).decode()} if draw else {}
    return json_answer({"gallery": name} | found.document() | parts.digests | picture)


def remove_person(request: Request) -> Response:
    """Delete all faces of a person from a gallery, and from the disk; again, it finds none and does no harm."""
    person = query(request, "person").get("person", "")
    return json_answer({"removed": person, "faces": store_of(request).galleries.remove_person(request.path_params["name"], person)})


def remove_gallery(request: Request) -> Response:
    """Delete a gallery with all the faces in it, and from the disk; again, it does no harm."""
    query(request)
    store_of(request).galleries.remove(request.path_params["name"])
    return json_answer({"removed": request.path_params["name"]})


def export(request: Request) -> Response:
    """All that a gallery holds, or all of one person: names, and the vectors of the faces, as a stream."""
    person = query(request, "person").get("person")
    return StreamingResponse(store_of(request).galleries.export(request.path_params["name"], person), media_type=JSON)


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/faces/verify", verify),
    ("GET", "/v1/faces/galleries", galleries),
    ("POST", "/v1/faces/galleries", create_gallery),
    ("DELETE", "/v1/faces/galleries/{name}", remove_gallery),
    ("GET", "/v1/faces/galleries/{name}/people", people),
    ("POST", "/v1/faces/galleries/{name}/people", enrol),
    ("DELETE", "/v1/faces/galleries/{name}/people", remove_person),
    ("POST", "/v1/faces/galleries/{name}/identify", identify),
    ("GET", "/v1/faces/galleries/{name}/export", export),
]


async def _parts(request: Request) -> FaceParts:
    """The two networks; raises NotFound where the operator has not got them: nobody's request decides that faces are looked at here."""
    host, visit = service_of(request).host, request.scope["visit"]
    try:
        detector, embedder = [await host.served(name) for name in (DETECTOR, host.settings.face_embedder)]
    except NotFound as error:
        hint = f"run `mingmu pull {DETECTOR}` and `mingmu pull {EMBEDDER}` on its machine, or name another (settings: face_embedder)"
        raise NotFound(f"this service has no networks for faces; {hint}") from error
    visit.meets(embedder)
    return FaceParts(detector.recognizer, embedder.recognizer)


def _two_photos(body: bytes, content_type: str) -> tuple[bytes, bytes]:
    media_type = media_type_of(content_type)
    if media_type != "multipart/form-data":
        raise UnsupportedBody(f"the content type {media_type[:100]!r} is not read; send multipart/form-data with the files a and b")
    files = named_files_in_form(body, content_type, 2)
    found = dict(files)
    if len(files) != 2 or found.keys() != {"a", "b"}:
        names = ", ".join(repr(name[:100]) for name, _ in files)
        raise BadRequest(f"the form has the files {names}; two are needed, 'a' and 'b'")
    return found["a"], found["b"]


def _photos(call: Call, content_type: str, most: int) -> list[bytes]:
    """The photos of a body: files, not addresses."""
    if media_type_of(content_type) == "application/json":
        raise UnsupportedBody("JSON is not read here; send image/*, application/octet-stream or multipart/form-data")
    images = [image for image in images_in(call.body, content_type, most).images if isinstance(image, bytes)]
    call.visit.images = len(images)
    return images


def _rate(given: dict[str, str]) -> float | None:
    rate = share(given, "false_match_rate")
    if rate is not None:
        verification.check_rate(rate)
    return rate
