"""``egress exec`` beside a real ``egress run``: identities, bypass, the host, lifetime, leaks."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.capture.running_sandbox import MESH, ROOT, SECONDS, RunningSandbox, running_sandbox, wait_until

pytestmark = [pytest.mark.namespaces, pytest.mark.slow]

WORKERS = 5
MAY_STAY = 2 + 2 * WORKERS
"""Descriptors: the access log, the event loop's, both ends of idle upstream connections; one namespace has eight."""
MARK = "EGRESS_TEST_MARK"
FETCH = """
import sys, urllib.request, urllib.error
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_curl_is_let_through_and_blocked_as_the_mesh_says(sandbox: RunningSandbox) -> None:
    assert sandbox.status("http://httpbin.org/get") == "200"
    assert sandbox.status("http://www.aliyun.com/") == "502"


def test_python_is_captured_too(sandbox: RunningSandbox) -> None:
    assert sandbox.run(sys.executable, "-c", FETCH, "http://httpbin.org/get").stdout == "200\n"
    assert sandbox.run(sys.executable, "-c", FETCH, "http://www.aliyun.com/").stdout == "502\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_unprivileged_user_of_a_sandbox_of_his_own(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "sandbox", "exec", "-f", "configs/quickstart", "--lab", "--", "sh", "-c"]
    arguments.append("id -u; curl -s -o /dev/null -w '%{http_code}' http://httpbin.org/get")
    tmp_path.chmod(0o777)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    for parent in tmp_path.parents[:-1]:
        if not os.stat(parent).st_mode & 0o001:
            environment["TMPDIR"] = environment["HOME"] = environment["XDG_DATA_HOME"] = "/tmp"

    ended = subprocess.run(
        arguments, cwd=ROOT, env=environment, user=1500, group=1500, extra_groups=[], capture_output=True, text=True
    )

    assert ended.stdout == "1500\n200", ended.stderr


def test_workloads_with_different_identities_get_different_answers_at_the_same_moment(sandbox: RunningSandbox) -> None:
    def answers(who: str) -> str:
        urls = "http://api.example.com/get http://httpbin.org/get"
        script = f'for url in {urls} {urls}; do curl -s -o /dev/null -w "%{{http_code}} " $url; done'
        return sandbox.run("sh", "-c", script, options=["--workload", who]).stdout

    with ThreadPoolExecutor() as pool:
        payments, shop, closed = pool.map(answers, ["payments/till", "shop/web", "closed/job"])

    assert payments.split() == ["200", "200"] * 2
    assert shop.split() == ["502", "200"] * 2
    assert set(closed.split()) <= {"502", "000"}


def test_workload_given_by_namespace_alone(sandbox: RunningSandbox) -> None:
    assert sandbox.status("http://api.example.com/get", "-n", "payments") == "200"
    assert sandbox.status("http://api.example.com/get", "-n", "shop") == "502"


def test_range_that_is_not_included_leaves_untouched_and_unlogged(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "run") as sandbox:
        # www.aliyun.com is no host of the mesh: captured, it would be answered with 502.
        bypassed = sandbox.status("http://www.aliyun.com/", "--workload", "shop/inside-only")
        captured = sandbox.status("http://httpbin.org/get", "--workload", "shop/web")
        sandbox.stop()

    assert (bypassed, captured) == ("301", "200")
    assert [line["authority"] for line in sandbox.log_lines()] == ["httpbin.org"]
    assert (
        [line for line in sandbox.told.splitlines() if "BYPASS" in line]
        == [line for line in sandbox.told.splitlines() if line.endswith(":80: in no included range")]
        != []
    )


def test_ranges_and_ports_of_the_command_line_win(sandbox: RunningSandbox) -> None:
    def status(*options: str) -> str:
        return sandbox.status("http://www.aliyun.com/", "--workload", "shop/inside-only", *options)

    assert status() == "301"
    assert status("--include-ranges", "*") == "502"
    assert status("--include-ports", "80") == "502"
    assert status("--include-ranges", "*", "--exclude-ports", "80,443") == "301"
    assert sandbox.run("true", options=["--include-ranges", "10.0.0.1"]).stderr.count("SBX0601") == 1


@pytest.fixture
def host_server() -> Iterator[int]:
    """An HTTP server on the host's own loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_ports_of_the_host_are_reached_when_named(sandbox: RunningSandbox, host_server: int) -> None:
    url = f"http://127.0.0.1:{host_server}/"

    assert sandbox.status(url, "--host-ports", str(host_server)) == "200"
    assert sandbox.status(url) == "000"
    assert sandbox.status(f"http://host.sandbox.internal:{host_server}/") == "200"


