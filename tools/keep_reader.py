"""Puts a reader that was trained here among the weights that ship with Mingmu: python -m tools.keep_reader DATA_DIR NAME SHIPPED_NAME

Prints what the catalog must say of it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import onnx

from mingmu.core.artifact import GRAPH
from mingmu.registry.store import Store

FOLDER = Path(__file__).parents[1] / "src/mingmu/zoo/weights"


def main() -> None:
    folder, name, shipped = sys.argv[1:]
    store = Store(Path(folder))
    artifact = store.artifact(store.resolve(name).digest)
    model = onnx.load_model_from_string(artifact.read(GRAPH))
    made = {"alphabet": "".join(artifact.manifest.labels), "recipe": json.dumps(artifact.manifest.made_by["recipe"], sort_keys=True)}
    onnx.helper.set_model_props(model, made)
    data = model.SerializeToString(deterministic=True)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{shipped}.onnx").write_bytes(data)
    print(f"{shipped}.onnx: sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes")


if __name__ == "__main__":
    main()
