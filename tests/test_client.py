from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import stat
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mingmu.client import AsyncClient, Client, Listed
from mingmu.core.answers import Box, Boxes, Label, Labels
from mingmu.core.errors import (
    BadImage,
    BadRequest,
    Conflict,
    DeadlineExceeded,
    ImageTooLarge,
    MingmuError,
    NotFound,
    Overloaded,
    QueueFull,
    Unreachable,
)
from mingmu.core.pixels import PixelSpec

CAT = {"labels": [{"label": "cat", "score": 0.75, "id": "n1"}, {"label": "dog", "score": 0.25}]}
CAT_LABELS = Labels((Label("cat", 0.75, "n1"), Label("dog", 0.25)))


def answered(*answers: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """A good response with these answers."""
    document = {"recognizer": "general", "version": 2, "digest": "d" * 64, "answers": answers, "timing_ms": {"total": 1.5}}
    return 200, {}, json.dumps(document).encode()


def problem(status: int, kind: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    return status, headers or {}, json.dumps({"kind": kind, "detail": f"it is {kind}", "status": status}).encode()


@dataclass
class Service:
    """An HTTP server that gives the responses it was told to, in turn, and keeps the requests."""

    responses: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)  # path, headers, body
    url: str = ""
    delay: float = 0.0

    @property
    def only(self) -> tuple[str, dict[str, str], bytes]:
        (request,) = self.requests
        return request


@pytest.fixture
def service() -> Iterator[Service]:
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            while "Transfer-Encoding" in self.headers and (size := int(self.rfile.readline(), 16)):
                body += self.rfile.read(size)
                self.rfile.readline()
            state.requests.append((self.path, dict(self.headers), body))
            time.sleep(state.delay)
            status, headers, content = state.responses.pop(0)
            with contextlib.suppress(ConnectionError):  # a client may have given up
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_DELETE = respond  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Asker:
    """Calls a method of the client of one kind, on a connection of its own."""

    awaits: bool

    def __call__(self, url: str, method: str, /, *arguments: Any, options: dict[str, Any] | None = None, **named: Any) -> Any:
        if not self.awaits:
            with Client(url, **(options or {})) as client:
                return getattr(client, method)(*arguments, **named)

        async def ask() -> Any:
            async with AsyncClient(url, **(options or {})) as client:
                return await getattr(client, method)(*arguments, **named)

        return asyncio.run(ask())

    def all(self, url: str, method: str, *arguments: Any) -> list[Any]:
        """Everything that a listing gives."""
        if not self.awaits:
            with Client(url) as client:
                return [*getattr(client, method)(*arguments)]

        async def collect() -> list[Any]:
            async with AsyncClient(url) as client:
                return [each async for each in getattr(client, method)(*arguments)]

        return asyncio.run(collect())


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def ask(request: pytest.FixtureRequest) -> Asker:
    return Asker(request.param)


BOX = {"label": "cat", "score": 0.9, "x": 1.5, "y": 2.0, "width": 30.0, "height": 40.0}


def test_boxes_are_typed_too_and_draw_themselves(ask: Asker, service: Service, red_png: bytes) -> None:
    service.responses = [answered({"boxes": [BOX]})]
    recognition = ask(service.url, "recognize", red_png, "objects", threshold=0.5, overlap=0.4, top=None)
    assert recognition.answer == Boxes((Box("cat", 0.9, 1.5, 2.0, 30.0, 40.0),))
    assert service.only[0] == "/v1/recognizers/objects/recognize?threshold=0.5&overlap=0.4"
    assert recognition.draw(red_png).startswith(b"\xff\xd8")


def test_an_answer_is_typed_and_names_who_gave_it(ask: Asker, service: Service) -> None:
    service.responses = [answered(CAT)]
    recognition = ask(service.url, "recognize", b"a photo", "flowers@3", top=2)
    assert recognition.answer == CAT_LABELS
    assert (recognition.recognizer, recognition.version, recognition.digest) == ("general", 2, "d" * 64)
    assert recognition.timing_ms == {"total": 1.5}
    path, headers, body = service.only
    assert (path, headers["Content-Type"], body) == ("/v1/recognizers/flowers@3/recognize?top=2", "application/octet-stream", b"a photo")


def test_a_path_is_read(ask: Asker, service: Service, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"the bytes")
    service.responses = [answered(CAT), answered(CAT)]
    ask(service.url, "recognize", tmp_path / "photo")
    ask(service.url, "recognize", str(tmp_path / "photo"))
    assert [body for _, _, body in service.requests] == [b"the bytes"] * 2


def test_pixels_arrive_unchanged(ask: Asker, service: Service) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    service.responses = [answered(CAT), answered(CAT)]
    ask(service.url, "recognize", pixels)
    ask(service.url, "recognize", Image.fromarray(pixels))
    for _, _, body in service.requests:
        assert np.array_equal(PixelSpec(size=(7, 5), filter="nearest").frame(body).pixels, pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_a_picture_of_any_8_bit_mode_is_sent(ask: Asker, service: Service, mode: str) -> None:
    service.responses = [answered(CAT)]
    picture = Image.new("I;16", (7, 5)) if mode == "I;16" else Image.new("RGB", (7, 5), "white").convert(mode)
    ask(service.url, "recognize", picture)
    assert Image.open(io.BytesIO(service.only[2])).size == (7, 5)


@pytest.mark.parametrize("mode", ["PA", "RGBa"])
def test_a_picture_keeps_its_transparency_in_every_mode(ask: Asker, service: Service, mode: str) -> None:
    service.responses = [answered(CAT)]
    ask(service.url, "recognize", Image.new("RGBA", (7, 5), (255, 0, 0, 0)).convert(mode))
    assert Image.open(io.BytesIO(service.only[2])).convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("mode", ["I", "F", "I;16B", "LAB"])
def test_a_picture_whose_values_would_be_clipped_is_refused(ask: Asker, service: Service, mode: str) -> None:
    with pytest.raises(BadRequest, match=f"mode {mode}, which a PNG cannot keep"):
        ask(service.url, "recognize", Image.new(mode, (7, 5)))
    assert service.requests == []


def test_a_picture_from_a_turned_photo_is_sent_with_its_right_side_up(ask: Asker, service: Service) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (8, 4), "red").save(file, "JPEG", exif=exif)
    service.responses = [answered(CAT)]
    ask(service.url, "recognize", Image.open(file))
    assert PixelSpec(size=(8, 8)).frame(service.only[2]).original == (4, 8)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), 7, None, [b"x"]], ids=str)
