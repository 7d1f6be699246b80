"""The audit as one HTML file: every finding with thumbnails, nothing to load and nothing to run."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby

from mingmu.core.errors import MingmuError
from mingmu.core.pixels import PixelSpec, encode_jpeg
from mingmu.data.dataset import Blobs, Dataset, Example
from mingmu.data.finding import KINDS, SEVERITIES, Finding

SHOWN = 60  # findings of one kind that get a card; the others are counted
PICTURES = 6  # of one finding
_SPEC = PixelSpec(size=(144, 144), fit="letterbox", pad_colour=(128, 128, 128))


def audit_page(dataset: Dataset, blobs: Blobs, findings: Iterable[Finding], title: str = "dataset") -> str:
    """A self-contained page, in HTML, with a section for each kind of finding."""
    ordered = sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.kind))
    kinds = [(kind, list(same)) for kind, same in groupby(ordered, key=lambda finding: finding.kind)]
    by_name = {example.name: example for example in dataset}
    style = (files("mingmu.data") / "audit.css").read_text("utf-8")
    sections = "\n".join(_section(kind, same, by_name, blobs) for kind, same in kinds)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Audit of {escape(title)}</title>\n<style>\n{style}</style></head>\n<body>\n"
        f"{_header(dataset, kinds, title)}\n{_labels(dataset)}\n{sections}\n"
        f"<footer>Dataset <code>{dataset.digest}</code></footer>\n</body></html>\n"
    )


def _header(dataset: Dataset, kinds: Sequence[tuple[str, list[Finding]]], title: str) -> str:
    count = sum(len(same) for _, same in kinds)
    said = f"{count:,} findings" if count else "nothing found that is in the way"
    links = "".join(
        f'<a class="{KINDS[kind].severity}" href="#{kind}"><b>{len(same):,}</b> {kind}<small>{escape(KINDS[kind].meaning)}</small></a>'
        for kind, same in kinds
    )
    return (
        f"<header><h1>Audit of {escape(title)}</h1>"
        f'<p class="lead">{len(dataset):,} images, {len(dataset.labels):,} labels: {said}.</p><nav>{links}</nav></header>'
    )


def _labels(dataset: Dataset) -> str:
    """How many images each label has, as bars."""
    counts = dataset.counts().most_common()
    if not counts:
        return ""
    most = counts[0][1]
    rows = "".join(
        f'<tr><th>{escape(label)}</th><td><span class="bar" style="width:{100 * count / most:.1f}%"></span></td><td>{count:,}</td></tr>'
        for label, count in counts[:SHOWN]
    )
    more = f"<p class='soft'>and {len(counts) - SHOWN:,} more labels</p>" if len(counts) > SHOWN else ""
    state = " open" if len(counts) <= 20 else ""
    return f'<details{state}><summary>Images of each label</summary><table class="labels">{rows}</table>{more}</details>'


def _section(kind: str, findings: list[Finding], by_name: dict[str, Example], blobs: Blobs) -> str:
    known = KINDS[kind]
    cards = "".join(_card(finding, by_name, blobs) for finding in findings[:SHOWN])
    more = f'<p class="soft">and {len(findings) - SHOWN:,} more like these</p>' if len(findings) > SHOWN else ""
    return (
        f'<section id="{kind}"><h2><span class="dot {known.severity}"></span>{escape(kind)} <small>{len(findings):,}</small></h2>'
        f"<p>{escape(known.meaning.capitalize())}. <b>What to do:</b> {escape(known.advice)}.</p>"
        f'<div class="cards">{cards}</div>{more}</section>'
    )


def _card(finding: Finding, by_name: dict[str, Example], blobs: Blobs) -> str:
    pictures = "".join(_picture(by_name[name], blobs) for name in finding.where[:PICTURES] if name in by_name)
    others = [name for name in finding.where if name not in by_name][:PICTURES]
    names = f"<p class='name'>{escape(', '.join(others))}</p>" if others else ""
    more = f"<p class='soft'>{len(finding.where) - PICTURES:,} more</p>" if len(finding.where) > PICTURES else ""
    sure = f'<p class="sure"><meter value="{finding.confidence}"></meter> {finding.confidence:.0%} sure</p>' if finding.confidence else ""
    wide = " wide" if len(finding.where) > 1 and pictures else ""
    return f'<article class="card{wide}"><div class="pictures">{pictures}</div>{names}<p>{escape(finding.detail)}</p>{sure}{more}</article>'


def _picture(example: Example, blobs: Blobs) -> str:
    caption = "|".join(example.labels) or "no label"
    side = f' <span class="split">{example.split}</span>' if example.split else ""
    try:
        image = b64encode(encode_jpeg(_SPEC.frame(blobs.get(example.image)).pixels)).decode()
        drawn = f'<img alt="{escape(example.name)}" src="data:image/jpeg;base64,{image}">'
    except MingmuError:
        drawn = '<div class="broken">cannot be decoded</div>'
    return f"<figure>{drawn}<figcaption><b>{escape(caption)}</b>{side}<br>{escape(example.name)}</figcaption></figure>"
