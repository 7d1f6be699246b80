"""The command line: one function per verb, which reads its options, calls `mingmu.verbs` and prints."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from mingmu.cli import batching, chaining, faces, searching, shrinking, teaching, training, tuning, upkeep
from mingmu.cli.options import DataDir, Json, Name, complete_name, load_settings, open_store
from mingmu.core.errors import BadRequest, MingmuError
from mingmu.core.labels import on_one_line

if TYPE_CHECKING:
    from mingmu.core.pixels import PixelSpec
    from mingmu.core.video import Every

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: `mingmu recognize photo.jpg`",
)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line. Exits with 0; 1 where something failed; 2 for wrong usage; 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file's name may hold bytes that are no text
    try:
        app(arguments, prog_name="mingmu")
    except (MingmuError, OSError) as error:
        print(on_one_line(f"error: {error}"), file=sys.stderr)
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            from mingmu.cli import render

            render.print_json({"error": render.error_json(error)})
    sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"mingmu {version('mingmu')}")
        raise typer.Exit


@app.callback()
def root(
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder that holds recognizers; overrides MINGMU_DATA_DIR.", show_default=False)
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)] = False,
) -> None:
    """Image recognition on this machine: a photo in, a proven answer out."""


@app.command(epilog="Example: `mingmu recognize photos/ 'more/*.png' --top 3`")
def recognize(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE", help="Files, folders, quoted glob patterns, or - for standard input.")],
    recognizer: Annotated[str, typer.Option(help="Which recognizer looks at them.", autocompletion=complete_name)] = "general",
    top: Annotated[int | None, typer.Option(min=1, help="How many labels or boxes, at most.", show_default="5 labels")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="The least score of a box.", show_default="the recognizer's")
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="How much of their union two boxes of a label may share.", show_default="the recognizer's"),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Write the image with its answer drawn on it: a .jpg or .png file, or a folder.", show_default=False
        ),
    ] = None,
    every: Annotated[
        str | None, typer.Option(metavar="STEP", help="How often to look at videos: 0.5s, or 10f for frames.", show_default="1s")
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Say what images and videos show.

    Folders are searched, those within them too; for videos only with --every. What cannot be read is reported,
    the rest go on, and the exit code is 1.
    """
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.core.answers import Wish

    settings, step = load_settings(data_dir), _step(every)
    with render.progress() as report:
        opened = verbs.open_recognizer(settings, recognizer, report)
    sources = verbs.image_sources(images, videos=every is not None)
    wish = Wish(top=top, threshold=threshold, overlap=overlap)
    answers = verbs.recognize(opened.recognizer, sources, wish=wish, threads=settings.threads, every=step, draw=draw)
    said_by = {"recognizer": opened.version.name, "version": opened.version.version, "digest": opened.version.digest}
    failed = False
    with render.json_list(said_by, "answers") if as_json else nullcontext() as add:
        for source, answer in answers:
            failed |= isinstance(answer, MingmuError)
            if add:
                add({"source": source} | render.answer_json(answer))
            else:
                render.print_answer(source, answer)
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example: `mingmu serve --port 8600`")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; overrides MINGMU_HOST.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on, 0 for a free one; overrides MINGMU_PORT.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that serve the port, 0: as the machine is; overrides MINGMU_WORKERS.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Answer over HTTP until Ctrl-C. The other settings are environment variables: see docs/settings.md."""
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.jobs.crew import crew
    from mingmu.registry.store import Store
    from mingmu.serve.server import run

    settings = load_settings(data_dir, host=host, port=port, workers=workers)
    with render.progress() as report:
        verbs.ensure(Store.of(settings), "general", report)
    with crew(settings):
        run(settings)


@app.command("list", epilog="Example: `mingmu list`")
def list_(as_json: Json = False, data_dir: DataDir = None) -> None:
    """List the recognizers of this machine, and what else can be had."""
    from mingmu import verbs
    from mingmu.cli import render

    store = open_store(data_dir)
    found, available = verbs.listing(store), verbs.available(store)
    if as_json:
        render.print_json(
            {"recognizers": [render.row_json(name, stored) for name, stored in found], "available": list(map(render.entry_json, available))}
        )
    else:
        render.print_listing(found, available)


