"""What the routes of teaching answered when they were asked: a run in which hand signs were taught (360 photos of three digits)."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def _queued(number: int, verb: str, created: str) -> Json:
    """A job that was just asked for."""
    return {
        "id": number,
        "verb": verb,
        "subject": "digits",
        "state": "queued",
        "cancelling": False,
        "attempts": 0,
        "step": "",
        "share": 0.0,
        "result": None,
        "error": None,
        "created": created,
        "started": None,
        "finished": None,
    }


TAUGHT: Json = {
    "id": 2,
    "verb": "teach",
    "subject": "digits",
    "state": "done",
    "cancelling": False,
    "attempts": 1,
    "step": "done",
    "share": 1.0,
    "result": {
        "recognizer": "digits",
        "version": 1,
        "digest": "7485f377d0a32409df6002b5db4fba0ad7c8481c4499b6855169ddab1eb3f3d2",
        "dataset": "digits@2",
        "labels": ["0", "1", "2"],
        "accuracy": {"value": 1.0, "low": 0.9493488274035422, "high": 1.0, "method": "Wilson"},
        "measured_on": {"source": "photos it was not taught on", "examples": 72},
        "findings": [],
    },
    "error": None,
    "created": "2026-11-23T08:25:32+00:00",
    "started": "2026-11-23T08:25:33+00:00",
    "finished": "2026-11-23T08:26:04+00:00",
}
READING: Json = {
    "dataset": "digits",
    "job": _queued(1, "read", "2026-11-23T08:25:29+00:00"),
}
TEACHING: Json = {
    "recognizer": "digits",
    "job": _queued(2, "teach", "2026-11-23T08:25:32+00:00"),
}
TRAINING: Json = {
    "recognizer": "digits",
    "job": _queued(5, "train", "2026-11-23T13:30:11+00:00"),
}
ADDING: Json = {
    "recognizer": "digits",
    "job": _queued(3, "add", "2026-11-23T08:26:04+00:00"),
}
CANCELLED: Json = _queued(4, "teach", "2026-11-23T08:26:19+00:00") | {"state": "cancelled", "finished": "2026-11-23T08:26:19+00:00"}
JOBS: Json = {"jobs": [TAUGHT], "next": "2"}
EVENTS = (
    "id: 1\nevent: queued\ndata: {}\n\n"
    "id: 2\nevent: running\ndata: {}\n\n"
    'id: 4\nevent: progress\ndata: {"step":"reading","share":0.24722222222222223}\n\n'
)
DATASET_VERSIONS: Json = {
    "versions": [
        {
            "name": "digits",
            "version": 1,
            "digest": "838070c51c8c849c1b49ba8e54e731e4e03d847fc9ef18841bcd1ccd056b694f",
            "created": "2026-11-23T08:25:32+00:00",
        },
        {
            "name": "digits",
            "version": 2,
            "digest": "715bc56d8b29c2d0e9ff07c6e5d345c81957af9ce13aadebd50462800354b64c",
            "created": "2026-11-23T08:26:03+00:00",
        },
        {
            "name": "digits",
            "version": 3,
            "digest": "eb5a850e310462f1a121c0f588e86c4bcdb9bbb6fd07afc4ff774a51cb80abd5",
            "created": "2026-11-23T08:26:05+00:00",
        },
        {
            "name": "digits",
            "version": 4,
            "digest": "8c4c86189697379fdd9fc9350f90bdf6f1f25ea2028f8acc4c5a785a894f7f28",
            "created": "2026-11-23T08:26:13+00:00",
        },
    ],
    "next": None,
}
DATASETS: Json = {
    "datasets": [
        {
            "name": "digits",
            "version": 4,
            "digest": "8c4c86189697379fdd9fc9350f90bdf6f1f25ea2028f8acc4c5a785a894f7f28",
            "created": "2026-11-23T08:26:13+00:00",
        }
    ],
    "next": None,
}
DATASET: Json = {
    "name": "digits",
    "version": 4,
    "digest": "8c4c86189697379fdd9fc9350f90bdf6f1f25ea2028f8acc4c5a785a894f7f28",
    "created": "2026-11-23T08:26:13+00:00",
    "images": 361,
    "labels": {"0": 121, "1": 120, "2": 120},
    "findings": [],
}
VERSIONS: Json = {
    "versions": [
        {
            "name": "digits",
            "version": 1,
            "digest": "7485f377d0a32409df6002b5db4fba0ad7c8481c4499b6855169ddab1eb3f3d2",
            "created": "2026-11-23T08:26:03+00:00",
            "aliases": [],
        },
        {
            "name": "digits",
            "version": 2,
            "digest": "0f7031388c8a37e75c1695d6b98c73a62405a2748338c6ff4c49302e61b83ff0",
            "created": "2026-11-23T08:26:13+00:00",
            "aliases": ["prod"],
        },
    ],
    "next": None,
}
POINTED: Json = {
    "name": "digits",
    "version": 1,
    "digest": "7485f377d0a32409df6002b5db4fba0ad7c8481c4499b6855169ddab1eb3f3d2",
    "created": "2026-11-23T08:26:03+00:00",
}
REPORTS: Json = {
    "reports": [
        {
            "kind": "teaching",
            "dataset": "8c4c86189697379fdd9fc9350f90bdf6f1f25ea2028f8acc4c5a785a894f7f28",
            "names": ["digits@4"],
            "created": "2026-11-23T08:26:13+00:00",
        },
        {
            "kind": "evaluation",
            "dataset": "e974224bcabc9cd9ca19a6d4f4ffc2b7f7a74d701cda580640bccd19c4176cb1",
            "names": [],
            "created": "2026-11-23T08:26:19+00:00",
        },
    ],
    "next": None,
}
REPORT: Json = {
    "subject": {
        "name": "digits",
        "digest": "0f7031388c8a37e75c1695d6b98c73a62405a2748338c6ff4c49302e61b83ff0",
        "kind": "head",
        "task": "classify",
        "licence": "Apache-2.0",
        "source": "taught on efficientnet-lite0",
        "backbone": "efficientnet-lite0",
        "backbone_digest": "b8da6163ec2c309a81d4acf03fdaf561fd08daaac15e413b0643f0eb27746fc5",
        "backbone_licence": "Apache-2.0",
        "backbone_provenance": "EfficientNet-Lite0 by Google, trained on ImageNet-1k; converted to torch by ML Illustrated",
        "runtime": "onnxruntime 1.32.0 cpu",
    },
    "data": {"digest": "8c4c86189697379fdd9fc9350f90bdf6f1f25ea2028f8acc4c5a785a894f7f28", "examples": 361, "labels": 3},
    "measures": {
        "source": "photos it was not taught on",
        "examples": 72,
        "accuracy": {"value": 1.0, "low": 0.9493488274035422, "high": 1.0, "method": "Wilson"},
        "balanced_accuracy": {"value": 1.0, "low": 0.9203394010891373, "high": 1.0, "method": "Wilson, combined by MOVER"},
    },
    "made": "2026-11-23T08:26:13+00:00",
    "schema": "mingmu-report/1",
}  # of its measures, the first
REMOVED: Json = {"removed": "digits@prod"}
REMOVED_DATASET: Json = {"removed": "more-digits@1"}
AUDITING: Json = {
    "dataset": "more-digits",
    "job": {
        "id": 4,
        "verb": "audit",
        "subject": "more-digits",
        "state": "queued",
        "cancelling": False,
        "attempts": 0,
        "step": "",
        "share": 0.0,
        "result": None,
        "error": None,
        "created": "2026-11-23T09:35:51+00:00",
        "started": None,
        "finished": None,
    },
}
EVALUATING: Json = {
    "recognizer": "digits",
    "job": _queued(5, "evaluate", "2026-11-23T09:35:54+00:00"),
}
