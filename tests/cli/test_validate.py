"""``egress validate`` on files with mistakes: what is said, as text and as records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sandbox.cli.main import egress
from sandbox.errors import FileError

GOOD = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: good}
spec:
  hosts: [a.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
"""
BAD = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad}
spec:
  hosts: [a.example.com]
  http:
  - match: [{uri: {prefx: /a}}]
    timeout: 5
    route: [{destination: {host: a.example.com}}]
"""


def validate(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(egress, ["validate", *arguments], input=text, standalone_mode=False)


def test_a_good_object_is_counted_and_nothing_is_printed() -> None:
    ended = validate("-f", "-", text=GOOD)

    assert (ended.return_value, ended.stdout) == (0, "")
    assert ended.stderr == "egress: 1 object: 1 valid\n"


def test_what_the_api_server_refuses_is_not_counted_as_valid() -> None:
    ended = validate("-f", "-", text=GOOD.replace("hosts:", "hots: []\n  hosts:"))

    assert ended.stderr == "egress: 1 object: 1 refused by the API server's schema; 1 error\n"


def test_an_empty_standard_input_is_no_success() -> None:
    ended = validate("-f", "-", text="\n")

    assert isinstance(ended.exception, FileError)
    assert str(ended.exception) == "<stdin>: nothing to read"


def test_every_mistake_is_shown_with_its_line_and_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)

    ended = validate("-f", str(file))

    assert ended.return_value == 79
    assert f"{file}:7:20: error SBX0101: unknown field prefx in StringMatch\n" in ended.stdout
    assert "    7 |   - match: [{uri: {prefx: /a}}]\n      |                    ^\n" in ended.stdout
    assert "hint: did you mean prefix?" in ended.stdout
    assert f"{file}:8:14: error SBX0102" in ended.stdout


def test_records_hold_one_object_each_with_its_verdict(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(BAD)

    records = json.loads(validate("-f", str(tmp_path), "-o", "json").stdout)

    assert [(one["kind"], one["name"], one["verdict"], len(one["problems"])) for one in records] == [
        ("ServiceEntry", "good", "valid", 0),
        ("VirtualService", "bad", "error", 2),
    ]
    assert records[1]["problems"][0] == {
        "layer": "schema",
        "severity": "error",
        "code": "SBX0101",
        "file": str(tmp_path / "b.yaml"),
        "line": 7,
        "column": 20,
        "path": "spec.http[0].match[0].uri.prefx",
        "message": "unknown field prefx in StringMatch",
        "hint": "did you mean prefix?",
    }


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("a: [", 65, id="no YAML at all"),
        pytest.param("a: 1\na: 2\n", 65, id="a key twice"),
        pytest.param("\tkind: x\n", 65, id="a tab"),
        pytest.param(BAD, 79, id="an object with errors"),
        pytest.param("# nothing\n", 0, id="an empty file"),
        pytest.param("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n", 0, id="another kind"),
    ],
)
def test_the_exit_status_says_what_is_wrong(text: str, code: int) -> None:
    assert validate("-f", "-", text=text).return_value == code


def test_yaml_and_github_are_other_forms_of_the_same() -> None:
    as_yaml = validate("-f", "-", "-o", "yaml", text=BAD).stdout
    as_commands = validate("-f", "-", "-o", "github", text=BAD).stdout

    assert "code: SBX0101" in as_yaml
    assert as_commands.startswith("::error file=<stdin>,line=7,col=20,title=SBX0101::unknown field prefx")
