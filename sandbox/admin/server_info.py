"""``/server_info`` and ``/ready``.

Source: Envoy source/server/admin/server_info_handler.cc.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox import __version__
from sandbox.admin.answers import AdminRequest, Answer, as_json
from sandbox.admin.nodes import chosen_node
from sandbox.envoy_config.config_dump import config_dump

if TYPE_CHECKING:
    from sandbox.app import Sandbox


def ready(sandbox: Sandbox, _request: AdminRequest) -> Answer:
    """``LIVE``, or 503 with the state that it is in."""
    state = _state(sandbox)
    return Answer(f"{state}\n", HTTPStatus.OK if state == "LIVE" else HTTPStatus.SERVICE_UNAVAILABLE)


def server_info(sandbox: Sandbox, request: AdminRequest) -> Answer:
    """The version, the state, and the node; options are those that have a meaning here."""
    plan = chosen_node(sandbox, request).plan
    uptime = f"{sandbox.process.uptime_seconds}s"
    bootstrap = config_dump(plan)["configs"][0]["bootstrap"]
    return as_json(
        {
            "version": f"egress-sandbox/{__version__}/Clean/RELEASE/OpenSSL",
            "state": _state(sandbox),
            "uptime_current_epoch": uptime,
            "uptime_all_epochs": uptime,
            "hot_restart_version": "disabled",
            "command_line_options": {
                "concurrency": 1,
                "mode": "Serve",
                "drain_time": f"{sandbox.settings.drain_seconds:g}s",
                "disable_hot_restart": True,
            },
            "node": bootstrap["node"],
        }
    )


def _state(sandbox: Sandbox) -> str:
    if sandbox.loaded is None:
        return "PRE_INITIALIZING"
    return "LIVE"
