"""Namespaces of this process: leaving the host's, and what the new network is made of."""

from __future__ import annotations

import _socket
import errno
import os

from sandbox.capture import kernel_calls, rtnetlink
from sandbox.capture.control_protocol import resolver_file
from sandbox.capture.exec_rules import IPV4, IPV6, PORT_CAPTURE, PORT_DNS, PORT_HOST
from sandbox.capture.netlink import NETLINK_ROUTE, Batch

_BACKLOG = 4096

RESOLVER_SOCKETS = (
    "/run/nscd/socket",
    "/var/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/avahi-daemon/socket",
)
"""Name services that answer over Unix sockets, past every packet rule."""


def what_to_cover(control: str) -> list[tuple[str, str]]:
    """Paths, and what the program is to find there: nothing behind the sockets of name services that would go past the
    rules, and the resolv.conf that the sandbox has written, if it had to.
    """
    sockets = [path for path in RESOLVER_SOCKETS if os.path.exists(path) and os.path.realpath(path) == path]
    own = resolver_file(control)
    return [*((path, os.devnull) for path in sockets), *([("/etc/resolv.conf", own)] if os.path.exists(own) else [])]


def leave_host(*, mounts: bool = True) -> bool:
    """New namespaces for the network and, with ``mounts``, for what is mounted.

    Everybody but a root who may do that gets a user namespace too, and ``True``.
    """
    flags = kernel_calls.CLONE_NEWNET | (kernel_calls.CLONE_NEWNS if mounts else 0)
    if os.geteuid() == 0 and kernel_calls.may_have_network_administration():
        try:
            kernel_calls.unshare(flags)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
        else:
            return False
    kernel_calls.unshare(kernel_calls.CLONE_NEWUSER | flags)
    return True


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


def build_network(*, ipv6: bool) -> bool:
    """Loopback, an ``eth0`` with our addresses, and default routes; no packet ever leaves by them.

    A veth pair where the kernel has it, since programs that skip loopback interfaces then see an address; else loopback
    itself carries the addresses. Answers whether there is IPv6, which new namespaces may be told to do without.
    """
    index = _add_veth()
    batch = Batch()
    rtnetlink.bring_up(batch, rtnetlink.LOOPBACK_INDEX)
    if index != rtnetlink.LOOPBACK_INDEX:
        rtnetlink.bring_up(batch, _socket.if_nametoindex("eth0p"))
        rtnetlink.bring_up(batch, index)
    rtnetlink.add_address(batch, index, IPV4.own)
    rtnetlink.add_default_route(batch, index, IPV4.own)
    batch.send(NETLINK_ROUTE)
    allow_low_ports()
    return ipv6 and _add_ipv6(index)


def _add_ipv6(index: int) -> bool:
    batch = Batch()
    rtnetlink.add_address(batch, index, IPV6.own)
    # By loopback a unicast default is a reject route on older kernels, a local one is not.
    kind = rtnetlink.RTN_LOCAL if index == rtnetlink.LOOPBACK_INDEX else rtnetlink.RTN_UNICAST
    rtnetlink.add_default_route(batch, index, IPV6.own, kind)
    try:
        batch.send(NETLINK_ROUTE)
    except OSError:  # EACCES: net.ipv6.conf.default.disable_ipv6
        return False
    return True


def _add_veth() -> int:
    batch = Batch()
    rtnetlink.add_link(batch, "eth0", "veth", peer="eth0p")
    try:
        batch.send(NETLINK_ROUTE)
    except OSError:  # a kernel without veth
        return rtnetlink.LOOPBACK_INDEX
    return _socket.if_nametoindex("eth0")


def allow_low_ports() -> None:
    """The program may listen on port 80; where /proc/sys is read only (containers) it may not."""
    try:
        write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    except OSError:
        return


def open_sockets(*, ipv6: bool) -> list[tuple[str, _socket.socket]]:
    """The sockets that the proxy will serve, by role; bound to loopback exactly, since a UDP reply from another
    address would not be translated back.
    """
    sockets: list[tuple[str, _socket.socket]] = []
    families = [(_socket.AF_INET, "127.0.0.1", "4")] + ([(_socket.AF_INET6, "::1", "6")] if ipv6 else [])
    for role, port in (("capture", PORT_CAPTURE), ("host", PORT_HOST), ("dns-tcp", PORT_DNS), ("dns-udp", PORT_DNS)):
        kind = _socket.SOCK_DGRAM if role == "dns-udp" else _socket.SOCK_STREAM
        sockets += [(role + version, _bind(family, kind, address, port)) for family, address, version in families]
    return sockets


def _bind(family: int, kind: int, address: str, port: int) -> _socket.socket:
    sock = _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    if family == _socket.AF_INET6:
        sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    if kind == _socket.SOCK_STREAM:
        sock.listen(_BACKLOG)
    return sock


def cover(covers: list[tuple[str, str]]) -> None:
    """Mounts what is to be found in place of each path; our mounts do not go out."""
    if covers:
        kernel_calls.keep_mounts_to_ourselves()
    for path, by in covers:
        kernel_calls.cover(path, by)


def has_ipv6() -> bool:
    """Whether this machine has IPv6 at all, and a way out by it (else programs should fall back to IPv4 at once)."""
    try:
        probe = _socket.socket(_socket.AF_INET6, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    except OSError:
        return False
    is_refused = probe.connect_ex(("2001:db8::1", 9))
    probe.close()
    return not is_refused
