"""What a job leaves in the data folder: its upload, and the folder in which a batch works. Removed once nobody needs it any more.

Not by its process: that may have been taken for dead, and another one may go on with the same.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from mingmu.registry.jobs import Job


def clear(job: Job) -> None:
    """Remove what a job that is over leaves, except what a batch that failed has done: who asks for the same again goes on from there.

    That is swept up when nobody does so for a day. Of an upload, nobody can: sent again it is another one.
    """
    from mingmu.batch.work import discard

    if upload := job.arguments.get("upload"):
        shutil.rmtree(Path(upload).parent, ignore_errors=True)
    elif job.verb == "batch" and job.state != "failed":
        folder = Path(job.arguments["folder"])
        for work in folder.glob("work-*"):
            discard(work)
        with suppress(OSError):  # another job has the same folder, and works there; or it never came so far as to make it
            folder.rmdir()
