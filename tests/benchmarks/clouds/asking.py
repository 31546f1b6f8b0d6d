"""Each protocol's own client, as a function from an image to its text; and which errors are a protocol's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import boto3
import grpc
from azure.ai.documentintelligence import DocumentIntelligenceClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from botocore.config import Config
from botocore.exceptions import ClientError
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import GoogleAPICallError
from google.auth.api_key import Credentials
from google.cloud import vision
from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcTransport

from ocrqueue.core.api_keys import NewApiKey
from tests.support.textract import KNOWN_NAMES

Ask = Callable[[bytes], str]
"""The text of an image. Raises OwnError, and whatever else a client raises."""
_TIMEOUT_S: Final = 120
_POLL_S: Final = 0.2


class OwnError(Exception):
    """An error in the protocol's own form, by the protocol's name."""


@dataclass(frozen=True)
class Place:
    """What clients are told."""

    url: str
    grpc_port: int
    authority: Path
    key: NewApiKey
    put: Callable[[str, bytes], None] = field(repr=False)
    """Into what clients of AWS call the bucket `scans`."""


def google_grpc(place: Place) -> Ask:
    trusted = grpc.ssl_channel_credentials(place.authority.read_bytes())
    transport = ImageAnnotatorGrpcTransport(
        host=f"127.0.0.1:{place.grpc_port}",
        credentials=Credentials(place.key.text),
        ssl_channel_credentials=trusted,
    )
    return _google(vision.ImageAnnotatorClient(transport=transport))


def google_rest(place: Place) -> Ask:
    options = ClientOptions(api_endpoint=place.url.partition("://")[2], api_key=place.key.text)
    return _google(vision.ImageAnnotatorClient(client_options=options, transport="rest"))


def _google(client: Any) -> Ask:
    def ask(image: bytes) -> str:
        try:
            answer = client.text_detection(image=vision.Image(content=image), timeout=_TIMEOUT_S)
        except GoogleAPICallError as error:
            raise OwnError(type(error).__name__) from error
        if answer.error.code:
            raise OwnError(f"Status {answer.error.code}")
        return str(answer.full_text_annotation.text)

    return ask


def azure(place: Place) -> Ask:
    client = DocumentIntelligenceClient(
        place.url, AzureKeyCredential(place.key.text), connection_verify=str(place.authority), polling_interval=_POLL_S
    )

    def ask(image: bytes) -> str:
        try:
            return str(client.begin_analyze_document("prebuilt-read", body=BytesIO(image)).result(_TIMEOUT_S).content)
        except HttpResponseError as error:
            if error.error is None or not error.error.code:
                raise
            raise OwnError(error.error.code) from error

    return ask


def textract(place: Place) -> Ask:
    client = _aws(place)
    return lambda image: _asked(lambda: client.detect_document_text(Document={"Bytes": image}))


def textract_later(place: Place) -> Ask:
    """Of an object in a bucket, by so few Blocks that it takes several answers."""
    client = _aws(place)

    def read(image: bytes) -> dict[str, Any]:
        name = f"{time.monotonic_ns()}.png"
        place.put(name, image)
        location = {"S3Object": {"Bucket": "scans", "Name": name}}
        job = {"JobId": client.start_document_text_detection(DocumentLocation=location)["JobId"], "MaxResults": 2}
        answer = client.get_document_text_detection(**job)
        while answer["JobStatus"] == "IN_PROGRESS":
            time.sleep(_POLL_S)
            answer = client.get_document_text_detection(**job)
        if answer["JobStatus"] == "FAILED":
            raise OwnError("FAILED")
        blocks = answer["Blocks"]
        while "NextToken" in answer:
            answer = client.get_document_text_detection(**job, NextToken=answer["NextToken"])
            blocks += answer["Blocks"]
        return {"Blocks": blocks}

    return lambda image: _asked(lambda: read(image))


def _asked(call: Callable[[], dict[str, Any]]) -> str:
    try:
        blocks = call()["Blocks"]
    except ClientError as error:
        name = str(error.response["Error"]["Code"])
        if name not in KNOWN_NAMES:
            raise
        raise OwnError(name) from error
    return "\n".join(block["Text"] for block in blocks if block["BlockType"] == "LINE")


def _aws(place: Place) -> Any:
    return boto3.client(
        "textract",
        region_name="eu-central-1",
        endpoint_url=place.url,
        aws_access_key_id=place.key.key.id,
        aws_secret_access_key=place.key.signing_secret,
        verify=str(place.authority),
        config=Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=_TIMEOUT_S),
    )


PROTOCOLS: Final[Mapping[str, Callable[[Place], Ask]]] = {
    "google-grpc": google_grpc,
    "google-rest": google_rest,
    "azure": azure,
    "textract": textract,
    "textract-later": textract_later,
}
