"""Commands that search for recipes: search."""

from __future__ import annotations

from typing import Annotated

import typer

from mingmu.cli.options import Anew, DataDir, Json, Net, Resume, Size, Time, open_store
from mingmu.cli.teaching import Data, Html
from mingmu.cli.training import resumable


def search(
    data: Data,
    name: Annotated[str, typer.Option(help="What to call the recognizer.")],
    recipe: Annotated[str, typer.Option(help="Where to begin: fast, accurate, or a TOML file.")] = "fast",
    net: Net = None,
    size: Size = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often it sees the photos.", show_default="the recipe's")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many recipes to try.", show_default="20, or what the time allows")] = None,
    time: Time = None,
    resume: Resume = False,
    anew: Anew = False,
    html: Html = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Try recipes around one, by what the tries before them have shown, and publish what the best of them made (extra `search`). Its recipe
    is written down, to train with again.
    """
    import json

    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.evaluate.summary import summary
    from mingmu.train import recipe as recipes
    from mingmu.train.nets import beginning

    chosen = recipes.read(recipe).changed(net=net, epochs=epochs, size=size)
    store = open_store(data_dir)
    render.note(beginning(chosen.net))
    with resumable(verbs.search_of(store, name)), render.progress() as progress:
        found = verbs.search(
            store, data, name=name, recipe=chosen, trials=trials, seconds=time, resume=resume, anew=anew, progress=progress
        )
    trained, measures = found.trained, found.trained.report.measures
    if html:
        html.write_text(verbs.page_of(store, trained.report), encoding="utf-8")
    document = render.version_json(trained.version) | {
        "report": json.loads(trained.report.to_json()),
        "curve": verbs.curve_json(trained.curve),
        "recipe": found.recipe.model_dump(mode="json"),
        "file": str(found.file),
        "tried": found.tried,
        "given_up": found.given_up,
        "held_out_accuracy": {"first": found.first, "best": found.best},
    }
    before = "" if found.first is None else f"; the first recipe got {found.first:.1%}"
    lines = [
        f"{render.label(trained.version)} is ready: {len(measures.classes)} labels, the best of {found.tried} recipes "
        f"({found.given_up} given up early).",
        f"{found.best:.1%} of the held-out photos right, by which it was chosen{before}.",
        *summary(measures),
        f"Its recipe: {found.file}",
    ]
    render.print_result(as_json, document, "\n".join(lines))
