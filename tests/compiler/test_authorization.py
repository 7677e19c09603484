"""AuthorizationPolicies at a gateway: which requests and connections their filters let through."""

from __future__ import annotations

import pytest

from sandbox.compiler.authorization import AuthorizationFilters, build_authorization
from sandbox.compiler.find_proxy import find_proxy
from sandbox.compiler.push_context import PushContext
from sandbox.istio.load import load_texts
from sandbox.match.facts import RequestFacts
from sandbox.match.rbac import AccessFacts, AccessRules
from sandbox.plan.rbac import HttpRbac, NetworkRbac, Rules

from .nodes import manifest
from .sidecars import CLIENT, mesh, service_entry

ALICE = "spiffe://cluster.local/ns/team/sa/alice"


def authorization(name: str, spec: str, namespace: str = "default", **metadata: str) -> str:
    text = manifest("AuthorizationPolicy", name, spec, namespace, **metadata)
    return text.replace("networking.istio.io", "security.istio.io")


def built(*documents: str) -> tuple[AuthorizationFilters, list[str]]:
    configuration = load_texts([("world.yaml", "---\n".join((CLIENT, *documents)))])
    assert not configuration.problems.errors
    push = PushContext(configuration)
    proxy = find_proxy(configuration, "default/client", "router")
    assert proxy is not None
    return build_authorization(push, proxy), [problem.code for problem in push.problems]


def http_rules(filters: AuthorizationFilters) -> list[HttpRbac]:
    return [each.typed_config for each in filters.http if isinstance(each.typed_config, HttpRbac)]


def tcp_rules(filters: AuthorizationFilters) -> list[NetworkRbac]:
    return [each.typed_config for each in filters.tcp if isinstance(each.typed_config, NetworkRbac)]


