"""The model card: what a recognizer is, what it was measured on, and what it must not be trusted with.

The sections follow Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Iterator

from mingmu.evaluate import words
from mingmu.evaluate.box_measures import BoxMeasures
from mingmu.evaluate.intervals import Estimate
from mingmu.evaluate.measure import Measures
from mingmu.evaluate.report import AnyReport, BoxReport, Report, Subject, TextReport
from mingmu.evaluate.summary import cautions, headline, operation
from mingmu.evaluate.text_measures import TextMeasures
from mingmu.evaluate.text_words import taken_for
from mingmu.evaluate.words import interval, percent

WEAKEST = 10
SPECIAL = str.maketrans({character: "\\" + character for character in "\\`*_{}[]<>#|"})


def card(report: AnyReport) -> str:
    """A Markdown document."""
    sections = {
        "What it is": _details(report.subject),
        "What it is for": _use(report),
        **_figures(report),
        "Limits": _limits(report),
        "How to reproduce": _reproduction(report),
    }
    body = "\n".join(f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections.items())
    return f"# {plain(report.subject.name)}\n\n{plain(headline(report.measures))}\n\n{body}"


def _figures(report: AnyReport) -> dict[str, Iterator[str]]:
    match report:
        case BoxReport():
            return {"How good it is": _box_metrics(report), "Label by label": _box_labels(report.measures)}
        case TextReport():
            return {"How good it is": _text_metrics(report), "Character by character": _characters(report.measures)}
    return {"How good it is": _metrics(report), "Label by label": _labels(report.measures)}


def plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return " ".join(text.translate(SPECIAL).split())


def _details(subject: Subject) -> Iterator[str]:
    yield f"- A {subject.kind}, sealed; digest `{subject.digest}`"
    yield f"- Task: {subject.task}"
    yield f"- Made from: {plain(subject.source)}; licence: {plain(subject.licence)}"
    if subject.backbone:
        yield f"- Sits on the network {plain(subject.backbone)}, digest `{subject.backbone_digest}`"
        yield f"- Licence of the network: {plain(subject.backbone_licence or 'not stated')}"
    if subject.backbone_provenance:
        yield f"- Provenance of the network: {plain(subject.backbone_provenance)}"


def _use(report: AnyReport) -> Iterator[str]:
    labels = [found.label for found in report.measures.classes]
    named = ", ".join(plain(label) for label in labels[:30]) + (f" and {len(labels) - 30} more" if len(labels) > 30 else "")
    match report:
        case BoxReport():
            yield f"It finds things of {len(labels)} labels: {named}. It knows no others, whatever a photo shows."
        case TextReport():
            yield f"It reads text. {len(labels)} characters were looked at, of which it may know some only: {named}."
        case _:
            yield f"It says which of {len(labels)} labels a photo shows: {named}. It knows no others, whatever a photo shows."
    yield ""
    yield "It was measured on photos like those of the dataset below. Measure it again before it meets other cameras, places or seasons."


def _measured_on(report: AnyReport) -> Iterator[str]:
    measures, runtime = report.measures, plain(report.subject.runtime)
    yield f"Measured on {words.photos(measures.examples)} ({plain(measures.source)}), {report.made[:10]}, by {runtime}."
    yield f"Dataset: {words.photos(report.data.examples)}, {report.data.labels} labels, digest `{report.data.digest}`."
    yield ""
    yield "| measure | value | 95 % interval | method |\n|---|---|---|---|"


def _metrics(report: Report) -> Iterator[str]:
    measures = report.measures
    yield from _measured_on(report)
    yield _row("accuracy", measures.accuracy)
    if measures.mean_average_precision:
        yield _row("mean average precision", measures.mean_average_precision)
    yield _row("balanced accuracy", measures.balanced_accuracy)
    yield _row("macro F1", measures.macro_f1)
    found = measures.log_loss
    yield f"| log-loss | {found.value:.3f} | {found.low:.3f} to {found.high:.3f} | {found.method} |"
    yield ""
    yield plain(words.trust(measures))
    for promise in measures.coverage:
        held = f"{percent(promise.held.value)} of the time ({interval(promise.held)})"
        wide = " They are wider than it takes." if promise.wide else ""
        yield f"- Sets that promise {percent(promise.promised, 0)} held the truth {held}; {promise.size:.2f} labels each.{wide}"
    if report.learning:
        yield f"\n{plain(words.outlook(report.learning))}"
    if report.cost:
        spread = f"median; 95 % within {report.cost.p95_ms:.1f} ms"
        yield f"\nOne answer takes {report.cost.median_ms:.1f} ms ({spread}) on one thread. Size: {words.weight(report.cost)}."


def _box_metrics(report: BoxReport) -> Iterator[str]:
    measures = report.measures
    yield from _measured_on(report)
    named = {"AP50": measures.ap50, "mAP (.5 to .95)": measures.mean_average_precision, "AP75": measures.ap75}
    for name, found in (named | {"found": measures.recall, "right of those said": measures.precision}).items():
        if found:
            yield _row(name, found)
    yield f"\n{plain(operation(measures))}"


def _text_metrics(report: TextReport) -> Iterator[str]:
    yield from _measured_on(report)
    yield _row("read without a mistake", report.measures.exact)
    yield _row("characters that are wrong", report.measures.character_errors)


def _opened(head: str, rows: int) -> Iterator[str]:
    """The head of a table that shows the weakest of so many rows."""
    if rows > WEAKEST:
        yield f"The {WEAKEST} weakest of {rows}:\n"
    yield head


def _characters(measures: TextMeasures) -> Iterator[str]:
    shown = measures.occurring()
    yield from _opened("| character | there | read right | taken for |\n|---|---|---|---|", len(shown))
    for found in shown[:WEAKEST]:
        yield f"| {plain(found.label)} | {found.there} | {_cell(found.right)} | {plain(taken_for(found))} |"


def _box_labels(measures: BoxMeasures) -> Iterator[str]:
    shown = measures.occurring()
    yield from _opened("| label | boxes | AP50 | recall | precision |\n|---|---|---|---|---|", len(shown))
    for found in shown[:WEAKEST]:
        ap50 = "–" if found.ap50 is None else percent(found.ap50)
        yield f"| {plain(found.label)} | {found.there} | {ap50} | {_cell(found.recall)} | {_cell(found.precision)} |"


def _labels(measures: Measures) -> Iterator[str]:
    shown = measures.occurring()
    yield from _opened("| label | photos | recall | precision | F1 |\n|---|---|---|---|---|", len(shown))
    for found in shown[:WEAKEST]:
        yield f"| {plain(found.label)} | {found.support} | {_cell(found.recall)} | {_cell(found.precision)} | {_cell(found.f1)} |"


def _limits(report: AnyReport) -> Iterator[str]:
    for text in cautions(report.measures):
        yield f"- {plain(text)}"
    confused = report.measures.confused(5) if isinstance(report, Report) else []
    if confused:
        pairs = (f"{plain(true)} taken for {plain(said)} ({count})" for true, said, count, _ in confused)
        yield f"- The commonest confusions: {', '.join(pairs)}."
    yield "- The intervals speak of chance in drawing these photos, not of photos of another kind."
    yield "- Not to be the only ground of a decision about a person's health, safety, rights or money."


def _reproduction(report: AnyReport) -> Iterator[str]:
    yield f"```\nmingmu verify {report.subject.name}\nmingmu evaluate {report.subject.name} DATA\n```\n"
    yield f"The first proves that this machine gives the sealed answers of `{report.subject.digest[:12]}`."
    yield f"The second measures it anew; these figures are those of the dataset `{report.data.digest[:12]}`."


def _row(name: str, found: Estimate) -> str:
    return f"| {name} | {percent(found.value)} | {interval(found)} | {found.method} |"


def _cell(found: Estimate | None) -> str:
    return f"{percent(found.value)} ({interval(found)})" if found else "–"
