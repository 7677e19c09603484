"""What to tell a user whose machine refuses a capture namespace: (step, errno, facts) → cause and cure."""

from __future__ import annotations

import errno
import os

from sandbox.frozen_dataclass import dataclass

WAYS_OUT = (
    "Without it: `sudo -E egress exec -- CMD` (CMD itself still runs as you), or `egress exec --no-capture -- CMD` "
    "(only programs that heed HTTP_PROXY; no DNS, no raw TCP)."
)

_WITHOUT_NF_TABLES = (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.ENOENT, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What the machine says of namespaces; texts as they stand in /proc, ``None`` where a file is not there."""

    max_user_namespaces: str | None = None
    max_net_namespaces: str | None = None
    max_mnt_namespaces: str | None = None
    unprivileged_userns_clone: str | None = None
    apparmor_restrict_userns: str | None = None
    has_seccomp_filter: bool = False
    is_root: bool = False
    interpreter: str = "python3"


def read_facts(*, is_root: bool) -> MachineFacts:
    """The facts of this machine; who we were has to be told, since a namespace of one's own changes that."""
    status = _read("/proc/self/status") or ""
    return MachineFacts(
        max_user_namespaces=_read("/proc/sys/user/max_user_namespaces"),
        max_net_namespaces=_read("/proc/sys/user/max_net_namespaces"),
        max_mnt_namespaces=_read("/proc/sys/user/max_mnt_namespaces"),
        unprivileged_userns_clone=_read("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor_restrict_userns=_read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        # Not the presence of /.dockerenv: images of virtual machines carry it too.
        has_seccomp_filter="\nSeccomp:\t2" in status,
        is_root=is_root,
        interpreter=os.path.realpath("/proc/self/exe"),
    )


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def explain_refusal(step: str, error: OSError, facts: MachineFacts) -> str:
    """The message, several lines, without the last line break."""
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    lines = [f"egress: cannot start the capture namespace ({step} failed: {name})"]
    lines += [f"  {line}" for line in _cause_and_cure(step, error, facts)]
    return "\n".join([*lines, f"  {WAYS_OUT}"])


def _cause_and_cure(step: str, error: OSError, facts: MachineFacts) -> list[str]:
    if step == "unshare":
        return _unshare(error, facts)
    stripped = error.errno in (errno.EPERM, errno.EACCES) and facts.apparmor_restrict_userns == "1"
    if stripped and step in ("identity", "network", "rules"):
        return _apparmor(facts)
    if step == "identity":
        cure = " (root needs CAP_SETFCAP for it: docker --cap-add SETFCAP, or run as a normal user)"
        return ["The kernel would not map your user into the new namespace" + (cure if facts.is_root else "") + "."]
    if step == "rules" and error.errno in _WITHOUT_NF_TABLES:
        return [
            "This kernel has no nf_tables NAT (modules nf_tables, nft_chain_nat, nft_redir, nf_conntrack).",
            f"Detail: {error.strerror}",
            "Fix: sudo modprobe -a nf_tables nft_chain_nat nft_redir nf_conntrack   (once per boot)",
        ]
    if step == "hand-over" and error.errno == errno.ENOSYS:
        return ["This kernel cannot tell us when a program has ended (pidfd_open): Linux 5.3 or later is needed."]
    return [f"Detail: {error.strerror or error}"]


def _unshare(error: OSError, facts: MachineFacts) -> list[str]:
    if error.errno == errno.ENOSPC:
        limits = {
            "user.max_user_namespaces": facts.max_user_namespaces,
            "user.max_net_namespaces": facts.max_net_namespaces,
            "user.max_mnt_namespaces": facts.max_mnt_namespaces,
        }
        for sysctl in (sysctl for sysctl, value in limits.items() if value == "0"):
            return [
                f"{sysctl} is 0 on this machine: namespaces are switched off.",
                f"Fix: sudo sysctl -w {sysctl}=15000   (to keep it: /etc/sysctl.d/99-egress-sandbox.conf)",
            ]
        return ["The limit of namespaces is reached, or they are nested too deep. Close other sandboxes, or raise it."]
    if error.errno == errno.EINVAL or (error.errno == errno.ENOSYS and not facts.has_seccomp_filter):
        return ["The kernel was built without user or network namespaces."]
    if facts.has_seccomp_filter:
        return [
            "A seccomp filter forbids unshare(), the default in Docker, Podman and Kubernetes.",
            "Fix: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …,",
            "     or the sidecar recipe in docker/.",
        ]
    if facts.unprivileged_userns_clone == "0":
        return [
            "kernel.unprivileged_userns_clone is 0 (hardened kernels).",
            "Fix: sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ]
    return ["The kernel refuses user namespaces here (chroot, unmapped user, or a policy). Check: unshare -Urn true"]


def _apparmor(facts: MachineFacts) -> list[str]:
    return [
        "AppArmor takes all capabilities away in new user namespaces (kernel.apparmor_restrict_unprivileged_userns=1).",
        "Fix, one of:",
        f"  a profile for {facts.interpreter}: `profile egress {facts.interpreter} flags=(unconfined) {{ userns, }}`",
        "  in /etc/apparmor.d/egress, then sudo apparmor_parser -r /etc/apparmor.d/egress",
        "  or for all programs: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ]
