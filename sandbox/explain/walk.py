"""Walks a call through a plan by the plain rules: every decision, its reason, its lines, its nearest losers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sandbox.explain import access_steps, cluster_steps, http_steps
from sandbox.explain.address_steps import DnsView, find_address, find_capture
from sandbox.explain.call import Call
from sandbox.explain.findings import concerning
from sandbox.explain.near import nearest, of_other_protocol, other_ports
from sandbox.explain.steps import Hop, Outcome, Station, Step, Walk
from sandbox.frozen_dataclass import dataclass
from sandbox.match import reference
from sandbox.match.capture_rules import CaptureRule
from sandbox.match.facts import ConnectionFacts
from sandbox.plan import NodePlan
from sandbox.plan.base import EnvoyInternalAddress
from sandbox.plan.because import Because
from sandbox.plan.http_connection_manager import HttpConnectionManager
from sandbox.plan.listener import FilterChain, HttpInspector, Listener, TcpProxy, TlsInspector
from sandbox.plan.tls import DownstreamTlsContext
from sandbox.yaml_source.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The gateway that a call comes to: its plan, and the address and port of its pod."""

    plan: NodePlan
    address: str
    port: int


GatewayLookup = Callable[[str, int], "Arrival | None"]
"""Who is at an address (or name) and port, where that is a gateway."""

_NO_SECRET = (
    "upstream_reset_before_response_started{remote_connection_failure|TLS_error:_Secret_is_not_supplied_by_SDS}"
)
_REFUSED = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
_INNER = "envoy://"
"""How addresses of listeners without a port begin."""
FaultLookup = Callable[[NodePlan, str], "str | None"]
"""Why a cluster of a plan has no TLS, for want of a Secret or of files; ``None`` where it has."""
UNKNOWN_ADDRESS = "192.0.2.1"
"""Stands for an address that only the network knows (RFC 5737); no listener or chain names it."""


def explain(
    plan: NodePlan,
    call: Call,
    *,
    capture_rules: Sequence[CaptureRule] = (),
    dns: DnsView | None = None,
    problems: Iterable[Problem] = (),
    gateways: GatewayLookup = lambda _address, _port: None,
    tls_fault: FaultLookup = lambda _plan, _cluster: None,
) -> Walk:
    """What would become of a call, step by step.

    ``capture_rules`` are those of the workload (none: everything is captured); ``dns`` says how names are answered;
    of ``problems`` those are told that concern the objects which decide; through ``gateways`` the walk goes on, and it
    ends where a cluster has a ``tls_fault``.
    """
    walk = _unless_tls_fails(_explain(plan, call, capture_rules, dns), tls_fault, plan)
    walk = _followed(walk, gateways, tls_fault, frozenset({walk.station} if plan.node_type == "router" else ()))
    return replace(walk, findings=concerning(walk, problems))


def _unless_tls_fails(walk: Walk, tls_fault: FaultLookup, plan: NodePlan) -> Walk:
    outcome = walk.outcome
    fault = tls_fault(plan, outcome.cluster) if outcome.is_forwarded else None
    if fault is None:
        return walk
    return replace(walk, outcome=replace(_failed(outcome, fault, _NO_SECRET), hop=None))


def _failed(outcome: Outcome, fault: str, details: str) -> Outcome:
    is_http = outcome.status is None
    return replace(
        outcome,
        status=503 if is_http else 0,
        flags=outcome.flags_if_refused,
        details=details if is_http else "",
        sentence=f"every connection to the upstream fails: {fault}",
        is_forwarded=False,
        notes=(),
    )


def _followed(walk: Walk, gateways: GatewayLookup, tls_fault: FaultLookup, seen: frozenset[Station]) -> Walk:
    """The walk with the way through the gateways that it leads to."""
    hop = walk.outcome.hop
    arrival = gateways(hop.address, hop.port) if hop is not None else None
    if hop is None or arrival is None:
        return walk
    onward = _unless_tls_fails(_explain(arrival.plan, _onward(walk, hop, arrival), (), None), tls_fault, arrival.plan)
    onward = replace(onward, steps=tuple(step for step in onward.steps if step.kind != "dns"))
    if onward.station in seen:
        return replace(walk, outcome=_loop(walk.outcome, onward))
    if all(step.found == "none" for step in onward.steps if step.kind == "listener"):
        fault = f"{onward.workload} does not listen on port {onward.call.port}"
        walk = replace(walk, outcome=_failed(walk.outcome, fault, _REFUSED))
    return replace(walk, onward=_followed(onward, gateways, tls_fault, seen | {onward.station}))


