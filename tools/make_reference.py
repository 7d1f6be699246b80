"""Computes what the probe images give on the embedded networks (src/mingmu/zoo/reference; needs the `large` extra).

Run it only when the probe images or a graph change: the digests of the embedded recognizers change with it.
tests/zoo compares the same networks with torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mingmu.core.artifact import pack_arrays
from mingmu.core.head import softmax
from mingmu.core.manifest import Runs
from mingmu.core.runtime import SCORES
from mingmu.core.sealing import probe_images, probe_outputs
from mingmu.zoo import efficientnet_lite, torchfile
from mingmu.zoo.catalog import Package, entry
from mingmu.zoo.embedded import VARIANTS
from mingmu.zoo.pull import installed

FOLDER = Path(__file__).parents[1] / "src/mingmu/zoo/reference"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, (_, variant) in VARIANTS.items():
        known = entry(name)
        if not isinstance(known.source, Package):
            raise TypeError(f"{name} is not an embedded recognizer")
        state = torchfile.read(installed(known, known.source).read_bytes())
        spec = efficientnet_lite.pixel_spec(variant)
        pixels = np.stack([spec.frame(image).pixels for image in probe_images().values()])
        graph = efficientnet_lite.backbone(state, variant).SerializeToString(deterministic=True)
        outputs = probe_outputs(graph, pixels, Runs())
        weight, bias = efficientnet_lite.head(state)
        (FOLDER / f"{name}.npz").write_bytes(pack_arrays({**outputs, SCORES: softmax(outputs["features"] @ weight + bias)}))


if __name__ == "__main__":
    main()
