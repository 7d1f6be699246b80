"""Commands that make networks faster or smaller: tune, compress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mingmu.cli.options import DataDir, Json, Name, open_store

if TYPE_CHECKING:
    from mingmu.registry.tuning import Trial
    from mingmu.verbs import Running

Photos = Annotated[int, typer.Option(min=50, help="How many photos answers are judged on, at most.")]
Seconds = Annotated[float, typer.Option(min=0.1, help="How long each candidate is timed.")]
COLUMNS = ("candidate", "images/s", "ratio", "alone", "on disk", "accuracy", "passed", "why")


def tune(
    name: Name,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled photos, whatever they show; of a detector, photos with boxes: then INT8 is tried, too, and answers are judged.",
            show_default=False,
        ),
    ] = None,
    photos: Photos = 1000,
    seconds: Seconds = 2.0,
    undo: Annotated[bool, typer.Option("--undo", help="Let it run as it was sealed.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Let the network of a recognizer, with all heads on it, run the fastest way that is proven on this machine."""
    from mingmu import verbs
    from mingmu.cli import render

    store = open_store(data_dir)
    if undo:
        before = verbs.untune(store, name)
        text = f"{name} runs as it was sealed" + ("" if before else "; it was not tuned")
        return render.print_result(as_json, {"name": name, "undone": before}, text)
    with render.progress() as progress:
        tuned = verbs.tune(store, name, data, photos=photos, seconds=seconds, progress=progress)
    if as_json:
        return render.print_json(render.version_json(tuned.version) | {"tuning": tuned.tuning.model_dump(mode="json")})
    render.print_rows(COLUMNS, [row(trial) for trial in tuned.tuning.trials])
    print(f"\n{name} runs on {tuned.tuning.what} on this machine ({tuned.tuning.machine}).")
    print(f"Judged with {tuned.tuning.data}.")
    return None


def compress(
    name: Name,
    data: Annotated[Path, typer.Option(help="Labelled photos, or with boxes, that answers are judged on, and INT8 is calibrated with.")],
    precision: Annotated[Literal["int8", "bf16"], typer.Option(help="int8; bf16 is for `mingmu tune`: it makes nothing smaller.")] = "int8",
    photos: Photos = 1000,
    seconds: Seconds = 2.0,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Make a smaller version of a recognizer. It is published if it keeps the accuracy; otherwise the exit code is 1."""
    from mingmu import verbs
    from mingmu.cli import render

    with render.progress() as progress:
        done = verbs.compress(open_store(data_dir), name, data, precision=precision, photos=photos, seconds=seconds, progress=progress)
    if as_json:
        version = render.version_json(done.version) if done.version else None
        trials = {"before": done.before.model_dump(mode="json"), "after": done.after.model_dump(mode="json")}
        render.print_json({"version": version, "data": done.data, **trials})
    else:
        render.print_rows(COLUMNS, [row(done.before), row(done.after)])
        print(f"\n{render.label(done.version)} is ready." if done.version else "\nRefused: nothing was published.")
        print(f"Judged with {done.data}.")
    if not done.version:
        raise typer.Exit(1)


def facts(running: Running) -> list[tuple[str, str]]:
    """What `mingmu show` says of how a recognizer runs on this machine."""
    tuning = running.tuning
    if tuning is None:
        more = f": {running.refused}" if running.refused else ", as it was sealed; `mingmu tune` looks for a faster way"
        return [("runs on", running.what + more)]
    trial = tuning.trial
    speed = f"{trial.ratio:.2f} times as fast as it was sealed" if trial.ratio else "not timed"
    chosen = f"{tuning.what}, {speed}, since {tuning.created}"
    because = [("because", f"{trial.verdict}; {tuning.data}"), ("machine", tuning.machine)]
    if running.refused:
        return [("runs on", running.what), ("not on", f"{chosen}: {running.refused}"), *because]
    return [("runs on", chosen), *because]


def print_evidence(running: Running) -> None:
    """The candidates that the choice was made from."""
    from mingmu.cli import render

    if running.tuning:
        print()
        render.print_rows(COLUMNS, [row(trial) for trial in running.tuning.trials])


def facts_json(running: Running) -> dict[str, Any]:
    tuning = running.tuning.model_dump(mode="json") if running.tuning else None
    return {"runs": {"what": running.what, "refused": running.refused or None}, "tuning": tuning}


def row(trial: Trial) -> tuple[str, ...]:
    """A line of the table, under COLUMNS."""
    return (
        trial.what,
        _figure(trial.images_per_second, ".0f"),
        _figure(trial.ratio, ".2f"),
        _figure(trial.lone_ms, ".1f", " ms"),
        _figure(trial.megabytes, ".1f", " MB"),
        str(trial.accuracy or "-"),
        "yes" if trial.passed else "no",
        trial.verdict,
    )


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"
