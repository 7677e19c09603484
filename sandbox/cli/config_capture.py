"""``egress config capture``: would a connection of the workload be captured, and which setting says so?"""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

import click

from sandbox.cli.capture_options import capture_options, take_overrides
from sandbox.cli.options import address, parsed, settings_for, workload_options

if TYPE_CHECKING:
    from sandbox.explain.capture import CaptureAnswer


@click.command(
    short_help="Say whether a connection is captured, and why.",
    epilog="""\b
Examples:
  egress config capture 203.0.113.10:443 -f my-mesh/ --workload shop/frontend
  egress config capture 10.0.0.10:53 --protocol udp -f my-mesh/ --workload shop/frontend""",
)
@click.argument("destination", metavar="IP:PORT", callback=parsed(address))
@workload_options
@capture_options
@click.option("--protocol", type=click.Choice(("tcp", "udp")), default="tcp", show_default=True)
@click.option("--uid", default="0", show_default=True, help="The user who calls; the sidecar is 1337.")
@click.option("--gid", default="0", show_default=True, help="The group who calls; the sidecar is 1337.")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text", show_default=True)
def capture(destination: Any, protocol: str, uid: str, gid: str, output: str, **options: Any) -> None:
    """Say whether the pod's iptables rules give a connection to the sidecar, and which step decides."""
    try:
        version = ipaddress.ip_address(destination.host).version
    except ValueError:
        raise click.BadParameter(f"{destination.host!r} is no IP address; rules know no names") from None
    from sandbox.cli.capture_settings import read_capture_settings
    from sandbox.explain.capture import answer
    from sandbox.match.capture_rules import Packet

    overrides = take_overrides(options)
    found = read_capture_settings(settings_for(**options), overrides)
    own = {"127.0.0.1", "::1", *found.proxy.ip_addresses}
    local = destination.host in own or ipaddress.ip_address(destination.host).is_loopback
    packet = Packet(
        destination=destination.host,
        destination_port=destination.port,
        source="0.0.0.0" if version == 4 else "::",
        protocol=protocol,
        uid=uid,
        gid=gid,
        interface="lo" if local else "eth0",
    )
    told = answer(found.settings, packet)
    workload = f"{found.proxy.namespace}/{found.proxy.name}"
    click.echo(json.dumps(_as_json(told, workload), indent=1) if output == "json" else _as_text(told, workload))


def _as_text(told: CaptureAnswer, workload: str) -> str:
    from sandbox.cli.problem_report import FileTexts
    from sandbox.explain.steps import reason_of

    packet, reason = told.packet, reason_of(told.because)
    to = f"{packet.destination}:{packet.destination_port}"
    to = f"[{packet.destination}]:{packet.destination_port}" if ":" in packet.destination else to
    lines = [
        f"{packet.protocol} {to}, from {workload} (user {packet.uid}, group {packet.gid})",
        "",
        f"verdict  {_verdict(told)}",
        f"step     {told.step}",
        f"rule     {told.rule or 'none applies'}",
        f"because  {told.because.what}",
        f"         {reason.where}  {reason.text}",
    ]
    place = getattr(told.because.origin, "span", None)
    text = None if place is None else FileTexts().line(place)
    if place is not None and text:
        lines.append(f"         {place.line:>4} | {text.strip()}")
    return "\n".join(lines)


def _verdict(told: CaptureAnswer) -> str:
    if told.port is None:
        return "not captured: leaves untouched, without policy, and without a line in the mesh's log"
    return f"captured: goes to the sidecar's port {told.port}"


def _as_json(told: CaptureAnswer, workload: str) -> dict[str, object]:
    from sandbox.explain.steps import reason_of

    reason = reason_of(told.because)
    return {
        "workload": workload,
        "destination": told.packet.destination,
        "port": told.packet.destination_port,
        "protocol": told.packet.protocol,
        "captured": told.port is not None,
        "redirectPort": told.port,
        "step": told.step,
        "rule": told.rule or None,
        "because": {"what": reason.what, "where": reason.where, "text": reason.text},
    }
