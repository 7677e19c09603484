"""Every recipe, rehearsed without an engine: its services' own commands, users and capabilities, in namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.docker.containers import Container, missing_tools, services

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.slow,
    pytest.mark.timeout(180),  # certificates are made anew in each container, on a busy machine too
    pytest.mark.skipif(os.geteuid() != 0, reason="several users are needed, and only root has them"),
    pytest.mark.skipif(bool(missing_tools()), reason=f"not here: {', '.join(missing_tools())}"),
]
STATUS = ["-o", "/dev/null", "-m", "10", "-w", "%{http_code}"]
SANDBOX, APP, ELSEWHERE = "10.99.0.2", "10.99.0.3", "198.51.100.7"


def ended(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """Ends a sandbox; its access log, which compose shows as the service's output."""
    return [json.loads(line) for line in ended_in_text(process)]


def ended_in_text(process: subprocess.Popen[str]) -> list[str]:
    """The same where the log is text."""
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return out.splitlines()


def embedded_internet(container: Container) -> dict[str, str]:
    """Starts it as a process of its own; where each ``host:port`` is."""
    lab = container.start(sys.executable, "-m", "sandbox", "lab", "-o", "curl")
    assert lab.stderr is not None
    assert lab.stdout is not None
    assert "is up" in lab.stderr.readline()
    told = os.read(lab.stdout.fileno(), 1 << 16).decode()  # all of it is there, since it was printed before
    places = [line.removeprefix("--connect-to ").split(":", 2) for line in told.splitlines()]
    return {f"{host}:{port}": address for host, port, address in places}


def test_the_recipe_with_an_explicit_proxy_serves_the_application() -> None:
    found = services("explicit-proxy")
    with Container({}) as proxy, Container({"sandbox": SANDBOX}) as app:
        proxy.join(app, SANDBOX, APP)
        sandbox = proxy.play(found["sandbox"], "--lab")
        assert proxy.wait_until_healthy()

        variables = found["app"]["environment"]
        own = app.run("curl", *found["app"]["command"], **variables)
        blocked = app.run("curl", "-s", *STATUS, "http://www.google.com/", **variables)
        tls = app.run("curl", "-sk", *STATUS, "https://www.aliyun.com/", **variables)
        without = app.run("curl", "-s", *STATUS, "http://www.aliyun.com/")
        lines = ended(sandbox)

    assert own.stdout.startswith("HTTP/1.1 301 "), own.stderr
    assert (blocked.stdout, tls.stdout[0], without.stdout) == ("502", "2", "000")
    assert [line["response_code"] for line in lines] == [301, 502, 0]


def test_the_recipe_with_an_egress_gateway_has_two_hops() -> None:
    found = services("egress-gateway")
    at_gateway = found["gateway"]["networks"]["mesh"]["ipv4_address"]
    with Container({}) as outer, Container({}) as proxy, Container({"sandbox": SANDBOX}) as app:
        proxy.join(app, SANDBOX, APP)
        proxy.join(outer, "10.244.0.10", at_gateway, "eth1")
        outer.set({"net.ipv4.ip_unprivileged_port_start": "0"})  # as Docker does; the embedded internet wants port 80
        gateway = outer.play(found["gateway"], "--lab")
        assert outer.wait_until_healthy()
        sandbox = proxy.play(found["sandbox"])
        assert proxy.wait_until_healthy()

        own = app.run("curl", *found["app"]["command"], **found["app"]["environment"])
        (at_sidecar,), (at_the_gateway,) = ended_in_text(sandbox), ended_in_text(gateway)

    assert own.stdout.startswith("HTTP/1.1 200 "), own.stderr
    assert f'"{at_gateway}:8080" outbound|80||istio-egressgateway.istio-system.svc.cluster.local' in at_sidecar
    assert " outbound|80||httpbin.org " in at_the_gateway
    assert f" {at_gateway}:8080 10.244.0.10:" in at_the_gateway


