"""Telemetry: tracing, metrics, access logging."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.istio.resource import Resource
from sandbox.istio.telemetry import CustomTag, Metrics, MetricsOverrides, ProviderRef, Telemetry, Tracing
from sandbox.istio.validate.cel_syntax import cel_fault
from sandbox.istio.validate.findings import Findings
from sandbox.istio.validate.shared import check_attachment


def validate_telemetry(resource: Resource[Telemetry], findings: Findings) -> None:
    """Every rule about a Telemetry by itself."""
    spec = resource.spec
    check_attachment(spec, spec.selector, spec.targetRef, spec.targetRefs, findings)
    for metrics in spec.metrics:
        _check_metrics(metrics, findings)
    if len(spec.tracing) > 1:
        findings.warn("multiple tracing is not currently supported", spec, "tracing", 1)
    for tracing in spec.tracing:
        _check_tracing(tracing, findings)
    for logging in spec.access_logging:
        if logging.filter is not None:
            findings.check(cel_fault(logging.filter.expression), logging.filter, "expression")
        _check_providers(logging.providers, findings)


def _check_providers(providers: Sequence[ProviderRef], findings: Findings) -> None:
    for provider in providers:
        if not provider.name:
            findings.error("providers.name may not be empty", provider)
            return


def _check_tracing(tracing: Tracing, findings: Findings) -> None:
    if len(tracing.providers) > 1:
        findings.warn("multiple providers is not currently supported", tracing, "providers", 1)
    _check_providers(tracing.providers, findings)
    if not 0 <= (tracing.random_sampling_percentage or 0) <= 100:
        message = "randomSamplingPercentage must be in range [0.0, 100.0]"
        findings.error(message, tracing, "random_sampling_percentage")
    for name, tag in tracing.custom_tags.items():
        if not name:
            findings.error("tag name may not be empty", tracing, "custom_tags", name)
        _check_tag(tag, findings)


def _check_tag(tag: CustomTag, findings: Findings) -> None:
    if tag.literal is not None and not tag.literal.value:
        findings.error("literal tag value may not be empty", tag, "literal")
    if tag.header is not None and not tag.header.name:
        findings.error("header tag name may not be empty", tag, "header")
    if tag.environment is not None and not tag.environment.name:
        findings.error("environment tag name may not be empty", tag, "environment")


def _check_metrics(metrics: Metrics, findings: Findings) -> None:
    _check_providers(metrics.providers, findings)
    for override in metrics.overrides:
        _check_override(override, findings)


def _check_override(override: MetricsOverrides, findings: Findings) -> None:
    for name, tag in override.tag_overrides.items():
        if not name:
            findings.warn("tagOverrides.name may not be empty", override, "tag_overrides", name)
        if tag.operation == "UPSERT" and not tag.value:
            findings.error("tagOverrides.value must be set when operation is UPSERT", tag)
        if tag.operation == "REMOVE" and tag.value:
            findings.error("tagOverrides.value may only be set when operation is UPSERT", tag, "value")
    if override.match is not None and override.match.custom_metric == "":
        findings.error("customMetric may not be empty", override.match, "custom_metric")
