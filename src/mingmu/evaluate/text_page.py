"""The page of a reader: how much it reads, which characters it mixes up, and the texts of which it was sure and wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from mingmu.evaluate.html import bar, data_url, estimate, facts, section, table
from mingmu.evaluate.report import TextReport
from mingmu.evaluate.sheet import about, cost_cards, opening, training
from mingmu.evaluate.text_measures import Misread, TextClass, TextMeasures
from mingmu.evaluate.text_words import operation, taken_for
from mingmu.evaluate.thumbnails import Thumbnail
from mingmu.evaluate.words import interval, percent


def sections(report: TextReport, thumbnails: Mapping[str, Thumbnail]) -> list[str]:
    """The page of a reader, section by section."""
    measures = report.measures
    return [
        opening(report, _cards(report)),
        section("Character by character", _characters(measures)),
        section("How it learned", training(report)),
        section("Its surest mistakes", _mistakes(measures.misread, thumbnails)),
        section("What was measured, and how", facts(_about(report))),
    ]


def _cards(report: TextReport) -> Iterable[tuple[str, str, str]]:
    exact, wrong = report.measures.exact, report.measures.character_errors
    yield "Read without a mistake", percent(exact.value), f"{interval(exact)}. Every character of a text, and no other"
    yield "Characters that are wrong", percent(wrong.value, 2), f"{interval(wrong)}. Edits that would mend all texts, by their characters"
    yield from cost_cards(report)


def _characters(measures: TextMeasures) -> str:
    names = ["character", "there", "read right", "", "taken for"]
    made_up = f" Read where nothing stands: {measures.invented}." if measures.invented else ""
    rows = table(names, map(_character, measures.occurring()), f"The worst first; small print: 95 % intervals.{made_up}")
    return f'<p>{escape(operation(measures))}</p><div class="scroll">{rows}</div>'


def _character(found: TextClass) -> list[str]:
    return [escape(found.label), str(found.there), estimate(found.right), bar(found.right), escape(taken_for(found))]


def _mistakes(misread: Sequence[Misread], thumbnails: Mapping[str, Thumbnail]) -> str:
    if not misread:
        return "<p>There is none: every text was read as it stands there.</p>"
    drawn = "".join(_mistake(each, thumbnails.get(each.image)) for each in misread)
    return f'<p>Often it is the text that is noted wrong: look there first.</p><div class="mistakes">{drawn}</div>'


def _mistake(misread: Misread, thumbnail: Thumbnail | None) -> str:
    photo = f'<img class="whole" src="{data_url(thumbnail.seen, "jpeg")}" alt="{escape(f"photo of {misread.text}")}">' if thumbnail else ""
    said = f"<b>{escape(misread.read) or 'nothing'}</b> {percent(misread.score, 0)}, is {escape(misread.text)}"
    return f"<figure>{photo}<figcaption>{said}<br>{escape(misread.name)}</figcaption></figure>"


def _about(report: TextReport) -> Iterable[Sequence[str]]:
    measures = report.measures
    yield from about(report)
    yield "characters", f"{measures.characters:,}; what was read is laid beside what is there so that the fewest characters differ"
    methods = f"read without a mistake: {measures.exact.method}; characters: {measures.character_errors.method}"
    yield "intervals", f"{escape(methods)}. All at 95 %."
