"""Weights from a hub: a small one, on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from mingmu.core.errors import BadRequest, NotFound
from mingmu.train.nets import build
from mingmu.train.operators import define_missing
from mingmu.train.recipe import NetTable

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlicense: {}\n---\n# Weights\n"


class Hub(BaseHTTPRequestHandler):
    """The two requests that a download is made of."""

    root: Path

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        repository, _, file = self.path.lstrip("/").partition("/resolve/main/")
        place = self.root / repository / file
        found = place.read_bytes() if file and place.is_file() else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("ETag", f'"{hashlib.sha256(found).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if not found:
            self.send_header("X-Error-Code", "EntryNotFound" if place.parent.is_dir() else "RepoNotFound")
        self.end_headers()
        return found

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from safetensors.torch import save_file

    define_missing()
    import timm
    from torchvision.models import mobilenet_v3_small

    root = tmp_path_factory.mktemp("hub")
    torch.manual_seed(3)
    for repository, licence in (("timm/test_resnet.r160_in1k", "apache-2.0"), ("someone/birds", "cc-by-4.0")):
        place = root / repository
        place.mkdir(parents=True)
        timm.models.save_for_hf(timm.create_model("test_resnet", num_classes=7), place, safe_serialization="both")
        (place / "pytorch_model.bin").unlink()
        (place / "README.md").write_text(CARD.format(licence))
    plain = root / "someone" / "plain"
    plain.mkdir()
    save_file(mobilenet_v3_small(weights=None).state_dict(), plain / "model.safetensors")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Small", (Hub,), {"root": root}))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


BUILD = """
import json, sys
from mingmu.core.errors import MingmuError
from mingmu.train.nets import build
from mingmu.train.recipe import NetTable

for name, weights in json.loads(sys.argv[1]):
    try:
        net, origin = build(NetTable(name=name, weights=weights, size=32), 32, 2)
        print(json.dumps([origin.source, origin.licence, origin.provenance, sum(float(p.detach().sum()) for p in net.trunk.parameters())]))
    except MingmuError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


def asked(hub: str, home: Path, *nets: tuple[str, str]) -> list[list[Any]]:
    """In a process of its own: the libraries read the mirror's address when they are imported."""
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", BUILD, json.dumps(nets)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.real
def test_weights_come_from_a_hub_by_name_with_their_licence_and_commit(hub: str, tmp_path: Path) -> None:
    nets = [
        ("timm:test_resnet", "timm:test_resnet.r160_in1k"),
        ("timm:test_resnet", "hf:someone/birds"),
        ("mobilenet_v3_small", "hf:someone/plain"),
        ("timm:test_resnet", "hf:someone/else"),
        ("timm:test_vit", "hf:someone/birds"),
    ]
    timms, birds, plain, absent, other = asked(hub, tmp_path, *nets)
    assert timms[:3] == [
        "fine-tuned from timm:test_resnet.r160_in1k",
        "apache-2.0",
        f"huggingface.co/timm/test_resnet.r160_in1k at {COMMIT}; network: test_resnet of timm",
    ]
    assert birds[:3] == [
        "fine-tuned from hf:someone/birds",
        "cc-by-4.0",
        f"huggingface.co/someone/birds at {COMMIT}; network: test_resnet of timm",
    ]
    assert plain[1] == "not stated"
    assert timms[3] != pytest.approx(birds[3])
    assert absent[0] == "PullFailed"
    assert "hf:someone/else cannot be had" in absent[1]
    assert other == ["BadRequest", "the weights hf-hub:someone/birds are of test_resnet; the network is test_vit"]


def test_names_that_cannot_be_are_refused_before_anything_is_fetched() -> None:
    with pytest.raises(NotFound, match=r"timm has no weights 'resnet18\.nothing'"):
        build(NetTable(name="timm:resnet18", weights="timm:resnet18.nothing"), 32, 2)
    with pytest.raises(BadRequest, match="cnn cannot start from hf:someone/birds"):
        build(NetTable(name="cnn", weights="hf:someone/birds"), 32, 2)
    with pytest.raises(BadRequest, match="resnet18 cannot start from timm:resnet18"):
        build(NetTable(name="resnet18", weights="timm:resnet18"), 32, 2)
