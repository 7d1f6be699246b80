"""The page of a detector: how much it finds, what it invents, what it mixes up, and the photos on which it is worst."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from mingmu.evaluate import chart
from mingmu.evaluate.box_measures import BoxClass, BoxMeasures, Drawn, Miss
from mingmu.evaluate.box_words import operation
from mingmu.evaluate.html import bar, data_url, estimate, facts, figure, section, share, table
from mingmu.evaluate.report import BoxReport
from mingmu.evaluate.sheet import about, cost_cards, opening, training
from mingmu.evaluate.thumbnails import Thumbnail
from mingmu.evaluate.words import interval, percent

KINDS = {
    "right": "right",
    "missed": "missed",
    "invented": "said, but nothing of the kind is there",
    "confused": "said to be something else",
}
COLOURS = {"right": "#2ecc71", "missed": "#ffd43b", "invented": "#ff5c38", "confused": "#d66bff"}


def sections(report: BoxReport, thumbnails: Mapping[str, Thumbnail]) -> list[str]:
    """The page of a detector, section by section."""
    measures = report.measures
    return [
        opening(report, _cards(report)),
        section("How much is found, how much is right", _curves(measures)),
        section("Label by label", _labels(measures)),
        section("Small things and large", _sizes(measures)),
        section("What does it mix up, miss, or make up?", _confusion(measures)),
        section("How it learned", training(report)),
        section("The photos on which it is worst", _misses(measures.misses, thumbnails)),
        section("What was measured, and how", facts(_about(report))),
    ]


def _cards(report: BoxReport) -> Iterable[tuple[str, str, str]]:
    measures = report.measures
    found = measures.ap50
    yield "AP50", percent(found.value), f"{interval(found)}. A box is right that shares half of its union with the thing"
    found = measures.mean_average_precision
    yield "mAP", percent(found.value), f"{interval(found)}. As COCO has it: the mean over shares from .5 to .95"
    found = measures.ap75
    yield "AP75", percent(found.value), f"{interval(found)}. Three quarters must be shared"
    yield (
        "Found",
        percent(measures.recall.value),
        f"{interval(measures.recall)}. Of what is there, with a threshold of {measures.threshold:g}",
    )
    if measures.precision:
        yield "Right", percent(measures.precision.value), f"{interval(measures.precision)}. Of the boxes that it then says"
    yield from cost_cards(report)


def _curves(measures: BoxMeasures) -> str:
    drawn = [found for found in measures.classes if found.curve][: chart.NUMBERED]
    plot = chart.precision_recall(drawn, measures.threshold)
    dot = f"Dots: with the usual threshold of {measures.threshold:g}."
    caption = f"One line for each label, from its surest box to its least sure. {dot} A lower threshold finds more and is right less often."
    key = "".join(_key(chart.hue(number, len(drawn)), escape(found.label)) for number, found in enumerate(drawn))
    return f'<p>{escape(operation(measures))}</p><p class="soft">{key}</p><div class="plots">{figure(plot, caption)}</div>'


def _key(colour: str, meaning: str) -> str:
    return f'<span class="key" style="border-color: {colour}"></span>{meaning}'


def _labels(measures: BoxMeasures) -> str:
    names = ["label", "boxes", "AP50", "mAP", "found (recall)", "", "right when said (precision)", "F1"]
    return f'<div class="scroll">{table(names, map(_label, measures.occurring()), "The weakest first; small print: 95 % intervals")}</div>'


def _label(found: BoxClass) -> list[str]:
    average = [share(found.ap50), share(found.average_precision)]
    return [
        escape(found.label),
        str(found.there),
        *average,
        estimate(found.recall),
        bar(found.recall),
        estimate(found.precision),
        estimate(found.f1),
    ]


def _sizes(measures: BoxMeasures) -> str:
    meaning = {"small": "below 32 x 32 pixels", "medium": "up to 96 x 96 pixels", "large": "larger"}
    rows = [
        [f"{each.size}: {meaning[each.size]}", str(each.there), share(each.average_precision), share(each.found)] for each in measures.sizes
    ]
    return table(["size in the photo", "boxes", "mAP", "found"], rows, "A square of the same area counts")


def _confusion(measures: BoxMeasures) -> str:
    nothing = len(measures.classes)
    names = {at: found.label for at, found in enumerate(measures.classes) if found.there or found.said} | {nothing: "(nothing)"}
    supports = {at: sum(count for true, _, count in measures.confusion if true == at) for at in names}
    board = chart.board(names, measures.confusion, supports, "boxes")
    if not board:
        return "<p>There are too many labels to draw all of them against each other.</p>"
    note = "Each row: the things of one label. Green: found. Orange: said to be the column's; last column: missed; last row: nothing there."
    style = "beside" if len(names) <= chart.NUMBERED else "scroll"
    return f'<div class="{style}">{figure(board, note)}</div>'


def _misses(misses: Sequence[Miss], thumbnails: Mapping[str, Thumbnail]) -> str:
    if not misses:
        return "<p>There is none: every box is right, and nothing was missed.</p>"
    key = "".join(_key(COLOURS[kind], meaning) for kind, meaning in KINDS.items())
    note = "Often it is the labels that are wrong: look there first."
    drawn = "".join(_miss(miss, thumbnails.get(miss.image)) for miss in misses)
    return f'<p>{note}</p><p class="soft">{key}</p><div class="mistakes">{drawn}</div>'


def _miss(miss: Miss, thumbnail: Thumbnail | None) -> str:
    counts = [f"{miss.count(kind)} {kind}" for kind in KINDS if miss.count(kind)]
    caption = f"<figcaption><b>{', '.join(counts)}</b><br>{escape(miss.name)}</figcaption>"
    if thumbnail is None:
        return f"<figure>{caption}</figure>"
    width, height = miss.size
    photo = f'<image href="{data_url(thumbnail.seen, "jpeg")}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    boxes = "".join(map(_box, sorted(miss.boxes, key=lambda box: box.kind != "right")))
    drawn = f'<svg class="seen" viewBox="0 0 {width} {height}" role="img" aria-label="{", ".join(counts)}">{photo}{boxes}</svg>'
    return f"<figure>{drawn}{caption}</figure>"


def _box(box: Drawn) -> str:
    said = f"{box.label} {percent(box.score, 0)}" if box.score is not None else f"{box.label}, missed"
    note = f"{said}; is {box.truth}" if box.kind == "confused" else said
    place = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'
    return f'<rect class="{box.kind}" {place}><title>{escape(note)}</title></rect>'


def _about(report: BoxReport) -> Iterable[Sequence[str]]:
    measures = report.measures
    yield from about(report)
    rules = "COCO's: each box, the surest first, takes the box of its label that it shares most with, and that is free"
    yield "matching", rules
    figures = {"AP": measures.ap50, "found": measures.recall, "right": measures.precision}
    named = "; ".join(f"{name}: {found.method}" for name, found in figures.items() if found)
    yield "intervals", f"{escape(named)}. All at 95 %."
