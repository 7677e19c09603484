"""A log that Envoy would refuse, and a pattern that RE2 would refuse, are told when the configuration is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.errors import ConfigError
from sandbox.loading import load
from sandbox.settings import Settings

MESH = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    accessLogFile: /dev/stdout
    accessLogFormat: "{format}"
"""
ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: v, namespace: default}}
spec:
  hosts: [a.com]
  http:
  - {rule}
    route: [{{destination: {{host: a.com}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: s, namespace: default}}
spec:
  hosts: [a.com]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: DNS
"""
LONG_PROGRAM = "match: [{uri: {regex: '/%s'}}]" % ("a{1000}" * 33)
UNKNOWN_OPERATOR = "headers: {request: {set: {x-a: '%NOPE%'}}}"
FORMATS = {
    "an unknown operator": ("%NOPE%", "Not supported field in StreamInfo: NOPE"),
    "an unfinished operator": ("%REQ(a%", "Couldn't find valid command at position 0"),
}


def _codes(path: Path, text: str) -> list[tuple[str, str, int]]:
    file = path / "mesh.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(Settings(files=(str(file),)))
    return [
        (problem.code, problem.message, problem.span.line if problem.span is not None else 0)
        for problem in refused.value.problems.errors
    ]


@pytest.mark.parametrize(("log_format", "words"), FORMATS.values(), ids=list(FORMATS))
def test_a_format_that_envoy_refuses(log_format: str, words: str, tmp_path: Path) -> None:
    (code, message, line), *rest = _codes(tmp_path, MESH.format(format=log_format))
    assert not rest
    assert code == "SBX0551"
    assert words in message
    assert line == 7


def test_a_pattern_that_re2_refuses(tmp_path: Path) -> None:
    found = _codes(tmp_path, ROUTES.format(rule=LONG_PROGRAM))
    assert [code for code, _, _ in found] == ["SBX0552"]
    assert "program size" in found[0][1]
    assert found[0][2] > 1


def test_a_header_value_that_envoy_refuses(tmp_path: Path) -> None:
    found = _codes(tmp_path, ROUTES.format(rule=UNKNOWN_OPERATOR))
    assert [code for code, _, _ in found] == ["SBX0554"]
    assert "Not supported field in StreamInfo: NOPE" in found[0][1]


def test_a_good_format_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(MESH.format(format="%PROTOCOL%"))
    assert not load(Settings(files=(str(file),))).problems.errors