def request(
    method: str = "GET",
    path: str = "/",
    host: str = "a.example.com",
    *,
    principal: str | None = None,
    port: int = 80,
    source: str = "10.1.2.3",
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> AccessFacts:
    facts = AccessFacts("10.0.0.9", port, source)
    facts.request = RequestFacts(method.encode(), path.encode(), host.encode(), headers=headers)
    if principal is not None:
        facts.principals = [principal]
        facts.state = {"io.istio.peer_principal": principal}
    return facts


def lets_through(filters: list[Rules], facts: AccessFacts) -> bool:
    return all(AccessRules(rules).decide(facts) is None for rules in filters)


def enforced(filters: AuthorizationFilters) -> list[Rules]:
    return [each.rules for each in http_rules(filters) if each.rules is not None]


@pytest.mark.parametrize(
    ("to", "facts", "allowed"),
    [
        pytest.param("{methods: [GET]}", request("GET"), True, id="method"),
        pytest.param("{methods: [GET]}", request("POST"), False, id="other method"),
        pytest.param("{notMethods: [GET]}", request("POST"), True, id="not the method"),
        pytest.param("{paths: [/a]}", request(path="/a?x=1"), True, id="path without query"),
        pytest.param("{paths: [/a]}", request(path="/a/b"), False, id="exact path"),
        pytest.param("{paths: [/a*]}", request(path="/a/b"), True, id="path prefix"),
        pytest.param("{paths: ['*/b']}", request(path="/a/b"), True, id="path suffix"),
        pytest.param("{paths: ['/v/{*}/x']}", request(path="/v/1/x"), True, id="one segment"),
        pytest.param("{paths: ['/v/{*}/x']}", request(path="/v/1/2/x"), False, id="one segment is not two"),
        pytest.param("{paths: ['/v/{**}']}", request(path="/v/1/2/x"), True, id="any segments"),
        pytest.param("{hosts: [A.example.com]}", request(), True, id="hosts ignore case"),
        pytest.param("{hosts: ['*.example.com']}", request(), True, id="host suffix"),
        pytest.param("{hosts: ['*.example.org']}", request(), False, id="other host"),
        pytest.param("{ports: ['80']}", request(port=80), True, id="port"),
        pytest.param("{ports: ['80']}", request(port=81), False, id="other port"),
        pytest.param("{methods: [GET], paths: [/a]}", request(path="/b"), False, id="all fields count"),
    ],
)
def test_operations_decide(to: str, facts: AccessFacts, allowed: bool) -> None:
    filters, _ = built(authorization("only", f"rules: [{{to: [{{operation: {to}}}]}}]"))
    assert lets_through(enforced(filters), facts) == allowed


@pytest.mark.parametrize(
    ("source", "facts", "allowed"),
    [
        pytest.param("{principals: ['*']}", request(principal=ALICE), True, id="anyone with a name"),
        pytest.param("{principals: ['*']}", request(), False, id="nobody"),
        pytest.param("{principals: [cluster.local/ns/team/sa/alice]}", request(principal=ALICE), True, id="alice"),
        pytest.param("{principals: [cluster.local/ns/team/sa/bob]}", request(principal=ALICE), False, id="bob"),
        pytest.param("{namespaces: [team]}", request(principal=ALICE), True, id="namespace"),
        pytest.param("{namespaces: [te]}", request(principal=ALICE), False, id="a part of the namespace"),
        pytest.param("{notNamespaces: [team]}", request(principal=ALICE), False, id="not the namespace"),
        pytest.param("{ipBlocks: [10.1.0.0/16]}", request(), True, id="block"),
        pytest.param("{ipBlocks: [10.1.2.4]}", request(), False, id="other address"),
        pytest.param("{notIpBlocks: [10.1.2.3]}", request(), False, id="not the address"),
    ],
)
def test_sources_decide(source: str, facts: AccessFacts, allowed: bool) -> None:
    filters, _ = built(authorization("only", f"rules: [{{from: [{{source: {source}}}]}}]"))
    assert lets_through(enforced(filters), facts) == allowed


@pytest.mark.parametrize(
    ("when", "facts", "allowed"),
    [
        pytest.param(
            "{key: 'request.headers[X-Team]', values: [a*]}", request(headers=((b"x-team", b"abc"),)), True, id="header"
        ),
        pytest.param("{key: 'request.headers[x-team]', values: [a*]}", request(), False, id="no header"),
        pytest.param("{key: 'request.headers[x-team]', notValues: [a]}", request(), True, id="no header is not a"),
        pytest.param("{key: destination.port, values: ['80']}", request(), True, id="port"),
        pytest.param("{key: source.namespace, values: [team]}", request(principal=ALICE), True, id="namespace"),
        pytest.param("{key: destination.ip, values: [10.0.0.0/8]}", request(), True, id="destination"),
    ],
)
def test_conditions_decide(when: str, facts: AccessFacts, allowed: bool) -> None:
    filters, _ = built(authorization("only", f"rules: [{{when: [{when}]}}]"))
    assert lets_through(enforced(filters), facts) == allowed


def test_no_policy_makes_no_filter() -> None:
    assert built()[0] == AuthorizationFilters()


def test_a_policy_without_rules_lets_nothing_through() -> None:
    filters, _ = built(authorization("none", "{}").replace("spec:\n  {}\n", "spec: {}\n"))
    assert not lets_through(enforced(filters), request())


def test_an_empty_rule_lets_everything_through() -> None:
    filters, _ = built(authorization("all", "rules: [{}]"))
    assert lets_through(enforced(filters), request())


def test_denial_comes_before_permission_and_log_before_both() -> None:
    filters, _ = built(
        authorization("allow", "rules: [{}]"),
        authorization("deny", "action: DENY\nrules: [{to: [{operation: {paths: [/admin]}}]}]"),
        authorization("audit", "action: AUDIT\nrules: [{}]"),
    )
    assert [rules.action for rules in enforced(filters)] == ["LOG", "DENY", "ALLOW"]
    assert lets_through(enforced(filters), request(path="/"))
    assert not lets_through(enforced(filters), request(path="/admin"))


def test_policies_of_one_action_share_a_filter_and_any_of_them_is_enough() -> None:
    filters, _ = built(
        authorization("get", "rules: [{to: [{operation: {methods: [GET]}}]}]"),
        authorization("put", "rules: [{to: [{operation: {methods: [PUT]}}]}]", namespace="istio-system"),
    )
    (rules,) = enforced(filters)
    assert list(rules.policies or {}) == [
        "ns[istio-system]-policy[put]-rule[0]",
        "ns[default]-policy[get]-rule[0]",
    ]
    assert lets_through([rules], request("GET"))
    assert lets_through([rules], request("PUT"))


@pytest.mark.parametrize(
    ("selector", "namespace", "applies"),
    [
        pytest.param("{app: client}", "default", True, id="our label"),
        pytest.param("{app: other}", "default", False, id="another label"),
        pytest.param("{app: client}", "istio-system", True, id="root namespace"),
        pytest.param("{app: client}", "other", False, id="another namespace"),
    ],
)
def test_selectors_choose_the_workload(selector: str, namespace: str, applies: bool) -> None:
    spec = f"selector: {{matchLabels: {selector}}}\nrules: [{{}}]"
    filters, _ = built(authorization("only", spec, namespace=namespace))
    assert bool(filters.http) == applies


def test_a_dry_run_is_only_a_shadow() -> None:
    filters, _ = built(authorization("dry", "action: DENY\nrules: [{}]", annotations="{istio.io/dry-run: 'true'}"))
    (config,) = http_rules(filters)
    assert config.rules is None
    assert config.shadow_rules is not None
    assert config.shadow_rules.action == "DENY"
    assert config.shadow_rules_stat_prefix == "istio_dry_run_deny_"


def test_without_a_dry_run_the_shadow_statistics_are_named_for_permission() -> None:
    """Istio reads the action of absent shadow rules, whose zero is ALLOW (authz/builder/builder.go)."""
    filters, _ = built(authorization("deny", "action: DENY\nrules: [{}]"))
    (config,) = http_rules(filters)
    assert config.shadow_rules is None
    assert config.shadow_rules_stat_prefix == "istio_dry_run_allow_"


def test_on_tcp_permission_by_http_fields_is_dropped_and_denial_widened() -> None:
    rules = "rules: [{to: [{operation: {methods: [GET], ports: ['80']}}]}]"
    allow, _ = built(authorization("allow", rules))
    deny, _ = built(authorization("deny", "action: DENY\n" + rules))
    connection, other = AccessFacts("10.0.0.9", 80, "10.1.2.3"), AccessFacts("10.0.0.9", 81, "10.1.2.3")
    (allowing,), (denying,) = tcp_rules(allow), tcp_rules(deny)
    assert allowing.rules is not None
    assert denying.rules is not None
    assert not lets_through([allowing.rules], connection)
    assert not lets_through([denying.rules], connection)
    assert lets_through([denying.rules], other)


def test_an_external_authorizer_is_reported_and_denies() -> None:
    filters, codes = built(
        authorization("ext", "action: CUSTOM\nprovider: {name: opa}\nrules: [{to: [{operation: {paths: [/x]}}]}]")
    )
    assert codes == ["SBX0544"]
    rules = [each.typed_config.rules for each in filters.custom_http if isinstance(each.typed_config, HttpRbac)]
    assert not lets_through([each for each in rules if each is not None], request(path="/x"))


def test_principals_of_an_alias_count_as_the_mesh_own() -> None:
    filters, _ = built(
        mesh("trustDomain: new.example\ntrustDomainAliases: [old.example]"),
        authorization("only", "rules: [{from: [{source: {principals: [old.example/ns/team/sa/alice]}}]}]"),
    )
    for domain, allowed in (("old.example", True), ("new.example", True), ("evil.example", False)):
        facts = request(principal=f"spiffe://{domain}/ns/team/sa/alice")
        assert lets_through(enforced(filters), facts) == allowed


@pytest.mark.parametrize(("sources", "written"), [(1, 2), (2, 4), (3, 8)])
def test_a_condition_beside_several_sources_lists_the_aliases_once_more_for_each(sources: int, written: int) -> None:
    """Istio's ``MigrateTrustDomain`` (authz/model/model.go) walks all sources, which share the condition's rule."""
    source = ", ".join("{source: {namespaces: [team]}}" for _ in range(sources))
    condition = "{key: source.principal, values: [cluster.local/ns/team/sa/alice]}"
    filters, _ = built(
        mesh("trustDomain: new.example\ntrustDomainAliases: [old.example]"),
        authorization("only", f"rules: [{{from: [{source}], when: [{condition}]}}]"),
    )
    (policy,) = (enforced(filters)[0].policies or {}).values()
    for principal in policy.principals:
        assert principal.and_ids is not None
        *_, of_condition = principal.and_ids.ids
        assert of_condition.or_ids is not None
        assert len(of_condition.or_ids.ids) == written
    assert lets_through(enforced(filters), request(principal="spiffe://old.example/ns/team/sa/alice"))


@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_an_external_authorizers_rules_are_made_for_the_chain_they_stand_in(protocol: str) -> None:
    """On TCP chains HTTP fields are left out, as of a denial (authz/builder/builder.go ``build``)."""
    rules = "rules: [{to: [{operation: {paths: [/x], ports: ['80']}}]}]"
    filters, _ = built(authorization("ext", f"action: CUSTOM\nprovider: {{name: opa}}\n{rules}"))
    (found,) = filters.custom_http if protocol == "http" else filters.custom_tcp
    assert isinstance(found.typed_config, HttpRbac | NetworkRbac)
    assert found.typed_config.rules is not None
    connection, elsewhere = AccessFacts("10.0.0.9", 80, "10.1.2.3"), AccessFacts("10.0.0.9", 81, "10.1.2.3")
    if protocol == "http":
        assert lets_through([found.typed_config.rules], request(path="/y"))
        assert not lets_through([found.typed_config.rules], request(path="/x"))
    else:
        assert not lets_through([found.typed_config.rules], connection)
        assert lets_through([found.typed_config.rules], elsewhere)


def test_an_authorizer_that_is_asked_by_http_has_no_say_about_tcp() -> None:
    """``ignored CUSTOM action with HTTP provider on TCP filter chain`` (authz/builder/builder.go ``buildTCP``)."""
    filters, codes = built(
        mesh("extensionProviders:\n- name: opa\n  envoyExtAuthzHttp: {service: opa.example.com, port: 80}"),
        service_entry("opa.example.com", "80/HTTP"),
        authorization("ext", "action: CUSTOM\nprovider: {name: opa}\nrules: [{}]"),
    )
    assert "SBX0544" in codes
    assert len(filters.custom_http) == 1
    assert filters.custom_tcp == ()