def test_what_is_no_image_is_refused_before_it_is_sent(ask: Asker, service: Service, wrong: object) -> None:
    with pytest.raises(BadRequest, match="an image is a path"):
        ask(service.url, "recognize", wrong)
    assert service.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "bad-image", BadImage),
        (413, "image-too-large", ImageTooLarge),
        (404, "not-found", NotFound),
        (418, "from-the-future", MingmuError),
    ],
)
def test_a_problem_is_raised_as_the_error_it_names(ask: Asker, service: Service, status: int, kind: str, error: type[MingmuError]) -> None:
    service.responses = [problem(status, kind)]
    with pytest.raises(error, match=f"it is {kind}") as raised:
        ask(service.url, "recognize", b"x")
    assert type(raised.value) is error


def test_an_answer_that_is_not_ours_is_an_error_with_its_beginning(ask: Asker, service: Service) -> None:
    service.responses = [(502, {}, b"<h1>Bad gateway</h1>")]
    with pytest.raises(MingmuError, match="502 and nothing that Mingmu would say: '<h1>Bad gateway</h1>'"):
        ask(service.url, "recognize", b"x")


def test_many_images_share_requests_and_each_gets_its_answer_or_its_error(ask: Asker, service: Service) -> None:
    bad = {"error": {"kind": "bad-image", "detail": "cut short"}}
    service.responses = [answered(*[CAT] * 15, bad), answered(CAT, CAT, CAT, CAT)]
    answers = ask(service.url, "recognize_many", (bytes([number]) * 10 for number in range(20)))
    assert len(answers) == 20
    assert isinstance(answers.pop(15), BadImage)
    assert all(answer.answer == CAT_LABELS for answer in answers)
    first, second = (body for _, _, body in service.requests)
    assert [number for number in range(20) if bytes([number]) * 10 in first] == list(range(16))
    assert [number for number in range(20) if bytes([number]) * 10 in second] == list(range(16, 20))


