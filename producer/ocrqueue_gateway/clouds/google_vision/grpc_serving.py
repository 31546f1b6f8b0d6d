"""gRPC, on a port of its own: the services google.cloud.vision.v1.ImageAnnotator and google.longrunning.Operations.

A call is handled as a request by HTTP is: its metadata are the headers. It runs in the same event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

import grpc
from fastapi import FastAPI
from google.longrunning import operations_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo as ErrorDetail
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from starlette.requests import Request

from ocrqueue.core.api_keys import Scope
from ocrqueue.errors import (
    ErrorInfo,
    OcrQueueError,
    RequestCutOff,
    RequestTooSlow,
    SettingsInvalid,
    error_for_clients,
    error_info,
)
from ocrqueue_gateway.access.authentication import require
from ocrqueue_gateway.access.caller import Caller
from ocrqueue_gateway.clouds.google_vision import calls, messages, operations
from ocrqueue_gateway.clouds.google_vision.asking import Call
from ocrqueue_gateway.clouds.google_vision.room import MOST_CALLS, Room
from ocrqueue_gateway.clouds.google_vision.statuses import Code, code_of, details_of, message_of
from ocrqueue_gateway.clouds.google_vision.wire import read_message
from ocrqueue_gateway.problems import JobHasNoResult, retry_after_s
from ocrqueue_gateway.settings import GatewaySettings

_LOG = logging.getLogger("ocrqueue_gateway")
_ANNOTATOR: Final = "google.cloud.vision.v1.ImageAnnotator"
_OPERATIONS: Final = "google.longrunning.Operations"
_GRACE_S: Final = 5.0
_MARGIN_S: Final = 0.5
"""For the answer to reach the client before its time is up."""

Behaviour = Callable[[Call, Any], Awaitable[Any]]


async def serve_grpc(app: FastAPI, settings: GatewaySettings) -> grpc.aio.Server:
    """It listens; app.state.grpc_port is the port. Raises SettingsInvalid."""
    server = grpc.aio.server(
        maximum_concurrent_rpcs=MOST_CALLS,
        options=[
            ("grpc.max_receive_message_length", settings.grpc_max_message_bytes),
            ("grpc.max_metadata_size", settings.max_header_bytes),
            # a port is one replica's
            ("grpc.so_reuseport", 0),
        ],
    )
    serving = _Serving(app, settings)
    server.add_generic_rpc_handlers((serving.annotator(), serving.operations()))
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        app.state.grpc_port = _listen(server, f"{address}:{settings.grpc_port}", settings)
    except RuntimeError:
        raise SettingsInvalid(
            f"Cannot listen for gRPC on {settings.host}, port {settings.grpc_port}.",
            remedy="Set OCRQUEUE_GATEWAY_GRPC_PORT, or --grpc-port, to a port that is free.",
        ) from None
    await server.start()
    return server


async def stop_grpc(server: grpc.aio.Server) -> None:
    """Calls that are under way are answered."""
    await server.stop(_GRACE_S)


def _listen(server: grpc.aio.Server, address: str, settings: GatewaySettings) -> int:
    if settings.tls_certificate is None:
        return int(server.add_insecure_port(address))
    chain = settings.tls_certificate.read_bytes()
    key = settings.tls_key.read_bytes() if settings.tls_key is not None else chain
    return int(server.add_secure_port(address, grpc.ssl_server_credentials([(key, chain)])))


class _Serving:
    """The methods of both services."""

    def __init__(self, app: FastAPI, settings: GatewaySettings) -> None:
        self._app = app
        self._settings = settings
        self._room = Room()

    def annotator(self) -> Any:
        google = messages
        return grpc.method_handlers_generic_handler(
            _ANNOTATOR,
            {
                "BatchAnnotateImages": self._method("submit", google.ImagesRequest, _images),
                "BatchAnnotateFiles": self._method("submit", google.FilesRequest, _files),
                "AsyncBatchAnnotateImages": self._method("submit", google.AsyncImagesRequest, operations.start_images),
                "AsyncBatchAnnotateFiles": self._method("submit", google.AsyncFilesRequest, operations.start_files),
            },
        )

    def operations(self) -> Any:
        return grpc.method_handlers_generic_handler(
            _OPERATIONS,
            {
                "GetOperation": self._method("read", operations_pb2.GetOperationRequest, _operation),
                "CancelOperation": self._method("cancel", operations_pb2.CancelOperationRequest, _cancel),
                "DeleteOperation": self._method("cancel", operations_pb2.DeleteOperationRequest, _delete),
            },
        )

    def _method(self, scope: Scope, kind: type[Message], behaviour: Behaviour) -> Any:
        find_caller = require(scope)

        async def handle(sent: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> Any:
            try:
                request = _request(self._app, self._settings, context, kind.DESCRIPTOR.name)
                answer = await self._answer(request, await find_caller(request), sent, context, kind, behaviour)
            except JobHasNoResult as failed:
                answer = failed.info
            except Exception as error:
                if not isinstance(error, OcrQueueError):
                    _LOG.error("%s", kind.DESCRIPTOR.name, exc_info=error)
                answer = error_info(error)
            if isinstance(answer, ErrorInfo):
                # it raises: nothing is to catch that
                await context.abort_with_status(_status(answer))
            return answer

        # to a client it is unary; so it is a stream of one message, which is read once the caller is known
        return grpc.stream_unary_rpc_method_handler(
            handle, response_serializer=lambda answer: answer.SerializeToString()
        )

    async def _answer(
        self,
        request: Request,
        caller: Caller,
        sent: AsyncIterator[bytes],
        context: grpc.aio.ServicerContext,
        kind: type[Message],
        behaviour: Behaviour,
    ) -> Any:
        with self._room.for_call(caller.tenant):
            async with self._room.for_message(caller.tenant) as give_back:
                message = await self._received(sent, kind)
                left = context.time_remaining()
                within_s = None if left is None else max(0.0, left - _MARGIN_S)
                return await behaviour(Call(request, caller, within_s=within_s, when_stored=give_back), message)

    async def _received(self, sent: AsyncIterator[bytes], kind: type[Message]) -> Any:
        seconds = self._settings.body_timeout_s
        try:
            async with asyncio.timeout(seconds):
                data = await anext(sent)
        except TimeoutError:
            raise RequestTooSlow(f"The message did not come within {seconds:g} s.") from None
        except StopAsyncIteration:
            raise RequestCutOff() from None
        return await asyncio.to_thread(read_message, data, kind, self._settings.max_json_bytes)


async def _images(call: Call, message: Any) -> Message:
    answer = await calls.annotate_images(call, message)
    return await asyncio.to_thread(messages.as_message, answer, messages.ImagesResponse)


async def _files(call: Call, message: Any) -> Message:
    answer = await calls.annotate_files(call, message)
    return await asyncio.to_thread(messages.as_message, answer, messages.FilesResponse)


async def _operation(call: Call, message: Any) -> Any:
    call.forget_files()
    return await operations.operation(call, message.name)


async def _cancel(call: Call, message: Any) -> Any:
    call.forget_files()
    await operations.cancel(call, message.name)
    return operations.empty()


async def _delete(call: Call, message: Any) -> Any:
    call.forget_files()
    await operations.delete(call, message.name)
    return operations.empty()


def _request(app: FastAPI, settings: GatewaySettings, context: grpc.aio.ServicerContext, name: str) -> Request:
    """The call, as what keys and callers are found in."""
    told = [(key, value) for key, value in context.invocation_metadata() or () if isinstance(value, str)]
    headers = [(key.encode(), value.encode("latin-1", "replace")) for key, value in told if key != "host"]
    if settings.is_local:
        # no page of a browser can speak gRPC, under whatever name: there is none to look at
        headers.append((b"host", b"localhost"))
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/{name}",
        "query_string": b"",
        "headers": headers,
        "client": _peer(context.peer()),
        "scheme": "http" if settings.tls_certificate is None else "https",
        "app": app,
    }
    return Request(scope, _never)


async def _never() -> Any:
    """The client's going ends the call itself."""
    await asyncio.Event().wait()


def _peer(peer: str) -> tuple[str, int] | None:
    """`ipv4:127.0.0.1:5000`, `ipv6:[::1]:5000`, the latter in percent-encoding."""
    kind, _, address = unquote(peer).partition(":")
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if kind in ("ipv4", "ipv6") and port.isdecimal() else None


def _status(info: ErrorInfo) -> Any:
    info = error_for_clients(info)
    code = code_of(info)
    status = Status(code=int(code), message=message_of(info))
    _add(status, ErrorDetail(**details_of(info)))
    if code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED):
        delay = RetryInfo()
        delay.retry_delay.FromSeconds(retry_after_s(info))
        _add(status, delay)
    return rpc_status.to_status(status)


def _add(status: Any, detail: Message) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)
