"""Which lines of YAML, or which default, decided what became of a stream."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.access_log.stream_info import StreamInfo
from sandbox.cli.problem_report import FileTexts
from sandbox.plan.because import Because, IstioDefault
from sandbox.yaml_source.span import Origin

MOST_LINES = 3


def deciding_lines(info: StreamInfo, texts: FileTexts) -> list[tuple[str, str]]:
    """(``file:line``, what stands there) or (``default``, the rule), the most specific first, each once."""
    found: dict[tuple[str, str], None] = {}
    for because in reasons(info):
        found[_told(because.origin, texts)] = None
    return list(found)[:MOST_LINES]


def reasons(info: StreamInfo) -> Iterator[Because]:
    """The reasons of what was chosen, from the narrowest object to the widest."""
    for chosen in (info.route, info.virtual_host if info.route is None else None):
        if chosen is not None:
            yield from chosen.because
    if info.route is None and info.filter_chain is not None:
        yield from info.filter_chain.because
    if info.cluster is not None:
        yield from info.cluster.because


def _told(origin: Origin | IstioDefault, texts: FileTexts) -> tuple[str, str]:
    if isinstance(origin, Origin):
        return str(origin), texts.line(origin.span) or str(origin.resource)
    if origin.setting is not None:
        return str(origin.setting), texts.line(origin.setting.span) or origin.rule
    return "default", origin.rule
