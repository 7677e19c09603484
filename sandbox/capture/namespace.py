"""Namespaces of this process: leaving the host's, and what the new network is made of."""

from __future__ import annotations

import ctypes
import os
import socket

from sandbox.capture import rtnetlink
from sandbox.capture.exec_rules import IPV4, IPV6, PORT_CAPTURE, PORT_DNS, PORT_HOST
from sandbox.capture.netlink import NETLINK_ROUTE, Batch

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_SLAVE = 4096, 16384, 1 << 19
_BACKLOG = 4096
_PR_CAPBSET_DROP, _CAP_NET_ADMIN = 24, 12

RESOLVER_SOCKETS = (
    "/run/nscd/socket",
    "/var/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/avahi-daemon/socket",
)
"""Name services that answer over Unix sockets, past every packet rule."""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """unshare(2); the process must have one thread only."""
    _check(_libc().unshare(flags), "unshare")


def drop_network_administration() -> None:
    """CAP_NET_ADMIN leaves the bounding set: whatever is executed next cannot change the rules (prctl(2))."""
    _check(_libc().prctl(_PR_CAPBSET_DROP, _CAP_NET_ADMIN, 0, 0, 0), "prctl")


def write_file(path: str, text: str) -> None:
    """One write(2), as files below /proc want it; a buffered file would lose the error at its closing."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def map_identity(uid: int, gid: int) -> None:
    """In the new user namespace the user stays who he is."""
    write_file("/proc/self/setgroups", "deny")
    write_file("/proc/self/uid_map", f"{uid} {uid} 1")
    write_file("/proc/self/gid_map", f"{gid} {gid} 1")


def build_network(*, ipv6: bool) -> None:
    """Loopback, an ``eth0`` with our addresses, and default routes; no packet ever leaves by them.

    A veth pair where the kernel has it, since programs that skip loopback interfaces then see an address; else loopback
    itself carries the addresses.
    """
    batch = Batch()
    rtnetlink.bring_up(batch, rtnetlink.LOOPBACK_INDEX)
    batch.send(NETLINK_ROUTE)
    index = _add_veth()
    batch = Batch()
    if index != rtnetlink.LOOPBACK_INDEX:
        rtnetlink.bring_up(batch, socket.if_nametoindex("eth0p"))
        rtnetlink.bring_up(batch, index)
    rtnetlink.add_address(batch, index, IPV4.own)
    rtnetlink.add_default_route(batch, index, IPV4.own)
    if ipv6:
        # By loopback a unicast default is a reject route on older kernels, a local one is not.
        on_loopback = index == rtnetlink.LOOPBACK_INDEX
        rtnetlink.add_address(batch, index, IPV6.own)
        rtnetlink.add_default_route(
            batch, index, IPV6.own, rtnetlink.RTN_LOCAL if on_loopback else rtnetlink.RTN_UNICAST
        )
    batch.send(NETLINK_ROUTE)
    allow_low_ports()


def _add_veth() -> int:
    batch = Batch()
    rtnetlink.add_link(batch, "eth0", "veth", peer="eth0p")
    try:
        batch.send(NETLINK_ROUTE)
    except OSError:  # a kernel without veth
        return rtnetlink.LOOPBACK_INDEX
    return socket.if_nametoindex("eth0")


def allow_low_ports() -> None:
    """The program may listen on port 80; where /proc/sys is read only (containers) it may not."""
    try:
        write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    except OSError:
        return


def open_sockets(*, ipv6: bool) -> list[tuple[str, socket.socket]]:
    """The sockets that the proxy will serve, by role; bound to loopback exactly, since a UDP reply from another
    address would not be translated back.
    """
    sockets: list[tuple[str, socket.socket]] = []
    families = [(socket.AF_INET, "127.0.0.1", "4")] + ([(socket.AF_INET6, "::1", "6")] if ipv6 else [])
    for role, port in (("capture", PORT_CAPTURE), ("host", PORT_HOST), ("dns-tcp", PORT_DNS), ("dns-udp", PORT_DNS)):
        kind = socket.SOCK_DGRAM if role == "dns-udp" else socket.SOCK_STREAM
        sockets += [(role + version, _bind(family, kind, address, port)) for family, address, version in families]
    return sockets


def _bind(family: int, kind: int, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(_BACKLOG)
    return sock


def hide_resolver_sockets() -> None:
    """Our mounts do not go out, and name services that would go past the rules are covered."""
    libc = _libc()
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None), "make mounts private")
    for path in RESOLVER_SOCKETS:
        if os.path.exists(path) and os.path.realpath(path) == path:
            _check(libc.mount(b"/dev/null", path.encode(), None, _MS_BIND, None), f"cover {path}")


def has_ipv6() -> bool:
    """Whether this machine has IPv6 at all, and a way out by it (else programs should fall back to IPv4 at once)."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2001:db8::1", 9))
    except OSError:
        return False
    return True
