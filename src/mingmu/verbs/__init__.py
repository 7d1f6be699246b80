"""What Mingmu can do, as plain functions: the command line, jobs and tests call these.

Progress is told to a callback as the step and the share of it that is done, 0 to 1.
"""

from __future__ import annotations

from mingmu.verbs.auditing import Audited, Cleaned, audit, clean
from mingmu.verbs.measuring import compare, evaluate
from mingmu.verbs.recognizing import (
    IMAGE_SUFFIXES,
    STDIN,
    Opened,
    Progress,
    Pulled,
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
from mingmu.verbs.teaching import Teaching, options_of, read_dataset, teach, teach_dataset

__all__ = [
    "IMAGE_SUFFIXES",
    "STDIN",
    "Audited",
    "Cleaned",
    "Opened",
    "Progress",
    "Pulled",
    "Stored",
    "Teaching",
    "Verified",
    "audit",
    "available",
    "clean",
    "compare",
    "ensure",
    "evaluate",
    "export",
    "image_sources",
    "import_model",
    "install",
    "listing",
    "open_recognizer",
    "options_of",
    "pull",
    "read_dataset",
    "recognize",
    "show",
    "silent",
    "teach",
    "teach_dataset",
    "verify",
]
