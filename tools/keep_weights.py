"""Puts a network that was trained here among the weights that ship with Mingmu: python -m tools.keep_weights DATA_DIR NAME SHIPPED_NAME

Its numbers are kept in half precision, which halves the file. A YOLOX looks at any frame: with `--checkpoint FILE --size S`, that of its
training, it is kept as one that looks at S pixels a side. Prints what the catalog must say of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mingmu.core.artifact import GRAPH
from mingmu.registry.store import Store
from mingmu.train.export import detector
from mingmu.train.nets import yolox
from mingmu.train.nets.files import take_up
from mingmu.train.recipe import Recipe

FOLDER = Path(__file__).parents[1] / "src/mingmu/zoo/weights"
LEAST = 16  # numbers; smaller tensors stay as they are


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("name")
    parser.add_argument("shipped")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--size", type=int)
    given = parser.parse_args()
    store = Store(given.data_dir)
    artifact = store.artifact(store.resolve(given.name).digest)
    manifest, graph = artifact.manifest, artifact.read(GRAPH)
    pixels, recipe = manifest.pixels, Recipe.model_validate(manifest.made_by["recipe"])
    if given.size:
        pixels = pixels.model_copy(update={"size": (given.size, given.size)})
        graph = resized(recipe.net.name, len(manifest.labels), given.size, given.checkpoint)
    model = halved(onnx.load_model_from_string(graph))
    net = recipe.net.model_copy(update={"weights": Path(recipe.net.weights).name})  # where they lay is nobody's business
    recipe = recipe.model_copy(update={"net": net})
    made = {"labels": json.dumps(manifest.labels), "recipe": recipe.model_dump_json(), "pixels": pixels.model_dump_json()}
    helper.set_model_props(model, made)
    data = model.SerializeToString(deterministic=True)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{given.shipped}.onnx").write_bytes(data)
    print(f"{given.shipped}.onnx: sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes")


def resized(name: str, labels: int, size: int, checkpoint: Path) -> bytes:
    """The graph of a YOLOX at another size than it was trained at."""
    net = yolox.Yolox(yolox.VARIANTS[name], labels, size)
    take_up(net, checkpoint, "heads.")
    return detector(net.eval(), np.zeros((1, size, size, 3), np.uint8)).graph


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
