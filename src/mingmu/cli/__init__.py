"""The command line: one function per verb, which reads its options, calls `mingmu.verbs` and prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mingmu.cli import batching, chaining, exchange, faces, searching, shrinking, teaching, training, tuning, upkeep
from mingmu.cli.options import DataDir, Json, Name, complete_name, load_settings, open_store
from mingmu.core.errors import BadRequest, MingmuError
from mingmu.core.labels import on_one_line

if TYPE_CHECKING:
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


def _step(every: str | None) -> Every:
    from mingmu.core.video import Every
    from mingmu.verbs.video import EACH_SECOND

    try:
        return EACH_SECOND if every is None else Every.parse(every)
    except BadRequest as error:
        raise typer.BadParameter(str(error), param_hint="--every") from None


app.add_typer(faces.app, name="faces")

_MORE: dict[Callable[..., None], str] = {
    exchange.pull: "Example: `mingmu pull objects`",
    exchange.import_: "Example: `mingmu import a.onnx --name flowers --labels a.txt --size 224 --mean 0.485,0.456,0.406 "
    "--std 0.229,0.224,0.225`",
    exchange.export: "Example: `mingmu export general general.mingmu`",
    exchange.install: "Example: `mingmu install general.mingmu`",
    batching.batch: "Example: `mingmu batch photos/ --out photos.csv`",
    teaching.teach: "Example: `mingmu teach flowers/ --name flowers`",
    teaching.evaluate: "Example: `mingmu evaluate flowers more-flowers/ --html report.html`",
    teaching.compare: "Example: `mingmu compare flowers@1 flowers@2 more-flowers/`",
    teaching.audit: "Example: `mingmu audit flowers/ --html audit.html`",
    training.train: "Example: `mingmu train flowers/ --name flowers --time 10m`",
    searching.search: "Example: `mingmu search flowers/ --name flowers --time 1h`",
    shrinking.shrink: "Example: `mingmu shrink flowers --keep 0.7 --html smaller.html`",
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
    app.command(_command.__name__.removesuffix("_").replace("_", "-"), epilog=_example)(_command)
