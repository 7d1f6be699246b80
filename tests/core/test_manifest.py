from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from mingmu.core.errors import BadArtifact
from mingmu.core.manifest import HeadSpec, Manifest
from tests.tiny import LABELS, ORIGIN, PIXELS


def classifier() -> Manifest:
    return Manifest(kind="model", name="colours", task="classify", pixels=PIXELS, labels=LABELS, origin=ORIGIN)


def test_the_bytes_of_a_manifest_give_the_same_manifest_and_the_same_bytes() -> None:
    manifest = classifier()
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert again.to_json() == manifest.to_json()


def test_labels_of_any_language_survive() -> None:
    manifest = classifier().model_copy(update={"labels": ("猫", "köpek", "hund🐕")})
    assert Manifest.from_json(manifest.to_json()).labels == ("猫", "köpek", "hund🐕")


def test_an_unknown_field_is_refused() -> None:
    raw = json.loads(classifier().to_json()) | {"surprise": 1}
    with pytest.raises(BadArtifact, match="surprise"):
        Manifest.from_json(json.dumps(raw).encode())


def test_a_manifest_of_another_format_version_is_refused() -> None:
    raw = json.loads(classifier().to_json()) | {"format": "mingmu-artifact/2"}
    with pytest.raises(BadArtifact, match="mingmu-artifact/1"):
        Manifest.from_json(json.dumps(raw).encode())


def test_a_manifest_that_was_reformatted_by_hand_is_refused() -> None:
    pretty = json.dumps(json.loads(classifier().to_json()), indent=2).encode()
    with pytest.raises(BadArtifact, match="canonical"):
        Manifest.from_json(pretty)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../b.npz", "a\\b", "", "a/b/c.npz", ".hidden"])
def test_a_file_name_that_leads_outside_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        classifier().model_validate(classifier().model_dump() | {"files": {name: "0" * 64}})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"labels": ("one",)}, "at least 2"),
        ({"labels": ("same", "same")}, "repeat"),
        ({"label_ids": ("n1",)}, "label ids"),
        ({"files": {"probes": "0" * 64, "probes/a.png": "0" * 64}}, "both a file and a folder"),
        ({"tolerance": {"outputs": 1.0}}, "less than or equal"),
        ({"tolerance": {"pixels": 255.0}}, "less than or equal"),
        ({"kind": "head"}, "head section"),
        ({"head": {"backbone": "0" * 64}}, "head section"),
        ({"embed": {"mean": 0, "deviation": 0.1, "pairs": 9, "things": 3}}, "embed section"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Manifest.model_validate(classifier().model_dump() | change)


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValidationError):
        HeadSpec(backbone="0" * 64, temperature=0)


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_junk_is_refused_as_a_bad_artifact(junk: bytes) -> None:
    with pytest.raises(BadArtifact):
        Manifest.from_json(junk)


def test_an_infinite_number_is_refused() -> None:
    data = classifier().to_json().replace(b'"pixels":{', b'"pixels":{"jpeg_scaling":Infinity,')
    with pytest.raises(BadArtifact, match="jpeg_scaling"):
        Manifest.from_json(data)


def test_a_head_is_for_one_label_unless_it_says_otherwise() -> None:
    raw = classifier().model_dump() | {"kind": "head"}
    one, several = (Manifest.model_validate(raw | {"head": {"backbone": "0" * 64, **more}}) for more in ({}, {"activation": "sigmoid"}))
    assert (one.multi_label, several.multi_label, classifier().multi_label) == (False, True, False)
    assert b"activation" not in one.to_json()  # heads sealed before keep their digest
