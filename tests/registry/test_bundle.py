from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.artifact import PROBES, pack_arrays, seal
from mingmu.core.errors import BadArtifact, BadRequest, MingmuError, Unproven
from mingmu.registry.bundle import pack, unpack
from mingmu.registry.store import Store

Entries = list[tuple[zipfile.ZipInfo, bytes]]


@pytest.fixture
def bundle(data_dir: Path, tmp_path: Path) -> Path:
    """`tiny`, packed."""
    store = Store(data_dir)
    pack(store, store.resolve("tiny").digest, tmp_path / "tiny.mingmu")
    return tmp_path / "tiny.mingmu"


def rewritten(bundle: Path, change: Callable[[Entries], Entries], compression: int = zipfile.ZIP_STORED) -> Path:
    """The bundle with its entries changed."""
    with zipfile.ZipFile(bundle) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(bundle, "w") as archive:
        for info, data in change(entries):
            archive.writestr(info, data, compression)
    return bundle


def assert_refused(bundle: Path, data_dir: Path, error: type[MingmuError], match: str) -> None:
    """Refused, and nothing of it is left behind."""
    store = Store(data_dir)
    with pytest.raises(error, match=match):
        unpack(store, bundle)
    assert store.names() == []
    assert list(store.artifacts.iterdir()) == []
    assert [path for path in (data_dir / "aside").iterdir() if path.is_dir()] == []


def test_what_was_packed_is_the_same_recognizer_elsewhere(bundle: Path, data_dir: Path, tmp_path: Path) -> None:
    elsewhere = Store(tmp_path / "elsewhere")
    version = unpack(elsewhere, bundle)
    assert (version.name, version.digest) == ("tiny", Store(data_dir).resolve("tiny").digest)
    assert elsewhere.resolve("tiny") == version


def test_it_can_be_given_another_name(bundle: Path, tmp_path: Path) -> None:
    elsewhere = Store(tmp_path / "elsewhere")
    assert unpack(elsewhere, bundle, "colours").name == "colours"
    assert elsewhere.names() == ["colours"]


def test_a_wrong_name_is_refused_before_anything_is_kept(bundle: Path, tmp_path: Path) -> None:
    elsewhere = Store(tmp_path / "elsewhere")
    with pytest.raises(BadRequest, match="cannot be a name"):
        unpack(elsewhere, bundle, "../colours")
    assert list(elsewhere.artifacts.iterdir()) == []


def test_equal_recognizers_give_equal_bytes(bundle: Path, data_dir: Path, tmp_path: Path) -> None:
    store = Store(data_dir)
    pack(store, store.resolve("tiny").digest, tmp_path / "again.mingmu")
    assert (tmp_path / "again.mingmu").read_bytes() == bundle.read_bytes()


def test_the_recognizers_manifest_comes_first_and_its_backbone_is_there(bundle: Path, data_dir: Path) -> None:
    store = Store(data_dir)
    artifact = store.artifact(store.resolve("tiny").digest)
    assert artifact.manifest.head is not None
    with zipfile.ZipFile(bundle) as archive:
        names = archive.namelist()
    assert names[0] == f"{artifact.digest}/manifest.json"
    assert f"{artifact.manifest.head.backbone}/graph.onnx" in names


def test_an_artifact_that_was_changed_is_not_packed(data_dir: Path, tmp_path: Path) -> None:
    store = Store(data_dir)
    digest = store.resolve("tiny").digest
    (store.artifacts / digest / "head.npz").write_bytes(b"other weights")
    with pytest.raises(BadArtifact, match="not the file that was sealed"):
        pack(store, digest, tmp_path / "tiny.mingmu")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def flip_last_byte_of_weights(entries: Entries) -> Entries:
    return [(info, data[:-1] + bytes([data[-1] ^ 1]) if info.filename.endswith("head.npz") else data) for info, data in entries]


