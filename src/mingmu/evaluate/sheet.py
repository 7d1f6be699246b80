"""What every report's page has, whatever the recognizer gives: its opening, what an answer costs, how it learned, what it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from mingmu.evaluate import chart, words
from mingmu.evaluate.html import card, figure
from mingmu.evaluate.report import AnyReport, BoxReport, Epoch, TextReport
from mingmu.evaluate.summary import cautions, headline
from mingmu.evaluate.words import percent


def opening(report: AnyReport, cards: Iterable[tuple[str, str, str]]) -> str:
    measures = report.measures
    notes = "".join(f'<p class="note">{escape(text)}</p>' for text in cautions(measures))
    return (
        f"<header><h1>{escape(report.subject.name)}</h1>"
        f'<p class="lead">{escape(headline(measures))}</p>'
        f'<p class="soft">Measured on {escape(measures.source)}, {escape(report.made[:10])}. '
        "Each range holds the true figure 95 times in 100.</p></header>"
        f'<dl class="cards">{"".join(card(*each) for each in cards)}</dl>{notes}'
    )


def cost_cards(report: AnyReport) -> Iterable[tuple[str, str, str]]:
    if report.cost:
        yield (
            "One answer takes",
            f"{report.cost.median_ms:.1f} ms",
            f"in the middle; 19 of 20 within {report.cost.p95_ms:.1f} ms. One thread, one photo at a time",
        )
        yield "Size", words.size(report.cost.head_bytes or report.cost.network_bytes), words.weight(report.cost)


def training(report: AnyReport) -> str:
    if not report.training:
        return ""
    if len(report.training) == 1:
        return _once(report, report.training[0])
    dashed = "" if isinstance(report, BoxReport) else "; dashed: on photos held out"
    plots = figure(chart.losses(report.training), f"Line: loss on the photos that taught, changed at random{dashed}.")
    accuracies = chart.accuracies(report.training, f"{_good(report)} photos held out")
    if accuracies:
        plots += figure(accuracies, "The best of these epochs is what was sealed. These photos are not those of the figures above.")
    return f'<div class="beside">{plots}</div>'


def _once(report: AnyReport, epoch: Epoch) -> str:
    """One epoch is no curve."""
    held_out = epoch.held_out_accuracy
    good = "" if held_out is None else f"; {percent(held_out)} {_good(report)} photos held out"
    return f"<p>In one epoch: a loss of {epoch.loss:.2f} on the photos that taught{good}.</p>"


def _good(report: AnyReport) -> str:
    match report:
        case BoxReport():
            return "AP50 on"
        case TextReport():
            return "read without a mistake of"
    return "right of"


def about(report: AnyReport) -> Iterable[Sequence[str]]:
    subject, data, measures = report.subject, report.data, report.measures
    yield "recognizer", f"{escape(subject.name)} <code>{subject.digest}</code>"
    if subject.backbone:
        yield "on the network", f"{escape(subject.backbone)} <code>{subject.backbone_digest}</code>"
    yield "licence", escape(subject.licence)
    if subject.backbone_licence:
        yield "licence of the network", escape(subject.backbone_licence)
    yield "dataset", f"{data.examples:,} photos, {data.labels:,} labels <code>{data.digest}</code>"
    yield "measured", f"{measures.examples:,} photos ({escape(measures.source)}), {escape(report.made)}, {escape(subject.runtime)}"
