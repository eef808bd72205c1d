"""The gRPC server itself: health, reflection, TLS, traces and figures, an orderly stop."""

import asyncio
import datetime
import ipaddress
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.trace import SpanKind

from chassis import metrics, rpc, telemetry
from chassis.db import Sessions, make_engine
from chassis.settings import ServiceSettings
from chassis.tokens import Verifier
from tests.chassis.noting import NAME, Served, auth, refused, serving
from tests.support.running import settings_for
from tests.support.waiting import eventually


async def test_health_and_reflection_need_no_token(served: Served) -> None:
    health = health_pb2_grpc.HealthStub(served.channel)
    for name in ("", NAME):
        reply = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME),
    ]
    replies = [reply async for reply in stub.ServerReflectionInfo(iter(asked))]
    assert NAME in {service.name for service in replies[0].list_services_response.service}
    assert replies[1].file_descriptor_response.file_descriptor_proto


async def test_health_follows_the_database(
    notes: SimpleNamespace, database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "READINESS_SECONDS", 0.05)
    async with serving(notes, database("health")) as served:
        health = health_pb2_grpc.HealthStub(served.channel)

        async def is_now(wanted: int) -> bool:
            return (await health.Check(health_pb2.HealthCheckRequest(service=NAME))).status == wanted

        await eventually(lambda: is_now(health_pb2.HealthCheckResponse.SERVING))
        real = served.sessions.engine
        broken = settings_for(ServiceSettings, "postgresql+asyncpg://nobody@127.0.0.1:1/x", name="notes")
        for engine, wanted in (
            (make_engine(broken), health_pb2.HealthCheckResponse.NOT_SERVING),
            (real, health_pb2.HealthCheckResponse.SERVING),
        ):
            served.server._sessions = Sessions(engine)
            await eventually(lambda wanted=wanted: is_now(wanted))


async def test_speaks_tls_with_a_certificate(
    notes: SimpleNamespace, database: Callable[[str], str], tmp_path: Path
) -> None:
    certificate, key = certificate_for_localhost(tmp_path)
    async with serving(notes, database("tls"), grpc_tls_cert=certificate, grpc_tls_key=key) as served:
        assert (await served.stub.Get(notes.pb.Note(text="a"), metadata=auth())).text == "a"
        async with rpc.channel(f"127.0.0.1:{served.port}") as clear:
            error = await refused(notes.grpc.NoteServiceStub(clear).Get(notes.pb.Note(), metadata=auth(), timeout=1))
            assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def certificate_for_localhost(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    clock = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock - datetime.timedelta(hours=1))
        .not_valid_after(clock + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    return folder / "cert.pem", folder / "key.pem"


async def test_half_a_key_pair_is_refused(notes: SimpleNamespace, tmp_path: Path) -> None:
    certificate, _ = certificate_for_localhost(tmp_path)
    settings = settings_for(ServiceSettings, "postgresql+asyncpg://x/x", name="notes", grpc_tls_cert=certificate)
    server = rpc.RpcServer(settings, [], Sessions(make_engine(settings)), Verifier(settings))
    with pytest.raises(ValueError, match="together"):
        await server.start()


async def test_one_trace_from_client_to_server(served: Served, note: Any) -> None:
    with telemetry.recorded_spans() as recorder:
        with telemetry.span("client") as client:
            await served.stub.Get(note(), metadata=auth())
        await eventually(lambda: [s for s in recorder.get_finished_spans() if s.kind == SpanKind.SERVER])
        span = next(s for s in recorder.get_finished_spans() if s.kind == SpanKind.SERVER)
    assert span.context.trace_id == client.get_span_context().trace_id
    assert span.parent is not None
    assert span.parent.span_id == client.get_span_context().span_id
    assert span.attributes is not None
    assert span.attributes["rpc.method"] == f"/{NAME}/Get"
    assert span.attributes["rpc.grpc.status_code"] == "OK"
    assert span.attributes["xaso.service"] == "notes"


async def test_calls_are_measured(served: Served, note: Any) -> None:
    def seen(status: str) -> float:
        labels = {"service": "notes", "method": f"/{NAME}/Fail", "status": status}
        return metrics.REGISTRY.get_sample_value("xaso_rpc_duration_seconds_count", labels) or 0.0

    before = seen("OK"), seen("PERMISSION_DENIED")
    await served.stub.Fail(note(), metadata=auth())
    await refused(served.stub.Fail(note(text="forbidden"), metadata=auth()))
    await eventually(lambda: (seen("OK"), seen("PERMISSION_DENIED")) == (before[0] + 1, before[1] + 1))


async def test_a_stop_lets_calls_finish(notes: SimpleNamespace, database: Callable[[str], str]) -> None:
    async with serving(notes, database("stop")) as served:
        call = asyncio.ensure_future(
            _awaited(served.stub.Write(notes.pb.Note(id="last", text="then wait"), metadata=auth(), timeout=20))
        )
        await asyncio.wait_for(served.arrived.wait(), 10)
        stop = asyncio.create_task(served.server.stop(10))
        await asyncio.sleep(0)
        served.go.set()
        assert (await call).id == "last"
        await stop
        assert await served.written("last") == 1


async def _awaited(call: Any) -> Any:
    return await call
