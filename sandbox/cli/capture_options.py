"""The options that say what is captured, over what the files say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_FIELDS = {
    "include_ranges": "include_ip_ranges",
    "exclude_ranges": "exclude_ip_ranges",
    "include_ports": "include_ports",
    "exclude_ports": "exclude_ports",
}


def capture_options(function: F) -> F:
    """Adds the four lists of a pod's annotations."""
    for option in (
        click.option("--exclude-ports", metavar="P,...", help="excludeOutboundPorts, over the pod's annotation."),
        click.option("--include-ports", metavar="P,...", help="includeOutboundPorts, over the pod's annotation."),
        click.option("--exclude-ranges", metavar="CIDR,...", help="excludeOutboundIPRanges, over the annotation."),
        click.option("--include-ranges", metavar="CIDR,...", help="includeOutboundIPRanges, over the annotation."),
    ):
        function = option(function)
    return function


def take_overrides(options: dict[str, Any]) -> dict[str, str]:
    """Those that were given, by the field of the settings; ``options`` loses them."""
    given = {field: options.pop(name) for name, field in _FIELDS.items()}
    return {field: text for field, text in given.items() if text is not None}
