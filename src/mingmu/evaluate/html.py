"""The parts that a report's page is made of."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from mingmu.evaluate.intervals import Estimate
from mingmu.evaluate.words import percent


def section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>\n" if body else ""


def card(name: str, value: str, meaning: str) -> str:
    return f'<div class="card"><dt>{escape(name)}</dt><dd class="value">{escape(value)}</dd><dd class="soft">{escape(meaning)}</dd></div>'


def figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def table(names: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(rows: Iterable[Sequence[str]]) -> str:
    """Names and what is to be said of them, which may be long."""
    body = "".join(f'<tr><th scope="row">{name}</th><td class="text">{text}</td></tr>' for name, text in rows)
    return f"<table>{body}</table>"


def share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def estimate(found: Estimate | None) -> str:
    return f"{percent(found.value)} <small>{100 * found.low:.0f}–{100 * found.high:.0f}</small>" if found else "–"


def bar(found: Estimate | None) -> str:
    """An interval drawn on 0..1."""
    if found is None:
        return ""
    span = f'<rect class="span" x="{100 * found.low:.1f}" width="{100 * (found.high - found.low):.1f}" y="1" height="8"/>'
    at = f'<rect class="at" x="{100 * found.value - 0.8:.1f}" width="1.6" y="0" height="10"/>'
    track = f'<rect class="track" width="100" y="4" height="2"/>{span}{at}'
    return f'<svg class="range" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{track}</svg>'


def data_url(image: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(image).decode()}"
