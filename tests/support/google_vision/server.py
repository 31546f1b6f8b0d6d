"""The server, which counts what it is asked, and throttles, refuses, fails and stalls as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, Literal

import grpc
from google.cloud.vision import (
    AnnotateImageRequest,
    AnnotateImageResponse,
    BatchAnnotateImagesRequest,
    BatchAnnotateImagesResponse,
)
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from PIL import Image

from ocrqueue_worker.engines.vision.languages import HINTS
from tests.support.google_vision.answers import answer

Transport = Literal["grpc", "rest"]


@dataclass(frozen=True)
class Refused(Exception):
    """A request that is not answered: with a canonical status, and the reason of an ErrorInfo if there is one."""

    status: str
    message: str = ""
    reason: str = ""


THROTTLED = Refused("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Requests'.", "RATE_LIMIT_EXCEEDED")


@dataclass
class Asked:
    """One request as the server saw it."""

    at: float
    """time.monotonic()"""
    requests: list[AnnotateImageRequest]
    refused: Refused | None = None

    @property
    def images(self) -> int:
        return len(self.requests)


@dataclass
class GoogleVision:
    """The server's address, what it was asked, and what it is to do."""

    transport: Transport = "grpc"
    endpoint: str = ""
    asked: list[Asked] = field(default_factory=list)
    refuses: Callable[[int], Refused | None] = lambda number: None
    """By the number of the request, from 1."""
    refuses_image: Callable[[AnnotateImageRequest], tuple[int, str] | None] = lambda image: None
    """google.rpc.Code and message for one image of a request that is answered."""
    changes: Callable[[AnnotateImageResponse], AnnotateImageResponse] = lambda response: response
    objects: dict[str, bytes] = field(default_factory=dict)
    """What gs:// references lead to."""
    stall_s: float = 0.0
    stalls: Callable[[int], bool] = lambda number: True
    """Whether it does so, by the number of the request."""
    released: threading.Event = field(default_factory=threading.Event)
    """Set: nobody is kept waiting any longer."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def answered(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.refused is None]

    def most_in(self, seconds: float) -> int:
        """The most requests in any span of so many seconds."""
        times = sorted(asked.at for asked in self.asked)
        return max((sum(first <= at < first + seconds for at in times) for first in times), default=0)

    def annotate(self, request: BatchAnnotateImagesRequest) -> BatchAnnotateImagesResponse:
        """Raises Refused."""
        asked = Asked(time.monotonic(), list(request.requests))
        # who sees that it was asked may end the stalling for those that come after it
        stall_s = self.stall_s
        with self._lock:
            self.asked.append(asked)
            number = len(self.asked)
        if stall_s and self.stalls(number):
            self.released.wait(stall_s)
        asked.refused = self.refuses(number)
        if asked.refused is None and asked.images > 16:
            asked.refused = Refused("INVALID_ARGUMENT", "Too many images per request.")
        if asked.refused is not None:
            raise asked.refused
        return BatchAnnotateImagesResponse(responses=[self._one(each) for each in asked.requests])

    def _one(self, request: AnnotateImageRequest) -> AnnotateImageResponse:
        if (refusal := self.refuses_image(request)) is not None:
            return _failed(*refusal)
        if unknown := [hint for hint in request.image_context.language_hints if hint not in HINTS.values()]:
            return _failed(3, f"image-annotator::Unsupported language: {unknown[0]}")
        content = request.image.content
        if uri := request.image.source.image_uri:
            if uri not in self.objects:
                return _failed(5, f"Error opening file: {uri}.")
            content = self.objects[uri]
        try:
            with Image.open(BytesIO(content)) as image:
                return self.changes(answer(image))
        except OSError:
            return _failed(3, "Bad image data.")


def _failed(code: int, message: str) -> AnnotateImageResponse:
    return AnnotateImageResponse(error=Status(code=code, message=message))


@contextmanager
def google_vision(transport: Transport = "grpc") -> Iterator[GoogleVision]:
    """A server in threads of this process, on a free port of the loopback interface."""
    vision = GoogleVision(transport)
    with (_grpc_server if transport == "grpc" else _rest_server)(vision) as port:
        vision.endpoint = f"http://127.0.0.1:{port}"
        try:
            yield vision
        finally:
            vision.released.set()


@contextmanager
def _grpc_server(vision: GoogleVision) -> Iterator[int]:
    def batch_annotate_images(request: Any, context: Any) -> Any:
        try:
            return vision.annotate(request)
        except Refused as refused:
            context.abort_with_status(rpc_status.to_status(_status(refused)))

    method = grpc.unary_unary_rpc_method_handler(
        batch_annotate_images,
        request_deserializer=BatchAnnotateImagesRequest.deserialize,
        response_serializer=BatchAnnotateImagesResponse.serialize,
    )
    service = grpc.method_handlers_generic_handler(
        "google.cloud.vision.v1.ImageAnnotator", {"BatchAnnotateImages": method}
    )
    # 41,943,040 bytes is what Google's own server takes
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 41_943_040)])
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        vision.released.set()
        server.stop(grace=1).wait()


def _status(refused: Refused) -> Status:
    status = Status(code=getattr(grpc.StatusCode, refused.status).value[0], message=refused.message)
    if refused.reason:
        detail = AnyMessage()
        detail.Pack(_error_info(refused))
        status.details.append(detail)
    return status


def _error_info(refused: Refused) -> ErrorInfo:
    return ErrorInfo(reason=refused.reason, domain="googleapis.com", metadata={"consumer": "projects/123456"})


_HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


@contextmanager
def _rest_server(vision: GoogleVision) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the name that http.server calls
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path.partition("?")[0] != "/v1/images:annotate":
                self._send(404, {"error": {"code": 404, "message": "Not found"}})
            elif len(body) > 10_485_760:
                self._send(400, _json_error(Refused("INVALID_ARGUMENT", "Request payload size exceeds the limit.")))
            else:
                try:
                    response = vision.annotate(BatchAnnotateImagesRequest.from_json(body))
                except Refused as refused:
                    self._send(_HTTP[refused.status], _json_error(refused))
                else:
                    # as Google's: what has its default is left out
                    self._send(200, json.loads(_to_json(response)))

        def _send(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json; charset=UTF-8")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _to_json(response: BatchAnnotateImagesResponse) -> str:
    return BatchAnnotateImagesResponse.to_json(
        response, use_integers_for_enums=False, always_print_fields_with_no_presence=False
    )


def _json_error(refused: Refused) -> dict[str, Any]:
    details = []
    if refused.reason:
        info = _error_info(refused)
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": info.reason,
                "domain": info.domain,
                "metadata": dict(info.metadata),
            }
        )
    error = {"code": _HTTP[refused.status], "message": refused.message, "status": refused.status, "details": details}
    return {"error": error}
