"""Spans reach a real OTLP receiver: a report's trace goes through to the decision, on every broker."""

import gzip
import json
import sysconfig
import threading
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.service_process import ServiceProcess
from tests.support.telemetry import still, warnings
from tests.support.waiting import wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Receiver:
    """Takes spans by OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """It says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            for attribute in resource.resource.attributes:
                if attribute.key == "service.name":
                    self.services.add(attribute.value.string_value)
            for scope in resource.scope_spans:
                self.spans += scope.spans


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


def report(image: str) -> bytes:
    event = {
        "specversion": "1.0",
        "id": "r-1",
        "source": "/gallery",
        "type": "image.reported.v1",
        "data": {"image_id": image, "reporter_id": "user-7"},
    }
    return json.dumps(event).encode()


def test_a_reports_trace_goes_through_to_its_decision(
    broker: Harness, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    env = {
        "MODERATION_BROKER_URL": broker.url,
        "MODERATION_STORE_URL": f"{redis_server.tcp_url}/1",
        "MODERATION_BLOCK_THRESHOLD": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with receiving() as receiver:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        with ServiceProcess(tmp_path, env, timeout=40) as service:
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            broker.publish("image.reported", [report("img-42")], headers)
            wait_until(lambda: broker.read("image.blocked"), "it is blocked", 20)
            assert still(service.get("/metrics")[1]) == set()
            service.terminate()
            assert service.wait() == 0
            # Kafka's group takes three seconds to let a first member in, which is said.
            assert [line for line in warnings(service.log) if "the group has not" not in line] == []
        spans = {span.name: span for span in receiver.spans}
        decided = spans["decide block"]
        assert (decided.trace_id.hex(), decided.parent_span_id.hex()) == (TRACE, PARENT)
        facts = {one.key: one.value for one in decided.attributes}
        assert facts["moderation.image_id"].string_value == "img-42"
        assert decided.end_time_unix_nano >= decided.start_time_unix_nano > 0
        assert receiver.services == {"image-moderation"}
        # FastStream's own, of the batch.
        assert any("process" in name for name in spans), sorted(spans)
    (found,) = broker.read("image.blocked")
    assert json.loads(found.body)["traceparent"] == f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_collector_that_is_away_does_not_hold_up_the_end(
    broker: Harness, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    env = {
        "MODERATION_BROKER_URL": broker.url,
        "MODERATION_BLOCK_THRESHOLD": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    with ServiceProcess(tmp_path, env) as service:
        broker.publish("image.reported", [report("img-42")])
        wait_until(lambda: broker.read("image.blocked"), "it is blocked")
        service.terminate()
        assert service.wait(6) == 0


@pytest.mark.parametrize(
    "env", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}]
)
def test_it_is_off_unless_an_endpoint_is_configured(
    redis_url: str, tmp_path: Path, env: dict[str, str]
) -> None:
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": redis_url, **env}) as service:
        assert "tracing" not in service.log


def python_without(tmp_path: Path, *parts: str) -> Path:
    """Make an environment of this one's packages without some parts of OpenTelemetry; return its Python."""
    place = tmp_path / "environment"
    venv.create(place, symlinks=True)
    ours, theirs = Path(sysconfig.get_path("purelib")), next(place.glob("lib/python*/site-packages"))
    for package in ours.iterdir():
        if package.name != "opentelemetry":
            (theirs / package.name).symlink_to(package)
    (theirs / "opentelemetry").mkdir()
    for part in (ours / "opentelemetry").iterdir():
        if part.name not in parts:
            (theirs / "opentelemetry" / part.name).symlink_to(part)
    return place / "bin" / "python"


@pytest.mark.parametrize("missing", ["sdk", "exporter"])
def test_it_serves_where_a_part_of_the_library_is_missing(
    redis_url: str, tmp_path: Path, missing: str
) -> None:
    """Other packages bring OpenTelemetry's API alone."""
    env = {"MODERATION_BROKER_URL": redis_url, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    service = ServiceProcess(tmp_path, env)
    service.command[0] = str(python_without(tmp_path, missing))
    with service:
        assert f"opentelemetry.{missing}" in service.wait_for_event("tracing_not_installed")["error"]
        service.terminate()
        assert service.wait() == 0
        assert [line["event"] for line in service.events()].count("tracing_not_installed") == 1


def test_it_serves_whatever_the_variables_hold(redis_url: str, tmp_path: Path) -> None:
    env = {
        "MODERATION_BROKER_URL": redis_url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        # These two are read where FastStream's middleware first asks, and fail there.
        "OTEL_PYTHON_METER_PROVIDER": "unknown",
        "OTEL_PYTHON_CONTEXT": "unknown",
        "OTEL_PROPAGATORS": "unknown",
    }
    with ServiceProcess(tmp_path, env) as service:
        assert service.wait_for_event("tracing_off")
