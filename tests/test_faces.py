# ruff: noqa: F811 - fixtures are imported, and then are the parameters of tests
"""What `mingmu faces` prints, with tiny parts."""

from __future__ import annotations

import itertools
import json
import os
import stat
from pathlib import Path

import pytest

from mingmu.core.pixels import whole
from mingmu.registry.store import Store
from tests import tiny_faces
from tests.test_cli import Run, run  # noqa: F401 - fixtures


@pytest.fixture
def photos(data_dir: Path, tmp_path: Path) -> Path:
    tiny_faces.publish(data_dir)
    for person in tiny_faces.PEOPLE:
        for number in range(4):
            (tmp_path / f"{person}-{number}.png").write_bytes(tiny_faces.photo(person, number))
    (tmp_path / "nobody.png").write_bytes(tiny_faces.nobody())
    return tmp_path


def test_two_photos_are_compared(run: Run, photos: Path) -> None:
    assert run("faces", "verify", photos / "ada-0.png", photos / "ada-1.png").out.startswith("the same person: similarity 1.000, threshold")
    found = run("faces", "verify", photos / "ada-0.png", photos / "bob-0.png", "--json", "--false-match-rate", "0.01").json
    assert (found["same"], found["false_match_rate"]) == (False, 0.01)


def test_people_are_enrolled_identified_listed_exported_and_deleted(run: Run, photos: Path) -> None:
    assert run("faces", "enrol", "family", "Ada", photos / "ada-0.png", photos / "ada-1.png").out == "Ada is in family, with 2 faces\n"
    assert run("faces", "identify", "family", photos / "ada-2.png").out.startswith("Ada\t1.000\t20.0\t20.0\t120.0\t120.0")
    assert run("faces", "identify", "family", photos / "bob-2.png", "--draw", photos / "named.png").out.startswith("unknown\t")
    assert whole((photos / "named.png").read_bytes(), most=4096).original == (320, 320)
    assert run("faces", "identify", "family", photos / "nobody.png", "--json").json["faces"] == []
    assert [each["person"] for each in run("faces", "list", "family", "--json").json["people"]] == ["Ada"]
    assert run("faces", "list", "--json").json["galleries"][0]["faces"] == 2
    assert run("faces", "export", "family", photos / "family.json").code == 0
    assert len(json.loads((photos / "family.json").read_text())["people"][0]["faces"]) == 2
    run("faces", "enrol", "family", "Bob", photos / "bob-0.png")
    of_ada = json.loads(run("faces", "export", "family", "-", "Ada").out)
    assert [each["person"] for each in of_ada["people"]] == ["Ada"]
    listed = [run("faces", "list", "family", *options).out for options in (("--limit", 1), ("--after", "Ada"))]
    assert [text.partition("\t")[0] for text in listed] == ["Ada", "Bob"]
    if os.name == "posix":
        assert stat.S_IMODE((photos / "family.json").stat().st_mode) == 0o600
    for wrong in ([""], [], ["Ada", "--all"]):
        assert run("faces", "delete", "family", *wrong).code == 1
    assert run("faces", "list", "--json").json["galleries"][0]["faces"] == 3
    assert run("faces", "delete", "family", "Ada").out == "Ada is deleted from family: 2 faces\n"
    assert run("faces", "delete", "family", "--all").code == 0
    assert run("faces", "list").out == ""
    assert run("faces", "create", "new").out == "new is ready\n"


def test_pairs_are_measured(run: Run, photos: Path) -> None:
    people = [f"{person}-{number}.png" for person in tiny_faces.PEOPLE for number in range(4)]
    rows = [f"{a},{b},{'yes' if a[:3] == b[:3] else 'no'}" for a, b in itertools.combinations(people, 2)]
    (photos / "pairs.csv").write_text("\n".join(["a,b,same", *rows]))
    found = run("faces", "evaluate", photos / "pairs.csv", "--json").json
    assert (found["held_out"]["true_match_rate"]["value"], found["usual"]["pairs"], found["strangers"]["things"]) == (1, 120, 4)
    assert run("faces", "evaluate", photos / "pairs.csv").out.partition(" % ")[2].startswith("of 56 pairs, by thresholds (")
    (photos / "pairs.csv").write_text("\n".join(["a,b,same", *rows, "nobody.png,nobody.png,yes"]))
    left_out = run("faces", "evaluate", photos / "pairs.csv", "--json").json
    assert (left_out["usual"]["pairs"], left_out["without_face"]) == (120, 1)
    (photos / "one.csv").write_text("a,b,same\nada-0.png,ada-1.png,yes\n")
    assert "1 pairs of the same person and 0 of different" in run("faces", "evaluate", photos / "one.csv").err


