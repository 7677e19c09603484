"""Machines that do not let us: cause and cure are named, and what can be done without is done without."""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from sandbox.capture import resolver_file
from sandbox.capture.namespace import has_ipv6
from sandbox.capture.refusals import MachineFacts, explain_refusal
from tests.capture.conftest import CaptureBench
from tests.capture.refusing import NUMBERS
from tests.capture.running_sandbox import ROOT

Bench = Callable[[], AbstractAsyncContextManager[CaptureBench]]
PLAIN = MachineFacts()


@pytest.mark.parametrize(
    ("step", "code", "facts", "said"),
    [
        pytest.param(
            "unshare",
            errno.ENOSPC,
            MachineFacts(max_user_namespaces="0"),
            "sudo sysctl -w user.max_user_namespaces=15000",
            id="user namespaces switched off",
        ),
        pytest.param(
            "unshare",
            errno.ENOSPC,
            MachineFacts(max_user_namespaces="9", max_net_namespaces="0"),
            "sudo sysctl -w user.max_net_namespaces=15000",
            id="network namespaces switched off",
        ),
        pytest.param("unshare", errno.ENOSPC, PLAIN, "nested too deep", id="too many"),
        pytest.param("unshare", errno.EINVAL, PLAIN, "built without user or network namespaces", id="none built"),
        pytest.param("unshare", errno.ENOSYS, PLAIN, "built without user or network namespaces", id="no such call"),
        pytest.param(
            "unshare", errno.EPERM, MachineFacts(has_seccomp_filter=True), "seccomp=unconfined", id="a container"
        ),
        pytest.param(
            "unshare", errno.ENOSYS, MachineFacts(has_seccomp_filter=True), "seccomp=unconfined", id="a hiding filter"
        ),
        pytest.param(
            "unshare",
            errno.EPERM,
            MachineFacts(unprivileged_userns_clone="0"),
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
            id="hardened Debian",
        ),
        pytest.param("unshare", errno.EPERM, PLAIN, "Check: unshare -Urn true", id="a chroot"),
        *(
            pytest.param(
                step,
                code,
                MachineFacts(apparmor_restrict_userns="1", interpreter="/usr/bin/python3.12"),
                "profile egress /usr/bin/python3.12 flags=(unconfined) { userns, }",
                id=f"Ubuntu's AppArmor at {step}",
            )
            for step, code in (("identity", errno.EACCES), ("network", errno.EPERM), ("rules", errno.EPERM))
        ),
        pytest.param(
            "identity", errno.EPERM, MachineFacts(is_root=True), "docker --cap-add SETFCAP", id="root without SETFCAP"
        ),
        pytest.param(
            "rules",
            errno.EPROTONOSUPPORT,
            PLAIN,
            "sudo modprobe -a nf_tables nft_chain_nat nft_redir nf_conntrack",
            id="no nf_tables",
        ),
        pytest.param("hand-over", errno.ENOSYS, PLAIN, "Linux 5.3 or later", id="an old kernel"),
        pytest.param("network", errno.EBUSY, PLAIN, "Detail: Device or resource busy", id="anything else"),
    ],
)
def test_cause_and_cure_are_named(step: str, code: int, facts: MachineFacts, said: str) -> None:
    message = explain_refusal(step, OSError(code, os.strerror(code)), facts)

    assert message.startswith(f"egress: cannot start the capture namespace ({step} failed: {errno.errorcode[code]})\n")
    assert said in message
    assert "sudo -E egress exec -- CMD" in message
    assert "egress exec --no-capture -- CMD" in message


# ---- the same on this machine, made to refuse