def test_many_images_that_are_one_bad_image_give_one_error(ask: Asker, service: Service) -> None:
    service.responses = [problem(400, "bad-image")]
    (answer,) = ask(service.url, "recognize_many", [b"x"])
    assert isinstance(answer, BadImage)


def test_no_images_need_no_request(ask: Asker, service: Service) -> None:
    assert ask(service.url, "recognize_many", []) == []
    assert service.requests == []


@pytest.mark.parametrize(("status", "kind"), [(429, "queue-full"), (503, "overloaded")])
def test_a_busy_service_is_asked_again_after_as_long_as_it_asked_for(ask: Asker, service: Service, status: int, kind: str) -> None:
    service.responses = [problem(status, kind, {"Retry-After": "1"}), answered(CAT)]
    started = time.monotonic()
    assert ask(service.url, "recognize", b"x").answer == CAT_LABELS
    assert time.monotonic() - started >= 1.0


def test_a_proxy_that_says_503_is_asked_again_too(ask: Asker, service: Service) -> None:
    service.responses = [(503, {}, b"restarting"), answered(CAT)]
    assert ask(service.url, "recognize", b"x").answer == CAT_LABELS


def test_a_service_that_stays_busy_is_asked_only_so_often(ask: Asker, service: Service) -> None:
    service.responses = [problem(429, "queue-full")] * 3
    with pytest.raises(QueueFull):
        ask(service.url, "recognize", b"x", options={"retries": 2})
    assert len(service.requests) == 3


def test_an_error_that_will_not_pass_is_not_asked_again(ask: Asker, service: Service) -> None:
    service.responses = [problem(500, "internal")] * 2
    with pytest.raises(MingmuError):
        ask(service.url, "recognize", b"x")
    assert len(service.requests) == 1


def test_no_service_is_an_error_that_says_so(ask: Asker) -> None:
    with pytest.raises(Unreachable, match=r"no service answers at http://127\.0\.0\.1:9"):
        ask("http://127.0.0.1:9", "recognize", b"x", options={"retries": 1})


def test_a_service_that_does_not_answer_in_time_is_given_up(ask: Asker, service: Service) -> None:
    service.responses, service.delay = [answered(CAT)], 0.5
    with pytest.raises(DeadlineExceeded, match="longer timeout"):
        ask(service.url, "recognize", b"x", options={"timeout": 0.1})
    assert len(service.requests) == 1


def test_the_key_and_the_time_left_are_sent(ask: Asker, service: Service) -> None:
    service.responses = [answered(CAT)]
    ask(service.url, "recognize", b"x", options={"key": "secret", "timeout": 2.5})
    assert service.only[1]["Authorization"] == "Bearer secret"
    assert service.only[1]["X-Request-Timeout-Ms"] == "2500"


def test_a_name_cannot_leave_its_place_in_the_url(ask: Asker, service: Service) -> None:
    service.responses = [problem(404, "not-found")]
    with pytest.raises(NotFound):
        ask(service.url, "recognize", b"x", "../../secrets?x=")
    assert service.only[0] == "/v1/recognizers/..%2F..%2Fsecrets%3Fx%3D/recognize"


def page(what: str, rows: list[dict[str, Any]], following: str | None = None) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({what: rows, "next": following}).encode()