def _loop(outcome: Outcome, back: Walk) -> Outcome:
    again = f"{back.workload}, port {back.call.port}"
    return replace(
        outcome,
        loop_to=back.station,
        is_forwarded=False,
        details="",
        sentence=f"a loop: the call comes back to {again}, and goes round until something gives up",
        notes=("egress run refuses it",),
    )


def _onward(walk: Walk, hop: Hop, arrival: Arrival) -> Call:
    """The call as the gateway gets it: the same request or bytes, at the gateway's address, perhaps inside TLS."""
    call = walk.call
    common = hop.tls.common_tls_context if hop.tls is not None else None
    is_routed = walk.outcome.status is None
    authority = hop.authority or call.authority
    return replace(
        call,
        port=arrival.port,
        address=arrival.address,
        path=hop.path or call.path,
        headers=(
            ("Host", authority),
            *(each for each in call.headers if each[0].lower() not in ("host", ":authority")),
        ),
        scheme=("https" if hop.tls is not None else "http") if is_routed else call.scheme,
        sni=(hop.tls.sni or call.host) if hop.tls is not None else call.sni,
        alpn=common.alpn_protocols if common is not None else call.alpn,
        is_mutual=common is not None and bool(common.tls_certificate_sds_secret_configs),
        inside=replace(call, scheme="http" if is_routed else call.scheme) if hop.tls is not None else None,
    )


def _explain(plan: NodePlan, call: Call, capture_rules: Sequence[CaptureRule], dns: DnsView | None) -> Walk:
    steps: list[Step] = []
    address = find_address(plan, call, dns or DnsView.of(plan), steps)
    if not find_capture(call, address, capture_rules, steps):
        outcome = Outcome(sentence="the call goes straight to the network; the proxy neither sees nor logs it")
        return _walk(plan, call, steps, outcome)
    listener = _find_listener(plan, call, address or UNKNOWN_ADDRESS, steps)
    if listener is None:
        return _walk(plan, call, steps, Outcome(status=0, sentence="nothing listens: the connection is refused"))
    outcome = _through_listener(plan, call, listener, address or UNKNOWN_ADDRESS, steps)
    return _walk(plan, call, steps, _through_inner_listeners(plan, call.inside or call, outcome, steps))


def _through_listener(plan: NodePlan, call: Call, listener: Listener, address: str, steps: list[Step]) -> Outcome:
    chain = _find_chain(call, listener, address, steps)
    if chain is None:
        return Outcome(
            status=0, flags=("NR",), details="filter_chain_not_found", sentence="the connection is closed at once"
        )
    return _through_chain(plan, call, chain, steps)


def _through_inner_listeners(plan: NodePlan, call: Call, outcome: Outcome, steps: list[Step]) -> Outcome:
    """On through the listeners without a port, to which clusters of the same proxy lead; through each once.

    Of a call that is forwarded the log names the first cluster: listeners without a port have no log by themselves.
    """
    inner = {
        EnvoyInternalAddress(server_listener_name=each.name).path: each
        for each in plan.listeners
        if each.internal_listener is not None
    }
    first = outcome
    while outcome.hop is not None and outcome.hop.address.startswith(_INNER):
        listener = inner.pop(outcome.hop.address, None)
        if listener is None:
            sentence = "the proxy has no such listener: the connection is accepted, then reset"
            return replace(outcome, status=0, flags=("UF", "URX"), is_forwarded=False, sentence=sentence, notes=())
        reason = "a listener without a port, to which the proxy itself connects"
        steps.append(Step(kind="listener", found=listener.name, reason=reason, because=listener.because))
        outcome = _through_listener(plan, call, listener, UNKNOWN_ADDRESS, steps)
    return replace(outcome, cluster=first.cluster) if outcome.is_forwarded else outcome


def _walk(plan: NodePlan, call: Call, steps: list[Step], outcome: Outcome) -> Walk:
    return Walk(call=call, node_type=plan.node_type, workload=plan.workload, steps=tuple(steps), outcome=outcome)