def test_faces_may_be_compared_by_a_network_of_ones_own(run: Run, photos: Path) -> None:
    people = [f"{person}-{number}.png" for person in tiny_faces.PEOPLE for number in range(4)]
    rows = [f"{a},{b},{'yes' if a[:3] == b[:3] else 'no'}" for a, b in itertools.combinations(people, 2)]
    (photos / "pairs.csv").write_text("\n".join(["a,b,same", *rows]))
    (photos / "own.onnx").write_bytes(tiny_faces.embedding())
    adopt = ("import", photos / "own.onnx", "--name", "own", "--task", "embed", "--mean", "0.35")
    assert run(*adopt).code == 2  # without pairs
    done = run(*adopt, "--pairs", photos / "pairs.csv")
    assert (done.code, done.out.partition(" ")[0]) == (0, "own@1"), done.err
    assert run("show", "own", "--json").json["manifest"]["embed"]["pairs"] == 96
    own = ("--embedder", "own", "--false-match-rate", 0.1)
    assert run("faces", "verify", photos / "ada-0.png", photos / "ada-1.png", *own, "--json").json["same"]
    run("faces", "enrol", "family", "Ada", photos / "ada-0.png", "--embedder", "own")
    assert run("faces", "identify", "family", photos / "ada-1.png", *own).out.startswith("Ada\t")
    mixed = run("faces", "enrol", "family", "Bob", photos / "bob-0.png")
    assert mixed.code == 1
    assert "vectors of another network, own@1, and those of mobilefacenet@1 do not compare with them" in mixed.err
    assert "yunet makes no vectors of faces" in run("faces", "identify", "family", photos / "ada-1.png", "--embedder", "yunet").err
    (photos / "copy.png").write_bytes((photos / "ada-0.png").read_bytes())
    (photos / "few.csv").write_text("\n".join(["a,b,same", *["ada-0.png,bob-0.png,no", "bob-0.png,copy.png,no"] * 30]))
    refused = run(*adopt, "--pairs", photos / "few.csv").err
    assert "1 distinct pairs of different people; at least 50 are needed" in refused
    of_two = [f"ada-{a}.png,bob-{b}.png,no" for a in range(8) for b in range(8)]
    for person, number in itertools.product(("ada", "bob"), range(8)):
        (photos / f"{person}-{number}.png").write_bytes(tiny_faces.photo(person, number))
    (photos / "alike.csv").write_text("\n".join(["a,b,same", *of_two]))
    assert "different people are all alike to the network" in run(*adopt, "--pairs", photos / "alike.csv").err


@pytest.mark.parametrize(("place", "complaint"), [("named.gif", "ends in .jpg, .jpeg, .png"), ("none/named.png", "there is no folder")])
def test_where_nothing_can_be_drawn_is_said_before_looking(run: Run, photos: Path, place: str, complaint: str) -> None:
    looked = run("faces", "identify", "none", photos / "ada-0.png", "--draw", photos / place)
    assert (looked.code, looked.out) == (1, "")
    assert complaint in looked.err
    assert not (photos / place).exists()


def test_a_detector_that_finds_no_faces_is_refused(run: Run, photos: Path, data_dir: Path) -> None:
    store = Store(data_dir)
    store.publish("yunet", store.add(lambda folder: tiny_faces.seal_finder(folder, landmarks=0)).digest)
    done = run("faces", "verify", photos / "ada-0.png", photos / "ada-1.png")
    assert done.code == 1
    assert "yunet finds no faces with 5 landmarks" in done.err


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("verify {folder}/none.png {folder}/ada-0.png", "no such file"),
        ("verify {folder} {folder}/ada-0.png", "cannot be read"),
        ("verify {folder}/ada-0.png {folder}/ada-1.png --false-match-rate 0", "between 1e-08 and 0.1"),
        ("verify {folder}/nobody.png {folder}/nobody.png", "a: no face was found"),
        ("enrol family Ada {folder}/ada-0.png {folder}/nobody.png", "photo 2: no face was found"),
        ("identify family {folder}/ada-0.png", "no gallery named 'family'"),
        ("list family --json", "no gallery named 'family'"),
        ("delete family --all", "no gallery named 'family'"),
        ("export family - Ada", "no gallery named 'family'"),
        ("delete family Ada", "no gallery named 'family'"),
    ],
)
def test_what_is_wrong_is_said(run: Run, photos: Path, command: str, complaint: str) -> None:
    done = run("faces", *(word.format(folder=photos) for word in command.split()))
    assert done.code == 1
    assert complaint in done.err
    assert "Traceback" not in done.err
