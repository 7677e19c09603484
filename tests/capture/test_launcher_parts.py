"""Parts of ``egress exec`` that need no namespace."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sandbox.capture.control_protocol import ACCEPTED, default_path, encode
from sandbox.capture.proxy_variables import with_proxy
from sandbox.capture.resolver_file import captured_resolver
from sandbox.cli.exec_options import UsageError, parse
from tests.capture.running_sandbox import ROOT


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"a": None, "b": [1, "x"], "c": {"k": "v"}, "d": ()}, id="all kinds"),
        pytest.param('a "quoted" \\ back\nline\t', id="characters to escape"),
        pytest.param("größe 漢字 😀", id="beyond ASCII"),
    ],
)
def test_message_is_json(value: object) -> None:
    assert json.loads(encode(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("environment", "uid", "path"),
    [
        pytest.param(
            {"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7/egress-sandbox/control", id="run-time directory"
        ),
        pytest.param({}, 7, "/tmp/egress-sandbox-7/control", id="none"),
        pytest.param({"EGRESS_CONTROL": "/x", "XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/x", id="given"),
        pytest.param({"SUDO_UID": "7"}, 0, "/tmp/egress-sandbox-7/control", id="under sudo the caller's"),
        pytest.param({"SUDO_UID": "7"}, 8, "/tmp/egress-sandbox-8/control", id="sudo to another user is that user"),
    ],
)
def test_where_the_running_sandbox_is_looked_for(environment: dict[str, str], uid: int, path: str) -> None:
    assert default_path(environment, uid) == path


def test_usual_answer_is_what_the_server_writes() -> None:
    assert json.dumps({"ok": True}).encode() == ACCEPTED


@pytest.mark.parametrize(
    ("text", "published"),
    [
        pytest.param("3000", ("127.0.0.1", 3000, 3000), id="one port"),
        pytest.param("8080:3000", ("127.0.0.1", 8080, 3000), id="two ports"),
        pytest.param("127.0.0.2:3000", ("127.0.0.2", 3000, 3000), id="an address and a port"),
        pytest.param("127.0.0.2:8080:3000", ("127.0.0.2", 8080, 3000), id="an address and two ports"),
        pytest.param("[::1]:8080:3000", ("::1", 8080, 3000), id="IPv6"),
    ],
)
def test_a_published_port_is_read_in_every_spelling(text: str, published: tuple[str, int, int]) -> None:
    assert parse(["--publish", text, "--", "true"]).publish == (published,)


@pytest.mark.parametrize("text", ["", "x", "0", "70000", "1:2:3", "127.0.0.1", "[::1]"])
def test_a_published_port_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(["--publish", text, "--", "true"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "which command? As in: egress exec -- curl -I http://example.com", id="no command"),
        pytest.param(
            ["--worklaod", "shop/web", "true"], "no such option: --worklaod; did you mean --workload?", id="slip"
        ),
        pytest.param(["--colour", "true"], "no such option: --colour", id="nothing like it"),
        pytest.param(["--no-captrue"], "no such option: --no-captrue; did you mean --no-capture?", id="slip in a flag"),
        pytest.param(["--workload"], "option --workload needs a value", id="no value"),
        pytest.param(["--labels", "app", "true"], "--labels: 'app' is not K=V[,K=V...]", id="labels"),
        pytest.param(["--host-ports", "x", "true"], "--host-ports: 'x' is not P[,P...]", id="ports"),
    ],
)
def test_a_mistake_in_the_options_is_told(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(arguments)
    assert str(refused.value) == words


def test_variables_in_both_cases_and_those_of_java_and_node() -> None:
    found = with_proxy({b"PATH": b"/bin", b"JAVA_TOOL_OPTIONS": b"-Xmx1g", b"NO_PROXY": b"mine"}, "127.0.0.1:15080")

    for name in (b"HTTP_PROXY", b"https_proxy", b"ALL_PROXY", b"all_proxy"):
        assert found[name] == b"http://127.0.0.1:15080"
    assert found[b"JAVA_TOOL_OPTIONS"].startswith(b"-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=15080")
    assert (found[b"PATH"], found[b"NO_PROXY"]) == (b"/bin", b"mine")


def test_without_capture_the_command_runs_with_variables_and_says_so() -> None:
    command = [sys.executable, "-m", "sandbox", "exec", "--no-capture", "--proxy", "127.0.0.1:1", "--", "sh", "-c"]

    ended = subprocess.run([*command, "echo $https_proxy; exit 7"], cwd=ROOT, capture_output=True, text=True)

    assert (ended.returncode, ended.stdout) == (7, "http://127.0.0.1:1\n")
    assert "not captured" in ended.stderr


def test_launcher_imports_nothing_that_takes_long() -> None:
    """Each of these costs a millisecond or more at every start [measured]."""
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import sandbox.cli.exec; print(*sys.modules)"

    ended = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)

    costly = {"click", "argparse", "ctypes", "dataclasses", "enum", "json", "re", "signal", "socket", "typing"}
    assert costly & set(ended.stdout.split()) == set()


@pytest.mark.parametrize(
    ("text", "captured"),
    [
        pytest.param("nameserver 192.0.2.53\nsearch corp.example\n", None, id="an ordinary server"),
        pytest.param("", None, id="nothing"),
        pytest.param("# fe80::1%eth0\nnameserver 127.0.0.53\n", None, id="a comment"),
        pytest.param(
            "search corp.example\nnameserver fe80::1%eth0\noptions edns0\nnameserver 192.0.2.53\n",
            "nameserver 127.0.0.1\nsearch corp.example\noptions edns0\n",
            id="a server on an interface",
        ),
    ],
)
def test_resolver_of_captured_programs(text: str, captured: str | None) -> None:
    assert captured_resolver(text) == captured