def outcome(bench: Bench, *before: str, command: Sequence[str] = ("echo", "ran")) -> tuple[int, str, str]:
    """``egress exec -- COMMAND``, started by way of the words ``before``."""

    async def play() -> tuple[int, str, str]:
        async with bench() as found:
            arguments = [*before, sys.executable, "-m", "sandbox", "exec", "--control", found.control, "--", *command]
            process = await asyncio.create_subprocess_exec(
                *arguments,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            out, err = await process.communicate()
            assert process.returncode is not None
            return process.returncode, out.decode(), err.decode()

    return asyncio.run(play())


def refusing(*calls: str) -> list[str]:
    return [sys.executable, "-m", "tests.capture.refusing", *calls, "--"]


@pytest.mark.namespaces
@pytest.mark.skipif(platform.machine() not in NUMBERS, reason="system calls have other numbers here")
@pytest.mark.parametrize(
    ("calls", "said"),
    [
        pytest.param(["unshare=1"], "A seccomp filter forbids unshare()", id="a container's filter"),
        pytest.param(["socket:2:12=93"], "no nf_tables NAT", id="a kernel without nf_tables"),
        pytest.param(["pidfd_open=38"], "Linux 5.3 or later", id="an old kernel"),
        pytest.param(["socket:0:16=97"], "network failed: EAFNOSUPPORT", id="no netlink"),
    ],
)
def test_refusal_ends_with_125_and_the_command_does_not_run(bench: Bench, calls: list[str], said: str) -> None:
    code, out, err = outcome(bench, *refusing(*calls))

    assert (code, out) == (125, "")
    assert said in err


@pytest.mark.namespaces
@pytest.mark.skipif(platform.machine() not in NUMBERS, reason="system calls have other numbers here")
@pytest.mark.parametrize(
    ("calls", "warning"),
    [
        pytest.param(["mount=13"], "egress: warning: mounts are not to be had", id="no mounts"),
        pytest.param(["socket:0:10=97"], "", id="no IPv6"),
    ],
)
def test_what_can_be_done_without_is_done_without(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calls: list[str], warning: str
) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver fe80::1%eth0\n")
    monkeypatch.setattr(resolver_file, "RESOLV_CONF", str(tmp_path / "resolv.conf"))  # so that there is one to mount

    code, out, err = outcome(bench, *refusing(*calls))

    assert (code, out) == (0, "ran\n"), err
    assert err.startswith(warning)
    assert err.count("\n") == bool(warning)


LIMIT = """
import os, sys
from sandbox.capture import kernel_calls, namespace
uid, gid = os.getuid(), os.getgid()
kernel_calls.unshare(kernel_calls.CLONE_NEWUSER)
namespace.map_identity(uid, gid)
namespace.write_file(f"/proc/sys/user/{sys.argv[1]}", "0")
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.namespaces
@pytest.mark.parametrize(
    "sysctl",
    [
        "max_net_namespaces",
        pytest.param(
            "max_user_namespaces",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root needs no user namespace"),
        ),
    ],
)
def test_sysctl_that_forbids_namespaces_is_named(bench: Bench, sysctl: str) -> None:
    """In a user namespace around all of it, whose limits are its own."""
    code, _, err = outcome(bench, sys.executable, "-c", LIMIT, sysctl)

    assert code == 125
    assert f"sudo sysctl -w user.{sysctl}=15000" in err


@pytest.mark.namespaces
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to lose")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not here")
def test_root_of_a_container_without_capabilities_gets_a_user_namespace(bench: Bench) -> None:
    lost = "-sys_admin,-net_admin,-sys_resource"

    code, out, err = outcome(bench, "setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}")

    assert (code, out) == (0, "ran\n"), err


@pytest.mark.namespaces
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to lose")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not here")
def test_root_without_the_right_to_map_itself_is_told(bench: Bench) -> None:
    lost = "-sys_admin,-net_admin,-setfcap"

    code, _, err = outcome(bench, "setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}")

    assert code == 125
    assert "docker --cap-add SETFCAP" in err


@pytest.mark.namespaces
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_namespace_that_must_do_without_ipv6_is_built_without() -> None:
    script = """
from sandbox.capture import kernel_calls, namespace
import os
uid, gid = os.getuid(), os.getgid()
if namespace.leave_host():
    namespace.map_identity(uid, gid)
for device in ("all", "default"):
    namespace.write_file(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6", "1")
print(namespace.build_network(ipv6=True))
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ended.stdout == "False\n"
