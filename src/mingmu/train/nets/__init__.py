"""The networks that can be trained, each by its name, with what they come from."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mingmu.core.errors import BadModel, BadRequest, NotFound
from mingmu.core.manifest import Origin

if TYPE_CHECKING:
    from mingmu.train.nets.classifier import Classifier, Parts
    from mingmu.train.recipe import NetTable, Task

DOES: Mapping[Task, str] = {"classify": "says a label of each photo", "detect": "finds boxes", "read": "reads text"}
TIMM, HF = "timm:", "hf:"


@dataclass(frozen=True)
class Net:
    """A network by name."""

    family: Literal["mingmu", "lite", "torchvision", "timm", "yolox", "rcnn", "reader"]
    known_as: str  # there
    size: int = 224  # pixels a side that it is usually trained with
    weights: str | None = None  # the catalog's name of published weights
    head: Literal["linear", "svm", "dbn"] = "linear"  # what reads its features; below the last two the network stays as it is

    @property
    def task(self) -> Task:
        if self.family == "reader":
            return "read"
        return "detect" if self.family in ("yolox", "rcnn") else "classify"

    def has(self, weights: str) -> bool:
        """Whether there are the weights that a recipe names."""
        return weights != "none" and (weights != "published" or self.weights is not None)

    @property
    def source(self) -> str:
        """Whose code draws the network, with its licence."""
        return {
            "mingmu": "Mingmu's own, Apache-2.0",
            "lite": "EfficientNet-Lite by Google, Apache-2.0",
            "torchvision": f"{self.known_as} of torchvision, BSD-3-Clause",
            "timm": f"{self.known_as} of timm, Apache-2.0",
            "yolox": "YOLOX by Megvii, Apache-2.0",
            "rcnn": f"{self.known_as} of torchvision, BSD-3-Clause",
            "reader": "PP-OCR by Baidu, Apache-2.0" if self.known_as == "ppocr" else f"{self.known_as}, Mingmu's own, Apache-2.0",
        }[self.family]


def _vision(name: str, size: int = 224) -> Net:
    return Net("torchvision", name, size)


def _classical(head: Literal["svm", "dbn"]) -> Net:
    return Net("lite", "efficientnet_lite0", 224, "general", head)


NETS: Mapping[str, Net] = {
    "cnn": Net("mingmu", "cnn", 64),
    "alexnet": _vision("alexnet"),
    "vgg11": _vision("vgg11"),
    "vgg11_bn": _vision("vgg11_bn"),
    "vgg16": _vision("vgg16"),
    "vgg16_bn": _vision("vgg16_bn"),
    "googlenet": _vision("googlenet"),
    "inception_v3": _vision("inception_v3", 299),
    "resnet18": _vision("resnet18"),
    "resnet34": _vision("resnet34"),
    "resnet50": _vision("resnet50"),
    "densenet121": _vision("densenet121"),
    "seresnet50": Net("timm", "seresnet50"),
    "mobilenet_v2": _vision("mobilenet_v2"),
    "mobilenet_v3": _vision("mobilenet_v3_large"),
    "mobilenet_v3_small": _vision("mobilenet_v3_small"),
    "efficientnet_b0": _vision("efficientnet_b0"),
    "efficientnet_b1": _vision("efficientnet_b1", 240),
    "efficientnet_b2": _vision("efficientnet_b2", 288),
    "efficientnet_b3": _vision("efficientnet_b3", 300),
    "efficientnet_lite0": Net("lite", "efficientnet_lite0", 224, "general"),
    "efficientnet_lite1": Net("lite", "efficientnet_lite1", 240),
    "efficientnet_lite2": Net("lite", "efficientnet_lite2", 260, "general-large"),
    "vit_tiny": Net("timm", "vit_tiny_patch16_224"),
    "vit_small": Net("timm", "vit_small_patch16_224"),
    "vit_base": Net("timm", "vit_base_patch16_224"),
    "svm_linear": _classical("svm"),
    "svm_rbf": _classical("svm"),
    "dbn": _classical("dbn"),
    "yolox_nano": Net("yolox", "yolox_nano", 416, "objects"),
    "yolox_tiny": Net("yolox", "yolox_tiny", 416),
    "yolox_s": Net("yolox", "yolox_s", 640),
    "fasterrcnn_mobilenet_v3_large_fpn": Net("rcnn", "fasterrcnn_mobilenet_v3_large_fpn", 320),
    "fasterrcnn_resnet50_fpn_v2": Net("rcnn", "fasterrcnn_resnet50_fpn_v2", 640),
    "lprnet": Net("reader", "lprnet", 128),
    "crnn": Net("reader", "crnn", 128),
    "ppocr": Net("reader", "ppocr", 160, "text-reader"),
}


def net_named(name: str) -> Net:
    """A network of the table, or `timm:NAME`. Raises NotFound."""
    if name.startswith(TIMM):
        return Net("timm", name.removeprefix(TIMM))
    if name not in NETS:
        near = difflib.get_close_matches(name, NETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NETS)}, and timm:NAME"
        raise NotFound(f"there is no network {name!r}; {hint}")
    return NETS[name]


def net_of(table: NetTable) -> Net:
    """The network that a recipe names. Raises NotFound, and BadRequest where the name promises weights that it would not begin with."""
    if table.name.startswith(TIMM) and "." in table.name and table.weights == "published":
        network, _, tag = table.name.partition(".")
        raise BadRequest(
            f'{table.name} names weights, {tag}, too, which net.name alone does not fetch; in a recipe, say name = "{network}" and '
            f'weights = "{table.name}", or weights = "none" to begin from nothing'
        )
    return net_named(table.name)


def unfetched(table: NetTable) -> NetTable:
    """The same network without weights that would have to be fetched first."""
    fetched = table.weights.startswith((TIMM, HF)) or (table.weights == "published" and net_of(table).family == "yolox")
    return table.model_copy(update={"weights": "none"}) if fetched else table


def check_does(table: NetTable, task: Task | None) -> None:
    """Raise BadRequest where the network of a recipe does something else than the task that was asked for."""
    net = net_of(table)
    if task and net.task != task:
        fitting = [name for name, each in NETS.items() if each.task == task]
        raise BadRequest(f"{table.name} {DOES[net.task]}; what {DOES[task]} is one of {', '.join(fitting[:6])} (--net, --task)")


def beginning(table: NetTable) -> str:
    """What the network of a recipe starts from, in words."""
    net = net_of(table)
    if table.features == "pixels" and net.head != "linear":
        return f"{table.name} starts from the pixels"
    if not net.has(table.weights):
        return f"{table.name} starts from nothing"
    return f"{table.name} starts from " + (f"the published weights of {net.weights}" if table.weights == "published" else table.weights)


def build(table: NetTable, size: int, classes: int, seed: int = 0) -> tuple[Classifier, Origin]:
    """The network that a recipe asks for, with its weights, and where they come from. What has none is drawn from the seed.

    Raises NotFound, BadModel, BadRequest, MissingExtra.
    """
    import torch

    from mingmu.train.nets.classifier import Classifier, quicken, renormalise

    net = net_of(table)
    if net.task != "classify":
        raise BadRequest(f"{table.name} {DOES[net.task]}; photos with a label each are for another network")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts, origin = _parts(net, table.weights, size) if net.head == "linear" else _fixed(net, table, size)
        classifier = Classifier(parts, classes)
        classifier.learned = net.has(table.weights)
        renormalise(classifier, table.norm, table.name)
        quicken(classifier)
        _check_size(classifier, table.name, size)
    return classifier, origin


def _check_size(classifier: Classifier, name: str, size: int) -> None:
    """Raise BadRequest for a picture of which a network's layers leave nothing."""
    import torch

    try:
        with torch.inference_mode():
            classifier.eval()(torch.zeros(1, 3, size, size))
    except RuntimeError as error:
        raise BadRequest(f"{name} cannot look at {size} pixels a side: {str(error).splitlines()[0]}") from error
    classifier.train()


