"""Every error a caller can meet. Each knows its HTTP status and its stable kind.

* MingmuError                     500  internal
  - BadRequest                    400  bad-request         the call itself is off: parameters, JSON, tensors
    - BadImage                    400  bad-image           the bytes are not a picture we can decode
      - ImageTooLarge             413  image-too-large     bytes, pixels or sides over the limit
      - UnsupportedImage          415  unsupported-image   a format, or a kind of it, that we do not decode
    - BodyTooLarge                413  body-too-large
    - SlowBody                    408  slow-body           the body did not arrive in time
    - UnsupportedBody             415  unsupported-body    a content type that we do not read
    - ForbiddenUrl                403  forbidden-url       URL images are off, or the address is not public
    - FetchFailed                 422  fetch-failed        the URL gave no image
    - NotExplainable              422  not-explainable     this recognizer keeps no feature map
    - NoCoverage                  422  no-coverage         this recognizer can promise no coverage
    - UnfitFace                   422  unfit-face          a photo without the one clear face that is needed
    - Conflict                    409  conflict            what was asked for does not fit what is there
  - NotFound                      404  not-found
  - BadModel                      422  bad-model           an ONNX file that cannot be adopted
  - BadArtifact                   500  bad-artifact        a folder that is not what its manifest says
    - Unproven                    500  unproven            a probe no longer gives the sealed answer
  - PullFailed                    502  pull-failed         weights could not be fetched or verified
  - MissingExtra                  501  missing-extra       an optional dependency is not installed
  - BadSettings                   500  bad-settings
  - Overloaded                    503  overloaded          shutting down, or not ready; retry later
    - QueueFull                   429  queue-full          too many requests wait already; retry later
  - Unreachable                   503  unreachable         the client found no service at its address
  - DeadlineExceeded              504  deadline-exceeded   it waited past its deadline and was not run
"""

from __future__ import annotations

from typing import ClassVar


class MingmuError(Exception):
    """Something Mingmu can explain: `str(error)` states the fact, the limit and the hint."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal"


class BadRequest(MingmuError):
    status = 400
    kind = "bad-request"


class BadImage(BadRequest):
    kind = "bad-image"


class ImageTooLarge(BadImage):
    status = 413
    kind = "image-too-large"


class UnsupportedImage(BadImage):
    status = 415
    kind = "unsupported-image"


class BodyTooLarge(BadRequest):
    status = 413
    kind = "body-too-large"


class SlowBody(BadRequest):
    status = 408
    kind = "slow-body"


class UnsupportedBody(BadRequest):
    status = 415
    kind = "unsupported-body"


class ForbiddenUrl(BadRequest):
    status = 403
    kind = "forbidden-url"


class FetchFailed(BadRequest):
    status = 422
    kind = "fetch-failed"


class NotExplainable(BadRequest):
    status = 422
    kind = "not-explainable"


class NoCoverage(BadRequest):
    status = 422
    kind = "no-coverage"


class UnfitFace(BadRequest):
    status = 422
    kind = "unfit-face"


class Conflict(BadRequest):
    status = 409
    kind = "conflict"


class NotFound(MingmuError):
    status = 404
    kind = "not-found"


class BadModel(MingmuError):
    status = 422
    kind = "bad-model"


class BadArtifact(MingmuError):
    kind = "bad-artifact"


class Unproven(BadArtifact):
    kind = "unproven"


class PullFailed(MingmuError):
    status = 502
    kind = "pull-failed"


class MissingExtra(MingmuError):
    status = 501
    kind = "missing-extra"


class BadSettings(MingmuError):
    kind = "bad-settings"


class Overloaded(MingmuError):
    """Refused at once; `retry_after` is the number of seconds after which to try again."""

    status = 503
    kind = "overloaded"

    def __init__(self, detail: str, *, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class QueueFull(Overloaded):
    status = 429
    kind = "queue-full"


class Unreachable(MingmuError):
    status = 503
    kind = "unreachable"


class DeadlineExceeded(MingmuError):
    status = 504
    kind = "deadline-exceeded"
