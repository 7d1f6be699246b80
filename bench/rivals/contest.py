"""One network's contest: the terms, what must be answered, and how a server or the bare machine is measured."""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from bench.load import lua, resident, wrk
from bench.rivals.ceiling import arrangements, lone, rate
from bench.rivals.contenders import Contender, calm, interpreter, running
from bench.rivals.networks import EAGER, alike, prepare
from bench.rivals.results import CONNECTIONS, Ceiling, Visit
from bench.rivals.road import Answer, Road
from bench.rivals.terms import Terms
from mingmu.core.cpus import cpu_count

EXACT, ROUNDED = 1e-3, 0.05  # how far scores may lie apart: in float32, and where 8 or 16 bits round


@dataclass(frozen=True)
class Contest:
    """One network's contest: what does not change between rounds."""

    terms: Terms
    data_dir: Path
    cache: Path
    images: Sequence[bytes]
    seconds: int

    def expected(self, contender: Contender) -> tuple[list[Answer], float]:
        """What a contender must answer to each image, and how nearly."""
        if contender.terms(self.terms).runtime == "eager":
            said = json.loads((self.terms.network / EAGER).read_text())
            return [[{"label": label, "score": score}] for label, score in said], EXACT
        exact = self.terms.precision == "f32" and not self.terms.network.name.endswith("int8")
        road = Road(self.terms)
        return [road.look(image) for image in self.images], EXACT if exact else ROUNDED

    def ceiling(self, found: Ceiling) -> None:
        """Measure the bare machine once more."""
        cores = self.terms.workers
        seen = {each: rate(self.terms, self.images, each, self.seconds / 2) for each in arrangements(cores)}
        best = max(seen, key=lambda each: seen[each])
        found.arrangement = str(best)
        found.rates.append(seen[best])
        found.lone.append(lone(self.terms, self.images, 30, threads=cores))

    def visit(self, contender: Contender) -> Visit:
        """Start a server, load it, stop it."""
        terms = contender.terms(self.terms)
        python = interpreter(contender, terms, self.cache)
        expected = self.expected(contender)
        with (
            tempfile.TemporaryDirectory() as scratch,
            running(contender, python, terms, self.data_dir, self.images, *expected) as server,
        ):
            script = lua(Path(scratch), server.post.bodies, server.post.content_type)
            wrk(server.post.url, script, 8, min(2, self.seconds))
            loads = {}
            for count in CONNECTIONS:
                calm(server.post)
                loads[count] = wrk(server.post.url, script, count, self.seconds)
            return Visit(server.started, resident(server.process), loads)


def add_options(options: argparse.ArgumentParser) -> None:
    """What every benchmark of servers lets one choose."""
    runtime = "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"
    options.add_argument("--runtime", choices=("openvino", "onnxruntime"), default=runtime, help="of the rivals and of the ceiling")
    options.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="of the rivals and of the ceiling; bf16 on OpenVINO")
    options.add_argument("--batch", type=int, default=8, help="largest batch of the rivals")
    options.add_argument("--wait-ms", type=int, default=5, help="how long the rivals let a batch gather")
    options.add_argument("--mingmu", default="", help="more arguments for `mingmu serve`, as one string")
    options.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("mingmu-bench"), help="networks and environments")


def contest_on(network: str, given: argparse.Namespace, images: Sequence[bytes], seconds: int) -> Contest:
    """A contest on a network, made if need be; raises ValueError for a precision that the runtime has not."""
    if given.precision != "f32" and given.runtime != "openvino":
        raise ValueError("bf16 needs --runtime openvino")
    folder, data_dir = given.cache / "networks" / network, given.cache / "data"
    prepare(network, data_dir, folder)
    terms = Terms(folder, given.runtime, given.precision, cpu_count(), given.batch, given.wait_ms)
    alike(network, data_dir, terms)
    return Contest(terms, data_dir, given.cache, images, seconds)
