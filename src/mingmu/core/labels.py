"""What labels may be made of, and how any text is shown on one line of a terminal."""

from __future__ import annotations

import unicodedata

HARMFUL = frozenset(("Cc", "Zl", "Zp"))  # controls, among them tab, newline and escape; line and paragraph separators
REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # make text read as another one


def clean_label(text: str) -> str:
    """A label in one spelling, on one line: é typed in two ways is one class, white space is one space, controls are left out."""
    kept = "".join(character for character in text if character.isspace() or not _is_harmful(character))
    return unicodedata.normalize("NFC", " ".join(kept.split()))


def on_one_line(text: str) -> str:
    """Text for a terminal: what would move the cursor, or reorder what stands there, is written as `\\n`, `\\x1b` or `\\u202e`."""
    return "".join(_escaped(character) if _is_harmful(character) else character for character in text)


def _is_harmful(character: str) -> bool:
    return unicodedata.category(character) in HARMFUL or character in REORDERING


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
