"""A recipe: all that decides how a network is trained, in one TOML file."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mingmu.core.errors import BadRequest
from mingmu.core.pixels import PixelSpec

NAMES = ("fast", "accurate", "student", "detect", "detect-frozen", "plates", "read", "read-plates")
NAMED = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"
Task: TypeAlias = Literal["classify", "detect", "read"]
HARMLESS = ("published", "none")  # weights
OF_DETECTORS = ("augment.zoom", "augment.mosaic", "augment.plain")
OF_CLASSIFIERS = ("net.norm", "net.features", "distil.teacher", "balance", "label_smoothing", "augment.mixup", "augment.cutmix")
OF_FRAMES = ("net.fit", "net.margin", *(f"augment.{key}" for key in ("crop", "rotation", "randaugment", "erasing")))  # moves boxes
FOREIGN: Mapping[Task, Mapping[str, Sequence[str]]] = {
    "classify": {"detectors": OF_DETECTORS},
    "detect": {"classifiers": (*OF_CLASSIFIERS, *OF_FRAMES)},
    "read": {"detectors": OF_DETECTORS, "classifiers": OF_CLASSIFIERS},
}
"""Keys that mean nothing to a task, by what they are for."""
LINE = (128, 32)  # pixels, width and height, that a line of text is read from
LINES = {"ppocr": (160, 48)}  # of networks that read it from others
MOST_EPOCHS = 10_000  # of a training that is to end when its time does, too
SYNONYMS = {
    "arch": "name",
    "batch_size": "batch",
    "color": "colour",
    "color_jitter": "colour",
    "dtype": "precision",
    "early_stopping": "patience",
    "image_size": "size",
    "img_size": "size",
    "learning_rate": "rate",
    "lr": "rate",
    "model": "name",
    "pretrained": "weights",
    "random_seed": "seed",
    "smoothing": "label_smoothing",
    "wd": "weight_decay",
}
"""What some keys are called elsewhere."""

Share = Annotated[float, Field(ge=0, le=1)]
Norm = Literal["batch", "instance", "group", "layer"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class NetTable(Table):
    """Which network, from which weights, on which pixels."""

    name: str = "efficientnet_lite0"
    """A name of `mingmu.train.nets`, or `timm:NAME`."""
    weights: str = "published"
    """published: the catalog's, where it has some for this network, else none; none; a file (.safetensors, .pth); or a hub's, as
    timm:NAME or hf:OWNER/REPO."""
    norm: Norm = "batch"
    """What normalises between layers, where the network has batch normalisation: another one starts without learned statistics."""
    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Pixels a side; left out: what the network is usually trained with."""
    fit: Literal["crop", "squash", "letterbox"] = "crop"
    margin: Annotated[float, Field(gt=0, le=1)] = 1.0
    """crop only: the share of the largest crop that is looked at."""
    freeze: bool = False
    """Only the head learns, which takes less time and fewer photos; the network below it stays as it is."""
    features: Literal["general", "pixels"] = "general"
    """What `svm_linear`, `svm_rbf` and `dbn` learn on: what the network of `general` sees, which stays as it is, or the pixels."""


class AugmentTable(Table):
    """How photos are changed while they teach, each time anew."""

    crop: Share = 1.0
    """The smallest share of the area that a random crop keeps; 1: no crops."""
    stretch: Annotated[float, Field(ge=1, le=3)] = 1.0
    """How much wider or higher than the frame a crop may be."""
    flip: Share = 0.0
    """How often a photo is mirrored. Not for what reads one way, as letters do."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Degrees to either side, at most."""
    colour: Share = 0.0
    """How far brightness, contrast and saturation go up or down."""
    randaugment: Annotated[int, Field(ge=0, le=4)] = 0
    """How many operations, drawn by lot, are applied to each photo (RandAugment)."""
    magnitude: Share = 0.5
    """How strongly."""
    erasing: Share = 0.0
    """How often a rectangle is blanked out."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """alpha of the Beta distribution that photos are blended with; 0: they are not."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """The same for pasting a rectangle of one photo into another."""
    zoom: Annotated[float, Field(ge=1, le=4)] = 1.0
    """Detectors: how many times larger or smaller a photo becomes, at most; what leaves the frame is cut off."""
    mosaic: Share = 0.0
    """Detectors: how often four photos are put together to one."""
    plain: Share = 0.15
    """Detectors: the share of the training, at its end, in which photos are no longer put together."""


class OptimiserTable(Table):
    kind: Literal["sgd", "adamw"] = "adamw"
    rate: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate at its highest."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """What the learning rate is multiplied by for each eighth of the network that lies deeper below the head."""
    unfreeze: Share = 0.0
    """The share of the training after which everything learns; until then only the upper layers, more and more of them."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients make one step."""


class ScheduleTable(Table):
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] = 10
    warmup: Share = 0.1
    """The share of the training in which the learning rate rises; then it falls as a cosine."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """What a moving average of the weights keeps at each step; the average is what is sealed. 0: none."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better one before it stops; 0: it goes on to the end."""


class DistilTable(Table):
    """What is learned from another recognizer, beside the labels of the photos."""

    teacher: str | None = None
    """A recognizer of the store; left out: there is none."""
    share: Share = 0.5
    """How much of the loss is held against the teacher's scores; the rest, against the labels."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """How much softer both scores are made before: what a teacher thinks of the wrong labels shows then."""
    features: Annotated[float, Field(ge=0)] = 0.0
    """How much it counts to see as the teacher's network sees; only where that gives features."""


