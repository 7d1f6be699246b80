"""Tiny parts of chains that read: whatever is bright is text, and its colours, from left to right, are its characters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from mingmu.core.artifact import Artifact
from mingmu.core.manifest import DetectSpec, Manifest, PartSpec, PlatesSpec
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.core.recognizer import Recognizer
from mingmu.core.sealing import seal_network
from mingmu.registry.store import Store, Version
from mingmu.tasks import task_of
from mingmu.zoo.chains import seal_chain
from tests.tiny import ORIGIN, model

SIDE = 64  # of pictures, and of what locates
BAND = (8, 20, 56, 36)  # left, top, right, bottom of the line in a picture
FRAME = PixelSpec(size=(SIDE, SIDE), fit="letterbox", pad="corner", pad_colour=(0, 0, 0))
ALPHABET = ("R", "G", "B")
CHINESE = ("京", "A", "1")
COLOURS = {"R": (255, 0, 0), "G": (0, 255, 0), "B": (0, 0, 255), " ": (0, 0, 0)}


def picture(text: str = "RG") -> bytes:
    """A PNG of one line of text."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    left, top, right, bottom = BAND
    for colour, columns in zip(text, np.array_split(np.arange(left, right), len(text)), strict=True):
        pixels[top:bottom, columns] = COLOURS[colour]
    return encode_png(pixels)


def publish_text(data_dir: Path, name: str = "lines") -> Version:
    """A chain for text in a store."""
    parts = {"locator": seal_locator, "turner": seal_turner, "reader": seal_reader}
    return _publish(data_dir, name, parts, {"task": "text"})


def publish_plates(data_dir: Path, name: str = "cars", *, chinese: bool = False) -> Version:
    """A chain for plates in a store; `chinese`: with a second reader, which takes the colours for 京, A and 1."""
    parts: dict[str, Callable[[Path], Artifact]] = {"detector": seal_detector, "reader": seal_reader}
    if chinese:
        parts |= {"chinese-detector": seal_detector, "chinese-reader": partial(seal_reader, alphabet=CHINESE)}
    labels = (*ALPHABET, *CHINESE) if chinese else ALPHABET
    return _publish(data_dir, name, parts, {"task": "plates", "plates": PlatesSpec(rules="latin"), "labels": labels})


def seal_reader(folder: Path, alphabet: tuple[str, ...] = ALPHABET) -> Artifact:
    """A reader of 16 columns: each is twice as much of a character as it has of its colour, and three tenths of a blank."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["columns"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["columns", "scale"], ["more"]),
        helper.make_node("Min", ["more", "whole"], ["shares"]),
        helper.make_node("ReduceMean", ["shares"], ["any"], axes=[2], keepdims=1),
        helper.make_node("Mul", ["any", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "blank"], ["blanks"]),
        helper.make_node("Concat", ["blanks", "shares"], ["text"], axis=2),
    ]
    constants = {"scale": np.array(2 / 255, np.float32), "whole": np.array(1, np.float32)}
    constants |= {"nothing": np.array(0, np.float32), "blank": np.array(0.3, np.float32)}
    outputs = [helper.make_tensor_value_info("text", TensorProto.FLOAT, ["N", 16, 4])]
    manifest = Manifest(
        kind="model", name="colours", task="read", pixels=PixelSpec(size=(16, 4), fit="squash"), labels=alphabet, origin=ORIGIN
    )
    return seal_network(folder, manifest, model(nodes, constants, ["N", 4, 16, 3], outputs))


def seal_locator(folder: Path) -> Artifact:
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["brightest"], axes=[3], keepdims=0),
        helper.make_node("Mul", ["brightest", "scale"], ["mask"]),
    ]
    outputs = [helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", SIDE, SIDE])]
    manifest = Manifest(kind="model", name="bright", task="locate", pixels=FRAME, origin=ORIGIN)
    return seal_network(folder, manifest, model(nodes, {"scale": np.array(1 / 255, np.float32)}, ["N", SIDE, SIDE, 3], outputs))


def seal_turner(folder: Path) -> Artifact:
    """Everything is upright, but what has its blue on the left."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["floats", "zero", "four", "across"], ["left"]),
        helper.make_node("ReduceMean", ["left"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "weigh"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    constants = {
        "zero": np.array([0]),
        "four": np.array([4]),
        "across": np.array([2]),
        "weigh": np.array([[1, 0], [1, 0], [0, 1]], np.float32),
    }
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2])]
    labels, pixels = ("upright", "upside down"), PixelSpec(size=(8, 8), fit="squash")
    manifest = Manifest(kind="model", name="turns", task="classify", pixels=pixels, labels=labels, origin=ORIGIN)
    return seal_network(folder, manifest, model(nodes, constants, ["N", 8, 8, 3], outputs))


def seal_detector(folder: Path) -> Artifact:
    """A detector of one plate where the band is; its score is the brightest value."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["most"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["most", "scale"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "last"], ["scores"]),
        helper.make_node("Mul", ["scores", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "box"], ["boxes"]),
        helper.make_node("Unsqueeze", ["none", "end"], ["none_of_points"]),
        helper.make_node("Add", ["none_of_points", "points"], ["landmarks"]),
    ]
    left, top, right, bottom = BAND
    constants = {
        "scale": np.array(1 / 255, np.float32),
        "last": np.array([1, 2]),
        "end": np.array([3]),
        "nothing": np.array(0, np.float32),
        "box": np.array([[BAND]], np.float32),
        "points": np.array([[[[left, top], [right, top], [right, bottom], [left, bottom]]]], np.float32),
    }
    shapes: dict[str, list[int | str]] = {"boxes": ["N", 1, 4], "scores": ["N", 1, 1], "landmarks": ["N", 1, 4, 2]}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    detect = DetectSpec(threshold=0.5, landmarks=4)
    manifest = Manifest(kind="model", name="finds", task="detect", pixels=FRAME, labels=("plate",), detect=detect, origin=ORIGIN)
    return seal_network(folder, manifest, model(nodes, constants, ["N", SIDE, SIDE, 3], outputs))


def _publish(data_dir: Path, name: str, parts: Mapping[str, Callable[[Path], Artifact]], about: dict[str, object]) -> Version:
    store = Store(data_dir)
    sealed = {does: store.add(seal) for does, seal in parts.items()}
    opened = {does: Recognizer(part, Network.open(part), task_of(part.manifest)) for does, part in sealed.items()}
    manifest = Manifest.model_validate(
        {
            "kind": "chain",
            "name": name,
            "pixels": FRAME,
            "labels": ALPHABET,
            "parts": tuple(PartSpec(does=does, digest=part.digest) for does, part in sealed.items()),
            "origin": ORIGIN,
            **about,
        }
    )
    chain = store.add(partial(seal_chain, manifest=manifest, parts=opened, images={"line.png": picture()}))
    return store.publish(name, chain.digest)
