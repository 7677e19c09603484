"""Run by itself: a command for which some system calls fail, as they do in containers and on hardened machines.

``python -m tests.capture.refusing unshare=1 socket:2:12=93 -- COMMAND``: unshare answers EPERM, and socket
EPROTONOSUPPORT where its third argument is 12 (nf_tables). By a seccomp filter, as Docker's own is.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"unshare": 272, "mount": 165, "socket": 41, "pidfd_open": 434, "bind": 49},
    "aarch64": {"unshare": 97, "mount": 40, "socket": 198, "pidfd_open": 434, "bind": 200},
}
"""System calls by machine."""
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]  # ctypes' own way


def instructions(refused: str) -> list[tuple[int, int, int, int]]:
    """BPF: the call's number, perhaps the low half of one argument, then the error."""
    call, _, error = refused.partition("=")
    name, _, condition = call.partition(":")
    checks = [(0, NUMBERS[platform.machine()][name])]
    if condition:
        index, value = map(int, condition.split(":"))
        checks.append((16 + 8 * index, value))
    found = []
    for position, (offset, value) in enumerate(checks):
        to_next = 2 * (len(checks) - position) - 1
        found += [(_LOAD, 0, 0, offset), (_EQUAL, 0, to_next, value)]
    return [*found, (_RETURN, 0, 0, _ERRNO | int(error))]


def main() -> None:
    end = sys.argv.index("--")
    program = [each for refused in sys.argv[1:end] for each in instructions(refused)]
    program.append((_RETURN, 0, 0, _ALLOW))
    # Each as struct sock_filter: code, jump if true, jump if false, constant.
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    filtering = _Program(len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    assert libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(filtering)) == 0, os.strerror(ctypes.get_errno())
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])


if __name__ == "__main__":
    main()
