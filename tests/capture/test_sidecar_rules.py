"""``egress capture``: rules in a network namespace of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from sandbox.proxy.system_names import read_system_names
from tests.capture.running_sandbox import ROOT

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="several users are needed, and only root has them")
BACKENDS = [
    "netlink",
    pytest.param("nft", marks=pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not here")),
    pytest.param(
        "iptables", marks=pytest.mark.skipif(shutil.which("iptables-restore") is None, reason="iptables is not here")
    ),
]


def told(backend: str, *options: str) -> dict[str, str]:
    servers = [host for host, _ in read_system_names().servers if ":" not in host]
    arguments = [sys.executable, "-m", "tests.capture.sidecar_namespace", backend, (servers or ["192.0.2.53"])[0]]
    ended = subprocess.run([*arguments, *options], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, str] = json.loads(ended.stdout)
    return found


@needs_root
@pytest.mark.namespaces
@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_application_is_captured_and_sidecar_is_not(backend: str) -> None:
    found = told(backend)

    assert found["application"] == "198.51.100.7 80"
    assert found["root"] == "198.51.100.7 443"
    assert found["ipv6"] == "2001:db8::7 80"
    assert found["sidecar"] == "not captured"
    assert found["loopback"] == "127.0.0.1 15001"
    assert found["dns"] == "not captured"
    assert found["removed"] == "not captured"


@needs_root
@pytest.mark.namespaces
@pytest.mark.slow
@pytest.mark.skipif(not read_system_names().servers, reason="resolv.conf names no server")
@pytest.mark.parametrize("backend", BACKENDS)
def test_only_included_ranges_and_dns_of_the_resolvers_servers(backend: str) -> None:
    found = told(backend, "--include-ranges", "203.0.113.0/24", "--dns")

    assert (found["application"], found["included"]) == ("not captured", "203.0.113.7 80")
    assert (found["dns"], found["dns of the sidecar"]) == ("dns", "not captured")


@needs_root
@pytest.mark.namespaces
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not here")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param("", id="defaults"),
        pytest.param("--dns", id="dns"),
        pytest.param(
            "--include-ranges 203.0.113.0/24,2001:db8::/32 --exclude-ranges 10.0.0.0/8 --include-ports 9000,9001"
            " --exclude-ports 3306 --uid 1337 --uid 101 --gid 1337",
            id="every list",
        ),
    ],
)
def test_rules_by_netlink_and_by_nft_are_the_same(options: str) -> None:
    """As the kernel tells them."""
    script = """
import subprocess, sys
from sandbox.capture import kernel_calls, namespace
kernel_calls.unshare(kernel_calls.CLONE_NEWNET)
namespace.build_network(ipv6=True)
for backend in ("netlink", "nft"):
    install = [sys.executable, "-m", "sandbox", "capture", "install", "--backend", backend, *sys.argv[1:]]
    subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
    print(backend, flush=True)
    subprocess.run(["nft", "list", "ruleset"], check=True)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, *options.split()], cwd=ROOT, capture_output=True, text=True, check=True
    )

    by_netlink, _, by_nft = ended.stdout.removeprefix("netlink\n").partition("nft\n")
    assert by_netlink == by_nft
    assert "redirect to :15001" in by_netlink


def egress(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_rules_are_shown_for_both_ip_versions_without_touching_anything() -> None:
    ended = egress("capture", "show", "--exclude-ports", "3306", "--exclude-ranges", "10.0.0.0/8,2001:db8::/32")

    four, _, six = ended.stdout.partition("# ip6tables-restore --noflush\n")
    assert four.startswith("# iptables-restore --noflush\n*nat\n")
    assert "-A ISTIO_OUTPUT -p tcp --dport 3306 -j RETURN\n" in four
    assert "-A ISTIO_OUTPUT -d 10.0.0.0/8 -j RETURN\n" in four
    assert "-A ISTIO_OUTPUT -d 2001:db8::/32 -j RETURN\n" in six
    assert six.endswith("COMMIT\n")


def test_wrong_range_is_told_and_its_default_holds() -> None:
    ended = egress("capture", "show", "--include-ranges", "10.0.0.1")

    assert ended.returncode == 0
    assert "SBX0601" in ended.stderr
    assert "-A ISTIO_OUTPUT -j ISTIO_REDIRECT\n" in ended.stdout


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not here")
@needs_root
def test_missing_capability_is_named() -> None:
    command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-m", "sandbox"]

    ended = subprocess.run([*command, "capture", "install"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert "rules need CAP_NET_ADMIN" in ended.stderr
