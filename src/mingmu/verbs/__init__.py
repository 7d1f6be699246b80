"""What Mingmu can do, as plain functions: the command line, jobs and tests call these.

Progress is told to a callback as the step and the share of it that is done, 0 to 1.
"""

from __future__ import annotations

from mingmu.verbs.auditing import Audited, Cleaned, audit, clean
from mingmu.verbs.batching import Batched, DatasetImages, Watch, batch, run_batch
from mingmu.verbs.chaining import chain
from mingmu.verbs.faces import enrol, galleries, identify, import_embedder, measure_faces, open_faces, people, verify_faces
from mingmu.verbs.measuring import compare, evaluate, page_of
from mingmu.verbs.recognizing import (
    IMAGE_SUFFIXES,
    STDIN,
    Opened,
    Progress,
    Pulled,
    Step,
    Stored,
    Verified,
    available,
    ensure,
    export,
    image_sources,
    import_model,
    install,
    listing,
    open_recognizer,
    pull,
    recognize,
    show,
    silent,
    verify,
)
from mingmu.verbs.runs import can_go_on, leads, run_of, search_of, smaller_of
from mingmu.verbs.searching import Searched, search
from mingmu.verbs.shrinking import Shrunk, shrink
from mingmu.verbs.teaching import Teaching, options_of, read_dataset, teach, teach_again, teach_dataset
from mingmu.verbs.training import Trained, curve_json, train, train_dataset
from mingmu.verbs.tuning import Compressed, Running, Tuned, compress, running, tune, untune

__all__ = [
    "IMAGE_SUFFIXES",
    "STDIN",
    "Audited",
    "Batched",
    "Cleaned",
    "Compressed",
    "DatasetImages",
    "Opened",
    "Progress",
    "Pulled",
    "Running",
    "Searched",
    "Shrunk",
    "Step",
    "Stored",
    "Teaching",
    "Trained",
    "Tuned",
    "Verified",
    "Watch",
    "audit",
    "available",
    "batch",
    "can_go_on",
    "chain",
    "clean",
    "compare",
    "compress",
    "curve_json",
    "enrol",
    "ensure",
    "evaluate",
    "export",
    "galleries",
    "identify",
    "image_sources",
    "import_embedder",
    "import_model",
    "install",
    "leads",
    "listing",
    "measure_faces",
    "open_faces",
    "open_recognizer",
    "options_of",
    "page_of",
    "people",
    "pull",
    "read_dataset",
    "recognize",
    "run_batch",
    "run_of",
    "running",
    "search",
    "search_of",
    "show",
    "shrink",
    "silent",
    "smaller_of",
    "teach",
    "teach_again",
    "teach_dataset",
    "train",
    "train_dataset",
    "tune",
    "untune",
    "verify",
    "verify_faces",
]
