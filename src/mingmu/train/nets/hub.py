"""Weights from a hub, through the libraries that know it: `timm:NAME`, and `hf:OWNER/REPO` of Hugging Face or a mirror of it.

Where they are fetched from and kept is these libraries' own affair: HF_ENDPOINT names a mirror, HF_HOME a folder, HF_HUB_OFFLINE=1
takes what is there. Only safetensors are read, so that no code of others runs.
"""

from __future__ import annotations

from pathlib import Path

from mingmu.core.errors import BadModel, BadRequest, NotFound, PullFailed
from mingmu.core.manifest import Origin
from mingmu.train.nets import HF, TIMM, libraries
from mingmu.train.nets.classifier import Parts
from mingmu.train.nets.files import read_state

FILE = "model.safetensors"


def fetched(family: str, network: str, weights: str, size: int) -> tuple[Parts, Origin]:
    """A network of a library with weights of the hub, and where they come from. Raises BadModel, BadRequest, NotFound, PullFailed."""
    if family not in ("timm", "torchvision") or (family == "torchvision" and not weights.startswith(HF)):
        raise BadRequest(f"{network} cannot start from {weights}: timm:NAME is for networks of timm, hf:OWNER/REPO for torchvision's too")
    repository = weights.removeprefix(HF) if weights.startswith(HF) else libraries.timm_repository(weights.removeprefix(TIMM))
    try:
        file = _download(repository, FILE)
        if family == "torchvision":
            parts = libraries.torchvision(network, read_state(file))
        else:
            known_as = f"{libraries.HUB}{repository}" if weights.startswith(HF) else weights.removeprefix(TIMM)
            parts = libraries.timm(network, None, size, known_as)
        licence = _licence(repository)
    except (OSError, ValueError) as error:  # the hub's errors are of these kinds
        raise PullFailed(f"{weights} cannot be had: {error}") from error
    except RuntimeError as error:  # of torch and timm
        raise BadModel(f"{weights} does not fit {network}: {error}") from error
    found = f"huggingface.co/{repository} at {file.parent.name}; network: {network} of {family}"
    return parts, Origin(source=f"fine-tuned from {weights}", licence=licence, provenance=found)


def _download(repository: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file))
    except RemoteEntryNotFoundError as error:
        raise NotFound(f"{repository} has no {file}") from error


def _licence(repository: str) -> str:
    """What the model's card says."""
    from huggingface_hub import ModelCard

    try:
        card = ModelCard(_download(repository, "README.md").read_text(encoding="utf-8"), ignore_metadata_errors=True)
    except NotFound:
        return "not stated"
    return str(card.data.get("license") or "not stated")
