"""The HTTP service: the recognizers' own API under /v1, the Open Inference Protocol under /v2, metrics and documentation."""

from __future__ import annotations

import base64
import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, NoReturn

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from mingmu.core.answers import Wish, tagged
from mingmu.core.errors import BadRequest, MingmuError, NotExplainable, NotFound
from mingmu.serve import datasets, faces, jobs, oip, schemas, teaching, tfserving
from mingmu.serve.admission import Admission
from mingmu.serve.attendance import together
from mingmu.serve.bodies import JSON, MAX_TOP, Source, Url, images_in, media_type_of
from mingmu.serve.company import Company
from mingmu.serve.edge import Edge
from mingmu.serve.events import Streams
from mingmu.serve.express import Express, direct
from mingmu.serve.fetch import Fetch, Fetcher
from mingmu.serve.host import Host, Seen, Served
from mingmu.serve.live import Live
from mingmu.serve.problems import KINDS, Problem
from mingmu.serve.queries import JPEG, Page, flag, query, share, wants_picture
from mingmu.serve.replies import json_answer, service_of, store_of
from mingmu.serve.service import Call, Service
from mingmu.serve.telemetry import Telemetry
from mingmu.settings import Settings

AT_START = ("general",)  # loaded before the service is ready, where the data folder has them; others at their first request


