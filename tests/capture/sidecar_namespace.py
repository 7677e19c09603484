"""Run by itself: makes a network namespace, lays capture rules there, and tells who gets where, as JSON.

Arguments: the back end, and the options of ``egress capture install``.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading

from sandbox.capture import kernel_calls, namespace
from sandbox.proxy.original_dst import original_destination

OUTSIDE, INCLUDED = "198.51.100.7", "203.0.113.7"
DIAL = """
import socket, sys
host, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, getattr(socket, kind)) as sock:
    sock.settimeout(0.5)
    try:
        sock.connect((host, port))
        sock.send(b"?")
        print(sock.recv(100).decode())
    except OSError as error:
        print("not captured")
"""


def serve() -> None:
    """What the sidecar would do: 15001 tells where a connection was meant to go, 15053 answers as DNS."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        tcp = socket.create_server((address, 15001), family=family)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((address, 15053))
        threading.Thread(target=_tell, args=(tcp,), daemon=True).start()
        threading.Thread(target=_answer, args=(udp,), daemon=True).start()


def _tell(server: socket.socket) -> None:
    while True:
        sock, _ = server.accept()
        with sock:
            meant = original_destination(sock)
            sock.send(f"{meant[0]} {meant[1]}".encode() if meant else b"itself")


def _answer(server: socket.socket) -> None:
    while True:
        _, peer = server.recvfrom(100)
        server.sendto(b"dns", peer)


def dial(host: str, port: int, user: int, kind: str = "SOCK_STREAM") -> str:
    command = [sys.executable, "-c", DIAL, host, str(port), kind]
    return subprocess.run(
        command, capture_output=True, text=True, user=user, group=user, extra_groups=[], check=True
    ).stdout.strip()


def egress(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "sandbox", "capture", *arguments], check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    backend, nameserver, *options = sys.argv[1:]
    kernel_calls.unshare(kernel_calls.CLONE_NEWNET | kernel_calls.CLONE_NEWNS)
    namespace.build_network(ipv6=True)
    for _ in range(2):  # laying them twice is laying them once
        egress("install", "--backend", backend, *options)
    serve()
    told = {
        "application": dial(OUTSIDE, 80, 1000),
        "root": dial(OUTSIDE, 443, 0),
        "ipv6": dial("2001:db8::7", 80, 1000),
        "sidecar": dial(OUTSIDE, 80, 1337),
        "loopback": dial("127.0.0.1", 15001, 1000),
        "included": dial(INCLUDED, 80, 1000),
        "dns": dial(nameserver, 53, 1000, "SOCK_DGRAM"),
        "dns of the sidecar": dial(nameserver, 53, 1337, "SOCK_DGRAM"),
    }
    egress("remove")
    told["removed"] = dial(OUTSIDE, 80, 1000)
    egress("remove")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
