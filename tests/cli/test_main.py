"""The command line's manners: help, mistakes, exit codes, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.cli.main import SUBCOMMANDS

HEAVY = {"aiohttp", "asyncio", "cryptography", "dns", "h2", "msgspec", "uvloop", "yaml"}


def egress(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user does."""
    return subprocess.run([sys.executable, "-m", "sandbox", *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_subcommand() -> None:
    ended = egress("--help")

    assert ended.returncode == 0
    assert all(f"\n  {name} " in ended.stdout for name in SUBCOMMANDS)


@pytest.mark.parametrize("name", list(SUBCOMMANDS))
def test_every_subcommand_has_help_with_its_options(name: str) -> None:
    ended = egress(name, "--help")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"Usage: egress {name}")
    assert "Examples:\n" in ended.stdout


@pytest.mark.parametrize("name", ["dump", "listeners", "routes", "clusters", "endpoints", "names", "capture"])
def test_every_look_at_the_configuration_has_examples(name: str) -> None:
    assert "Examples:\n" in egress("config", name, "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["rnu"], "No such command 'rnu'", id="a misspelt command"),
        pytest.param(["valdate"], "Did you mean 'validate'?", id="a command that is near"),
        pytest.param(
            ["check", "configs"], "name each file or directory by -f, as in: -f configs\n", id="a file without -f"
        ),
        pytest.param(["run", "--nonsense"], "No such option", id="an unknown option"),
        pytest.param(["run"], "no configuration: give -f PATH", id="no configuration"),
        pytest.param(["run", "-f", ".", "--proxy", "nowhere"], "needs a port", id="an address without a port"),
        pytest.param(["run", "-f", ".", "--proxy", "15080"], "as in 127.0.0.1:15080", id="a port without an address"),
        pytest.param(["run", "-f", ".", "--map", "8080"], "is not LISTEN=TARGET", id="half a mapping"),
        pytest.param(["run", "-f", ".", "--labels", "app"], "is not KEY=VALUE", id="half a label"),
        pytest.param(["run", "-f", ".", "--dns-server", "dns.google"], "by its address", id="a DNS server's name"),
        pytest.param(["run", "-f", ".", "--workload", "a/b/c"], "is not NAMESPACE/NAME", id="no workload"),
        pytest.param(["config", "routes", "-f", ".", "--workload", "a/"], "is not NAMESPACE/NAME", id="no name"),
        pytest.param(["certs", "--renew-authority", "a.example"], "name no hosts", id="a new authority for one host"),
        pytest.param(["run", "-f", ".", "--node", "proxy"], "is not one of", id="no kind of node"),
    ],
)
def test_a_mistake_in_the_command_line_ends_with_64(arguments: list[str], said: str) -> None:
    ended = egress(*arguments)

    assert ended.returncode == 64
    assert said in ended.stderr
    assert ended.stdout == ""


def test_the_version_is_an_option_too() -> None:
    assert egress("--version").stdout == egress("version").stdout


def test_a_file_that_is_not_there_is_named() -> None:
    ended = egress("validate", "-f", "no-such-file.yaml")

    assert ended.returncode == 1
    assert ended.stderr == "egress: no-such-file.yaml: no such file or directory\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()

    ended = egress("certs", "--dir", str(tmp_path / "taken" / "certs"))

    assert ended.returncode == 1
    assert ended.stderr == f"egress: {tmp_path}/taken/certs: not a directory\n"


def test_version_imports_nothing_heavy() -> None:
    script = (
        "import sandbox.cli.main as m; m.egress(['version'], standalone_mode=False); import sys; print(*sys.modules)"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert not HEAVY & set(ended.stdout.splitlines()[-1].split())
