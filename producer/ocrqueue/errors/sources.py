"""Where the image comes from."""

from __future__ import annotations

from ocrqueue.errors.base import OcrQueueError


class SourceInvalid(OcrQueueError):
    """The image reference is not a URI that ocrqueue can read."""

    code = "source.invalid"
    remedy = "Use s3://bucket/key, gs://bucket/object, https://host/path or file:///path."


class SourceSchemeNotAllowed(OcrQueueError):
    """References of this scheme are not allowed here."""

    code = "source.scheme_not_allowed"
    remedy = "Use an allowed scheme, or add it to OCRQUEUE_SOURCE_SCHEMES on the workers."


class SourceHostNotAllowed(OcrQueueError):
    """This host is not on the list of allowed hosts."""

    code = "source.host_not_allowed"
    remedy = "Add the host to OCRQUEUE_SOURCE_HOSTS on the workers."


class SourceBucketNotAllowed(OcrQueueError):
    """This bucket is not on the list of allowed buckets."""

    code = "source.bucket_not_allowed"
    remedy = "Add the bucket to OCRQUEUE_SOURCE_BUCKETS on the workers."


class SourcePathNotAllowed(OcrQueueError):
    """This file lies outside the folders that workers may read."""

    code = "source.path_not_allowed"
    remedy = "Put the file under a folder in OCRQUEUE_SOURCE_FILE_ROOTS, or submit its bytes."


class SourceAddressNotAllowed(OcrQueueError):
    """The host, or one that it redirects to, resolves to a private, loopback, link-local or reserved address."""

    code = "source.address_not_allowed"
    remedy = "Use a public address, or set OCRQUEUE_SOURCE_ALLOW_PRIVATE_ADDRESSES=true on the workers."


class SourceNotFound(OcrQueueError):
    """There is nothing at the image reference."""

    code = "source.not_found"
    remedy = "Check that the object exists and that the reference has no typing error."


class SourceChanged(OcrQueueError):
    """Another file replaced the document while its pages were being read."""

    code = "source.changed"
    remedy = "Leave a job's file unchanged until the job ends. `ocrqueue dead replay ID` reads what is there now."


class SourceBucketNotFound(OcrQueueError):
    """The bucket of the image reference does not exist."""

    code = "source.bucket_not_found"
    remedy = "Check the bucket's name and the S3 endpoint of the workers."


class SourceAccessDenied(OcrQueueError):
    """The image's host refused access."""

    code = "source.access_denied"
    remedy = "Grant the workers' credentials read access, or use a presigned URL that has not expired."


class SourceCredentials(OcrQueueError):
    """The worker's own credentials are missing, expired or not accepted, or its clock is wrong."""

    code = "source.credentials"
    retryable = True
    remedy = "Correct the workers' credentials or their clock. Waiting jobs then go on by themselves."


class SourceHttpError(OcrQueueError):
    """The image's host answered with an error."""

    code = "source.http_error"
    remedy = "Open the reference with another client, and correct what it reports."


class SourceTooManyRedirects(OcrQueueError):
    """The reference redirects too often."""

    code = "source.too_many_redirects"
    remedy = "Use the final address, or raise OCRQUEUE_SOURCE_MAX_REDIRECTS."


class SourceTooLarge(OcrQueueError):
    """The file behind the reference is larger than allowed."""

    code = "source.too_large"
    remedy = "Send a smaller file, or raise OCRQUEUE_SOURCE_MAX_BYTES on the workers."


class SourceTimeout(OcrQueueError):
    """The image could not be fetched in the time allowed."""

    code = "source.timeout"
    retryable = True
    remedy = "Check the host's speed, or raise OCRQUEUE_SOURCE_TIMEOUT_S on the workers."


class SourceUnavailable(OcrQueueError):
    """The image's host cannot be reached, or says that it is overloaded."""

    code = "source.unavailable"
    retryable = True
    remedy = "Check that the host resolves and answers from the workers' network."
