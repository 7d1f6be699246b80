"""The gRPC service: the Open Inference Protocol and gRPC's health protocol, beside HTTP, on the same event loop and the same host.

Every call reads its message itself, so that requests are let in, and refused, by the same rules as over HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from traceback import clear_frames
from typing import Any

from mingmu.core.errors import BadRequest, BadSettings, DeadlineExceeded, MingmuError, MissingExtra, Overloaded, SlowBody
from mingmu.serve import inference
from mingmu.serve.admission import MAX_UNREAD
from mingmu.serve.problems import Problem
from mingmu.serve.rpc.calls import CALLS, Handler, check
from mingmu.serve.rpc.codes import MAX_DETAILS, code_of, metadata_of
from mingmu.serve.rpc.places import Places
from mingmu.serve.rpc.protos import Method, proto
from mingmu.serve.rpc.stream import Stream, next_of
from mingmu.serve.rpc.wire import infer_response, message_in, read_infer
from mingmu.serve.service import MAX_TIMEOUT_MS, Call, Service
from mingmu.serve.telemetry import REQUEST_ID, Visit, new_id
from mingmu.settings import Settings

log = logging.getLogger("mingmu.serve")

MAX_READS = 32  # messages with images that may be coming in at a time: until one is complete, only gRPC knows its size
MAX_STREAMS = 64  # streams that may be open at a time: in each, too, a message may be coming in
SMALL_PATIENCE = 2.0  # seconds until any other message must be in; they are small, and come along with their call
CLIENT_GONE = 499  # as over HTTP: in logs and metrics only


@asynccontextmanager
async def grpc_door(service: Service, *, reuse_port: bool = False) -> AsyncIterator[int]:
    """Answer gRPC while the block runs; gives the port. Raises MissingExtra, BadSettings.

    `reuse_port` lets several processes listen on one port.
    """
    door = Door(service, reuse_port)
    port = await door.open()
    print(f"Mingmu answers gRPC on {_address(service.settings.host, port)}", file=sys.stderr, flush=True)
    try:
        yield port
    finally:
        await door.close()


class Door:
    """One gRPC server."""

    def __init__(self, service: Service, reuse_port: bool) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines on stderr are no JSON, and clients can make it write many
        try:
            import grpc
        except ImportError as error:
            raise MissingExtra("gRPC needs the package grpcio (settings: grpc_port); install it: pip install 'mingmu[grpc]'") from error
        self._service = service
        self._credentials = _credentials(service.settings)
        self._reads = Places(MAX_READS, "messages coming in")
        self._places = Places(MAX_STREAMS, "streams open")
        self._streams: set[Stream] = set()
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", service.settings.max_body_bytes),
                ("grpc.max_concurrent_streams", MAX_UNREAD),  # of one connection
                ("grpc.so_reuseport", int(reuse_port)),
                ("grpc.compression_enabled_algorithms_bitset", 1),  # none: what is sent compressed may be of any size
            ],
            maximum_concurrent_rpcs=2 * MAX_UNREAD,
        )
        protocol, health = proto("inference"), proto("health")
        handlers = {name: self._small(protocol.methods[name], call) for name, call in CALLS.items()}
        handlers["ModelInfer"] = grpc.stream_unary_rpc_method_handler(self._infer)
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream)
        checks = {"Check": self._small(health.methods["Check"], check)}
        services = {protocol.service: handlers, health.service: checks}
        self._server.add_generic_rpc_handlers(tuple(grpc.method_handlers_generic_handler(*each) for each in services.items()))

    async def open(self) -> int:
        """Begin to answer; gives the port. Raises BadSettings."""
        settings = self._service.settings
        address, proof = _address(settings.host, settings.grpc_port or 0), self._credentials
        try:
            port: int = self._server.add_secure_port(address, proof) if proof else self._server.add_insecure_port(address)
        except RuntimeError as error:
            await self._server.start()  # one that was never started cannot be stopped, and complains when it is forgotten
            await self._server.stop(None)
            raise BadSettings(f"cannot listen on {address}: {error} (settings: host, grpc_port)") from error
        await self._server.start()
        return port

    async def close(self) -> None:
        """Let nobody in any more, and answer those who are."""
        for stream in self._streams:
            stream.end()
        await self._server.stop(self._service.settings.drain_timeout)

    def _small(self, method: Method, call: Handler) -> Any:
        """The handler of a call that runs no images, so that it need not be let in."""
        import grpc

        async def handle(_: Any, context: Any) -> bytes:
            async with self._visit(method.path, context) as visit:
                data = await _message(context, min(SMALL_PATIENCE, self._service.settings.body_timeout))
                visit.bytes = len(data)
                fields = await call(self._service, message_in(data, method.request), visit)
                return bytes(method.response(**fields).SerializeToString())

        return grpc.stream_unary_rpc_method_handler(handle)

    async def _infer(self, _: Any, context: Any) -> bytes:
        """ModelInfer: one request, one answer."""
        async with self._visit(proto("inference").methods["ModelInfer"].path, context) as visit:
            with self._service.admission.admitted() as take:
                patience = self._service.settings.body_timeout
                async with self._reads.one(context.peer(), patience):
                    data = await _message(context, patience)
                answer = await self._answer(data, take, visit, context)
                return bytes(answer.SerializeToString())

    async def _answer(self, data: bytes, take: Callable[[int], None], visit: Visit, context: Any) -> Any:
        """The ModelInferResponse to a ModelInferRequest that has been let in."""
        service, deadline, visit.bytes = self._service, self._deadline(context), len(data)
        take(len(data))
        with service.admission.working():
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    call = Call(data, deadline, take, visit, service.host.turns())
                    received = await service.read(call, read_infer, data, service.max_images)
                    served = await service.served(received.reference, visit)
                    outputs = await inference.infer(service, call, served, received.inference)
                    return infer_response(received, served.version, outputs)
            except TimeoutError:
                raise DeadlineExceeded("the request's deadline passed before its answer was ready") from None

    async def _stream(self, _: Any, context: Any) -> None:
        """ModelStreamInfer: any number of requests, worked on together, answered in order; an error is its request's own."""
        stream = Stream(context, self._streamed, self._service.settings.body_timeout)
        try:
            async with self._places.one(context.peer(), 0):
                if self._service.admission.closing:
                    raise Overloaded("the service is shutting down")
                self._streams.add(stream)
                await stream.run()
        except MingmuError as error:
            async with self._visit(proto("inference").methods["ModelStreamInfer"].path, context):
                raise error
        finally:
            self._streams.discard(stream)

    async def _streamed(self, data: bytes, context: Any) -> Any:
        """The ModelStreamInferResponse to one request of a stream."""
        method = proto("inference").methods["ModelStreamInfer"]
        try:
            async with self._told(Visit(_request_id(context), "GRPC", method.path)) as visit:
                with self._service.admission.admitted() as take:
                    return method.response(infer_response=await self._answer(data, take, visit, context))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and the stream goes on
            _let_go(error)
            return method.response(error_message=Problem.of(error).detail)

    def _deadline(self, context: Any) -> float:
        """When a request must be answered, as a time of time.monotonic(): by the client's own deadline, or the default one."""
        left = context.time_remaining()
        return time.monotonic() + (self._service.settings.request_timeout if left is None else min(left, MAX_TIMEOUT_MS / 1e3))

    @asynccontextmanager
    async def _visit(self, path: str, context: Any) -> AsyncIterator[Visit]:
        """The block answers one call: whatever happens in it, the client is told and a line is written."""
        visit = Visit(_request_id(context), "GRPC", path)
        try:
            async with self._told(visit):
                yield visit
        except Exception as error:  # noqa: BLE001 - the last net
            problem = Problem.of(error)
            _let_go(error)
            await context.abort(code_of(problem), problem.detail[:MAX_DETAILS], metadata_of(problem, visit.id))

    @asynccontextmanager
    async def _told(self, visit: Visit) -> AsyncIterator[Visit]:
        """Count the block as one request, and write its line."""
        try:
            yield visit
            visit.status = 200
        except asyncio.CancelledError:
            visit.status, visit.kind = CLIENT_GONE, "client-gone"
            raise
        except Exception as error:
            problem = Problem.of(error)
            visit.status, visit.kind = problem.status, problem.kind
            if problem.status == 500:
                log.error("%s", error, exc_info=error, extra={"request_id": visit.id})
            raise
        finally:
            self._service.telemetry.end(visit)


def _let_go(error: BaseException | None) -> None:
    """Empty the frames in which an error was raised: they hold the message, and gRPC and they keep each other alive."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__


async def _message(context: Any, patience: float) -> bytes:
    """The one message of a call; raises SlowBody."""
    try:
        async with asyncio.timeout(patience):
            data = await next_of(context)
    except TimeoutError:
        raise SlowBody(f"the message did not arrive within {patience:g} s (settings: body_timeout)") from None
    if data is None:
        raise BadRequest("the call ended without a message")
    return data


def _credentials(settings: Settings) -> Any:
    """What the server proves itself with, if it uses TLS; raises BadSettings."""
    import grpc

    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    try:
        return grpc.ssl_server_credentials([(settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())])
    except OSError as error:
        raise BadSettings(f"the certificate cannot be read: {error} (settings: tls_certificate, tls_key)") from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _request_id(context: Any) -> str:
    given = dict(context.invocation_metadata() or ()).get("x-request-id", "")
    return given if isinstance(given, str) and REQUEST_ID.fullmatch(given) else new_id()
