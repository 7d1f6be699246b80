"""The report as one web page: no JavaScript, nothing loaded from elsewhere, light and dark, and it prints."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files

from mingmu.evaluate import box_page, label_page
from mingmu.evaluate.report import AnyReport, BoxReport
from mingmu.evaluate.thumbnails import Thumbnail


def page(report: AnyReport, thumbnails: Mapping[str, Thumbnail] | None = None) -> str:
    """A whole HTML document. `thumbnails` of the worst mistakes, by the image's SHA-256."""
    name, pictures = escape(report.subject.name), thumbnails or {}
    sections = box_page.sections(report, pictures) if isinstance(report, BoxReport) else label_page.sections(report, pictures)
    style = files("mingmu.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: report</title><style>{style}</style></head>\n<body><main>{''.join(sections)}</main></body></html>\n"
    )
