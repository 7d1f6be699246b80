"""Recognizers that come from elsewhere, and that go elsewhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mingmu.cli.options import DataDir, Json, Name, load_settings, open_store
from mingmu.core.errors import BadRequest

if TYPE_CHECKING:
    from mingmu.core.pixels import PixelSpec


def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to get; `mingmu list` shows what there is.")],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Get a ready-made recognizer, or published weights: from the official source, or from the mirror that MINGMU_MIRROR names."""
    from mingmu import verbs
    from mingmu.cli import render

    with render.progress() as report:
        pulled = verbs.pull(load_settings(data_dir), name, report)
    if pulled.version:
        return render.print_version(as_json, pulled.version, "is ready")
    text = f"{name} is here, its SHA-256 is right: {pulled.path}\nThis version of Mingmu does not serve its task ({pulled.entry.task}) yet."
    return render.print_result(as_json, {"name": name, "task": pulled.entry.task, "path": str(pulled.path)}, text)


def import_(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A classifier: one score for each label. Or what --task says.")],
    name: Annotated[str, typer.Option(help="What to call it.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Text file: one label a line, in the order of the scores; or id, tab, label.", show_default="an embedding has none"
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="N or WxH", help="Pixels that the network takes.", show_default="what the graph says")
    ] = None,
    mean: Annotated[str, typer.Option(metavar="M or R,G,B", help="What was subtracted from each channel in training.")] = "0",
    std: Annotated[str, typer.Option(metavar="S or R,G,B", help="What each channel was then divided by.")] = "1",
    scale: Annotated[float, typer.Option(min=0.001, help="White, before mean and std: 1 where pixels went from 0 to 1, else 255.")] = 1.0,
    channels: Annotated[Literal["rgb", "bgr"], typer.Option(help="Order of the channels.")] = "rgb",
    fit: Annotated[
        Literal["crop", "squash", "letterbox"] | None,
        typer.Option(help="How an image is made to fit; faces are aligned.", show_default="crop; of a detector letterbox"),
    ] = None,
    pad: Annotated[Literal["centre", "corner"], typer.Option(help="Letterbox: where the image lies, the grey around it.")] = "centre",
    margin: Annotated[float, typer.Option(help="Crop: share of the short side that is kept; 0.875 for 224 out of 256.")] = 1.0,
    filter: Annotated[
        Literal["bilinear", "bicubic", "lanczos", "box", "nearest"], typer.Option(help="How an image is resized.")
    ] = "bilinear",
    task: Annotated[
        Literal["classify", "detect", "embed"], typer.Option(help="What the network does; embed: vectors of aligned faces.")
    ] = "classify",
    decoder: Annotated[
        Literal["yolox", "boxes"] | None,
        typer.Option(help="Detector: yolox for rows [N, A, 5 + C]; boxes for boxes [N, A, 4] and scores [N, A, C].", show_default=False),
    ] = None,
    form: Annotated[Literal["corners", "centre"], typer.Option(help="Boxes: their corners, or centre, width and height.")] = "corners",
    relative: Annotated[bool, typer.Option("--relative", help="Boxes: go from 0 to 1, not to the pixels of the frame.")] = False,
    scores: Annotated[
        Literal["plain", "sigmoid", "softmax"],
        typer.Option(help="Boxes: what makes their scores 0 to 1; of a softmax, the last class is nothing, as in DETR."),
    ] = "plain",
    pairs: Annotated[
        Path | None,
        typer.Option(help="Embedding: pairs of photos that set its thresholds, as for `mingmu faces evaluate`.", show_default=False),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Embedding: the folder of these photos; else that of the pairs.", show_default=False)
    ] = None,
    licence: Annotated[str, typer.Option(help="Terms of the weights.")] = "unknown",
    source: Annotated[str | None, typer.Option(help="Where the weights come from.", show_default="the file's name")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Adopt an ONNX classifier, detector or embedding of faces: from then on it is a recognizer like any other, proven at every load."""
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.core.manifest import Origin
    from mingmu.data.pairs import read_pairs
    from mingmu.zoo.adopt import Normalisation, input_size
    from mingmu.zoo.detectors import Decoding

    if (task == "detect") != (decoder is not None):
        raise typer.BadParameter("a detector needs one, and nothing else has one; see --task", param_hint="--decoder")
    if (task == "embed") != (pairs is not None):
        raise typer.BadParameter(
            "an embedding needs pairs of photos, which set its thresholds, and nothing else does", param_hint="--pairs"
        )
    if (task == "embed") == (labels is not None):
        raise typer.BadParameter("an embedding has none, and whatever else needs them; see --task", param_hint="--labels")
    graph = model.read_bytes()
    normalisation = Normalisation(_floats("--mean", mean), _floats("--std", std), scale, channels)
    usual_fit = {"classify": "crop", "detect": "letterbox", "embed": "squash"}[task]
    pixels = _pixels(size or "x".join(map(str, input_size(graph))), fit=fit or usual_fit, pad=pad, margin=margin, filter=filter)
    origin = Origin(source=source or model.name, licence=licence)
    if pairs:
        settings, read = load_settings(data_dir), read_pairs(pairs, photos)
        with render.progress() as report:
            version = verbs.import_embedder(
                settings, graph, read, name=name, normalisation=normalisation, pixels=pixels, origin=origin, progress=report
            )
    else:
        decoding, text = Decoding(decoder, form, relative, scores) if decoder else None, _text(labels) if labels else ""
        version = verbs.import_model(
            open_store(data_dir), graph, text, name=name, normalisation=normalisation, pixels=pixels, origin=origin, decoding=decoding
        )
    render.print_version(as_json, version, "is ready")


def export(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Write a recognizer, with all it needs, into one file that `mingmu install` reads."""
    from mingmu import verbs
    from mingmu.cli import render

    with render.progress() as report:
        stored = verbs.export(open_store(data_dir), name, file, report)
    size = file.stat().st_size
    text = f"{render.label(stored.version)} is in {file}, {render.megabytes(size)}"
    render.print_result(as_json, render.version_json(stored.version) | {"file": str(file), "bytes": size}, text)


def install(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File that `mingmu export` wrote.")],
    name: Annotated[str | None, typer.Option(help="What to call it.", show_default="its own name")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Take in a recognizer from a file; it must first prove itself on this machine."""
    from mingmu import verbs
    from mingmu.cli import render

    render.print_version(as_json, verbs.install(open_store(data_dir), file, name), "is proven and ready")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(f"{file} is not text in UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from None


def _floats(option: str, text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number, or three of them with commas between", param_hint=option) from None
    if len(values) not in (1, 3):
        raise typer.BadParameter(f"{len(values)} numbers; one for all channels, or three, are needed", param_hint=option)
    if not all(map(math.isfinite, values)):
        raise typer.BadParameter(f"{text!r} is not finite", param_hint=option)
    return values


def _pixels(size: str, **rest: Any) -> PixelSpec:
    from pydantic import ValidationError

    from mingmu.core.pixels import PixelSpec

    width, _, height = size.partition("x")
    try:
        return PixelSpec.model_validate({"size": (width, height or width), **rest})
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{first['input']!r}: {first['msg']}", param_hint=f"--{first['loc'][0]}") from None
