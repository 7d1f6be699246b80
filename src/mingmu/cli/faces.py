"""`mingmu faces`: comparing faces, and finding people of a gallery."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mingmu.cli.options import DataDir, Json, load_settings, open_store

if TYPE_CHECKING:
    from mingmu.settings import Settings
    from mingmu.tasks.faces import FaceParts

app = typer.Typer(
    no_args_is_help=True, help="Compare faces, and find people of a gallery. Read docs/faces.md first: it says what is allowed."
)

GalleryName = Annotated[str, typer.Argument(metavar="GALLERY", help="A gallery: faces of people by name.")]
PersonName = Annotated[str, typer.Argument(metavar="PERSON", help="What the person is called.")]
Rate = Annotated[
    float | None,
    typer.Option(
        "--false-match-rate",
        help="How often two different people may be called the same, 1e-8 to 0.1; usually 0.001, and for each face of a gallery 0.0001.",
        show_default=False,
    ),
]

Embedder = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What makes vectors of faces; overrides MINGMU_FACE_EMBEDDER.", show_default=False),
]


@app.command(epilog="Example: `mingmu faces verify one.jpg other.jpg`")
def verify(
    a: Annotated[Path, typer.Argument(metavar="A", help="A photo.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another photo.")],
    false_match_rate: Rate = None,
    embedder: Embedder = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Say whether two photos show the same person; of several faces in a photo, the largest counts."""
    from mingmu import verbs
    from mingmu.cli import render

    parts = _parts(load_settings(data_dir, face_embedder=embedder))
    verdict = verbs.verify_faces(parts, a, b, false_match_rate)
    said = "the same person" if verdict.same else "different people"
    lines = [
        f"{said}: similarity {verdict.similarity:.3f}, threshold {verdict.threshold:.3f} (false-match rate {verdict.false_match_rate:g})"
    ]
    for path, seen in ((a, verdict.a), (b, verdict.b)):
        if seen.found > 1:
            lines.append(f"{path}: {seen.found} faces; the largest was taken")
        lines += [f"{path}: {problem.detail}" for problem in seen.faces[0].problems]
    render.print_result(as_json, verdict.document() | parts.digests, "\n".join(lines))


