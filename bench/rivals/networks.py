"""Makes the networks of the contest: each sealed in a Mingmu data folder, and the very same graph laid out for the rivals.

`general` is Mingmu's own backbone with its head merged in. The others have random weights (torch makes them), calibrated on
real photos so that activations lie where those of trained networks do; ResNet-50 is then quantized: 8 bits, static,
activations unsigned and weights signed per channel.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import skimage.data
from numpy.typing import NDArray

from bench.load import jpeg, photos
from bench.rivals.eager import IMAGENET, eager
from bench.rivals.road import GRAPH, LABELS, PIXELS, WEIGHTS, Road
from bench.rivals.terms import Terms
from mingmu import verbs
from mingmu.compress.variants import Maker
from mingmu.core.artifact import GRAPH as SEALED
from mingmu.core.manifest import Origin, Runs
from mingmu.core.pixels import PixelSpec
from mingmu.core.recognizer import Recognizer
from mingmu.registry.index import now
from mingmu.registry.store import Store
from mingmu.registry.tuning import Trial, Tuning, Tunings
from mingmu.settings import Settings
from mingmu.zoo.adopt import Normalisation

if TYPE_CHECKING:
    from torch import nn

NETWORKS = ("general", "mobilenetv3-l", "resnet-50-int8", "vit-ti")
EAGER = "eager.json"  # the best label and score of each photo from the float network, for the quickstarts
SPEC = PixelSpec(size=(224, 224), margin=0.875)
CALIBRATION = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "motorcycle_left.png", "brick.png")
SPREAD = 3.0  # standard deviation of the logits of a photo: a trained network's are about as far apart
OPSET = 17


def prepare(name: str, data_dir: Path, folder: Path) -> None:
    """Have the network `name` in the data folder and in `folder`, once."""
    if (folder / EAGER).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if name != "general":
        _import(name, data_dir, folder)
    recognizer = verbs.open_recognizer(Settings(data_dir=data_dir), name).recognizer
    (folder / GRAPH).write_bytes(merged(recognizer))
    (folder / PIXELS).write_text(recognizer.manifest.pixels.model_dump_json())
    (folder / LABELS).write_text("\n".join(recognizer.manifest.labels))
    _check(recognizer, folder)
    _note_eager(name, folder)


def alike(name: str, data_dir: Path, terms: Terms) -> None:
    """Let Mingmu run a network as the rivals do: on the same runtime, in the same precision."""
    store = Store.of(Settings(data_dir=data_dir))
    manifest = store.artifact(store.resolve(name).digest).manifest
    sealed = store.artifact(manifest.head.backbone if manifest.head else store.resolve(name).digest)
    runs = Runs(
        runtime="openvino" if terms.runtime == "openvino" else "onnxruntime", precision="bf16" if terms.precision == "bf16" else "fp32"
    )
    tunings = Tunings(data_dir)
    if runs == sealed.manifest.runs:
        tunings.forget(sealed.digest)
        return
    chosen = store.add(lambda folder: Maker(sealed, ()).make(folder, runs))
    trial = Trial(what=str(runs), passed=True, verdict="as the rivals run it")
    tunings.put(
        Tuning(
            network=sealed.digest,
            chosen=chosen.digest,
            what=trial.what,
            machine=str(tunings.machine),
            trials=(trial,),
            data="none",
            method="not measured: chosen for a benchmark",
            created=now(),
        )
    )


def merged(recognizer: Recognizer) -> bytes:
    """The graph from `pixels` to `scores`, a head included; other outputs of a backbone are left out."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = recognizer.network.artifact.read(SEALED)
    head = recognizer.head
    if head is None:
        return graph
    model = onnx.load_model_from_string(graph)
    temperature = np.float32(head.spec.temperature)
    arrays = {"head.weight": head.weight / temperature, "head.bias": head.bias / temperature}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in arrays.items())
    model.graph.node.extend(
        [
            helper.make_node("Concat", [*head.spec.features], ["head.features"], axis=1),
            helper.make_node("Gemm", ["head.features", *arrays], ["head.logits"]),
            helper.make_node("Softmax", ["head.logits"], ["scores"], axis=1),
        ]
    )
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(head.bias)]))
    return bytes(model.SerializeToString())


