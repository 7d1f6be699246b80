"""Puts a network that was trained here among the weights that ship with Mingmu: python -m tools.keep_weights DATA_DIR NAME SHIPPED_NAME

Its numbers are kept in half precision, which halves the file. Prints what the catalog must say of it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mingmu.core.artifact import GRAPH
from mingmu.registry.store import Store

FOLDER = Path(__file__).parents[1] / "src/mingmu/zoo/weights"
LEAST = 16  # numbers; smaller tensors stay as they are


def main() -> None:
    folder, name, shipped = sys.argv[1:]
    store = Store(Path(folder))
    artifact = store.artifact(store.resolve(name).digest)
    model = halved(onnx.load_model_from_string(artifact.read(GRAPH)))
    made = {"labels": json.dumps(artifact.manifest.labels), "recipe": json.dumps(artifact.manifest.made_by["recipe"], sort_keys=True)}
    helper.set_model_props(model, {**made, "pixels": artifact.manifest.pixels.model_dump_json()})
    data = model.SerializeToString(deterministic=True)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{shipped}.onnx").write_bytes(data)
    print(f"{shipped}.onnx: sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes")


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its large tensors in half precision, each made whole again by a Cast."""
    nodes = []
    for stored in model.graph.initializer:
        values = numpy_helper.to_array(stored)
        if values.dtype == np.float32 and values.size >= LEAST and abs(values).max() < np.finfo(np.float16).max:
            nodes.append(helper.make_node("Cast", [f"{stored.name}/half"], [stored.name], to=TensorProto.FLOAT))
            stored.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{stored.name}/half"))
    nodes += model.graph.node
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    return model


if __name__ == "__main__":
    main()
