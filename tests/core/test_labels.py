from __future__ import annotations

import pytest

from mingmu.core.labels import clean_label, on_one_line


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("pear", "pear"),
        ("  a\tripe\r\n pear ", "a ripe pear"),
        ("a\x1b[31mred\x07 pear\x00", "a[31mred pear"),
        ("a \x00 b", "a b"),
        ("cafe\u0301", "café"),
        ("one\u2028two", "one two"),
        ("\u202eraep", "raep"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # a joiner is part of the word
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\n\x00", ""),
    ],
)
def test_a_label_is_one_line_of_plain_text(given: str, label: str) -> None:
    assert clean_label(given) == label
    assert clean_label(label) == label


def test_what_would_move_the_cursor_is_written_out() -> None:
    assert on_one_line("a\nb\tc\x1b[2J\x9b\u2028\u202e") == r"a\nb\tc\x1b[2J\x9b\u2028\u202e"
    assert on_one_line("梨 café 👩\u200d🚀 \\n") == "梨 café 👩\u200d🚀 \\n"
