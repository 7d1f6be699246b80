"""Networks of torchvision and timm, cut into trunk, neck and head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mingmu.core.errors import BadModel, BadRequest, NotFound
from mingmu.train.nets.classifier import Parts, pooling
from mingmu.train.operators import define_missing

State = Mapping[str, Tensor]

HUB = "hf-hub:"  # before OWNER/REPO, in names that timm takes
NO_HELPERS = {"googlenet", "inception_v3"}  # they have heads in the middle that only help to train from nothing


def torchvision(name: str, state: State | None) -> Parts:
    """A network of torchvision, with weights in its own names where they are given."""
    define_missing()
    from torchvision import models

    options: dict[str, Any] = {"aux_logits": False, "init_weights": False} if name in NO_HELPERS else {}
    model: Any = getattr(models, name)(weights=None, **options)
    if state is not None:
        load(model, state, name)
    if name in NO_HELPERS:
        features, model.fc = model.fc.in_features, nn.Identity()
        return Parts(model, nn.Identity(), features, pools=False)
    if hasattr(model, "fc"):  # ResNet: everything up to its pooling
        layers = OrderedDict((key, child) for key, child in model.named_children() if key not in ("avgpool", "fc"))
        return Parts(nn.Sequential(layers), pooling(), model.fc.in_features, pools=True)
    if isinstance(model.classifier, nn.Linear):  # DenseNet
        return Parts(nn.Sequential(model.features, nn.ReLU()), pooling(), model.classifier.in_features, pools=True)
    *before, last = model.classifier
    pools = not any(isinstance(layer, nn.Linear) for layer in before)
    neck = pooling(*before) if pools else nn.Sequential(model.avgpool, nn.Flatten(), *before)
    return Parts(model.features, neck, last.in_features, pools=pools)


def timm(name: str, state: State | None, size: int, weights: str | None = None) -> Parts:
    """A network of timm by its name there, at so many pixels a side; `weights` are what timm itself gets. Raises NotFound, BadRequest."""
    define_missing()
    import timm as library

    if not library.is_model(name):
        near = library.list_models(f"*{name.split('_')[0]}*")[:5]
        raise NotFound(f"timm has no network {name!r}" + (f"; it has {', '.join(near)}" if near else ""))
    if weights and (theirs := _network_of(weights)) != name.partition(".")[0]:
        raise BadRequest(f"the weights {weights} are of {theirs}; the network is {name}")
    model: Any = library.create_model(weights or name, pretrained=weights is not None, num_classes=0, **_sized(name, size))
    if state is not None:
        load(model, state, name)
    config = model.pretrained_cfg
    mean, deviation = (tuple(255 * value for value in config[key]) for key in ("mean", "std"))
    features = getattr(model, "head_hidden_size", None) or model.num_features
    return Parts(model, nn.Identity(), int(features), pools=False, mean=mean, deviation=deviation)


def _network_of(weights: str) -> str:
    """The network that weights of a name of timm, or of hf-hub:OWNER/REPO, are of."""
    from timm.models import load_model_config_from_hf

    if weights.startswith(HUB):
        network: str = load_model_config_from_hf(weights.removeprefix(HUB))[1]
        return network
    return weights.partition(".")[0]


def timm_repository(name: str) -> str:
    """Where timm has the weights of a name from, OWNER/REPO. Raises NotFound."""
    define_missing()
    from timm import get_pretrained_cfg

    try:
        config = get_pretrained_cfg(name)
    except RuntimeError as error:  # of a tag that it does not know
        raise NotFound(f"timm has no weights {name!r}: {error}") from error
    if config is None or not config.hf_hub_id:
        raise NotFound(f"timm has no weights {name!r}")
    owner_and_more: str = config.hf_hub_id
    return f"{owner_and_more}{config.architecture}.{config.tag}" if owner_and_more.endswith("/") else owner_and_more


def _sized(name: str, size: int) -> dict[str, int]:
    """Networks that divide a picture into patches are made for one size; the others take any."""
    from timm import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    return {"img_size": size} if config is not None and config.fixed_input_size else {}


def load(model: nn.Module, state: State, name: str) -> None:
    """Fill a network with weights in its own names; those of its classifier, which is replaced, may be missing or of any shape.

    Raises BadModel where others do not fit.
    """
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    missing = [key for key in own if key not in fitting and not key.startswith(("fc.", "classifier.", "head."))]
    if missing:
        raise BadModel(f"these weights are not of {name}: {len(missing)} of {len(own)} tensors do not fit, the first is {missing[0]}")
    model.load_state_dict(fitting, strict=False)