def _parts(net: Net, weights: str, size: int) -> tuple[Parts, Origin]:
    if not net.has(weights):
        origin = Origin(source="trained from nothing", licence="that of the photos it learned from", provenance=f"network: {net.source}")
        return _empty(net, size), origin
    if weights == "published" and net.weights:
        return _published(net, net.weights)
    if weights.startswith((TIMM, HF)):
        from mingmu.train.nets import hub

        return hub.fetched(net.family, net.known_as, weights, size)
    origin = Origin(source=f"fine-tuned from {Path(weights).name}", licence="that of its weights", provenance=f"network: {net.source}")
    return _from_file(net, Path(weights), size), origin


def _fixed(net: Net, table: NetTable, size: int) -> tuple[Parts, Origin]:
    """What a classical head reads, and its hidden layers."""
    from mingmu.train.nets import classical

    if table.norm != "batch":
        raise BadRequest(f"{table.name} learns on features that stay as they are; there is no place for {table.norm} normalisation")
    hidden = classical.HIDDEN if net.head == "dbn" else ()
    if table.features == "pixels":
        origin = Origin(source="trained from nothing", licence="that of the photos it learned from", provenance="features: the pixels")
        return classical.on_pixels(size, hidden), origin
    parts, origin = _parts(net, table.weights, size)
    return classical.on_network(parts, hidden), origin


def _published(net: Net, name: str) -> tuple[Parts, Origin]:
    """With the weights of the catalog."""
    from mingmu.train.nets import efficientnet_lite
    from mingmu.zoo import catalog, torchfile
    from mingmu.zoo.pull import installed

    entry = catalog.entry(name)
    if not isinstance(entry.source, catalog.Package):
        raise BadModel(f"{name} does not come with a package")
    state = torchfile.read(installed(entry, entry.source).read_bytes())
    how = "fine-tuned from" if net.head == "linear" else "learned on features of"
    origin = entry.origin(f"{how} {entry.source.requirement}")
    return efficientnet_lite.build(efficientnet_lite.VARIANTS[net.known_as], state), origin


def _empty(net: Net, size: int) -> Parts:
    from mingmu.train.nets import cnn, efficientnet_lite, libraries

    match net.family:
        case "mingmu":
            return cnn.build()
        case "lite":
            return efficientnet_lite.build(efficientnet_lite.VARIANTS[net.known_as])
        case "torchvision":
            return libraries.torchvision(net.known_as, None)
        case _:
            return libraries.timm(net.known_as, None, size)


def _from_file(net: Net, file: Path, size: int) -> Parts:
    """With weights from a file, in the names of the library that the network is from."""
    from mingmu.train.nets import libraries
    from mingmu.train.nets.files import read_state

    if net.family == "torchvision":
        return libraries.torchvision(net.known_as, read_state(file))
    if net.family == "timm":
        return libraries.timm(net.known_as, read_state(file), size)
    raise BadRequest(f"{net.known_as} starts from published weights or from none; files are for networks of torchvision and timm")
