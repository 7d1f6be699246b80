"""One typed table of settings; the only place that reads the environment.

Every setting is a field below and an environment variable `MINGMU_` + its name in capitals.
`docs/settings.md` is generated from this file.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mingmu.core.errors import BadSettings

PREFIX = "MINGMU_"


class Settings(BaseModel):
    """What an operator may choose. Frozen: built once at the edge and passed down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("mingmu"),
        description="Folder that holds artifacts, recognizers and pulled weights.",
    )
    database_url: str | None = Field(
        default=None, description="PostgreSQL for the index, as postgresql://user:password@host/name; none: SQLite in the data folder."
    )
    blobs_url: str | None = Field(
        default=None, description="Where pictures, reports and copies of artifacts lie, as s3://bucket/prefix; none: the data folder."
    )
    host: str = Field(default="127.0.0.1", description="Address the service listens on.")
    port: int = Field(default=8600, ge=0, le=65535, description="Port the service listens on; 0 takes a free one.")
    grpc_port: int | None = Field(
        default=None, ge=0, le=65535, description="Port of the gRPC service (extra `grpc`), 0 for a free one; none: no gRPC."
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file with the certificate and its chain; none: no TLS.")
    tls_key: Path | None = Field(default=None, description="PEM file with the certificate's private key.")
    threads: int = Field(default=0, ge=0, description="CPU threads for decoding and for networks; 0 reads the CPU quota.")
    workers: int = Field(
        default=0,
        ge=0,
        description="Processes that serve one port, 0: one per processor, at most 4; they share out `threads`, `max_queue`, `cache_bytes`.",
    )

    face_embedder: str = Field(
        default="mobilefacenet", description="Which recognizer makes vectors of faces; `my-faces@2` is one version of an imported one."
    )
    max_image_bytes: int = Field(default=32 * 2**20, gt=0, description="Largest encoded image, in bytes.")
    max_image_pixels: int = Field(default=64_000_000, gt=0, description="Largest image, in pixels (width times height).")
    max_image_side: int = Field(default=16_384, gt=0, description="Longest side of an image, in pixels.")
    max_body_bytes: int = Field(default=64 * 2**20, gt=0, description="Largest request body, in bytes.")
    max_images: int = Field(default=64, gt=0, description="Most images in one request.")
    body_timeout: float = Field(default=30.0, gt=0, description="Seconds a client has to send the head, and then the body, of a request.")

    max_batch: int = Field(default=16, gt=0, description="Most images that go through a network together.")
    max_queue: int = Field(default=256, gt=0, description="Most images that may wait for one network; the next is refused (429).")
    cache_bytes: int = Field(
        default=0, ge=0, description="Memory for answers to images that were seen before, in bytes; 0: every image is looked at anew."
    )
    request_timeout: float = Field(
        default=10.0, gt=0, description="Seconds a request may take (then 504), unless its header X-Request-Timeout-Ms says otherwise."
    )
    drain_timeout: float = Field(default=20.0, gt=0, description="Seconds that requests in flight get to finish when the service stops.")
    max_loaded: int = Field(default=20_000, gt=0, description="Most recognizers kept in memory; the one unused longest makes room.")
    reload_interval: float = Field(default=1.0, gt=0, description="Seconds between looks at the data folder for new recognizers.")

    max_upload_bytes: int = Field(default=4 * 2**30, gt=0, description="Largest archive that may be uploaded as a dataset, in bytes.")
    max_jobs: int = Field(default=100, gt=0, description="Most jobs (teaching, reading datasets) that may wait; the next is refused (429).")
    job_workers: int = Field(default=1, ge=0, description="Jobs that run beside the service at a time, in processes of their own; 0: none.")

    batch_urls: str | None = Field(
        default=None,
        description="URLs below which jobs may look at images, with commas between, as s3://photos/,https://host/a/; none: none.",
    )
    fetch_urls: bool = Field(default=False, description="Whether requests may name images by URL.")
    fetch_timeout: float = Field(default=10.0, gt=0, description="Seconds in which an image named by URL must have arrived.")
    fetch_redirects: int = Field(default=3, ge=0, description="Most redirects followed for an image named by URL.")

    mirror: str | None = Field(default=None, description="Folder or URL that stands in for the official sources of `mingmu pull`.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe log line to write.")

    @classmethod
    def load(cls, environ: Mapping[str, str], **overrides: object) -> Settings:
        """Read `MINGMU_*` variables; overrides that are not None win. Raises BadSettings."""
        given = {key.removeprefix(PREFIX).lower(): value for key, value in environ.items() if key.startswith(PREFIX)}
        for key in given.keys() - cls.model_fields.keys():
            near = difflib.get_close_matches(key, cls.model_fields, n=1)
            hint = f"; did you mean {variable(near[0])}?" if near else ""
            raise BadSettings(f"{variable(key)} is not a setting{hint}")
        chosen = {key: value for key, value in overrides.items() if value is not None}
        try:
            return cls.model_validate(given | chosen)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "settings"
            raise BadSettings(f"{variable(name)} is {first['input']!r}: {first['msg']}") from error


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()
