"""Commands around labelled photos: teach, evaluate, compare, audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mingmu.cli.options import DataDir, Json, Name, asked, open_store
from mingmu.core.teaching import MAX_SEED, Effort, HeadName, TeachOptions

if TYPE_CHECKING:
    from mingmu.evaluate.report import AnyReport
    from mingmu.registry.store import Store

Data = Annotated[
    Path, typer.Argument(metavar="DATA", help="A folder with a folder for each class, a zip or tar of it, a table, COCO, VOC or YOLO.")
]
Html = Annotated[Path | None, typer.Option("--html", help="Also write a page to look at.", show_default=False)]


def teach(
    data: Data,
    more: Annotated[
        Path | None, typer.Argument(metavar="MORE", help="With --add, and a name in the place of DATA: the photos.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the recognizer.", show_default=False)] = None,
    backbone: Annotated[str, asked("backbone")] = "general",
    test: Annotated[Path | None, typer.Option(help="Photos to measure with; else a part of DATA is set aside.", show_default=False)] = None,
    add: Annotated[bool, asked("add", "--add")] = False,
    effort: Annotated[Effort, asked("effort")] = "normal",
    head: Annotated[HeadName, asked("head")] = "auto",
    seed: Annotated[int, asked("seed", min=0, max=MAX_SEED)] = 0,
    html: Html = None,
    card: Annotated[Path | None, typer.Option(help="Also write a model card in Markdown.", show_default=False)] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Teach a recognizer what labelled photos show. It is measured, sealed, and served at once by a service on the same data folder.

    `mingmu teach NAME --add DATA` teaches it more: the photos join those that it was taught before.
    """
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.evaluate import words

    name, data = _name_and_data(data, more, name, add)
    store = open_store(data_dir)
    options = verbs.options_of(TeachOptions(backbone=backbone, effort=effort, head=head, seed=seed, add=add))
    with render.progress() as progress:
        taught = verbs.teach(store, data, name=name, backbone=backbone, test=test, add=add, options=options, progress=progress)
    _write_report(store, taught.report, html, card)
    measures = taught.report.measures
    document = render.version_json(taught.version) | {"findings": _findings_json(taught.findings), "report": _json(taught.report)}
    lines = [f"{render.label(taught.version)} is ready: {len(measures.classes)} labels.", words.headline(measures), words.trust(measures)]
    lines += words.cautions(measures)
    if taught.report.learning:
        lines.append(words.outlook(taught.report.learning))
    if taught.findings:
        lines.append(f"{len(taught.findings)} things about the photos deserve a look: mingmu audit {data}")
    render.print_result(as_json, document, "\n".join(lines))


def _name_and_data(first: Path, second: Path | None, name: str | None, add: bool) -> tuple[str, Path]:
    """What `DATA --name NAME` or `NAME --add DATA` means."""
    if second is None and name is not None:
        return name, first
    if second is not None and name is None and add:
        return str(first), second
    raise typer.BadParameter("it is mingmu teach DATA --name NAME, or mingmu teach NAME --add DATA", param_hint="NAME")


def evaluate(
    name: Name,
    data: Data,
    html: Html = None,
    card: Annotated[Path | None, typer.Option(help="Also write a model card in Markdown.", show_default=False)] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Measure a recognizer on labelled photos, each figure with its interval."""
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.evaluate.summary import summary

    store = open_store(data_dir)
    with render.progress() as progress:
        report = verbs.evaluate(store, name, data, progress)
    _write_report(store, report, html, card)
    render.print_result(as_json, _json(report), "\n".join(summary(report.measures)))


def compare(
    one: Annotated[str, typer.Argument(metavar="A", help="A recognizer.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another one, or another version.")],
    data: Data,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Say whether B is better than A on the same photos, as far as these can show it."""
    from dataclasses import asdict

    from mingmu import verbs
    from mingmu.cli import render

    with render.progress() as progress:
        found = verbs.compare(open_store(data_dir), one, other, data, progress)
    text = "\n".join((f"A is {one}, B is {other}: {found.verdict}", *found.remarks))
    render.print_result(as_json, asdict(found) | {"verdict": found.verdict, "remarks": found.remarks}, text)


def audit(
    data: Data,
    html: Html = None,
    fix: Annotated[Path | None, typer.Option(help="Write a cleaned copy into this new folder.", show_default=False)] = None,
    backbone: Annotated[str, typer.Option(help="The recognizer whose network looks at the photos.")] = "general",
    detector: Annotated[
        str | None, typer.Option(help="Photos with boxes: the detector that says which are missing or wrong.", show_default=False)
    ] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Find what is wrong with labelled photos before anything learns from them: duplicates, leaks, wrong labels and more."""
    from collections import Counter

    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.data.audit_page import audit_page
    from mingmu.data.exports import check_empty

    if fix:
        check_empty(fix)  # before minutes go into an audit
    store = open_store(data_dir)
    with render.progress() as progress:
        audited = verbs.audit(store, data, backbone=backbone, detector=detector, progress=progress)
        cleaned = verbs.clean(store, audited, fix, backbone=backbone, progress=progress) if fix else None
    if html:
        html.write_text(audit_page(audited.dataset, store.blobs, audited.findings, data.name), encoding="utf-8")
    counts = Counter(finding.kind for finding in audited.findings)
    lines = [f"{len(audited.dataset)} photos, {len(audited.dataset.labels)} labels"]
    lines += [f"{kind}\t{count}" for kind, count in counts.most_common()] or ["nothing found that is in the way"]
    document: dict[str, Any] = {"photos": len(audited.dataset), "findings": _findings_json(audited.findings)}
    if cleaned:
        lines.append(cleaned.verdict)
        document["cleaned"] = {
            "photos": len(cleaned.dataset),
            "accuracy": {"before": cleaned.before, "after": cleaned.after},
            "verdict": cleaned.verdict,
        }
    render.print_result(as_json, document, "\n".join(lines))


def _write_report(store: Store, report: AnyReport, html: Path | None, card: Path | None) -> None:
    from mingmu.evaluate.card import card as card_of
    from mingmu.verbs import page_of

    if html:
        html.write_text(page_of(store, report), encoding="utf-8")
    if card:
        card.write_text(card_of(report), encoding="utf-8")


def _json(report: AnyReport) -> dict[str, Any]:
    import json

    document: dict[str, Any] = json.loads(report.to_json())
    return document


def _findings_json(findings: Any) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [asdict(finding) for finding in findings]
