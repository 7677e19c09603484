"""``/listeners``: names and addresses.

Source: Envoy source/server/admin/listeners_handler.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.admin.answers import AdminRequest, Answer, as_json
from sandbox.admin.nodes import chosen_node
from sandbox.plan.base import Address, SocketAddress

if TYPE_CHECKING:
    from sandbox.app import Sandbox
    from sandbox.plan.listener import Listener


def listeners(sandbox: Sandbox, request: AdminRequest) -> Answer:
    """As text, or with ``?format=json``."""
    node = chosen_node(sandbox, request)
    if request.query.get("format") == "json":
        return as_json({"listener_statuses": [_status(each) for each in node.plan.listeners]})
    lines = [f"{each.name}::{_text(address)}\n" for each in node.plan.listeners for address in _addresses(each)]
    return Answer("".join(lines))


def _addresses(listener: Listener) -> list[Address]:
    additional = [each.address for each in listener.additional_addresses]
    return [address for address in (listener.address, *additional) if address is not None]


def _text(address: Address) -> str:
    if not isinstance(address, SocketAddress):
        return address.path
    host = f"[{address.address}]" if ":" in address.address else address.address
    return f"{host}:{address.port_value}"


def _status(listener: Listener) -> dict[str, Any]:
    first, *more = [_message(address) for address in _addresses(listener)] or [{}]
    found = {"name": listener.name, "local_address": first}
    return found | ({"additional_local_addresses": more} if more else {})


def _message(address: Address) -> dict[str, Any]:
    if not isinstance(address, SocketAddress):
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.address, "port_value": address.port_value}}