class Recipe(Table):
    """One experiment. Unknown keys are errors."""

    net: NetTable = NetTable()
    augment: AugmentTable = AugmentTable()
    optimiser: OptimiserTable = OptimiserTable()
    schedule: ScheduleTable = ScheduleTable()
    distil: DistilTable = DistilTable()
    batch: Annotated[int, Field(ge=2, le=4096)] = 32
    balance: Share = 0.0
    """How photos are drawn: 0 each once an epoch, 1 every class as often."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Precision = "auto"
    """auto: bf16 where it was timed to be faster on this machine; fp16 on GPUs that are older than bf16."""
    deterministic: bool = False
    """The same run gives the same weights on the same machine, a little slower; auto then means fp32."""
    seed: Annotated[int, Field(ge=0)] = 0

    def changed(self, *, net: str | None = None, epochs: int | None = None, size: int | None = None) -> Recipe:
        """The recipe with what was asked for on the command line. Raises BadRequest."""
        asked = self.model_dump()
        asked["net"] |= {key: value for key, value in (("name", net), ("size", size)) if value is not None}
        asked["schedule"] |= {} if epochs is None else {"epochs": epochs}
        return _checked(asked)

    def pixels(self, usual: int, task: Task = "classify") -> PixelSpec:
        """What the network looks at, where it was `usual`ly trained at so many pixels a side. Detectors look at all of a photo, readers at
        a line.

        Raises BadRequest for a recipe of another task.
        """
        self._check(task)
        if task == "read":
            return PixelSpec(size=LINES.get(self.net.name, LINE), fit=self.net.fit, margin=self.net.margin, filter="bicubic")
        size = self.net.size or usual
        if task == "detect":
            return PixelSpec(size=(size, size), fit="letterbox", pad="corner")
        return PixelSpec(size=(size, size), fit=self.net.fit, margin=self.net.margin, filter="bicubic")

    def _check(self, task: Task) -> None:
        """Raise BadRequest for what means nothing in this task."""
        kind = {"classify": "a classifier", "detect": "a detector", "read": "a reader"}[task]
        for owners, paths in FOREIGN[task].items():
            for path in paths:
                if self._value(path) != Recipe()._value(path):
                    raise BadRequest(f"recipe: {path} is for {owners}, and {self.net.name} is {kind}; leave it out")
        if task == "read" and self.net.size is not None:
            width, height = LINES.get(self.net.name, LINE)
            raise BadRequest(f"recipe: net.size is not for readers: {self.net.name} looks at {width}x{height} pixels; leave it out")

    def _value(self, path: str) -> object:
        table, _, key = path.rpartition(".")
        return getattr(getattr(self, table) if table else self, key)


def read(name: str) -> Recipe:
    """The recipe of a name that ships with Mingmu, or of a file. Raises BadRequest."""
    path = files("mingmu.train") / "recipes" / f"{name}.toml" if name in NAMES else Path(name)
    if not path.is_file():
        raise BadRequest(f"there is no recipe {name}: it is {NAMED}, or a TOML file")
    try:
        return _parsed(path.read_text(encoding="utf-8"), name)
    except UnicodeDecodeError as error:
        raise BadRequest(f"{name} is not TOML: {error}") from error


def sent(recipe: str) -> Recipe:
    """The recipe of a name that ships with Mingmu, or of text that somebody sent, which names no file here and nothing to be fetched.

    Raises BadRequest.
    """
    found = read(recipe) if recipe in NAMES else _parsed(recipe, f"the recipe, where it is not {NAMED},")
    if found.net.weights not in HARMLESS:
        raise BadRequest(
            f"recipe: net.weights is {' or '.join(HARMLESS)} in what is sent to a service, which reads no files and no hub for others"
        )
    return found


def _parsed(text: str, name: str) -> Recipe:
    try:
        return _checked(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"{name} is not TOML: {error}") from error


def _checked(found: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate(found)
    except ValidationError as error:
        raise BadRequest(f"recipe: {_complaint(error)}") from error


def _complaint(error: ValidationError) -> str:
    """About the first key that no table has; else about the first value that does not fit."""
    found = error.errors(include_url=False)
    for each in found:
        if each["type"] == "extra_forbidden":
            return _unknown(*map(str, each["loc"]))
    first = found[0]
    should = "it should be a table" if first["type"] == "model_type" else first["msg"].replace("Input should", "it should")
    return f"{'.'.join(map(str, first['loc']))} is {first['input']!r}; {should}"


def _unknown(*where: str) -> str:
    """About a key that is not there, with what it could have been: of its own table, or of another."""
    *table, key = where
    keys = _keys()
    own = [name for name, there in keys if there == tuple(table)]
    wanted = SYNONYMS.get(key, key)
    elsewhere = [".".join((*there, name)) for name, there in keys if name == wanted and there != tuple(table)]
    near = [wanted] if wanted in own else elsewhere or difflib.get_close_matches(key, own, n=1)
    return f"there is no key {'.'.join(where)}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(own)}")


def _keys() -> list[tuple[str, tuple[str, ...]]]:
    """Every key, with the table that it is in."""
    tables = {name: field.annotation for name, field in Recipe.model_fields.items()}
    inner = [
        (key, (name,))
        for name, table in tables.items()
        if isinstance(table, type) and issubclass(table, Table)
        for key in table.model_fields
    ]
    return [*((name, ()) for name in tables), *inner]