def test_published_port_is_reached_from_the_host(sandbox: RunningSandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = "import http.server as h; s = h.HTTPServer(('127.0.0.1', 3000), h.SimpleHTTPRequestHandler);"
    script += "print('serving', flush=True); s.handle_request(); s.handle_request()"
    arguments = sandbox.command(sys.executable, "-c", script, options=["--publish", f"{port}:3000"])

    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"serving\n"
        for _ in range(2):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
                assert reply.status == 200
        assert server.wait(SECONDS) == 0
    assert wait_until(lambda: _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_published_port_that_is_taken_is_told(sandbox: RunningSandbox, host_server: int) -> None:
    ended = sandbox.run("true", options=["--publish", str(host_server)])

    assert ended.returncode == 125
    assert f"cannot listen on 127.0.0.1:{host_server}" in ended.stderr


def test_published_port_beyond_loopback_is_refused(sandbox: RunningSandbox) -> None:
    ended = sandbox.run("true", options=["--publish", "0.0.0.0:3000"])

    assert ended.returncode == 125
    assert "can be reached from other machines" in ended.stderr


def test_child_that_outlives_its_parent_stays_captured(sandbox: RunningSandbox) -> None:
    # Longer than the sandbox's look for what is left in the namespace, twice.
    script = "(sleep 2.5; curl -s -o /dev/null -w '%{http_code}' http://www.aliyun.com/) & echo $$"

    ended = sandbox.run("sh", "-c", script)

    assert ended.stdout.splitlines()[1] == "502"


def test_sandbox_of_its_own_ends_with_its_program(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "sandbox", "exec", "-f", "configs/quickstart", "--lab", "--"]
    arguments += ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://httpbin.org/get"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    ended = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS)

    assert (ended.returncode, ended.stdout) == (0, "200"), ended.stderr
    assert wait_until(lambda: not list(tmp_path.iterdir()))
    assert wait_until(lambda: not [line for line in _command_lines() if str(tmp_path) in line])


def test_sandbox_of_its_own_that_cannot_start_says_why(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "sandbox", "exec", "-f", "no-such-file.yaml", "--", "true"]

    ended = subprocess.run(arguments, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True)

    assert ended.returncode == 125
    assert b"no-such-file.yaml: no such file" in ended.stderr


def test_many_programs_leave_no_namespace_descriptor_or_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A namespace lives by a process in it, or by a descriptor of it, which only the sandbox would have."""
    with running_sandbox(tmp_path / "run") as sandbox:
        monkeypatch.setenv(MARK, str(tmp_path))
        most = sandbox.open_files() + MAY_STAY

        def several(_worker: int) -> list[str]:
            script = "readlink /proc/self/ns/net; curl -s -o /dev/null http://httpbin.org/get"
            return [sandbox.run("sh", "-c", script).stdout.strip() for _ in range(4)]

        with ThreadPoolExecutor(WORKERS) as pool:
            namespaces = {name for names in pool.map(several, range(WORKERS)) for name in names}

        assert len(namespaces) >= WORKERS
        assert wait_until(lambda: sandbox.open_files() <= most), sandbox.open_files()
        assert wait_until(lambda: not list(_marked(f"{MARK}={tmp_path}")))


def _marked(variable: str) -> Iterator[str]:
    """Processes with this in their environment."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(name) != os.getpid() and variable.encode() in Path(f"/proc/{name}/environ").read_bytes():
                yield name
        except OSError:
            continue


def _command_lines() -> Iterator[str]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            yield Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


NAMES = """
---
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata: {name: mesh, namespace: istio-system}
spec:
  meshConfig:
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    defaultConfig:
      proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true", ISTIO_META_DNS_AUTO_ALLOCATE: "true"}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: payments}
spec:
  hosts: [api.example.com]
  exportTo: ["."]
  addresses: [203.0.113.10]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  exportTo: ["."]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  exportTo: ["."]
  http: [{directResponse: {status: 418}}]
"""
NAME_AND_STATUS = """
import socket, urllib.error, urllib.request
for _ in range(3):
    try:
        status = urllib.request.urlopen("http://api.example.com/get", timeout=10).status
    except urllib.error.HTTPError as error:
        status = error.code
    print(socket.gethostbyname("api.example.com"), status)
"""


def test_one_name_has_another_address_and_route_for_each_workload_at_the_same_moment(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "run", mesh=NAMES) as sandbox, ThreadPoolExecutor() as pool:

        def told(who: str) -> list[str]:
            return sandbox.run(sys.executable, "-c", NAME_AND_STATUS, options=["--workload", who]).stdout.splitlines()

        payments, shop, again = pool.map(told, ["payments/till", "shop/web", "payments/other"])

    assert payments == again == ["203.0.113.10 200"] * 3
    assert shop == [f"{shop[0].split()[0]} 418"] * 3
    assert shop[0].startswith("240.240.")


def test_services_are_known_as_by_the_clusters_dns_server(tmp_path: Path) -> None:
    external = """
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: default}
spec: {type: ExternalName, externalName: httpbin.org, ports: [{name: http, port: 80}]}
"""
    script = "import socket; print(*(socket.gethostbyname(n) for n in ('frontend.default', 'httpbin.org')))"
    with running_sandbox(tmp_path / "run", mesh=MESH + external) as sandbox:
        frontend, httpbin = sandbox.run(sys.executable, "-c", script).stdout.split()
        outside = sandbox.run(sys.executable, "-c", script.replace("frontend", "outside")).stdout.split()

    assert frontend == "10.96.0.80"
    assert outside == [httpbin, httpbin]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not here")
def test_server_on_an_interface_of_the_host_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("search corp.example\nnameserver fe80::1%eth9\n")
    run = f"{sys.executable} -m sandbox exec -f configs/quickstart --lab -- sh -c"
    script = f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec {run} "$0"'
    inside = "cat /etc/resolv.conf; curl -s -o /dev/null -w %{http_code} http://httpbin.org/get"

    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, inside],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert ended.stdout == "nameserver 127.0.0.1\nsearch corp.example\n200", ended.stderr


def test_address_of_a_name_stays_over_a_reload_of_the_files(tmp_path: Path) -> None:
    ask = [sys.executable, "-c", "import socket, sys; print(*(socket.gethostbyname(n) for n in sys.argv[1:]))"]
    entry = NAMES[NAMES.rindex("---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry") : NAMES.rindex("---\n")]
    earlier = entry.replace("name: api,", "name: earlier,").replace("api.example.com", "earlier.example.com")
    inside = ["--workload", "shop/web"]
    with running_sandbox(tmp_path / "run", mesh=NAMES) as sandbox:
        before = sandbox.run(*ask, "api.example.com", options=inside).stdout.split()
        (tmp_path / "run" / "mesh.yaml").write_text(earlier + NAMES)
        sandbox.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: sandbox.run(*ask, "earlier.example.com", options=inside).returncode == 0)
        both = sandbox.run(*ask, "api.example.com", "earlier.example.com", options=inside).stdout.split()

    assert before == ["240.240.0.1"]
    assert both == ["240.240.0.1", "240.240.0.2"]


RESOLVED = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partner}
spec:
  hosts: [partner.example.com]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
  endpoints: [{address: www.google.com}]
"""


def test_a_first_connection_waits_for_the_addresses_of_its_cluster(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "run", mesh=RESOLVED) as sandbox:
        url = "https://partner.example.com/"
        at_once = ["-sk", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", "partner.example.com:443:1.1.1.1", url]
        told = [sandbox.run("curl", *at_once, options=["--workload", f"shop/{name}"]).stdout for name in ("a", "b")]

    assert told == ["200", "200"]


def test_a_workload_that_no_object_describes_is_told(tmp_path: Path) -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: shop}\n"
    with running_sandbox(tmp_path / "run", mesh=pod) as sandbox:
        said = [sandbox.run("true", options=["--workload", f"shop/{name}"]).stderr for name in ("clinet", "client")]

    assert "no object describes the workload shop/clinet" in said[0]
    assert "did you mean shop/client?" in said[0]
    assert said[1] == ""
