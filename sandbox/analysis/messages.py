"""The findings of ``istioctl analyze``: code, severity and sentence (Istio pkg/config/analysis/msg/messages.yaml)."""

from __future__ import annotations

from typing import Final

from sandbox.frozen_dataclass import dataclass
from sandbox.yaml_source.codes import Severity
from sandbox.yaml_source.problems import Problem, Problems
from sandbox.yaml_source.span import Origin


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of finding; ``template`` is filled with ``str.format``."""

    code: str
    severity: Severity
    template: str
    hint: str = ""

    def report(self, problems: Problems, origin: Origin, *values: object) -> None:
        """Report the finding at a place of the configuration."""
        problems.add(
            Problem(
                code=self.code,
                severity=self.severity,
                message=self.template.format(*values),
                span=origin.span,
                path=origin.path,
                resource=origin.resource,
                hint=self.hint,
                layer="istiod",
            )
        )


DEPRECATED: Final = Finding("IST0002", "warning", "deprecated: {}")
NOT_FOUND: Final = Finding("IST0101", "error", 'referenced {} not found: "{}"')
CONFLICTING_MESH_HOSTS: Final = Finding(
    "IST0109",
    "error",
    "the VirtualServices {} associated with mesh gateway define the same host {} which can lead to undefined behavior",
    "merge the conflicting VirtualServices into a single resource",
)
CONFLICTING_SIDECAR_SELECTORS: Final = Finding(
    "IST0110",
    "error",
    'the Sidecars {} in namespace "{}" select the same workload pod "{}", which can lead to undefined behavior',
)
SIDECARS_WITHOUT_SELECTOR: Final = Finding(
    "IST0111",
    "error",
    'the Sidecars {} in namespace "{}" have no workload selector, which can lead to undefined behavior',
)
PORT_REQUIRED: Final = Finding(
    "IST0112",
    "error",
    'this VirtualService routes to a service "{}" that exposes multiple ports {}',
    "specify a port in the destination",
)
PORT_NAME: Final = Finding(
    "IST0118",
    "info",
    "port name {} (port: {}, targetPort: {}) doesn't follow the naming convention of Istio port",
)
NO_WORKLOADS: Final = Finding(
    "IST0127", "warning", "no matching workloads for this resource with the following labels: {}"
)
NO_CA_CERTIFICATES: Final = Finding(
    "IST0128",
    "warning",
    "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server"
    " identity for host: {}",
    "since Istio 1.21 the certificates of the operating system are used where none are set",
)
NO_CA_CERTIFICATES_AT_PORT: Final = Finding(
    "IST0129",
    "warning",
    "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server"
    " identity for host: {} at port {}",
    NO_CA_CERTIFICATES.hint,
)
UNREACHABLE_RULE: Final = Finding("IST0130", "warning", "VirtualService rule {} not used ({})")
INEFFECTIVE_MATCH: Final = Finding(
    "IST0131", "info", "VirtualService rule {} match {} is not used (duplicate/overlapping match in rule {})"
)
HOST_NOT_IN_GATEWAY: Final = Finding(
    "IST0132", "warning", "one or more host {} defined in VirtualService {} not found in Gateway {}"
)
ADDRESSES_REQUIRED: Final = Finding(
    "IST0134",
    "warning",
    "ServiceEntry addresses are required for this protocol",
    "without them all such entries share"
    " the port's listener, and the oldest gets all its traffic, unless the workload captures DNS",
)
DUPLICATE_CERTIFICATE: Final = Finding(
    "IST0138",
    "warning",
    "duplicate certificate in multiple gateways {} may cause 404s if clients re-use HTTP2 connections",
)
SUBSET_WITHOUT_EFFECT: Final = Finding(
    "IST0140", "warning", "subset in virtual service {} has no effect on ingress gateway {} requests"
)
CONFLICTING_GATEWAYS: Final = Finding(
    "IST0145", "error", "conflict with gateways {} (workload selector {}, port {}, hosts {})"
)
JWT_CLAIM_WITHOUT_AUTHENTICATION: Final = Finding(
    "IST0149",
    "error",
    "the virtual service uses the JWT claim based routing (key: {}) but found no request authentication for the"
    " gateway ({}) pod ({})",
    "apply a RequestAuthentication to the gateway's pods",
)
EXTERNAL_NAME_PORT: Final = Finding(
    "IST0150",
    "warning",
    "port name for ExternalName service is invalid: the proxy may prevent tcp named ports and unmatched traffic for"
    " ports serving TCP protocol from being forwarded correctly",
)
NO_PROVIDERS: Final = Finding(
    "IST0157", "warning", 'the Telemetry {} in namespace "{}" with empty providers will be ignored'
)
CONFLICTING_TELEMETRY_SELECTORS: Final = Finding(
    "IST0159",
    "error",
    'the Telemetries {} in namespace "{}" select the same workload pod "{}", which can lead to undefined behavior',
)
TELEMETRIES_WITHOUT_SELECTOR: Final = Finding(
    "IST0160",
    "error",
    'the Telemetries {} in namespace "{}" have no workload selector, which can lead to undefined behavior',
)
INVALID_CREDENTIAL: Final = Finding(
    "IST0161",
    "error",
    "the credential referenced by the Gateway {} in namespace {} is invalid, which can cause the traffic not to work"
    " as expected",
)
PORT_NOT_ON_SERVICE: Final = Finding(
    "IST0162",
    "warning",
    "the gateway is listening on a target port (port {}) that is not defined in the Service associated with its"
    " workload instances (Pod selector {})",
    "without it the port cannot be reached through the gateway Service",
)
INTERNAL_GATEWAY: Final = Finding(
    "IST0165",
    "warning",
    "gateway reference in VirtualService {} is to an implementation-generated internal Gateway: {}",
)
INEFFECTIVE_POLICY: Final = Finding("IST0167", "warning", "the policy has no impact: {}")
SUBSET_WITHOUT_PODS: Final = Finding(
    "IST0173",
    "error",
    "the Subset {} defined in the DestinationRule does not select any pods, which may lead to 503 UH"
    " (NoHealthyUpstream)",
)
UNKNOWN_RULE_HOST: Final = Finding(
    "IST0174", "warning", "the host {} defined in the DestinationRule does not match any services in the mesh"
)
CONFLICTING_PROTOCOL: Final = Finding(
    "IST0177",
    "warning",
    'multiple ServiceEntries ({}) define the same host "{}" and port {} with conflicting protocols ({})',
)