def _import(name: str, data_dir: Path, folder: Path) -> None:
    """Make a network and adopt it as `mingmu import` does."""
    import torch

    from bench.rivals.modules import CLASSES, MODULES

    torch.manual_seed(0)
    frames = calibration()
    model = settled(MODULES[name](), frames)
    torch.save(model.state_dict(), folder / WEIGHTS)
    graph = exported(model)
    if name.endswith("int8"):
        graph = quantized(graph, frames)
    store = Store.of(Settings(data_dir=data_dir))
    if name in store.names():
        return
    normalisation = Normalisation(mean=IMAGENET[0], std=IMAGENET[1])
    labels = "\n".join(f"class-{number}" for number in range(CLASSES))
    origin = Origin(source="random weights", licence="Apache-2.0")
    verbs.import_model(store, graph, labels, name=name, normalisation=normalisation, pixels=SPEC, origin=origin)


def calibration() -> NDArray[np.float32]:
    """Real photos as normalised planes, float32 [N, 3, 224, 224]."""
    folder = Path(skimage.data.__file__).parent
    frames = np.stack([SPEC.frame(jpeg(folder / name)).pixels for name in CALIBRATION])
    mean, std = (np.array(values, np.float32) for values in IMAGENET)
    return np.ascontiguousarray(((frames / np.float32(255) - mean) / std).transpose(0, 3, 1, 2))


def settled(model: nn.Module, frames: NDArray[np.float32]) -> nn.Module:
    """The module in inference mode, its batch norms settled on these frames and its logits as far apart as a trained network's."""
    import torch
    from torch import nn

    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the plain mean of what is seen
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        planes = torch.from_numpy(frames)
        model.train()(planes)
        last.bias.zero_()
        last.weight.mul_(SPREAD / model.eval()(planes).std(dim=1).mean())
    return model.eval()


def exported(model: nn.Module) -> bytes:
    """The module as an ONNX file with a free batch size."""
    import torch

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs one more package
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, 224, 224),),
            file,  # type: ignore[arg-type]  # the older exporter writes to files too
            input_names=["x"],
            output_names=["logits"],
            dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()


def quantized(graph: bytes, frames: NDArray[np.float32]) -> bytes:
    """The graph with 8-bit weights and activations, as QuantizeLinear and DequantizeLinear."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Frames(CalibrationDataReader):  # type: ignore[misc]  # published without types
        rest = iter(frames)

        def get_next(self) -> dict[str, Any] | None:
            frame = next(self.rest, None)
            return None if frame is None else {"x": frame[None]}

    with tempfile.TemporaryDirectory() as scratch:
        before, after = Path(scratch, "float.onnx"), Path(scratch, "int8.onnx")
        before.write_bytes(graph)
        quantize_static(
            before,
            after,
            Frames(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return after.read_bytes()


def _check(recognizer: Recognizer, folder: Path) -> None:
    """What the rivals get answers as the recognizer does, or there is no contest."""
    road = Road(Terms(folder))
    for image in photos():
        scores = np.sort(recognizer.scores([recognizer.frame(image)])[0])[::-1]
        np.testing.assert_allclose([one["score"] for one in road.look(image)], scores[:5], atol=1e-4)


def _note_eager(name: str, folder: Path) -> None:
    """Write down what the float network says to each photo; of `general` the sealed graph is that network."""
    road = Road(Terms(folder))
    if name == "general":
        said: Sequence[tuple[str, float]] = [(best["label"], best["score"]) for best in (road.look(image)[0] for image in photos())]
    else:
        scores = eager(folder)(np.stack([road.frame(image) for image in photos()]))
        said = [(f"class-{row.argmax()}", float(row.max())) for row in scores]
    (folder / EAGER).write_text(json.dumps(said))