def create_app(settings: Settings, *, company: Company | None = None, fetch: Fetch | None = None) -> FastAPI:
    """The service of one data folder as an ASGI application, by itself or in company; `fetch` stands in for the network in tests."""
    host = Host(settings, company)
    service = Service(settings, host, Telemetry(host.waiting), Admission(settings), fetch or Fetcher(settings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        names = host.store.names()
        async with AsyncExitStack() as doors:
            try:
                await host.start(*(name for name in AT_START if name in names))
                if settings.grpc_port is not None:
                    from mingmu.serve.rpc.door import grpc_door

                    app.state.grpc_port = await doors.enter_async_context(grpc_door(service, reuse_port=company is not None))
            except MingmuError as error:
                app.state.failure = error  # for whoever runs the app: the ASGI server only says that the start failed
                raise
            yield
        service.admission.close()
        await service.admission.emptied()
        await host.stop()

    app: FastAPI = FastAPIOffline(redoc_url=None, title=schemas.TITLE, lifespan=lifespan, redirect_slashes=False)
    app.state.service, app.state.host, app.state.failure, app.state.live = service, host, None, Live()
    app.state.streams = Streams(host.store.jobs, service.admission)
    app.add_middleware(Edge, service=service)
    app.add_exception_handler(HTTPException, _pass_on)
    _add_routes(app)
    app.state.express = Express(app, Edge(direct(recognize), service))
    return app


def _add_routes(app: FastAPI) -> None:
    routes: list[tuple[str, str, Any]] = [
        ("GET", "/v1/recognizers", recognizers),
        ("GET", "/v1/recognizers/{name}", recognizer),
        ("POST", "/v1/recognizers/{name}/recognize", recognize),
        *teaching.ROUTES,
        *datasets.ROUTES,
        *jobs.ROUTES,
        *faces.ROUTES,
        ("GET", "/v2/health/live", oip.live),
        ("GET", "/v2/health/ready", oip.ready),
        ("GET", "/v2", oip.server),
        ("GET", "/v2/models/{name}", oip.model),
        ("GET", "/v2/models/{name}/versions/{version}", oip.model),
        ("GET", "/v2/models/{name}/ready", oip.model_ready),
        ("GET", "/v2/models/{name}/versions/{version}/ready", oip.model_ready),
        ("POST", "/v2/models/{name}/infer", oip.infer),
        ("POST", "/v2/models/{name}/versions/{version}/infer", oip.infer),
        *tfserving.ROUTES,
        ("GET", "/metrics", metrics),
        ("GET", "/problems/{kind}", problem),
    ]
    for path in dict.fromkeys(path for _, path, _ in routes):  # plain routes: FastAPI's own would resolve dependencies that none has
        by_method = {method: endpoint for method, mine, endpoint in routes if mine == path}
        app.add_route(path, _either(by_method), methods=[*by_method])
    app.add_route("/", home)
    app.router.routes.append(WebSocketRoute("/v1/recognizers/{name}/stream", stream))
    described = schemas.document({(method, path): inspect.getdoc(endpoint) or "" for method, path, endpoint in routes})
    app.openapi = lambda: described  # type: ignore[method-assign]


def _either(by_method: dict[str, Any]) -> Any:
    """One endpoint for all methods of a path, so that a method that it lacks is told of all that it has."""
    if len(by_method) == 1:
        return next(iter(by_method.values()))

    async def endpoint(request: Request) -> Response:
        chosen = by_method["GET" if request.method == "HEAD" else request.method]
        answer: Response = await (chosen(request) if inspect.iscoroutinefunction(chosen) else run_in_threadpool(chosen, request))
        return answer

    return endpoint


async def _pass_on(request: Request, error: Exception) -> NoReturn:
    try:
        raise error  # the edge answers all errors
    finally:
        del error  # or this frame and the error would keep each other alive, and with them the request's body


def recognizers(request: Request) -> Response:
    """The recognizers that there are by name, each at its newest version."""
    page, host = Page.of(request), service_of(request).host
    found = host.store.newest(page.name, page.wanted)
    return json_answer(
        page.show("recognizers", found, lambda version: asdict(version) | _problem(host, version.name), lambda version: version.name)
    )


def recognizer(request: Request) -> Response:
    """What a recognizer is: its labels, its digest, its terms, its versions."""
    host, store, reference = service_of(request).host, store_of(request), request.path_params["name"]
    version = store.resolve(reference)
    artifact = store.artifact(version.digest)
    manifest = artifact.manifest
    width, height = manifest.pixels.size
    about = {
        "task": manifest.task,
        "labels": manifest.labels,
        "size": {"width": width, "height": height},
        "origin": manifest.origin.model_dump(),
        "backbone": manifest.head.backbone if manifest.head else None,
        "aliases": {alias: pointed.version for alias, pointed in store.aliases(version.name).items()},
    }
    return json_answer(asdict(version) | about | host.running(reference, artifact) | _problem(host, reference))


def _problem(host: Host, reference: str) -> dict[str, str]:
    """Why the newest version is not served, where that is so."""
    return {"problem": host.problems[reference]} if reference in host.problems else {}


async def recognize(request: Request) -> Response:
    """Say what one or several images show."""
    service = service_of(request)
    asked = Asked.of(request)
    if pictured := wants_picture(request):
        asked = replace(asked, draw=True)
    reference, content_type = request.path_params["name"], request.headers.get("content-type", "")
    async with service.call(request, reference) as call:
        served = await service.served(reference, call.visit)
        asked.check(served)
        given = call.body, content_type, service.max_images
        wanted = await service.read(call, images_in, *given) if media_type_of(content_type) == JSON else images_in(*given)
        call.visit.images = len(wanted.images)
        if pictured and len(wanted.images) > 1:
            raise BadRequest(f"the request holds {len(wanted.images)} images; {JPEG} answers one, draw=true several")
        answerer = _Answerer(service, served, call, replace(asked, wish=replace(asked.wish, top=wanted.top)) if wanted.top else asked)
        if len(wanted.images) == 1:
            answers = [await answerer.answer(wanted.images[0])]
        else:
            answers = await together([answerer.answer_or_error(image) for image in wanted.images])
        version = served.version
        ms = {"decode": 0.0, "queue": 0.0, "network": 0.0} | call.visit.milliseconds()
    head = {"recognizer": version.name, "version": version.version, "digest": version.digest}
    if pictured:
        return Response(base64.b64decode(answers[0]["drawn"]), headers={"recognizer-digest": version.digest}, media_type=JPEG)
    return json_answer(head | {"answers": answers, "timing_ms": ms})


async def stream(socket: WebSocket) -> None:
    """Say what a live picture shows, frame by frame."""
    service, asked, reference = service_of(socket), Asked.of(socket), socket.path_params["name"]
    asked.check(await service.served(reference, socket.scope["visit"]))

    async def look(call: Call) -> dict[str, Any]:
        served = await service.served(reference, call.visit)  # for each frame: there may be a newer version
        asked.check(served)
        answer = await _Answerer(service, served, call, asked).answer(call.body)
        version = served.version
        return {"recognizer": version.name, "version": version.version, "digest": version.digest} | answer

    await socket.app.state.live.follow(socket, look)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the query asks for."""

    wish: Wish
    explain: bool
    draw: bool

    @classmethod
    def of(cls, request: HTTPConnection) -> Asked:
        """Read the query; raises BadRequest."""
        given = query(request, "top", "coverage", "threshold", "overlap", "explain", "draw")
        top, coverage = given.get("top"), share(given, "coverage")
        if top is not None and not (top.isascii() and top.isdecimal() and len(top) <= 4 and 1 <= int(top) <= MAX_TOP):
            raise BadRequest(f"top is {top[:20]!r}; it is a whole number from 1 to {MAX_TOP}")
        if coverage is not None and not 0 < coverage < 1:
            raise BadRequest(f"coverage is {coverage:g}; it is a number between 0 and 1, such as 0.95")
        wish = Wish(int(top) if top else None, coverage, share(given, "threshold"), share(given, "overlap"))
        return cls(wish, flag(given, "explain"), flag(given, "draw"))

    def check(self, served: Served) -> None:
        """Raise NotExplainable, NoCoverage or BadRequest where the recognizer cannot give what is asked for."""
        if self.explain and not served.recognizer.explainable:
            raise NotExplainable(f"{served.version.name} keeps no feature map to explain its scores with")
        served.recognizer.check(self.wish)


class _Answerer:
    """Answers the images of one request."""

    def __init__(self, service: Service, served: Served, call: Call, asked: Asked) -> None:
        self._service = service
        self._served = served
        self._call = call
        self._asked = asked

    async def answer(self, source: Source) -> dict[str, Any]:
        """The answer for one image."""
        try:
            image = await self._service.fetch(source.address, self._call.take) if isinstance(source, Url) else source
            seen = await self._service.host.see(
                self._served, image, deadline=self._call.deadline, explain=self._asked.explain, turns=self._call.turns
            )
        except BadRequest as error:
            self._service.telemetry.failed(self._call.visit, error.kind)
            raise
        self._service.telemetry.saw(self._call.visit, seen)
        answer = self._served.recognizer.interpret(seen.reading, self._asked.wish)
        document = tagged(answer)
        if self._asked.explain:
            document["explanation"] = await self._explanation(seen, document["labels"][0]["label"])
        if self._asked.draw:
            document["drawn"] = base64.b64encode(await self._service.host.draw(image, answer)).decode()
        return document

    async def answer_or_error(self, source: Source) -> dict[str, Any]:
        """The answer for one image of several, or the error that is its own; what concerns the whole request is raised."""
        try:
            return await self.answer(source)
        except BadRequest as error:
            return {"type": "error", "error": {"kind": error.kind, "detail": Problem.of(error).detail}}

    async def _explanation(self, seen: Seen, label: str) -> dict[str, str]:
        png = await self._service.host.explain(self._served, seen)
        return {"label": label, "png": base64.b64encode(png).decode()}


def metrics(request: Request) -> Response:
    """Metrics in Prometheus's text format."""
    return Response(service_of(request).telemetry.exposition(), media_type=CONTENT_TYPE_LATEST)


async def problem(request: Request) -> Response:
    """What a kind of problem means."""
    kind = request.path_params["kind"]
    if kind not in KINDS:
        raise NotFound(f"no problem of the kind {kind[:100]!r}; there are: {', '.join(KINDS)}")
    return PlainTextResponse(f"{kind} ({KINDS[kind].status})\n\n{KINDS[kind].meaning}\n")


async def home(request: Request) -> Response:
    """The way to the documentation."""
    return RedirectResponse("docs")
