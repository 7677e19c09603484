"""``/config_dump``: the plan in Envoy's words, whole or in part.

Source: Envoy source/server/admin/config_dump_handler.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sandbox.admin.answers import AdminRequest, Answer, Refused, as_json
from sandbox.admin.nodes import chosen_node
from sandbox.envoy_config.config_dump import config_dump
from sandbox.match.regex import RegexRefused, compile_full_match

if TYPE_CHECKING:
    from sandbox.app import Sandbox

Json = dict[str, Any]
_TYPE: Final = "@type"
_ENDPOINTS: Final = "EndpointsConfigDump"
_BOOTSTRAP: Final = "BootstrapConfigDump"
_ENTRIES: Final = {
    "dynamic_active_clusters": ("ClustersConfigDump", "DynamicCluster", "cluster"),
    "dynamic_endpoint_configs": (_ENDPOINTS, "DynamicEndpointConfig", "endpoint_config"),
    "dynamic_listeners": ("ListenersConfigDump", "DynamicListener", ""),
    "dynamic_route_configs": ("RoutesConfigDump", "DynamicRouteConfig", "route_config"),
}
"""A repeated field: the section that has it, the type of its items, and where in them the resource stands."""
_EMPTY: Final = {
    "static_clusters": "ClustersConfigDump",
    "dynamic_warming_clusters": "ClustersConfigDump",
    "static_endpoint_configs": _ENDPOINTS,
    "static_listeners": "ListenersConfigDump",
    "static_route_configs": "RoutesConfigDump",
}
"""Repeated fields that have no items here: everything comes from the control plane."""


def configuration(sandbox: Sandbox, request: AdminRequest) -> Answer:
    """The dump; with endpoints where ``?include_eds`` is given, as in Envoy.

    1. ``?name_regex=`` keeps the resources with such names (the whole name must match);
    2. ``?resource=`` gives the items of one repeated field;
    3. ``?mask=`` keeps some fields, of each item where a resource is asked for.
    """
    node, query = chosen_node(sandbox, request), request.query
    sections: list[Json] = config_dump(node.plan)["configs"]
    if "include_eds" not in query and "endpoint_configs" not in query.get("resource", ""):
        sections = [section for section in sections if not section[_TYPE].endswith(_ENDPOINTS)]
    keeps = _name_filter(query.get("name_regex"))
    sections = [_by_name(section, keeps) for section in sections]
    resource, paths = query.get("resource"), [path for path in query.get("mask", "").split(",") if path]
    if resource is not None:
        return as_json({"configs": found} if (found := _items(sections, resource, paths)) else {})
    if paths:
        sections = [masked for section in sections if (masked := _masked(section, paths)) is not None]
        if not sections:
            raise Refused(f"FieldMask {query['mask']} could not be successfully applied to any configs.")
    return as_json({"configs": sections})


def _name_filter(pattern: str | None) -> Callable[[str], bool]:
    if pattern is None:
        return lambda _name: True
    try:
        matches = compile_full_match(pattern)
    except RegexRefused as refused:
        raise Refused(f"INVALID_ARGUMENT: Error while parsing name_regex from {pattern}: {refused}") from None
    return lambda name: matches(name.encode())


def _by_name(section: Json, keeps: Callable[[str], bool]) -> Json:
    found = dict(section)
    for field, (_, _, inner) in _ENTRIES.items():
        if field in found:
            found[field] = [entry for entry in found[field] if keeps(_name_of(entry, inner))]
            if not found[field]:
                del found[field]
    return found


def _name_of(entry: Json, inner: str) -> str:
    message = entry[inner] if inner else entry
    return str(message.get("name") or message.get("cluster_name", ""))


def _items(sections: Iterable[Json], resource: str, paths: list[str]) -> list[Json]:
    if resource in _EMPTY:
        return []
    if resource == "bootstrap":
        raise Refused("bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field")
    if resource not in _ENTRIES:
        raise Refused(f"{resource} not found in config dump", HTTPStatus.NOT_FOUND)
    section_name, type_name, _ = _ENTRIES[resource]
    section = next((each for each in sections if each[_TYPE].endswith(section_name)), {})
    items = [{_TYPE: f"{section[_TYPE]}.{type_name}", **entry} for entry in section.get(resource, ())]
    return [masked for item in items if (masked := _masked(item, paths) if paths else item) is not None]


def _masked(message: Json, paths: Iterable[str]) -> Json | None:
    """The fields that the paths lead to, with the types on the way; ``None`` where there are none."""
    found: Json = {}
    for path in paths:
        name, _, rest = path.partition(".")
        if name not in message:
            continue
        value = message[name]
        if not rest:
            found[name] = value
        elif isinstance(value, dict) and (inner := _masked(value, [rest])) is not None:
            found[name] = {**found.get(name, {}), **inner}
    if not found:
        return None
    return {_TYPE: message[_TYPE], **found} if _TYPE in message else found
