"""Mingmu: a photo in, a proven answer out.

import mingmu

mingmu.load("general").recognize([photo])            # here, in this process
mingmu.Client().recognize("photo.jpg")               # through a service
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mingmu.client import AsyncClient, Client, Recognition
    from mingmu.core.answers import Box, Boxes, Label, Labels, Plate, Plates, Text, Texts
    from mingmu.core.errors import MingmuError
    from mingmu.core.pixels import PixelSpec
    from mingmu.core.recognizer import Recognizer

    __version__: str

__all__ = [
    "AsyncClient",
    "Box",
    "Boxes",
    "Client",
    "Label",
    "Labels",
    "MingmuError",
    "PixelSpec",
    "Plate",
    "Plates",
    "Recognition",
    "Recognizer",
    "Text",
    "Texts",
    "__version__",
    "load",
]

_HOMES = {  # imported when first asked for: `import mingmu` itself costs next to nothing
    "AsyncClient": "mingmu.client",
    "Box": "mingmu.core.answers",
    "Boxes": "mingmu.core.answers",
    "Client": "mingmu.client",
    "Label": "mingmu.core.answers",
    "Labels": "mingmu.core.answers",
    "MingmuError": "mingmu.core.errors",
    "PixelSpec": "mingmu.core.pixels",
    "Plate": "mingmu.core.answers",
    "Plates": "mingmu.core.answers",
    "Recognition": "mingmu.client",
    "Recognizer": "mingmu.core.recognizer",
    "Text": "mingmu.core.answers",
    "Texts": "mingmu.core.answers",
}


def load(name: str = "general", data_dir: Path | str | None = None) -> Recognizer:
    """Open a recognizer of this machine, proven; one that ships with Mingmu is built at its first use.

    `name` may carry a version, as in `flowers@3`. `data_dir` overrides MINGMU_DATA_DIR.
    Raises NotFound, BadArtifact, Unproven, BadSettings.
    """
    import os

    from mingmu import verbs
    from mingmu.settings import Settings

    return verbs.open_recognizer(Settings.load(os.environ, data_dir=data_dir), name).recognizer


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("mingmu")
    if name in _HOMES:
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
