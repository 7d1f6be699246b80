from __future__ import annotations

import re

import pytest

from mingmu.core.errors import NotFound
from mingmu.zoo.catalog import CATALOG, Chain, Entry, Web, entry


@pytest.mark.parametrize("known", CATALOG, ids=lambda known: str(known.name))
def test_an_entry_says_what_it_is_and_where_it_comes_from(known: Entry) -> None:
    assert entry(known.name) is known
    if isinstance(known.source, Chain):
        assert {entry(part).ready for part in known.source.parts.values()} == {True}
    else:
        assert re.fullmatch(r"[0-9a-f]{64}", known.sha256)
        assert known.size > 0
    assert known.summary
    assert known.licence
    assert known.provenance


def test_names_and_files_are_unique() -> None:
    assert len({known.name for known in CATALOG}) == len(CATALOG)
    files = [known.file for known in CATALOG if not isinstance(known.source, Chain)]
    assert len(set(files)) == len(files)


def test_downloads_are_encrypted() -> None:
    urls = [known.source.url for known in CATALOG if isinstance(known.source, Web) and known.source.url]
    assert urls
    assert all(url.startswith("https://") for url in urls)


def test_withdrawn_training_photos_are_named() -> None:
    assert "MS-Celeb-1M" in entry("mobilefacenet").provenance
    assert "withdrew" in entry("mobilefacenet").provenance


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(NotFound, match="did you mean yunet"):
        entry("yunett")
    with pytest.raises(NotFound, match="it has general, general-large"):
        entry("zzz")
