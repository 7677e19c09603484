"""The command line of ``egress exec``, read without any library: every millisecond here is paid at each start."""

from __future__ import annotations

import os

from sandbox.capture.control_protocol import default_path

DEFAULT_PROXY = "127.0.0.1:15080"
USAGE = """\
Usage: egress exec [OPTIONS] -- CMD [ARG...]

  Run a command with all its TCP connections and DNS questions captured by the
  sandbox, as istio-init would in a pod: no root, no helper, no change to CMD.

  Without -f the command joins the running `egress run`; with -f it gets a
  sandbox of its own that ends with it.

Options:
  -f, --filename PATH     YAML file or directory of the sandbox of its own (repeatable)
  --mesh PATH             mesh configuration of the sandbox of its own
  --access-log PATH       where the sandbox of its own writes its access log
  --lab                   the sandbox of its own resolves names to the embedded internet
  --workload NS/NAME      be this workload of the mesh
  -n, --namespace NS      be some workload of this namespace
  --labels K=V[,K=V...]   labels of the workload, for selectors
  --include-ranges, --exclude-ranges CIDR[,CIDR...]
  --include-ports, --exclude-ports P[,P...]
                          what is captured, over the pod's annotations
  --host-ports P[,P...]   ports of the host's loopback, reached under 127.0.0.1 inside
  --publish [HOST:]PORT[:PORT]
                          the host reaches the program's port (the last number) at
                          this port of its own loopback, or of HOST (repeatable)
  --control PATH          control socket of the sandbox (default: $EGRESS_CONTROL,
                          then below $XDG_RUNTIME_DIR)
  --no-capture            capture nothing, only set HTTP_PROXY, HTTPS_PROXY and ALL_PROXY;
                          so it always is on systems other than Linux
  --proxy ADDR:PORT       what they lead to (default: 127.0.0.1:15080)
  -h, --help              Show this message and exit.

Examples:
  egress exec -- curl -I http://www.aliyun.com
  egress exec -f configs/quickstart --lab -- curl -I http://www.aliyun.com
  egress exec --workload shop/web -- ./client
  egress exec --host-ports 5432 -- psql -h 127.0.0.1
  egress exec --publish 8080:3000 -- npm run dev

Exit status: that of CMD; 125 if the namespace cannot be set up, 126 if CMD
cannot be run, 127 if it is not found.
"""


class UsageError(Exception):
    """The command line is wrong; the text says how."""


class ExecOptions:
    """What was asked for."""

    __slots__ = (
        "capture",
        "command",
        "control",
        "host_ports",
        "is_uncaptured",
        "labels",
        "namespace",
        "own_arguments",
        "proxy",
        "publish",
        "wants_help",
        "workload",
    )

    def __init__(self, control: str) -> None:
        self.control = control
        self.command: tuple[str, ...] = ()
        self.own_arguments: list[str] = []
        """Arguments for an ``egress run`` of its own; empty joins the running one."""
        self.workload: str | None = None
        self.namespace: str | None = None
        self.labels: dict[str, str] = {}
        self.capture: dict[str, str] = {}
        """Capture settings by field name."""
        self.host_ports: tuple[int, ...] = ()
        self.publish: tuple[tuple[str, int, int], ...] = ()
        self.wants_help = False
        self.is_uncaptured = False
        self.proxy = DEFAULT_PROXY


# What becomes of an option's value: an argument of the sandbox of its own, a capture setting, a field as it is, or
# a list that is read.
_OWN = {"-f": "-f", "--filename": "-f", "--mesh": "--mesh", "--access-log": "--access-log"}
_CAPTURE = {
    "--include-ranges": "include_ip_ranges",
    "--exclude-ranges": "exclude_ip_ranges",
    "--include-ports": "include_ports",
    "--exclude-ports": "exclude_ports",
}
_FIELDS = {
    "--workload": "workload",
    "-n": "namespace",
    "--namespace": "namespace",
    "--proxy": "proxy",
    "--control": "control",
}
_LISTS = ("--labels", "--host-ports", "--publish")
_FLAGS = ("--lab", "--no-capture", "--help", "-h")


def parse(arguments: list[str]) -> ExecOptions:
    """Reads ``arguments`` (without ``exec``); raises ``UsageError``."""
    options = ExecOptions(default_path(dict(os.environ), os.getuid()))
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word == "--":
            index += 1
            break
        if not word.startswith("-"):
            break
        index += 1
        if word in ("-h", "--help"):
            options.wants_help = True
            return options
        if word == "--no-capture":
            options.is_uncaptured = True
            continue
        if word == "--lab":
            options.own_arguments.append(word)
            continue
        name, separator, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name not in (*_OWN, *_CAPTURE, *_FIELDS, *_LISTS):
            raise UsageError(f"no such option: {name}{_nearest(name)}")
        if not separator:
            if index >= len(arguments):
                raise UsageError(f"option {name} needs a value")
            value = arguments[index]
            index += 1
        _take(options, name, value)
    options.command = tuple(arguments[index:])
    if not options.command:
        raise UsageError("which command? As in: egress exec -- curl -I http://example.com")
    return options


def _take(options: ExecOptions, name: str, value: str) -> None:
    if name in _OWN:
        options.own_arguments += [_OWN[name], value]
    elif name in _FIELDS:
        setattr(options, _FIELDS[name], value)
    elif name in _CAPTURE:
        options.capture[_CAPTURE[name]] = value
    elif name == "--labels":
        pairs = [label.partition("=") for label in value.split(",") if label]
        if any(not separator for _, separator, _ in pairs):
            raise UsageError(f"--labels: {value!r} is not K=V[,K=V...]")
        options.labels = {key: text for key, _, text in pairs}
    elif name == "--host-ports":
        if not all(port.isascii() and port.isdigit() and 0 < int(port) < 65536 for port in value.split(",")):
            raise UsageError(f"--host-ports: {value!r} is not P[,P...]")
        options.host_ports = tuple(int(port) for port in value.split(","))
    else:
        options.publish += (_published(value),)


def _nearest(name: str) -> str:
    from difflib import get_close_matches  # only where something is misspelt

    found = get_close_matches(name, (*_OWN, *_CAPTURE, *_FIELDS, *_LISTS, *_FLAGS), 1)
    return f"; did you mean {found[0]}?" if found else ""


def _published(text: str) -> tuple[str, int, int]:
    """``PORT``, ``PORT:PORT``, ``HOST:PORT`` or ``HOST:PORT:PORT``; an IPv6 address stands in brackets."""
    host, rest = "127.0.0.1", text
    if text.startswith("["):
        host, _, rest = text[1:].partition("]:")
    numbers = rest.split(":")
    if rest is text and not numbers[0].isdigit():
        host = numbers.pop(0)
    ports = [int(number) for number in numbers if number.isascii() and number.isdigit() and 0 < int(number) < 65536]
    if len(ports) != len(numbers) or not 1 <= len(ports) <= 2:
        raise UsageError(f"--publish: {text!r} is not [HOST:]PORT[:PORT]")
    return host, ports[0], ports[-1]