def change_manifest(entries: Entries) -> Entries:
    (info, data), *rest = entries
    return [(info, data.replace(b'"red"', b'"rot"')), *rest]


def without_backbone(entries: Entries) -> Entries:
    owner = entries[0][0].filename.partition("/")[0]
    return [(info, data) for info, data in entries if info.filename.startswith(owner)]


def as_link(entries: Entries) -> Entries:
    entries[1][0].external_attr = (stat.S_IFLNK | 0o777) << 16
    return entries


def with_entry(name: str) -> Callable[[Entries], Entries]:
    return lambda entries: [*entries, (zipfile.ZipInfo(name), b"hello")]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param(flip_last_byte_of_weights, "not the file that was sealed", id="weights changed"),
        pytest.param(change_manifest, "changed after sealing", id="manifest changed"),
        pytest.param(without_backbone, "is missing", id="backbone missing"),
        pytest.param(lambda entries: entries[:-1], "not those that the manifests name", id="file missing"),
        pytest.param(lambda entries: entries[1:], "should be the recognizer's manifest", id="manifest not first"),
        pytest.param(lambda _: [], "should be the recognizer's manifest", id="empty"),
        pytest.param(as_link, "compressed, encrypted or a link", id="link"),
        pytest.param(with_entry("../../escaped"), r"\.\./\.\./escaped", id="slip"),
        pytest.param(with_entry("/tmp/escaped"), "/tmp/escaped", id="absolute"),
        pytest.param(with_entry("extra.txt"), "extra.txt", id="unnamed file"),
    ],
)
def test_a_bundle_that_is_not_what_was_packed_is_refused(
    bundle: Path, tmp_path: Path, change: Callable[[Entries], Entries], match: str
) -> None:
    assert_refused(rewritten(bundle, change), tmp_path / "elsewhere", BadArtifact, match)


def test_compressed_entries_are_refused_before_they_can_unfold(bundle: Path, tmp_path: Path) -> None:
    bomb = rewritten(bundle, lambda entries: [*entries, (zipfile.ZipInfo("bomb"), bytes(10**6))], zipfile.ZIP_DEFLATED)
    assert_refused(bomb, tmp_path / "elsewhere", BadArtifact, "compressed")


def test_a_file_cut_short_is_refused(bundle: Path, tmp_path: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-100])
    assert_refused(bundle, tmp_path / "elsewhere", BadArtifact, "damaged")


def test_a_recognizer_that_does_not_prove_itself_is_refused(data_dir: Path, tmp_path: Path) -> None:
    store = Store(data_dir)
    honest = store.artifact(store.resolve("tiny").digest)

    def seal_lie(folder: Path) -> None:
        for name in honest.manifest.files:
            (folder / name).write_bytes(honest.read(name))
        probes = {name: np.asarray(values, np.float32) + np.float32(0.5) for name, values in honest.arrays(PROBES).items()}
        (folder / PROBES).write_bytes(pack_arrays(probes))
        seal(folder, honest.manifest)

    pack(store, store.add(seal_lie).digest, tmp_path / "liar.mingmu")
    assert_refused(tmp_path / "liar.mingmu", tmp_path / "elsewhere", Unproven, "differs")


def test_a_recognizer_whose_probes_say_nothing_is_refused(data_dir: Path, tmp_path: Path) -> None:
    store = Store(data_dir)
    honest = store.artifact(store.resolve("tiny").digest)

    def seal_nothing(folder: Path) -> None:
        (folder / "head.npz").write_bytes(
            pack_arrays({"weight": np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32), "bias": np.zeros(3, np.float32)})
        )
        (folder / PROBES).write_bytes(pack_arrays({"pixels": np.zeros((4, 8, 8, 3), np.uint8)}))
        seal(folder, honest.manifest)

    pack(store, store.add(seal_nothing).digest, tmp_path / "empty.mingmu")
    assert_refused(tmp_path / "empty.mingmu", tmp_path / "elsewhere", BadArtifact, "scores is needed")
