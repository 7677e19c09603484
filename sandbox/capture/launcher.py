"""``egress exec``: this process becomes the command, inside a namespace whose TCP and DNS go to the sandbox.

Nothing is forwarded and nobody waits: signals, terminal, job control, standard input and exit code are the command's
own because it is the same process. Only small modules of the standard library are imported; the whole takes some 20 ms.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # no stub; signal.py would bring enum along, 4 ms
import _socket
import os
import sys

from sandbox.capture import kernel_calls, namespace
from sandbox.capture.control_protocol import ACCEPTED, MAXIMUM_BYTES, VERSION, connect, encode, send
from sandbox.capture.exec_rules import exec_rules

EXIT_SET_UP, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND = 125, 126, 127
"""The shell's own codes for a command that could not be started; 125 as in env(1), timeout(1), docker run."""
_REPLY_SECONDS = 30.0


class Launch:
    """What to run, and as which workload; ``None`` leaves it to the running sandbox.

    A plain class: importing ``dataclasses`` would take a quarter of the whole start-up.
    """

    __slots__ = ("capture", "command", "control", "host_ports", "labels", "namespace", "publish", "workload")

    def __init__(self, command: tuple[str, ...], control: str) -> None:
        self.command = command
        self.control = control
        self.workload: str | None = None
        self.namespace: str | None = None
        self.labels: dict[str, str] = {}
        self.capture: dict[str, str] = {}
        self.host_ports: tuple[int, ...] = ()
        self.publish: tuple[tuple[str, int, int], ...] = ()
        """Host address and port, and the program's port that is reached there."""


class SetUpError(Exception):
    """The namespace could not be made; the text is for the user."""


def launch(request: Launch) -> int:
    """Becomes the command; returns only where that fails, with the exit code."""
    environment = original_environment()
    try:
        _enter(request)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return EXIT_SET_UP
    return _become(request.command, environment)


def launch_uncaptured(command: tuple[str, ...], proxy: str) -> int:
    """Becomes the command with variables that lead to the explicit proxy, and says what that leaves out."""
    from sandbox.capture.proxy_variables import NOT_CAPTURED, with_proxy  # not on the usual way

    print(NOT_CAPTURED.format(proxy=proxy), file=sys.stderr)
    return _become(command, with_proxy(original_environment(), proxy))


def original_environment() -> dict[bytes, bytes]:
    """The environment as it was handed to us: Python itself may have added LC_CTYPE to ``os.environ`` (PEP 538)."""
    if sys.platform != "linux":
        return dict(os.environb)
    with open("/proc/self/environ", "rb") as file:
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if b"=" in entry)
        return {name: value for name, _, value in pairs}


def _enter(request: Launch) -> None:
    uid, gid = os.getuid(), os.getgid()
    step = "control"
    try:
        control = connect(request.control)
        ipv6 = namespace.has_ipv6()
        step = "unshare"
        covers = namespace.what_to_cover(request.control)
        in_user_namespace = namespace.leave_host(mounts=bool(covers))
        step = "identity"
        if in_user_namespace:
            namespace.map_identity(uid, gid)
        step = "network"
        ipv6 = namespace.build_network(ipv6=ipv6)
        sockets = namespace.open_sockets(ipv6=ipv6)
        step = "rules"
        exec_rules(request.host_ports, ipv6=ipv6).apply()
        step = "mounts"
        _cover(covers)
        step = "hand-over"
        _hand_over(control, request, sockets)
        step = "user"
        _drop_root(in_user_namespace)
    except OSError as error:
        raise SetUpError(_explain(step, error, request.control, is_root=uid == 0)) from error
    for _, sock in sockets:
        sock.close()
    control.close()


def _cover(covers: list[tuple[str, str]]) -> None:
    try:
        namespace.cover(covers)
    except OSError as error:  # DNS is captured all the same
        print(f"egress: warning: mounts are not to be had ({error.strerror})", file=sys.stderr)


def _hand_over(control: _socket.socket, request: Launch, sockets: list[tuple[str, _socket.socket]]) -> None:
    """Passes the sockets on; the answer comes when all of them are served."""
    factory = 0
    if request.publish:
        from sandbox.capture.socket_factory import start_socket_factory

        factory, sock = start_socket_factory()
        sockets.append(("factory", sock))
    hello = {
        "version": VERSION,
        "network": os.stat("/proc/self/ns/net").st_ino,
        "roles": [*(role for role, _ in sockets), "pidfd"],
        "workload": request.workload,
        "namespace": request.namespace,
        "labels": request.labels,
        "capture": request.capture,
        "publish": request.publish,
        "factory": factory,
    }
    pidfd = os.pidfd_open(os.getpid())
    try:
        send(control, encode(hello), [*(sock.fileno() for _, sock in sockets), pidfd])
    finally:
        os.close(pidfd)
    control.settimeout(_REPLY_SECONDS)
    answer = control.recv(MAXIMUM_BYTES)
    if answer == ACCEPTED:
        return
    import json  # a quarter of the whole start-up, which only a refusal or a warning pays

    reply = json.loads(answer or b'{"error": "the sandbox went away"}')
    if "error" in reply:
        raise SetUpError(f"egress: {reply['error']}")
    for line in reply.get("warnings", ()):
        print(f"egress: {line}", file=sys.stderr)


def _drop_root(in_user_namespace: bool) -> None:
    """Under sudo the command runs as who called it, his groups kept; root itself loses the rules' capability.

    A user loses all that he has in his own namespace by executing the command.
    """
    if os.geteuid() == 0:
        kernel_calls.drop_network_administration()
    uid, gid = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if in_user_namespace or os.geteuid() != 0 or uid is None or gid is None:
        return
    os.initgroups(os.environ.get("SUDO_USER", ""), int(gid))
    os.setresgid(int(gid), int(gid), int(gid))
    os.setresuid(int(uid), int(uid), int(uid))


def _become(command: tuple[str, ...], environment: dict[bytes, bytes]) -> int:
    """Executes the command; the first that is there but cannot be run decides the answer, else it is not found."""
    # Python ignores these two, and what is ignored stays ignored over exec.
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    refusal: OSError | None = None
    for path in _candidates(os.fsencode(command[0]), environment):
        try:
            os.execve(path, command, environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            refusal = refusal or error
    if refusal is None:
        print(f"egress: {command[0]}: command not found", file=sys.stderr)
        return EXIT_NOT_FOUND
    print(f"egress: {command[0]}: {refusal.strerror}", file=sys.stderr)
    return EXIT_NOT_EXECUTABLE


def _candidates(name: bytes, environment: dict[bytes, bytes]) -> list[bytes]:
    """Where the command may be; as ``os.execvpe`` looks for it, which imports ``warnings``."""
    if b"/" in name:
        return [name]
    directories = environment.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    return [directory + b"/" + name if directory else name for directory in directories]


def _explain(step: str, error: OSError, control: str, *, is_root: bool) -> str:
    if step == "control":
        return (
            f"egress: no sandbox is running ({control}: {error.strerror})\n"
            "  Start one in another terminal: egress run -f DIR\n"
            "  or let the command have its own: egress exec -f DIR -- CMD"
        )
    from sandbox.capture.refusals import explain_refusal, read_facts  # only where something failed

    return explain_refusal(step, error, read_facts(is_root=is_root))
