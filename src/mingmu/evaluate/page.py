"""The report as one web page: no JavaScript, nothing loaded from elsewhere, light and dark, and it prints."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files

from mingmu.evaluate import box_page, label_page, text_page
from mingmu.evaluate.report import AnyReport, BoxReport, TextReport
from mingmu.evaluate.thumbnails import Thumbnail


def page(report: AnyReport, thumbnails: Mapping[str, Thumbnail] | None = None) -> str:
    """A whole HTML document. `thumbnails` of the worst mistakes, by the image's SHA-256."""
    name, sections = escape(report.subject.name), _sections(report, thumbnails or {})
    style = files("mingmu.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: report</title><style>{style}</style></head>\n<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _sections(report: AnyReport, pictures: Mapping[str, Thumbnail]) -> list[str]:
    match report:
        case BoxReport():
            return box_page.sections(report, pictures)
        case TextReport():
            return text_page.sections(report, pictures)
    return label_page.sections(report, pictures)
