"""The page of a classifier: what it confuses, whether its confidence can be believed, and its surest mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from mingmu.evaluate import chart, words
from mingmu.evaluate.calibration import Coverage
from mingmu.evaluate.html import bar, data_url, estimate, facts, figure, section, share, table
from mingmu.evaluate.measure import ClassMeasures, Measures, Mistake
from mingmu.evaluate.report import Report
from mingmu.evaluate.sheet import about, cost_cards, opening, training
from mingmu.evaluate.thumbnails import Thumbnail
from mingmu.evaluate.words import interval, percent

CONFUSED = 10


def sections(report: Report, thumbnails: Mapping[str, Thumbnail]) -> list[str]:
    """The page of a classifier, section by section."""
    measures = report.measures
    return [
        opening(report, _cards(report)),
        section("Can its confidence be believed?", _trust(measures)),
        section("What does it confuse?", _confusions(measures)),
        section("Label by label", _labels(measures)),
        section("What would more photos bring?", _learning(report)),
        section("How it learned", training(report)),
        section("Its surest mistakes", _mistakes(measures.mistakes, thumbnails)),
        section("What was measured, and how", facts(_about(report))),
    ]


def _cards(report: Report) -> Iterable[tuple[str, str, str]]:
    measures = report.measures
    yield "Accuracy", percent(measures.accuracy.value), interval(measures.accuracy)
    if measures.mean_average_precision:
        found = measures.mean_average_precision
        yield "Mean average precision", percent(found.value), f"{interval(found)}. How well each label's photos are ranked"
    yield (
        "Balanced accuracy",
        percent(measures.balanced_accuracy.value),
        f"{interval(measures.balanced_accuracy)}. Every label counts the same, rare or not",
    )
    yield "Macro F1", percent(measures.macro_f1.value), f"{interval(measures.macro_f1)}. Finding and not over-saying, every label the same"
    trust = measures.calibration
    yield "Confidence is off by", percent(trust.ece), f"on average (ECE); up to {percent(trust.by_chance)} can be chance"
    yield from cost_cards(report)


def _trust(measures: Measures) -> str:
    plots = figure(
        chart.reliability(measures.calibration),
        "On the dashed line, confidence is exactly what it says. Each dot holds equally many answers.",
    )
    plots += figure(chart.selective(measures.selective), "Refuse the photos it is least sure of, and it is right more often on the rest.")
    return f'<p>{escape(words.trust(measures))}</p><div class="plots">{plots}</div>{_coverage(measures)}'


def _coverage(measures: Measures) -> str:
    rows = [
        [percent(row.promised, 0), estimate(row.held), f"{row.size:.2f}", percent(row.empty), _promise(row)] for row in measures.coverage
    ]
    caption = "Sets of labels that promise to hold the truth"
    return table(["promised", "held the truth", "labels in a set", "empty sets", "promise"], rows, caption) if rows else ""


def _promise(row: Coverage) -> str:
    return "kept, with wider sets than it takes" if row.wide else "kept" if row.kept else "<b>broken</b>"


def _confusions(measures: Measures) -> str:
    if measures.multi_label:
        return ""
    confused = measures.confused(CONFUSED)
    if not confused:
        return "<p>Nothing: there was no mistake.</p>"
    rows = [[escape(true), escape(said), str(count), percent(count / support)] for true, said, count, support in confused]
    pairs = table(["photos of", "taken for", "photos", "of that label"], rows, "The commonest confusions")
    board = chart.confusion(measures)
    if not board:
        return f"{pairs}<p>There are too many labels to draw all of them against each other.</p>"
    note = "Each row: the photos of one label. Green: said rightly. Orange: taken for the label of that column. Stronger: more of the row."
    style = "beside" if len(measures.occurring()) <= chart.NUMBERED else "scroll"
    return f'<div class="{style}">{pairs}{figure(board, note)}</div>'


def _labels(measures: Measures) -> str:
    """Every label that occurs, the worst found first."""
    shown = measures.occurring()
    ranked = ["average precision"] if measures.multi_label else []
    rows = [_label(found) + ([share(found.average_precision)] if ranked else []) for found in shown]
    names = ["label", "photos", "found (recall)", "", "right when said (precision)", "F1", *ranked]
    return f'<div class="scroll">{table(names, rows, "The weakest first; small print: 95 % intervals")}</div>'


def _label(found: ClassMeasures) -> list[str]:
    return [
        escape(found.label),
        str(found.support),
        estimate(found.recall),
        bar(found.recall),
        estimate(found.precision),
        estimate(found.f1),
    ]


def _learning(report: Report) -> str:
    if report.learning is None:
        return ""
    return f"<p>{escape(words.outlook(report.learning))}</p>" + figure(
        chart.learning(report.learning),
        "Dots: accuracy with so many photos. Line: the inverse power law that fits them; dashed: looking ahead.",
    )


def _mistakes(mistakes: Sequence[Mistake], thumbnails: Mapping[str, Thumbnail]) -> str:
    if not mistakes:
        return "<p>There was no mistake.</p>"
    explained = any(found.saliency for found in thumbnails.values())
    note = "Wrong answers that it was surest of. Often the label is what is wrong: look there first."
    note += " Beside each photo: where it looked; yellow spoke most for its answer." if explained else ""
    return f'<p>{note}</p><div class="mistakes">{"".join(_mistake(found, thumbnails.get(found.image)) for found in mistakes)}</div>'


def _mistake(found: Mistake, drawn: Thumbnail | None) -> str:
    truth = ", ".join(found.truth)
    pictures = ""
    if drawn:
        pictures = _image(drawn.seen, f"photo of {truth}") + (
            _image(drawn.saliency, f"what spoke for {found.said}") if drawn.saliency else ""
        )
    text = f"said <b>{escape(found.said)}</b> ({percent(found.score, 0)}), is <b>{escape(truth)}</b> ({percent(found.truth_score, 0)})"
    return f"<figure>{pictures}<figcaption>{text}<br>{escape(found.name)}</figcaption></figure>"


def _image(png: bytes, meaning: str) -> str:
    return f'<img src="{data_url(png, "png")}" alt="{escape(meaning)}"> '


def _about(report: Report) -> Iterable[Sequence[str]]:
    measures, trust = report.measures, report.measures.calibration
    yield from about(report)
    yield ["log-loss", f"{measures.log_loss.value:.3f} <small>{measures.log_loss.low:.3f}–{measures.log_loss.high:.3f}</small>"]
    yield ["calibration error", f"{percent(trust.ece, 2)} in bins of equal width, {percent(trust.ece_equal_mass, 2)} in bins of equal mass"]
    yield ["intervals", escape(_methods(measures))]


def _methods(measures: Measures) -> str:
    named = {
        "accuracy": measures.accuracy,
        "balanced accuracy": measures.balanced_accuracy,
        "macro F1": measures.macro_f1,
        "log-loss": measures.log_loss,
        "mean average precision": measures.mean_average_precision,
        "F1 of a label": next((found.f1 for found in measures.classes if found.f1), None),
    }
    return "; ".join(f"{name}: {found.method}" for name, found in named.items() if found) + ". All at 95 %."