@app.command(epilog="Example: `mingmu faces enrol family Ada ada-1.jpg ada-2.jpg`")
def enrol(
    gallery: GalleryName,
    person: PersonName,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Photos with one clear face each.")],
    force: Annotated[bool, typer.Option("--force", help="Take the largest face of each photo, however it is.")] = False,
    embedder: Embedder = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Add a person to a gallery, which is made if it is not there. All photos are taken, or none."""
    from dataclasses import asdict

    from mingmu import verbs
    from mingmu.cli import render

    settings = load_settings(data_dir, face_embedder=embedder)
    found = verbs.enrol(open_store(data_dir), _parts(settings), gallery, person, photos, force=force)
    render.print_result(as_json, {"gallery": gallery} | asdict(found), f"{found.person} is in {gallery}, with {found.faces} faces")


@app.command(epilog="Example: `mingmu faces identify family party.jpg --draw named.jpg`")
def identify(
    gallery: GalleryName,
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo.")],
    false_match_rate: Rate = None,
    embedder: Embedder = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Write the photo with boxes and names drawn on it: a .jpg or .png file, or a folder.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Say whose faces a photo shows, the largest first: a line for each, with its box. Who is not in the gallery is unknown."""
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.tasks.identification import UNKNOWN

    parts = _parts(load_settings(data_dir, face_embedder=embedder))
    found = verbs.identify(open_store(data_dir), parts, gallery, photo, false_match_rate, draw)
    if as_json:
        return render.print_json({"gallery": gallery} | found.document() | parts.digests)
    rows = [
        (
            each.person or UNKNOWN,
            "" if each.similarity is None else f"{each.similarity:.3f}",
            *(f"{side:.1f}" for side in (each.face.box.x, each.face.box.y, each.face.box.width, each.face.box.height)),
            " ".join(problem.kind for problem in each.face.problems),
        )
        for each in found.faces
    ]
    return render.print_rows(("person", "similarity", "x", "y", "width", "height", "problems"), rows)


@app.command(epilog="Example: `mingmu faces evaluate pairs.csv --photos photos/`")
def evaluate(
    pairs: Annotated[
        Path,
        typer.Argument(metavar="PAIRS", help="A table with a header, each row two photos and yes or no; or a list as LFW has it."),
    ],
    photos: Annotated[
        Path | None, typer.Option("--photos", help="The folder of the photos; else that of the pairs.", show_default=False)
    ] = None,
    false_match_rate: Rate = None,
    embedder: Embedder = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Measure on pairs of photos how well people are told apart, and what the usual threshold does on them."""
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.data.pairs import read_pairs

    parts, found = _parts(load_settings(data_dir, face_embedder=embedder)), read_pairs(pairs, photos)
    with render.progress() as report:
        measured = verbs.measure_faces(parts, found, false_match_rate, report)
    render.print_result(as_json, measured.document(), "\n".join(measured.lines()))


@app.command(epilog="Example: `mingmu faces create family`")
def create(gallery: GalleryName, embedder: Embedder = None, data_dir: DataDir = None) -> None:
    """Make an empty gallery."""
    made = open_store(data_dir).galleries.create(gallery, _parts(load_settings(data_dir, face_embedder=embedder)).embedder.digest)
    print(f"{made.name} is ready")


@app.command("list", epilog="Example: `mingmu faces list family`")
def list_(
    gallery: Annotated[str, typer.Argument(metavar="GALLERY", help="A gallery, whose people to list.", show_default=False)] = "",
    after: Annotated[str, typer.Option(help="Begin after this name.", show_default=False)] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Most names to list.", show_default="all")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """List the galleries, or the people of one, by name."""
    from dataclasses import asdict

    from mingmu import verbs
    from mingmu.cli import render

    store = open_store(data_dir)
    every = map(asdict, verbs.people(store, gallery, after)) if gallery else verbs.galleries(store, after)
    rows = itertools.islice(every, limit)
    if as_json:
        with render.json_list({}, "people" if gallery else "galleries") as add:
            for row in rows:
                add(row)
        return
    columns = ("person", "faces", "created") if gallery else ("name", "people", "faces", "created")
    render.print_rows(columns, (tuple(map(str, row.values())) for row in rows))


@app.command(epilog="Example: `mingmu faces delete family Ada`")
def delete(
    gallery: GalleryName,
    person: Annotated[str | None, typer.Argument(metavar="PERSON", help="Whom to delete.", show_default=False)] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Delete the whole gallery.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Delete a person, or with --all a whole gallery: the faces are gone from the disk, too."""
    from mingmu.core.errors import BadRequest
    from mingmu.registry.galleries import nobody
    from mingmu.registry.naming import unknown_name

    if (person is None) != everybody:
        raise BadRequest("say whom to delete, or --all for the whole gallery; one of the two")
    galleries = open_store(data_dir).galleries
    if person is not None:
        if not (gone := galleries.remove_person(gallery, person)):
            raise nobody(gallery, person)
        print(f"{person} is deleted from {gallery}: {gone} faces")
    else:
        if not galleries.remove(gallery):
            raise unknown_name("gallery", gallery, galleries.names())
        print(f"{gallery} is deleted")


@app.command(epilog="Example: `mingmu faces export family family.json`")
def export(
    gallery: GalleryName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, JSON; - is standard output.", allow_dash=True)],
    person: Annotated[str | None, typer.Argument(metavar="PERSON", help="Whom to export; else everybody.", show_default=False)] = None,
    data_dir: DataDir = None,
) -> None:
    """Write all that a gallery holds, or all of one person, into a file that only you may read."""
    import sys

    from mingmu.cli import render
    from mingmu.core.disk import private_file

    pieces = open_store(data_dir).galleries.export(gallery, person)
    if str(file) == "-":
        sys.stdout.flush()
        sys.stdout.buffer.writelines(pieces)
        return
    with private_file(file) as out:
        out.writelines(pieces)
    print(f"{person or gallery} is in {file}, {render.megabytes(file.stat().st_size)}")


def _parts(settings: Settings) -> FaceParts:
    from mingmu import verbs
    from mingmu.cli import render

    with render.progress() as report:
        return verbs.open_faces(settings, report)