def _find_listener(plan: NodePlan, call: Call, address: str, steps: list[Step]) -> Listener | None:
    choice = reference.choose_listener(plan.listeners, address, call.port)
    listener = choice.chosen
    losers = nearest(choice.losers, lambda each: each.name)
    reason = choice.reason.replace(f"{UNKNOWN_ADDRESS}:{call.port}", f"the address of {call.host}")
    is_unknown = plan.node_type != "router" and (listener is None or listener.use_original_dst)
    known_on = other_ports(plan, call) if is_unknown else ()
    steps.append(
        Step(
            kind="listener",
            found=listener.name if listener is not None else "none",
            reason=reason,
            because=listener.because if listener is not None else (),
            losers=(*losers, *known_on),
        )
    )
    return listener


def _find_chain(call: Call, listener: Listener, address: str, steps: list[Step]) -> FilterChain | None:
    facts = connection_facts(call, listener, address)
    choice = reference.choose_filter_chain(listener, facts)
    chain = choice.chosen
    is_fallback = chain is None or chain is listener.default_filter_chain
    losers = of_other_protocol(listener, call, _chain_title) if is_fallback else ()
    titles = [each.name for each in losers]
    others = nearest(choice.losers, _chain_title, call.host if is_fallback else "")
    steps.append(
        Step(
            kind="filter chain",
            found="none" if chain is None else chain.name or _chain_title(chain),
            reason=choice.reason.replace(UNKNOWN_ADDRESS, "the resolved address"),
            because=_chain_because(chain),
            losers=(*losers, *(each for each in others if each.name not in titles)),
            notes=_chain_notes(call, listener, facts),
        )
    )
    return chain


def connection_facts(call: Call, listener: Listener, address: str) -> ConnectionFacts:
    """What the listener's inspectors find out about the call."""
    filters = [each.typed_config for each in listener.listener_filters]
    transport, server_name = "raw_buffer", ""
    protocols: tuple[str, ...] = ()
    if call.is_tls and any(isinstance(each, TlsInspector) for each in filters):
        transport, server_name, protocols = "tls", call.server_name, call.alpn
    elif call.scheme == "http" and any(isinstance(each, HttpInspector) for each in filters):
        protocols = ("http/1.1",)
    return ConnectionFacts(
        destination_ip=address,
        destination_port=call.port,
        transport_protocol=transport,
        server_name=server_name,
        application_protocols=protocols,
    )


def _chain_notes(call: Call, listener: Listener, facts: ConnectionFacts) -> tuple[str, ...]:
    if call.is_tls and facts.transport_protocol != "tls":
        return ("this listener does not inspect TLS: the SNI is not read, nor logged",)
    waits = any(isinstance(each.typed_config, (TlsInspector, HttpInspector)) for each in listener.listener_filters)
    if call.scheme == "tcp" and waits:
        return ("this listener waits for the client's first bytes: a server that speaks first hangs here",)
    return ()


def _chain_title(chain: FilterChain) -> str:
    match = chain.filter_chain_match
    if match is not None and match.server_names:
        return " ".join(match.server_names)
    return chain.name or _purpose(chain)


def _purpose(chain: FilterChain) -> str:
    for each in chain.filters:
        if isinstance(each.typed_config, HttpConnectionManager):
            return "the HTTP chain"
        if isinstance(each.typed_config, TcpProxy):
            return f"the TCP chain to {each.typed_config.cluster or 'several clusters'}"
    return "a chain without a name"


def _chain_because(chain: FilterChain | None) -> tuple[Because, ...]:
    if chain is None:
        return ()
    found = list(chain.because)
    for each in chain.filters:
        config = each.typed_config
        if isinstance(config, TcpProxy):
            found += [because for because in config.because if because not in found]
    return tuple(found)


def _through_chain(plan: NodePlan, call: Call, chain: FilterChain, steps: list[Step]) -> Outcome:
    terminates = chain.transport_socket is not None and isinstance(
        chain.transport_socket.typed_config, DownstreamTlsContext
    )
    if access_steps.network_denial(call, chain, steps) is not None:
        return Outcome(status=0, sentence="the connection is closed: no authorization policy lets it through")
    for each in chain.filters:
        config = each.typed_config
        if isinstance(config, HttpConnectionManager):
            if call.is_tls and not terminates:
                return _not_http()
            if not call.is_http:
                return _not_http()
            return http_steps.through_routes(plan, call, config, steps)
        if isinstance(config, TcpProxy):
            return cluster_steps.through_tcp_proxy(plan, call, config, steps)
    return Outcome(sentence="the chain has no filter that this walk knows")


def _not_http() -> Outcome:
    return Outcome(
        status=400,
        flags=("DPE",),
        details="http1.codec_error",
        sentence="the chain speaks HTTP, and these bytes are not HTTP",
    )