def test_listings_are_gone_through_page_by_page(ask: Asker, service: Service) -> None:
    row = {"version": 1, "digest": "d", "created": "2026-01-01T00:00:00+00:00", "new": 1}
    first = [row | {"name": "a"}, row | {"name": "b"}]
    service.responses = [page("recognizers", first, "b"), page("recognizers", [row | {"name": "c"}])]
    listed = [Listed(name, 1, "d", "2026-01-01T00:00:00+00:00") for name in "abc"]
    assert ask.all(service.url, "recognizers") == listed
    assert [path for path, _, _ in service.requests] == ["/v1/recognizers", "/v1/recognizers?after=b"]
    service.responses = [page("versions", first), page("datasets", first)]
    assert ask.all(service.url, "versions", "flowers") == ask.all(service.url, "datasets") == listed[:2]
    assert [path for path, _, _ in service.requests[2:]] == ["/v1/recognizers/flowers/versions", "/v1/datasets"]


def test_a_page_that_nobody_comes_to_is_not_asked_for(service: Service) -> None:
    service.responses = [page("jobs", [job(), job()], "7")]
    with Client(service.url) as client:
        assert next(client.jobs()).id == 7
    assert len(service.requests) == 1


def test_ready_is_a_plain_yes_or_no(ask: Asker, service: Service) -> None:
    service.responses = [(200, {}, b"{}"), (503, {}, b"{}")]
    assert [ask(service.url, "ready"), ask(service.url, "ready")] == [True, False]
    assert not ask("http://127.0.0.1:9", "ready")


def test_an_overload_tells_when_to_come_back(ask: Asker, service: Service) -> None:
    service.responses = [problem(503, "overloaded", {"Retry-After": "7"})]
    with pytest.raises(Overloaded) as raised:
        ask(service.url, "recognize", b"x", options={"retries": 0})
    assert raised.value.retry_after == 7.0


def job(state: str = "queued", **more: Any) -> dict[str, Any]:
    row = {"id": 7, "verb": "teach", "subject": "flowers", "state": state, "step": "", "share": 0.0, "result": None, "error": None}
    return row | {"created": "2025-05-01T10:00:00+00:00", "attempts": 1} | more


def accepted() -> tuple[int, dict[str, str], bytes]:
    return 202, {}, json.dumps({"job": job()}).encode()


