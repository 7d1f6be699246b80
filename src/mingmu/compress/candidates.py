"""Which ways there are to run a network on this machine."""

from __future__ import annotations

from mingmu.core.manifest import Provider, Runs
from mingmu.core.openvino import precisions
from mingmu.core.runtime import PROVIDERS


def candidates(sealed: Runs, *, photos: bool) -> list[Runs]:
    """What may be tried beside the network as it was sealed.

    INT8 needs `photos`: to find the ranges of the activations, and to see whether answers are still right.
    """
    computed = precisions()
    if sealed.precision != "fp32":  # it was compressed already; only what runs it is left to choose
        found = [sealed.model_copy(update={"runtime": "openvino"})] if sealed.precision in computed else []
    else:
        found = [Runs(runtime="openvino", precision=precision) for precision in computed if photos or precision != "int8"]
        found += [Runs(precision="int8")] if photos else []
        found += [Runs(provider=provider) for provider in _accelerators()]
    return [runs for runs in found if runs != sealed]


def _accelerators() -> list[Provider]:
    """What ONNX Runtime was built for beside the processor; whether it is there shows when it is tried."""
    import onnxruntime as ort

    built = ort.get_available_providers()
    return [provider for provider, name in PROVIDERS.items() if provider != "cpu" and name in built]
