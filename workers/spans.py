"""Traces for an OpenTelemetry collector: only where one is named, and the extra is there.

    pip install daybook[otel]
    OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318

The variables are OpenTelemetry's own, and its SDK reads them all: sampling, headers, the
service's name. Spans leave in batches, by a thread of the SDK's.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

import structlog
from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider

from projections import tracing

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

# A collector is near; one that does not answer must not keep a process from ending.
PATIENCE_SECONDS = 3.0
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = structlog.get_logger("daybook.tracing")


@contextmanager
def exporting(name: str, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Send spans as the service `name`, if the environment says where to.

    All that were made are sent before this ends, or the collector is given up.
    """
    found = trace.get_tracer_provider()
    if not isinstance(found, ProxyTracerProvider):
        tracing.turn_on(found)  # somebody else's: it was set before we came
        yield
    elif any(environ.get(variable) for variable in ENDPOINTS):
        with _sending(name):
            yield
    else:
        yield


@contextmanager
def _sending(name: str) -> Iterator[None]:
    if not IS_INSTALLED:
        log.warning("tracing_not_installed", install="daybook[otel]")
        yield
        return
    provider = TracerProvider(resource=_resource(name))
    exporter = OTLPSpanExporter(timeout=PATIENCE_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracing.turn_on(provider)
    try:
        yield
    finally:
        tracing.turn_off()
        provider.shutdown()


def _resource(name: str) -> "Resource":
    """Who we are; what the environment calls the service comes first."""
    found = Resource.create({"service.version": version("daybook")})
    if str(found.attributes["service.name"]).startswith("unknown_service"):
        return found.merge(Resource({"service.name": name}))
    return found