def told(*events: tuple[int | None, str, dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
    """A stream of events, each with its number, kind and data."""
    blocks = [(f"id: {number}\n" if number else "") + f"event: {kind}\ndata: {json.dumps(data)}\n\n" for number, kind, data in events]
    return 200, {"Content-Type": "text/event-stream"}, (": still here\n\n" + "".join(blocks)).encode()


READ = {"dataset": "flowers", "version": 3}
DONE = {"recognizer": "flowers", "version": 4, "digest": "d" * 64, "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}}


def test_teaching_sends_a_folder_follows_its_jobs_and_gives_what_came_of_them(ask: Asker, service: Service, tmp_path: Path) -> None:
    photos = {"rose/a b.jpg": b"a rose" * 200_000, "tulip/ü.jpg": b"a tulip"}
    for name, data in photos.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link").symlink_to("rose")
    half = told((1, "queued", {}), (5, "progress", {"step": "reading", "share": 0.5}))
    service.responses = [problem(503, "overloaded"), accepted(), half, told((None, "end", job("done", result=READ)))]
    service.responses += [accepted(), told((None, "end", job("done", result=DONE)))]
    steps: list[tuple[str, float]] = []
    taught = ask(service.url, "teach", tmp_path, name="flowers", effort="quick", progress=lambda *said: steps.append(said))
    assert (taught.reference, taught.accuracy, taught.interval) == ("flowers@4", 0.9, (0.8, 0.95))
    upload = service.requests[1]
    assert upload[0] == "/v1/datasets?name=flowers"
    with zipfile.ZipFile(io.BytesIO(upload[2])) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == photos
    assert service.requests[0][2] == upload[2]  # what was refused is sent again
    assert service.requests[3][1]["Last-Event-ID"] == "5"  # and what broke off goes on
    assert json.loads(service.requests[4][2]) == {"dataset": "flowers@3", "effort": "quick"}
    assert ("reading", 0.5) in steps
    assert max(share for _, share in steps) == 1.0


def test_a_teaching_is_asked_for_as_on_the_command_line(ask: Asker, service: Service, tmp_path: Path) -> None:
    (tmp_path / "photo.zip").write_bytes(b"photos")
    ended = [told((None, "end", job("done", result=result))) for result in (READ, READ | {"dataset": "flowers-test", "version": 2}, DONE)]
    service.responses = [response for end in ended for response in (accepted(), end)]
    asked: dict[str, Any] = {"backbone": "tiny", "head": "svm", "seed": 3, "add": True}
    ask(service.url, "teach", tmp_path / "photo.zip", name="flowers", test=tmp_path / "photo.zip", **asked)
    assert [path for path, _, _ in service.requests[::2]] == [
        "/v1/datasets?name=flowers",
        "/v1/datasets?name=flowers-test",
        "/v1/recognizers/flowers/teach",
    ]
    assert json.loads(service.requests[4][2]) == {"dataset": "flowers@3", "test": "flowers-test@2"} | asked


@pytest.mark.parametrize("wrong", [{"head": "forest"}, {"seed": -1}, {"epochs": 3}])
def test_what_cannot_be_asked_of_a_teaching_is_refused_before_anything_is_sent(
    ask: Asker, service: Service, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest, match=next(iter(wrong))):
        ask(service.url, "teach", tmp_path, name="flowers", **wrong)
    assert service.requests == []


@pytest.mark.parametrize(
    ("state", "error", "raised"),
    [
        ("failed", {"kind": "bad-request", "detail": "too few photos"}, BadRequest),
        ("failed", {"kind": "queue-full", "detail": "it is full"}, QueueFull),
        ("failed", {"kind": "worker-died", "detail": "out of memory"}, MingmuError),
        ("cancelled", None, Conflict),
    ],
)
def test_a_job_that_comes_to_nothing_raises_why(
    ask: Asker, service: Service, state: str, error: dict[str, str] | None, raised: type[MingmuError]
) -> None:
    service.responses = [told((None, "end", job(state, error=error)))]
    with pytest.raises(raised, match=error["detail"] if error else "was cancelled"):
        ask(service.url, "follow", 7)


FILE = {"format": "csv", "sha256": "f" * 64, "bytes": 12}
LOOKED = {
    "recognizer": "flowers",
    "version": 4,
    "digest": "d" * 64,
    "images": 3,
    "errors": {"bad-image": 1},
    "labels": {"rose": 2},
    "file": FILE,
}


def test_a_batch_sends_a_folder_follows_its_job_and_fetches_the_rows(ask: Asker, service: Service, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "rows.csv"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"a rose")
    service.responses = [accepted(), told((1, "progress", {"step": "looking", "share": 0.5}), (None, "end", job("done", result=LOOKED)))]
    service.responses += [(200, {}, b"path,l"), problem(503, "overloaded"), (206, {}, b"abel\r\n")]  # the first answer breaks off
    steps: list[tuple[str, float]] = []
    done = ask(service.url, "batch", photos, out=out, recognizer="flowers@4", top=2, progress=lambda *said: steps.append(said))
    assert (done.recognizer, done.images, done.errors, done.labels) == ("flowers@4", 3, {"bad-image": 1}, {"rose": 2})
    assert service.requests[0][0] == "/v1/jobs?recognizer=flowers%404&format=csv&top=2"
    with zipfile.ZipFile(io.BytesIO(service.requests[0][2])) as archive:
        assert archive.namelist() == ["a.jpg"]
    assert [headers.get("Range") for path, headers, _ in service.requests if path.endswith("/result")] == [None, "bytes=6-", "bytes=6-"]
    assert out.read_bytes() == b"path,label\r\n"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["rows.csv"]
    assert {step for step, _ in steps} == {"uploading", "looking", "downloading"}


def test_a_batch_of_what_the_service_has_sends_its_name(ask: Asker, service: Service, tmp_path: Path) -> None:
    places: list[dict[str, Any]] = [{"dataset": "flowers@3"}, {"url": "s3://photos/2026/"}]
    for where in places:
        service.responses = [accepted(), told((None, "end", job("done", result=LOOKED))), (200, {}, b"path,label\r\n")]
        service.requests.clear()
        ask(service.url, "batch", out=tmp_path / "rows.csv", coverage=0.9, **where)
        path, _, body = service.requests[0]
        assert (path, json.loads(body)) == ("/v1/jobs", {"recognizer": "general", "format": "csv", "coverage": 0.9} | where)


@pytest.mark.parametrize(
    "wrong", [{"out": "rows.xls"}, {"out": "rows.csv", "top": 0}, {"out": "rows.csv", "url": "s3://a"}, {"out": "rows.csv", "colour": 1}]
)
def test_what_cannot_be_asked_of_a_batch_is_refused_before_anything_is_sent(ask: Asker, service: Service, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        ask(service.url, "batch", "photos", **wrong)
    assert service.requests == []


def test_a_job_that_is_not_there_is_not_waited_for(ask: Asker, service: Service) -> None:
    service.responses = [problem(404, "not-found")]
    with pytest.raises(NotFound):
        ask(service.url, "follow", 7)


def test_jobs_reports_and_examples_have_calls_of_their_own(ask: Asker, service: Service) -> None:
    measured = {"kind": "evaluation", "dataset": "e" * 64, "names": ["flowers@3"], "created": "2026-01-01T00:00:00+00:00"}
    service.responses = [page("jobs", [job()]), (200, {}, json.dumps(job("cancelled")).encode()), page("reports", [measured])]
    service.responses += [(200, {}, b'{"accuracy": 1}'), accepted()]
    assert [each.id for each in ask.all(service.url, "jobs")] == [7]
    assert ask(service.url, "cancel", 7).state == "cancelled"
    (found,) = ask.all(service.url, "reports", "flowers@2")
    assert (found.kind, found.names) == ("evaluation", ("flowers@3",))
    assert ask(service.url, "report", "flowers@2", found.dataset) == {"accuracy": 1}
    assert ask(service.url, "add_example", "flowers", b"a photo", "pear", teach=True).id == 7
    paths = ["/v1/jobs", "/v1/jobs/7", "/v1/recognizers/flowers@2/reports", f"/v1/recognizers/flowers@2/report?dataset={'e' * 64}"]
    assert [path for path, _, _ in service.requests] == [*paths, "/v1/recognizers/flowers/examples?label=pear&teach=true"]
    assert service.requests[-1][2] == b"a photo"


VERSION: dict[str, Any] = {"name": "flowers", "version": 2, "digest": "d" * 64, "created": "2026-11-23T09:35:51+00:00"}


def json_of(document: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(document).encode()


def ended(**more: Any) -> tuple[int, dict[str, str], bytes]:
    return told((1, "end", job("done", **more)))


@pytest.mark.parametrize(
    ("method", "arguments", "named", "path", "body"),
    [
        ("set_alias", ("flowers", "prod", 2), {}, "/v1/recognizers/flowers/aliases", {"alias": "prod", "version": 2}),
        ("rollback", ("flowers", "prod"), {}, "/v1/recognizers/flowers/rollback", {"alias": "prod"}),
        ("remove", ("flowers@2",), {}, "/v1/recognizers/flowers@2?force=false", None),
        ("remove_dataset", ("flowers",), {"force": True}, "/v1/datasets/flowers?force=true", None),
        ("dataset", ("flowers@2",), {}, "/v1/datasets/flowers@2", None),
    ],
)
def test_versions_and_datasets_are_looked_after(
    service: Service, ask: Asker, method: str, arguments: tuple[Any, ...], named: dict[str, Any], path: str, body: dict[str, Any] | None
) -> None:
    service.responses = [json_of(VERSION)]
    said = ask(service.url, method, *arguments, **named)
    asked, _, sent = service.only
    assert (asked, json.loads(sent) if sent else None) == (path, body)
    expected: dict[str, Any] = {"set_alias": Listed(**VERSION), "rollback": Listed(**VERSION), "dataset": VERSION}
    assert said == expected.get(method)


FACES = [
    ("verify_faces", (b"one", b"other"), {"false_match_rate": 1e-4}, "/v1/faces/verify?false_match_rate=0.0001"),
    ("enrol", ("family", "Zo\u00eb", b"one", b"other"), {}, "/v1/faces/galleries/family/people?person=Zo%C3%AB&force=false"),
    ("identify", ("family", b"one"), {}, "/v1/faces/galleries/family/identify"),
    ("identify", ("family", b"one"), {"draw": True}, "/v1/faces/galleries/family/identify?draw=true"),
    ("remove_person", ("family", "Ada"), {}, "/v1/faces/galleries/family/people?person=Ada"),
]


@pytest.mark.parametrize(("method", "arguments", "named", "path"), FACES)
def test_faces_are_asked_about(
    service: Service, ask: Asker, method: str, arguments: tuple[Any, ...], named: dict[str, Any], path: str
) -> None:
    service.responses = [json_of({"same": True})]
    said = ask(service.url, method, *arguments, **named)
    asked, _, body = service.only
    assert (asked, said) == (path, None if method == "remove_person" else {"same": True})
    assert all(image in body for image in arguments if isinstance(image, bytes))


def test_people_come_page_by_page_and_an_export_into_a_file(service: Service, ask: Asker, tmp_path: Path) -> None:
    service.responses = [page("people", [{"person": "Ada"}], "Ada"), page("people", [{"person": "Bob"}])]
    assert ask.all(service.url, "people", "family") == [{"person": "Ada"}, {"person": "Bob"}]
    assert [path for path, _, _ in service.requests] == [f"/v1/faces/galleries/family/people{more}" for more in ("", "?after=Ada")]
    out = tmp_path / "ada.json"
    service.responses = [problem(404, "not-found")]
    with pytest.raises(NotFound):
        ask(service.url, "export_gallery", "family", out)
    assert not any(tmp_path.iterdir())
    service.responses = [json_of({"people": []})]
    ask(service.url, "export_gallery", "family", out, person="Ada")
    assert json.loads(out.read_bytes()) == {"people": []}
    assert service.requests[-1][0] == "/v1/faces/galleries/family/export?person=Ada"
    if os.name == "posix":
        assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_an_export_that_always_breaks_off_is_given_up_and_leaves_what_was_there(service: Service, ask: Asker, tmp_path: Path) -> None:
    (out := tmp_path / "family.json").write_text("before")
    service.responses = [(200, {"Content-Length": "1000"}, b'{"people": [')] * 9
    with pytest.raises(Unreachable, match="no service answers"):
        ask(service.url, "export_gallery", "family", out, options={"retries": 2})
    assert len(service.requests) == 3
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("family.json", "before")]


def test_an_audit_gives_the_dataset_with_its_findings_and_an_evaluation_its_report(service: Service, ask: Asker) -> None:
    result = {"recognizer": "flowers", "version": 2, "dataset": "walls", "digest": "d" * 64}
    service.responses = [accepted(), ended(id=7, verb="audit", result=result), json_of(VERSION | {"findings": []})]
    assert ask(service.url, "audit", "walls") == VERSION | {"findings": []}
    paths = [path for path, _, _ in service.requests]
    assert (paths[0], paths[2]) == ("/v1/datasets/walls/audit?backbone=general", "/v1/datasets/walls@2")
    service.requests.clear()
    result["dataset"] = "walls@2"
    service.responses = [accepted(), ended(id=8, verb="evaluate", result=result), json_of({"measures": {}})]
    assert ask(service.url, "evaluate", "flowers", "walls") == {"measures": {}}
    assert [path for path, _, _ in service.requests][2] == "/v1/recognizers/flowers@2/report?dataset=walls%402"


def test_images_can_be_sent_without_teaching_anything(service: Service, ask: Asker, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_bytes(b"png")
    service.responses = [accepted(), ended(id=7, result={"dataset": "flowers", "version": 3})]
    assert ask(service.url, "upload", tmp_path, name="flowers") == "flowers@3"
