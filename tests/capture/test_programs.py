"""Unmodified programs of many kinds in ``egress exec``, as a user without any privilege."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.capture import database_servers
from tests.capture.running_sandbox import MESH, RunningSandbox, running_sandbox

pytestmark = [pytest.mark.namespaces, pytest.mark.slow]
USER = 1500 if os.geteuid() == 0 else None

DATABASES = """
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: databases, namespace: default}
spec:
  hosts: [postgres.example.com]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cache, namespace: default}
spec:
  hosts: [redis.example.com]
  ports: [{number: 6379, name: tcp, protocol: TCP}]
  resolution: DNS
"""

# The resolver of Go's own and raw connections: nothing of the C library takes part.
GO = """
package main

import ("bufio"; "context"; "fmt"; "net"; "os")

func main() {
	net.DefaultResolver.PreferGo = true
	var dialer net.Dialer
	connection, err := dialer.DialContext(context.Background(), "tcp", os.Args[1]+":80")
	if err != nil { fmt.Println(err); os.Exit(1) }
	fmt.Fprintf(connection, "GET /get HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n", os.Args[1])
	var version, status string
	fmt.Fscan(bufio.NewReader(connection), &version, &status)
	fmt.Println(status)
}
"""
JAVA = """
import java.net.*;

public class Get {
    public static void main(String[] words) throws Exception {
        var connection = (HttpURLConnection) new URL("http://" + words[0] + "/get").openConnection();
        System.out.println(connection.getResponseCode());
    }
}
"""
NODE = "fetch(`http://${process.argv[1]}/get`).then(reply => console.log(reply.status))"
PERL = """
use IO::Socket::INET;
my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => 80) or die;
print $s "GET /get HTTP/1.1\\r\\nHost: $ARGV[0]\\r\\nConnection: close\\r\\n\\r\\n";
print ((split / /, <$s>)[1], "\\n");
"""


def program(name: str) -> str:
    """Its path; skips the test where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/local/go/bin")
    if found is None:
        pytest.skip(f"{name} is not here")
    return found


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """One that every user may read, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="egress-programs-") as found:
        os.chmod(found, 0o755)
        yield Path(found)


@pytest.fixture(scope="module")
def sandbox(directory: Path) -> Iterator[RunningSandbox]:
    with (
        database_servers.serving(database_servers.postgres) as postgres,
        database_servers.serving(database_servers.redis) as redis,
    ):
        options = ["--resolve", f"postgres.example.com=127.0.0.1:{postgres}"]
        options += ["--resolve", f"redis.example.com=127.0.0.1:{redis}"]
        with running_sandbox(directory / "run", *options, mesh=MESH + DATABASES, user=USER) as found:
            yield found


def curl(_directory: Path) -> list[str]:
    return [program("curl"), "-s", "-o", os.devnull, "-w", "%{http_code}\n", "http://httpbin.org/get"]


def static_go(directory: Path) -> list[str]:
    source, binary = directory / "get.go", directory / "get"
    source.write_text(GO)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    subprocess.run([program("go"), "build", "-o", str(binary), str(source)], env=environment, check=True)
    return [str(binary), "httpbin.org"]


def java(directory: Path) -> list[str]:
    program("javac")  # which a runtime alone does not have, and a source file needs
    source = directory / "Get.java"
    source.write_text(JAVA)
    return [program("java"), "-XX:TieredStopAtLevel=1", str(source), "httpbin.org"]


def node(_directory: Path) -> list[str]:
    return [program("node"), "-e", NODE, "httpbin.org"]


def perl(_directory: Path) -> list[str]:
    return [program("perl"), "-e", PERL, "httpbin.org"]


@pytest.mark.timeout(240)  # Go compiles its library first where its cache is empty
@pytest.mark.parametrize("make", [curl, static_go, java, node, perl])
def test_program_of_any_language_is_captured(
    sandbox: RunningSandbox, directory: Path, make: Callable[[Path], list[str]]
) -> None:
    ended = sandbox.run(*make(directory))

    assert (ended.returncode, ended.stdout) == (0, "200\n"), ended.stderr


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        pytest.param(("psql", "-h", "postgres.example.com", "-U", "me", "-Atc", "select 42"), "42\n", id="psql"),
        pytest.param(("redis-cli", "-h", "redis.example.com", "ping"), "PONG\n", id="redis-cli"),
    ],
)
def test_database_client_reaches_the_host_that_the_mesh_names(
    sandbox: RunningSandbox, command: tuple[str, ...], answer: str
) -> None:
    program(command[0])

    ended = sandbox.run(*command)

    assert (ended.returncode, ended.stdout) == (0, answer), ended.stderr


def test_database_that_the_mesh_does_not_know_is_cut_off(sandbox: RunningSandbox) -> None:
    program("redis-cli")

    ended = sandbox.run("redis-cli", "-h", "www.aliyun.com", "-p", "6380", "ping")

    assert "PONG" not in ended.stdout


def test_user_has_no_privilege_inside(sandbox: RunningSandbox) -> None:
    told = dict(
        line.split(":\t") for line in sandbox.run("cat", "/proc/self/status").stdout.splitlines() if "\t" in line
    )

    assert told["Uid"].split() == [str(USER or os.getuid())] * 4
    assert int(told["CapEff"], 16) == 0
