"""The report as one web page: no JavaScript, nothing loaded from elsewhere, light and dark, and it prints."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files

from mingmu.evaluate import chart, words
from mingmu.evaluate.calibration import Coverage
from mingmu.evaluate.intervals import Estimate
from mingmu.evaluate.measure import ClassMeasures, Measures, Mistake
from mingmu.evaluate.report import Report
from mingmu.evaluate.thumbnails import Thumbnail
from mingmu.evaluate.words import interval, percent

CONFUSED = 10


def page(report: Report, thumbnails: Mapping[str, Thumbnail] | None = None) -> str:
    """A whole HTML document. `thumbnails` of the worst mistakes, by the image's SHA-256."""
    measures, name = report.measures, escape(report.subject.name)
    sections = [
        _opening(report),
        _section("Can its confidence be believed?", _trust(measures)),
        _section("What does it confuse?", _confusions(measures)),
        _section("Label by label", _labels(measures)),
        _section("What would more photos bring?", _learning(report)),
        _section("How it learned", _training(report)),
        _section("Its surest mistakes", _mistakes(measures.mistakes, thumbnails or {})),
        _section("What was measured, and how", _about(report)),
    ]
    style = files("mingmu.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: report</title><style>{style}</style></head>\n<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>\n" if body else ""


def _opening(report: Report) -> str:
    measures = report.measures
    notes = "".join(f'<p class="note">{escape(text)}</p>' for text in words.cautions(measures))
    return (
        f"<header><h1>{escape(report.subject.name)}</h1>"
        f'<p class="lead">{escape(words.headline(measures))}</p>'
        f'<p class="soft">Measured on {escape(measures.source)}, {escape(report.made[:10])}. '
        "Each range holds the true figure 95 times in 100.</p></header>"
        f'<dl class="cards">{"".join(_card(*card) for card in _cards(report))}</dl>{notes}'
    )


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
    if report.cost:
        yield (
            "One answer takes",
            f"{report.cost.median_ms:.1f} ms",
            f"in the middle; 19 of 20 within {report.cost.p95_ms:.1f} ms. One thread, one photo at a time",
        )
        yield "Size", words.size(report.cost.head_bytes or report.cost.network_bytes), words.weight(report.cost)


def _card(name: str, value: str, meaning: str) -> str:
    return f'<div class="card"><dt>{escape(name)}</dt><dd class="value">{escape(value)}</dd><dd class="soft">{escape(meaning)}</dd></div>'


def _trust(measures: Measures) -> str:
    plots = _figure(
        chart.reliability(measures.calibration),
        "On the dashed line, confidence is exactly what it says. Each dot holds equally many answers.",
    )
    plots += _figure(chart.selective(measures.selective), "Refuse the photos it is least sure of, and it is right more often on the rest.")
    return f'<p>{escape(words.trust(measures))}</p><div class="plots">{plots}</div>{_coverage(measures)}'


def _coverage(measures: Measures) -> str:
    rows = [
        [percent(row.promised, 0), _estimate(row.held), f"{row.size:.2f}", percent(row.empty), _promise(row)] for row in measures.coverage
    ]
    caption = "Sets of labels that promise to hold the truth"
    return _table(["promised", "held the truth", "labels in a set", "empty sets", "promise"], rows, caption) if rows else ""


def _promise(row: Coverage) -> str:
    return "kept, with wider sets than it takes" if row.wide else "kept" if row.kept else "<b>broken</b>"


def _confusions(measures: Measures) -> str:
    if measures.multi_label:
        return ""
    confused = measures.confused(CONFUSED)
    if not confused:
        return "<p>Nothing: there was no mistake.</p>"
    rows = [[escape(true), escape(said), str(count), percent(count / support)] for true, said, count, support in confused]
    pairs = _table(["photos of", "taken for", "photos", "of that label"], rows, "The commonest confusions")
    board = chart.confusion(measures)
    if not board:
        return f"{pairs}<p>There are too many labels to draw all of them against each other.</p>"
    note = "Each row: the photos of one label. Green: said rightly. Orange: taken for the label of that column. Stronger: more of the row."
    style = "beside" if len(measures.occurring()) <= chart.NUMBERED else "scroll"
    return f'<div class="{style}">{pairs}{_figure(board, note)}</div>'


def _labels(measures: Measures) -> str:
    """Every label that occurs, the worst found first."""
    shown = measures.occurring()
    ranked = ["average precision"] if measures.multi_label else []
    rows = [_label(found) + ([_share(found.average_precision)] if ranked else []) for found in shown]
    names = ["label", "photos", "found (recall)", "", "right when said (precision)", "F1", *ranked]
    return f'<div class="scroll">{_table(names, rows, "The weakest first; small print: 95 % intervals")}</div>'


def _label(found: ClassMeasures) -> list[str]:
    return [
        escape(found.label),
        str(found.support),
        _estimate(found.recall),
        _range(found.recall),
        _estimate(found.precision),
        _estimate(found.f1),
    ]


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _estimate(found: Estimate | None) -> str:
    return f"{percent(found.value)} <small>{100 * found.low:.0f}–{100 * found.high:.0f}</small>" if found else "–"


def _range(found: Estimate | None) -> str:
    """An interval drawn as a bar on 0..1."""
    if found is None:
        return ""
    span = f'<rect class="span" x="{100 * found.low:.1f}" width="{100 * (found.high - found.low):.1f}" y="1" height="8"/>'
    at = f'<rect class="at" x="{100 * found.value - 0.8:.1f}" width="1.6" y="0" height="10"/>'
    bar = f'<rect class="track" width="100" y="4" height="2"/>{span}{at}'
    return f'<svg class="range" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'


def _learning(report: Report) -> str:
    if report.learning is None:
        return ""
    return f"<p>{escape(words.outlook(report.learning))}</p>" + _figure(
        chart.learning(report.learning),
        "Dots: accuracy with so many photos. Line: the inverse power law that fits them; dashed: looking ahead.",
    )


def _training(report: Report) -> str:
    if not report.training:
        return ""
    plots = _figure(chart.losses(report.training), "Line: loss on the photos that taught, changed at random; dashed: on photos held out.")
    accuracies = chart.accuracies(report.training)
    if accuracies:
        plots += _figure(accuracies, "The best of these epochs is what was sealed. These photos are not those of the figures above.")
    return f'<div class="beside">{plots}</div>'


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
    return f'<img src="data:image/png;base64,{b64encode(png).decode()}" alt="{escape(meaning)}"> '


def _about(report: Report) -> str:
    subject, data, measures, trust = report.subject, report.data, report.measures, report.measures.calibration
    rows = [
        ["recognizer", f"{escape(subject.name)} <code>{subject.digest}</code>"],
        *([["on the network", f"{escape(subject.backbone)} <code>{subject.backbone_digest}</code>"]] if subject.backbone else []),
        ["licence", escape(subject.licence)],
        *([["licence of the network", escape(subject.backbone_licence)]] if subject.backbone_licence else []),
        ["dataset", f"{data.examples:,} photos, {data.labels:,} labels <code>{data.digest}</code>"],
        ["measured", f"{measures.examples:,} photos ({escape(measures.source)}), {escape(report.made)}, {escape(subject.runtime)}"],
        ["log-loss", f"{measures.log_loss.value:.3f} <small>{measures.log_loss.low:.3f}–{measures.log_loss.high:.3f}</small>"],
        ["calibration error", f"{percent(trust.ece, 2)} in bins of equal width, {percent(trust.ece_equal_mass, 2)} in bins of equal mass"],
        ["intervals", escape(_methods(measures))],
    ]
    body = "".join(f'<tr><th scope="row">{name}</th><td class="text">{text}</td></tr>' for name, text in rows)
    return f"<table>{body}</table>"


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


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
