"""Terminal, signals, job control and what a process inherits: all the command's own, since it is the same process."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capture import terminal
from tests.capture.running_sandbox import ROOT, SECONDS, RunningSandbox, wait_until

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here"),
]


def line(sandbox: RunningSandbox, script: str) -> str:
    """What to type for ``egress exec -- sh -c SCRIPT``."""
    return f"cd {ROOT}; " + shlex.join(sandbox.command("sh", "-c", script)) + "\n"


def test_interrupt_ends_the_command_and_not_the_shell(sandbox: RunningSandbox) -> None:
    with terminal.shell() as screen:
        screen.type(line(sandbox, "test -t 0 && test -t 1 && echo a terminal; exec sleep 60"))
        screen.read_until("a terminal")
        screen.type(terminal.CONTROL_C)

        assert screen.status() == 128 + signal.SIGINT


def test_quit_ends_the_command(sandbox: RunningSandbox) -> None:
    with terminal.shell() as screen:
        screen.type("ulimit -c 0; " + line(sandbox, "echo up; exec sleep 60"))
        screen.read_until("up")
        screen.type(terminal.CONTROL_BACKSLASH)

        assert screen.status() == 128 + signal.SIGQUIT


def test_command_is_stopped_and_continued_as_a_job(sandbox: RunningSandbox) -> None:
    with terminal.shell() as screen:
        screen.type(line(sandbox, "echo up; read word; echo got $word; exit 5"))
        screen.read_until("up")
        screen.type(terminal.CONTROL_Z)
        screen.read_until("Stopped")
        assert screen.status() == 128 + signal.SIGTSTP
        screen.type("fg\n")
        screen.read_until("read word")
        screen.type("something\n")
        screen.read_until("got something")

        assert screen.status() == 5


def test_change_of_the_window_is_told(sandbox: RunningSandbox) -> None:
    with terminal.shell() as screen:
        screen.type(line(sandbox, "trap 'stty size; exit 3' WINCH; echo up; while :; do read word; done"))
        screen.read_until("up")
        screen.resize(50, 132)
        screen.read_until("50 132")
        assert screen.status() == 3


def test_end_of_input_reaches_the_command(sandbox: RunningSandbox) -> None:
    with terminal.shell() as screen:
        screen.type(line(sandbox, "echo up; cat; echo the end"))
        screen.read_until("up")
        screen.type(terminal.CONTROL_D)
        screen.read_until("the end")


def test_shell_inside_has_jobs_of_its_own(sandbox: RunningSandbox) -> None:
    with terminal.shell() as screen:
        screen.type(line(sandbox, "exec bash --norc --noediting -i"))
        screen.type("sh -c 'echo inner; read word; echo got $word'\n")
        screen.read_until("inner")
        screen.type(terminal.CONTROL_Z)
        screen.read_until("Stopped")
        screen.type("fg\nsomething\n")
        screen.read_until("got something")
        screen.type("exit 7\n")

        assert screen.status() == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_signal_to_the_process_is_the_commands(sandbox: RunningSandbox, number: signal.Signals) -> None:
    command = sandbox.command("sh", "-c", "echo $$; exec sleep 60")

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert int(started.stdout.readline()) == started.pid
        started.send_signal(number)

        assert started.wait(SECONDS) == -number


def test_command_is_stopped_and_continued_by_signals(sandbox: RunningSandbox) -> None:
    command = sandbox.command("sh", "-c", "echo up; read word; exit 9")

    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdin is not None
        started.stdout.readline()
        started.send_signal(signal.SIGSTOP)
        assert wait_until(lambda: _state(started.pid) == "T")
        started.send_signal(signal.SIGCONT)
        started.stdin.close()

        assert started.wait(SECONDS) == 9


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


INHERITED = "readlink /proc/self/cwd; umask; grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; cat; ulimit -n"


def test_what_a_process_inherits_is_the_same_as_without(sandbox: RunningSandbox, tmp_path: Path) -> None:
    def told(*before: str) -> str:
        """With a descriptor 7 that the caller left open, and an odd mask, in another directory."""
        script = f"umask 027; cd {tmp_path}; exec 7</dev/null; exec {shlex.join([*before, 'sh', '-c', INHERITED])}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            ["sh", "-c", script], input="from stdin\n", env=environment, capture_output=True, text=True, check=True
        )
        return ended.stdout

    bare, inside = told(), told(*sandbox.command())

    assert inside == bare
    assert "from stdin\n" in inside
    assert "7\n" in inside


def test_environment_is_the_callers_to_the_byte(sandbox: RunningSandbox) -> None:
    command = [
        sys.executable,
        "-m",
        "sandbox",
        "exec",
        "--control",
        sandbox.control,
        "--",
        shutil.which("env") or "env",
    ]

    ended = subprocess.run(
        command, cwd=ROOT, env={b"A": b"b", b"C": b"", b"D": b"\xff"}, capture_output=True, check=True
    )

    assert sorted(ended.stdout.split(b"\n")) == [b"", b"A=b", b"C=", b"D=\xff"]
