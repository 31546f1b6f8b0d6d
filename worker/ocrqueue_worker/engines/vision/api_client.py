"""Google's client library: which endpoint, over which transport, with which credentials."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ocrqueue.errors import EngineUnavailable, SettingsInvalid, SourceInvalid
from ocrqueue.job.references import split_uri
from ocrqueue.settings import WorkerSettings
from ocrqueue_worker.engines.vision.error_mapping import error_of

if TYPE_CHECKING:
    from google.cloud.vision import AnnotateImageRequest, AnnotateImageResponse, ImageAnnotatorClient

_SCOPES = ("https://www.googleapis.com/auth/cloud-vision",)


def check_service(settings: WorkerSettings) -> None:
    """Raises EngineUnavailable, SettingsInvalid, EngineAccessDenied; asks no server of Google's for anything but that.

    Does not start gRPC, so that it may be called before a fork.
    """
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
    except ImportError as error:
        raise _not_installed(error) from error
    if _unencrypted(settings) is None:
        try:
            google.auth.default(scopes=_SCOPES)
        except GoogleAuthError as error:
            raise error_of(error) from None


def make_client(settings: WorkerSettings) -> ImageAnnotatorClient:
    """Raises as check_service()."""
    try:
        from google.cloud.vision import ImageAnnotatorClient
    except ImportError as error:
        raise _not_installed(error) from error
    from google.auth.exceptions import GoogleAuthError

    plain = _unencrypted(settings)
    if plain is not None:
        return ImageAnnotatorClient(transport=_plain_transport(plain, settings.vision_transport))
    options = {"api_endpoint": settings.vision_endpoint} if settings.vision_endpoint else None
    try:
        return ImageAnnotatorClient(transport=settings.vision_transport, client_options=options)
    except GoogleAuthError as error:
        raise error_of(error) from None


def annotate(
    client: ImageAnnotatorClient, requests: Sequence[AnnotateImageRequest], timeout_s: float
) -> list[AnnotateImageResponse]:
    """One request to Google, which is not retried here. Raises what Google's library does."""
    # the library's own retries would go past the limit that workers share
    return list(client.batch_annotate_images(requests=list(requests), retry=None, timeout=timeout_s).responses)


def _unencrypted(settings: WorkerSettings) -> str | None:
    """host:port of a test's server, which wants no credentials. Raises SettingsInvalid."""
    endpoint = settings.vision_endpoint or ""
    if "/" not in endpoint:
        return None
    if endpoint.startswith("http://"):
        with suppress(SourceInvalid):
            parts = split_uri(endpoint)
            if parts.hostname and parts.path in ("", "/"):
                return parts.netloc
    raise SettingsInvalid(f"OCRQUEUE_VISION_ENDPOINT ({endpoint[:100]}) is neither a host nor http://host:port.")


def _plain_transport(host: str, transport: str) -> Any:
    from google.auth.credentials import AnonymousCredentials

    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]  # google's own types are partial
    if transport == "rest":
        from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorRestTransport

        return ImageAnnotatorRestTransport(host=host, credentials=anonymous, url_scheme="http")
    import grpc
    from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcTransport

    unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    return ImageAnnotatorGrpcTransport(channel=grpc.insecure_channel(host, options=unlimited))


def _not_installed(error: ImportError) -> EngineUnavailable:
    return EngineUnavailable(
        f"google-cloud-vision cannot be imported: {error}.", remedy="pip install 'ocrqueue-worker[vision]'."
    )
