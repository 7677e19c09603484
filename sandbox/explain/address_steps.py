"""The first steps of a walk: which address the program gets for the name, and whether its packets are captured."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.explain.call import Call, is_ip
from sandbox.explain.steps import Step
from sandbox.frozen_dataclass import dataclass
from sandbox.match.capture_rules import CaptureRule, Packet, decide
from sandbox.match.name_lookup import Answer, NameLookup
from sandbox.plan import NodePlan
from sandbox.plan.because import Because, IstioDefault


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsView:
    """How the workload's names are answered: by the proxy where ``is_captured``, in the workload's domain."""

    is_captured: bool = True
    namespace: str = "default"
    domain: str = "svc.cluster.local"

    @classmethod
    def of(cls, plan: NodePlan) -> DnsView:
        """The usual for a plan's workload."""
        return cls(namespace=plan.workload.partition("/")[0])


def find_address(plan: NodePlan, call: Call, dns: DnsView, steps: list[Step]) -> str | None:
    """The destination address, or ``None`` where only the network knows it."""
    if is_ip(call.host):
        return call.host
    if call.address is not None:
        steps.append(Step(kind="dns", found=call.address, reason="as given"))
        return call.address
    domain = f"{dns.namespace}.{dns.domain}"
    lookup = NameLookup(plan.name_table, namespace=dns.namespace, domain=domain, search_domain=None)
    answer = _answer(lookup, call.host)
    if answer is None:
        steps.append(
            Step(kind="dns", found="whatever the network says", reason=f"{call.host} is not in the proxy's name table")
        )
        return None
    is_kubernetes = answer.entry.registry == "Kubernetes"
    if not dns.is_captured and not is_kubernetes:
        note = "no answer of the proxy: DNS capture is off (ISTIO_META_DNS_CAPTURE)"
        steps.append(Step(kind="dns", found="whatever the network says", reason=note))
        return None
    who = "the proxy's name table" if dns.is_captured else "the cluster's DNS, as the name table has it"
    more = f" (and {len(answer.addresses) - 1} more)" if len(answer.addresses) > 1 else ""
    because = answer.entry.because
    steps.append(Step(kind="dns", found=answer.addresses[0] + more, reason=who, because=because))
    return answer.addresses[0]


def _answer(lookup: NameLookup, host: str) -> Answer | None:
    for record_type in ("A", "AAAA"):
        found = lookup.find(host, record_type)
        if isinstance(found, Answer) and found.addresses:
            return found
    return None


def find_capture(call: Call, address: str | None, rules: Sequence[CaptureRule], steps: list[Step]) -> bool:
    """Whether the proxy gets the connection."""
    if not rules:
        return True
    packet = Packet(destination=address or "192.0.2.1", destination_port=call.port)
    verdict = decide(tuple(rules), packet)
    is_captured = verdict.port is not None
    step = verdict.rule.step if verdict.rule is not None else "no rule wants it"
    setting = verdict.rule.setting if verdict.rule is not None else ""
    because = (Because("capture", IstioDefault(f"{step} ({setting})")),) if setting else ()
    found = f"captured, to port {verdict.port}" if is_captured else "not captured"
    steps.append(Step(kind="capture", found=found, reason=step, because=because))
    return is_captured