@app.command(epilog="Example: `mingmu show general`")
def show(name: Name, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show what a recognizer is: its version, digest, size, licence, labels and pixels; and how it runs on this machine."""
    from mingmu import verbs
    from mingmu.cli import render

    store = open_store(data_dir)
    with render.progress() as report:
        stored = verbs.show(store, name, report)
    running = verbs.running(store, stored)
    if as_json:
        manifest = {"manifest": stored.artifact.manifest.model_dump(mode="json")}
        render.print_json(render.row_json(stored.version.name, stored) | manifest | tuning.facts_json(running))
    else:
        render.print_pairs([*render.facts(stored), *tuning.facts(running)])
        tuning.print_evidence(running)


@app.command(epilog="Example: `mingmu verify general`")
def verify(name: Name, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Check every file of a recognizer, and let it prove itself: its probe images must give the sealed answers."""
    from mingmu import verbs
    from mingmu.cli import render

    with render.progress() as report:
        verified = verbs.verify(open_store(data_dir), name, report)
    version = verified.stored.version
    checked = {"files": verified.files, "probes": verified.probes, "runtime": verified.runtime}
    text = f"{render.label(version)} is proven: {verified.files} files, {verified.probes} probes, {verified.runtime}"
    render.print_result(as_json, render.version_json(version) | checked, text)


@app.command(epilog="Example: `mingmu pull objects`")
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


@app.command(
    "import",
    epilog="Example: `mingmu import a.onnx --name flowers --labels a.txt --size 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225`",
)
def import_(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="A classifier: one score for each label. Or a detector, see --task.")],
    name: Annotated[str, typer.Option(help="What to call it.")],
    labels: Annotated[Path, typer.Option(help="Text file: one label a line, in the order of the scores; or id, tab, label.")],
    size: Annotated[
        str | None, typer.Option(metavar="N or WxH", help="Pixels that the network takes.", show_default="what the graph says")
    ] = None,
    mean: Annotated[str, typer.Option(metavar="M or R,G,B", help="What was subtracted from each channel in training.")] = "0",
    std: Annotated[str, typer.Option(metavar="S or R,G,B", help="What each channel was then divided by.")] = "1",
    scale: Annotated[float, typer.Option(min=0.001, help="White, before mean and std: 1 where pixels went from 0 to 1, else 255.")] = 1.0,
    channels: Annotated[Literal["rgb", "bgr"], typer.Option(help="Order of the channels.")] = "rgb",
    fit: Annotated[
        Literal["crop", "squash", "letterbox"] | None,
        typer.Option(help="How an image is made to fit.", show_default="crop; of a detector letterbox"),
    ] = None,
    pad: Annotated[Literal["centre", "corner"], typer.Option(help="Letterbox: where the image lies, the grey around it.")] = "centre",
    margin: Annotated[float, typer.Option(help="Crop: share of the short side that is kept; 0.875 for 224 out of 256.")] = 1.0,
    filter: Annotated[
        Literal["bilinear", "bicubic", "lanczos", "box", "nearest"], typer.Option(help="How an image is resized.")
    ] = "bilinear",
    task: Annotated[Literal["classify", "detect"], typer.Option(help="What the network does.")] = "classify",
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
    licence: Annotated[str, typer.Option(help="Terms of the weights.")] = "unknown",
    source: Annotated[str | None, typer.Option(help="Where the weights come from.", show_default="the file's name")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Adopt an ONNX classifier or detector: from then on it is a recognizer like any other, proven at every load."""
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.core.manifest import Origin
    from mingmu.zoo.adopt import Normalisation, input_size
    from mingmu.zoo.detectors import Decoding

    if (task == "detect") != (decoder is not None):
        raise typer.BadParameter("a detector needs one, and a classifier has none; see --task", param_hint="--decoder")
    graph = model.read_bytes()
    version = verbs.import_model(
        open_store(data_dir),
        graph,
        _text(labels),
        name=name,
        normalisation=Normalisation(_floats("--mean", mean), _floats("--std", std), scale, channels),
        pixels=_pixels(
            size or "x".join(map(str, input_size(graph))),
            fit=fit or ("letterbox" if decoder else "crop"),
            pad=pad,
            margin=margin,
            filter=filter,
        ),
        origin=Origin(source=source or model.name, licence=licence),
        decoding=Decoding(decoder, form, relative, scores) if decoder else None,
    )
    render.print_version(as_json, version, "is ready")


@app.command(epilog="Example: `mingmu export general general.mingmu`")
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


@app.command(epilog="Example: `mingmu install general.mingmu`")
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


def _step(every: str | None) -> Every:
    from mingmu.core.video import Every
    from mingmu.verbs.video import EACH_SECOND

    try:
        return EACH_SECOND if every is None else Every.parse(every)
    except BadRequest as error:
        raise typer.BadParameter(str(error), param_hint="--every") from None


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


app.add_typer(faces.app, name="faces")

_MORE: dict[Callable[..., None], str] = {
    batching.batch: "Example: `mingmu batch photos/ --out photos.csv`",
    teaching.teach: "Example: `mingmu teach flowers/ --name flowers`",
    teaching.evaluate: "Example: `mingmu evaluate flowers more-flowers/ --html report.html`",
    teaching.compare: "Example: `mingmu compare flowers@1 flowers@2 more-flowers/`",
    teaching.audit: "Example: `mingmu audit flowers/ --html audit.html`",
    training.train: "Example: `mingmu train flowers/ --name flowers --time 10m`",
    searching.search: "Example: `mingmu search flowers/ --name flowers --time 1h`",
    shrinking.shrink: "Example: `mingmu shrink flowers --keep 0.5 --html smaller.html`",
    tuning.tune: "Example: `mingmu tune general --data photos/`",
    tuning.compress: "Example: `mingmu compress flowers --data more-flowers/`",
    chaining.chain: "Example: `mingmu chain shelf.toml --name shelf`",
    upkeep.versions: "Example: `mingmu versions flowers`",
    upkeep.publish: "Example: `mingmu publish flowers@prod 2`",
    upkeep.rollback: "Example: `mingmu rollback flowers@prod`",
    upkeep.remove: "Example: `mingmu remove flowers@1`",
    upkeep.datasets: "Example: `mingmu datasets flowers`",
    upkeep.export_dataset: "Example: `mingmu export-dataset flowers flowers-photos/ --as csv`",
    upkeep.gc: "Example: `mingmu gc`",
}
for _command, _example in _MORE.items():
    app.command(epilog=_example)(_command)
