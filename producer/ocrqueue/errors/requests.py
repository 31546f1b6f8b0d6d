"""Requests of the gateway."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class RequestInvalid(OcrQueueError):
    """The request is not what the route asks for."""

    code = "request.invalid"
    remedy = "Compare it with the route in /v1/openapi.json."


class RequestNotFound(OcrQueueError):
    """There is no such route."""

    code = "request.not_found"
    remedy = "/v1/openapi.json has all routes."


class RequestMethodNotAllowed(OcrQueueError):
    """The route does not know this method."""

    code = "request.method_not_allowed"
    remedy = "The header Allow names those that it knows."


class RequestTooLarge(OcrQueueError):
    """The body of the request is larger than allowed."""

    code = "request.too_large"
    remedy = "Send a smaller file or give a reference to it; or raise the gateway's limit, which the message names."


class RequestHeadersTooLarge(OcrQueueError):
    """The headers of the request, or its address, are larger than allowed."""

    code = "request.headers_too_large"
    remedy = "Send fields of a job in the body; or raise OCRQUEUE_GATEWAY_MAX_HEADER_BYTES."


class RequestTooSlow(OcrQueueError):
    """The body of the request did not come in time."""

    code = "request.too_slow"
    retryable = True
    remedy = "Send it again, over a better connection."


class RequestCutOff(OcrQueueError):
    """The connection ended before the body of the request did."""

    code = "request.cut_off"
    retryable = True
    remedy = "Send it again: nothing of it was kept."


class RequestMediaType(OcrQueueError):
    """The body is of a kind that the route does not take."""

    code = "request.media_type"
    remedy = "Send what the route takes by /v1/openapi.json, and say so in the header Content-Type."


class RequestHostNotAllowed(OcrQueueError):
    """The gateway is not known by this name."""

    code = "request.host"
    remedy = "Use its own name, or add this one to OCRQUEUE_GATEWAY_ALLOWED_HOSTS."


class RequestInProgress(OcrQueueError):
    """A request with this Idempotency-Key is still being worked on."""

    code = "request.in_progress"
    retryable = True
    remedy = "Wait a moment, and send it again: then it is answered as the first one was."


class IdempotencyMismatch(OcrQueueError):
    """A request with this Idempotency-Key has asked for something else."""

    code = "request.idempotency_mismatch"
    remedy = "Use a key of its own for each job."


class RequestUnsupported(OcrQueueError):
    """The service that the client was written for does this, and this system does not."""

    code = "request.unsupported"
    remedy = "Leave it out of the request; docs/clouds.md lists what there is."


class ProtocolExtraMissing(OcrQueueError):
    """A package is not installed that the gateway needs to speak this protocol."""

    code = "request.extra_missing"
    remedy = "Install it where the gateway runs: pip install 'ocrqueue-gateway[google]'."


class UploadUnsupported(OcrQueueError):
    """The storage of this installation takes no presigned uploads."""

    code = "upload.unsupported"
    remedy = "Send the file with POST /v1/jobs. Presigned URLs need a storage that is S3."


class UploadNoRoom(OcrQueueError):
    """The gateway has no room to take the file in: its disk or quota is full."""

    code = "upload.no_room"
    retryable = True
    remedy = "Free space in the gateway's folder for temporary files (TMPDIR, else /tmp), or give it a larger one."


class PictureUnavailable(OcrQueueError):
    """The page cannot be shown as a picture. What was read of it is there all the same."""

    code = "picture.unavailable"
    remedy = "Open the file that was read with another program; text and words do not need the picture."