def test_the_recipe_with_network_aliases_leads_names_to_the_sandbox() -> None:
    found = services("network-aliases")
    service = found["sandbox"]
    aliases = dict.fromkeys(service["networks"]["inside"]["aliases"], SANDBOX)
    with Container({}) as proxy, Container(aliases) as app:
        proxy.join(app, SANDBOX, APP)
        # The outside: beside the sandbox, for one machine has no other; on high ports, since low ones are not yet free.
        outside = embedded_internet(proxy)
        proxy.set(service["sysctls"])
        sandbox = proxy.play(service, *(f"--resolve={name}={outside[name]}" for name in outside))
        assert proxy.wait_until_healthy()

        own = app.run("curl", *found["app"]["command"])
        tls = app.run("curl", "-sk", *STATUS, "https://www.aliyun.com/")
        unlisted = app.run("curl", "-s", *STATUS, "http://www.google.com/")
        lines = ended(sandbox)

    assert own.stdout.startswith("HTTP/1.1 301 "), own.stderr
    assert (tls.stdout[0], unlisted.stdout) == ("2", "000")
    assert [line["response_code"] for line in lines] == [301, 0]


def test_the_recipe_with_a_shared_namespace_captures_the_application() -> None:
    found = services("shared-namespace")
    with Container({"www.aliyun.com": ELSEWHERE, "www.google.com": ELSEWHERE}) as network:
        network.give_network(APP)
        capture = network.play(found["capture"])
        assert capture.wait(20) == 0, capture.communicate()[1]
        sandbox = network.play(found["sandbox"], "--lab")
        assert network.wait_until_healthy()

        own = network.run("curl", *found["app"]["command"])
        blocked = network.run("curl", "-s", *STATUS, "http://www.google.com/")
        as_root = network.run("curl", "-s", *STATUS, "http://www.aliyun.com/", user="0:0")
        as_sidecar = network.run("curl", "-s", "-m", "1", *STATUS, "http://www.aliyun.com/", user="1337:1337")
        lines = ended(sandbox)

    assert own.stdout.startswith("HTTP/1.1 301 "), own.stderr
    assert (blocked.stdout, as_root.stdout, as_sidecar.stdout) == ("502", "301", "000")
    assert [line["response_code"] for line in lines] == [301, 502, 301]


ENGINES_DNS = """
*nat
-A OUTPUT -d 127.0.0.11/32 -p udp --dport 53 -j DNAT --to-destination 127.0.0.11:34567
-A POSTROUTING -s 127.0.0.11/32 -p udp --sport 34567 -j SNAT --to-source :53
COMMIT
"""
"""As Docker lays them in every container's namespace."""
ANSWER = """
import dns.message, dns.rrset, socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.11", 34567))
print("up", flush=True)
while True:
    wire, client = server.recvfrom(512)
    reply = dns.message.make_response(dns.message.from_wire(wire))
    if reply.question[0].rdtype == 1:
        reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", "A", "203.0.113.99"))
    server.sendto(reply.to_wire(), client)
"""
ASK = """
import concurrent.futures, socket
def ask(number):
    return socket.gethostbyname("api.example.com" if number % 2 else f"other-{number}.example")
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    found = list(pool.map(ask, range(400)))
print(*sorted({(address, found.count(address)) for address in found}))
"""


@pytest.mark.skipif(shutil.which("iptables-restore") is None, reason="iptables-restore is not here")
def test_shared_namespace_with_dns_beside_the_engines_own_server() -> None:
    """Questions are redirected before the engine's rules see them, and what the mesh does not know still gets there."""
    mesh = {"volumes": ["../../tests/docker/mesh-with-dns:/mesh:ro"]}
    found = {name: {**service, **mesh} for name, service in services("shared-namespace").items()}
    with Container({}, nameserver="127.0.0.11") as network:
        network.give_network(APP)
        network.restore(ENGINES_DNS)
        engine = network.start(sys.executable, "-c", ANSWER, user="0:0")
        assert engine.stdout is not None
        assert engine.stdout.readline() == "up\n"
        capture = network.play(found["capture"])
        assert capture.wait(20) == 0, capture.communicate()[1]
        network.play(found["sandbox"])
        assert network.wait_until_healthy()

        asked = network.run(sys.executable, "-c", ASK)

    assert asked.stdout == "('203.0.113.99', 200) ('240.240.0.1', 200)\n", asked.stderr


def test_image_writes_nowhere_but_to_its_temporary_files() -> None:
    with Container({}) as found:
        refused = found.run("touch", "/etc/x", user="0:0")
        told = found.run("cat", "/proc/self/status", user="1337:1337")

    assert "Read-only file system" in refused.stderr
    assert "CapBnd:\t0000000000000000\n" in told.stdout
