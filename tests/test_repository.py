from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mingmu
from mingmu.core.errors import MingmuError
from mingmu.settings import Settings, variable

ROOT = Path(__file__).resolve().parents[1]
LARGE_FILES = {
    "src/mingmu/core/probe_images/shapes.jpg",
    "src/mingmu/zoo/weights/plate-detector.onnx",
    "src/mingmu/zoo/weights/plate-reader.onnx",
    "tests/zoo/efficientnet_lite0.npz",
}
HEAVY_MODULES = ("torch", "onnxruntime", "onnx", "fastapi", "starlette", "uvicorn", "PIL", "rich")

# Spelled in pieces: this file is searched too.
PRIVATE = re.compile(
    "|".join(
        (
            r"(?<![\w.)])/(?:" + "|".join(("home", "root", "work", "Users")) + r")/\w",
            "file:" + r"///(?!etc/passwd)",
            "index-" + "url",
            "pypi" + r"\.org",
            "python" + "hosted",
            "download" + r"\.pytorch",
        )
    )
)


def tracked() -> list[Path]:
    """The files of the repository, with those that are about to be added."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the repository is unknown")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_bytes().decode(errors="ignore")


def test_no_file_names_a_private_path_or_a_package_registry() -> None:
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path in tracked() for match in PRIVATE.finditer(text_of(path))]
    assert found == []


def test_no_file_is_large_unless_it_is_listed() -> None:
    large = {path.relative_to(ROOT).as_posix() for path in tracked() if path.stat().st_size > 64 * 1024}
    assert large <= LARGE_FILES


def test_decisions_are_numbered_in_order_and_titled() -> None:
    pages = sorted((ROOT / "docs/adr").glob("*.md"))
    for number, page in enumerate(pages, start=1):
        assert page.name.startswith(f"{number:04}-")
        assert re.match(rf"# {number:04}\. \S", text_of(page)), f"{page.name} has no title"


def test_every_setting_is_documented() -> None:
    page = text_of(ROOT / "docs/settings.md")
    assert [name for name in Settings.model_fields if f"`{variable(name)}`" not in page] == []


def test_the_kinds_that_the_security_page_names_exist() -> None:
    named = re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"\|([^|]*)\|$", text_of(ROOT / "SECURITY.md"), re.MULTILINE)))
    assert named
    assert set(named) <= kinds(MingmuError)


def kinds(error: type[MingmuError]) -> set[str]:
    return {error.kind}.union(*(kinds(child) for child in error.__subclasses__()))


def test_the_pages_that_the_index_names_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", text_of(ROOT / "docs/index.md"))
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []


def test_the_exported_names_are_exactly_the_public_ones() -> None:
    assert list(mingmu.__all__) == sorted(set(mingmu.__all__))
    assert all(getattr(mingmu, name) is not None for name in mingmu.__all__)
    language = {"annotations", "TYPE_CHECKING"}
    public = {name for name, value in vars(mingmu).items() if not name.startswith("_") and not isinstance(value, ModuleType)}
    assert public - language <= set(mingmu.__all__)


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = f"import sys, mingmu; print(*(name for name in {HEAVY_MODULES} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
