"""The report of a reader as one web page: no JavaScript, nothing loaded from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from importlib.resources import files

from mingmu.core.errors import MingmuError
from mingmu.core.pixels import encode_png, whole
from mingmu.data.dataset import Blobs
from mingmu.evaluate.reading import Misread, ReadMeasures

SHOWN = 256  # pixels a side of a misread photo, at most


def reading_page(name: str, measures: ReadMeasures, blobs: Blobs) -> str:
    """A whole HTML document, with the misread photos of which the reader was surest."""
    style = files("mingmu.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    rows = "".join(_row(misread, blobs) for misread in measures.misread)
    table = f"<table><tr><th>photo</th><th>text</th><th>read</th><th>sure</th></tr>{rows}</table>" if rows else "<p>None.</p>"
    unread = f'<p class="note">{measures.unreadable} photos could not be decoded; they count as wrong.</p>' if measures.unreadable else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}: report</title><style>{style}</style></head>\n<body><main>"
        f'<header><h1>{escape(name)}</h1><p class="lead">{escape(measures.headline)}</p>'
        '<p class="soft">Measured on texts that it did not learn from. Each range holds the true figure 95 times in 100.</p></header>'
        f"{unread}<section><h2>Its surest mistakes</h2>{table}</section></main></body></html>\n"
    )


def _row(misread: Misread, blobs: Blobs) -> str:
    cells = (_picture(misread.image, blobs), escape(misread.text), escape(misread.read) or "nothing", f"{misread.score:.0%}")
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _picture(image: str, blobs: Blobs) -> str:
    try:
        png = b64encode(encode_png(whole(blobs.get(image), most=SHOWN).pixels)).decode()
    except MingmuError:
        return ""  # the mistake is still listed, without its picture
    return f'<img alt="" src="data:image/png;base64,{png}">'
