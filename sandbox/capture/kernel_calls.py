"""System calls that Python's own modules lack: unshare(2) before Python 3.12, mount(2), prctl(2)."""

from __future__ import annotations

import os
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_SLAVE = 4096, 16384, 1 << 19
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _CAP_NET_ADMIN = 23, 24, 12


def _call(name: str, what: str, *arguments: int | bytes | None) -> int:
    """Calls a function of the C library that answers with -1 and ``errno`` where it fails.

    By ``_ctypes``, the compiled half of ``ctypes``: the other half costs 2 ms at every start of ``egress exec``, and
    this one is not even imported where nothing but ``unshare`` is needed [measured].
    """
    import _ctypes

    class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]  # generic in the stub only
        _type_ = "i"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Int

    program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # dlopen(3): NULL is the program with its libraries
    result: int = Function(_ctypes.dlsym(program, name))(*arguments)
    if result < 0:
        code = _ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    """unshare(2); the process must have one thread only."""
    if sys.version_info >= (3, 12):
        os.unshare(flags)
    else:
        _call("unshare", "unshare", flags)


def keep_mounts_to_ourselves() -> None:
    """What is mounted from now on does not go out to the namespace that this one was made from."""
    _call("mount", "make mounts private", b"none", b"/", None, _MS_REC | _MS_SLAVE, None)


def cover(path: str, by: str) -> None:
    """Whoever opens ``path`` finds ``by`` instead."""
    _call("mount", f"cover {path}", by.encode(), path.encode(), None, _MS_BIND, None)


def may_have_network_administration() -> bool:
    """CAP_NET_ADMIN is in the bounding set; not so for root in a container, and inside ``egress exec``."""
    return _call("prctl", "prctl", _PR_CAPBSET_READ, _CAP_NET_ADMIN, 0, 0, 0) == 1


def drop_network_administration() -> None:
    """CAP_NET_ADMIN leaves the bounding set: whatever is executed next cannot change the rules (prctl(2))."""
    _call("prctl", "prctl", _PR_CAPBSET_DROP, _CAP_NET_ADMIN, 0, 0, 0)
