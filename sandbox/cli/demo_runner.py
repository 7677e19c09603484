"""Playing the demo's stories: a proxy for each, its calls, and what is shown of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from sandbox.access_log.stream_info import StreamInfo
from sandbox.app import Sandbox
from sandbox.cli.deciding_lines import deciding_lines
from sandbox.cli.demo_client import Reply, request
from sandbox.cli.demo_stories import FAST, RESET, Call, Story, faster
from sandbox.cli.problem_report import FileTexts
from sandbox.cli.terminal import paint
from sandbox.errors import FileError
from sandbox.lab.internet import Internet
from sandbox.pki import default_directory
from sandbox.settings import HostPort, Settings

WIDTH = 78
INDENT = " " * 8
LOG_SECONDS = 2.0


async def play(stories: Sequence[tuple[int, Story]], fast: bool) -> bool:
    """All stories in turn; whether every call came to what it should."""
    with tempfile.TemporaryDirectory(prefix="egress-demo-") as name:
        work = Path(name)
        configs = _faster_configs(work) if fast else configs_directory()
        async with Internet(default_directory()) as internet:
            settings = Settings(proxy=HostPort("127.0.0.1", 0), resolve=internet.overrides)
            stage = _Stage(configs, work, settings, internet.authority.certificate_file, fast)
            outcomes = [await stage.tell(number, story) for number, story in stories]
    _say(_closing(outcomes, fast))
    return all(outcomes)


def configs_directory() -> Path:
    """``configs/`` of the package, or of the checkout it is run from."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "configs", package.parent / "configs"):
        if place.is_dir():
            return place
    raise FileError("configs/: the demo's configurations are not installed")


class _Stage:
    """What all stories share."""

    def __init__(self, configs: Path, work: Path, settings: Settings, authority: Path, fast: bool) -> None:
        self._configs = configs
        self._log = work / "access.log"
        self._settings = settings
        self._authority = authority
        self._fast = fast
        self._texts = FileTexts()

    async def tell(self, number: int, story: Story) -> bool:
        """One story; whether it went as it should."""
        config = self._configs / story.config
        _say()
        _say(paint(f"{number}. {story.title}", bold=True))
        _say(textwrap.fill(story.about, WIDTH, initial_indent="   ", subsequent_indent="   "))
        _say(f"   egress run -f {shown(configs_directory() / story.config)} --lab")
        self._log.write_text("")
        settings = replace(self._settings, files=(str(config),), access_log=str(self._log))
        sandbox = Sandbox(settings)
        ended: asyncio.Queue[StreamInfo] = asyncio.Queue()
        sandbox.subscribe(ended.put_nowait)
        await sandbox.start()
        try:
            calls = [faster(call) if self._fast else call for call in story.calls]
            return all([await self._make(call, sandbox, ended) for call in calls])
        finally:
            await sandbox.stop()

    async def _make(self, call: Call, sandbox: Sandbox, ended: asyncio.Queue[StreamInfo]) -> bool:
        written = self._log.stat().st_size
        reply = await asyncio.to_thread(request, call.url, sandbox.addresses["proxy"], self._authority)
        info = await _next(ended)
        line = await self._line_after(written)
        as_expected = reply.status == call.status and call.seconds[0] <= reply.seconds <= call.seconds[1]
        _say()
        _say(f"   {paint('GET ' + call.url, fg='cyan')}")
        _show_reply(reply, as_expected)
        _say(_wrapped("log", line or "(no line)"))
        for place, text in deciding_lines(info, self._texts) if info else ():
            _say(_wrapped("why", f"{_relative_to_configs(place, self._configs)}  {text}"))
        if not as_expected:
            wanted = "a closed connection" if call.status == RESET else f"status {call.status}"
            _say(_wrapped("!", f"expected {wanted} within {call.seconds[0]:g} to {call.seconds[1]:g} s"))
        return as_expected

    async def _line_after(self, written: int) -> str:
        """The log line of the call that just ended; lines are written in batches."""
        for _ in range(int(LOG_SECONDS / 0.02)):
            if self._log.stat().st_size > written:
                break
            await asyncio.sleep(0.02)
        with self._log.open() as log:
            log.seek(written)
            return log.read().strip()


async def _next(ended: asyncio.Queue[StreamInfo]) -> StreamInfo | None:
    try:
        async with asyncio.timeout(LOG_SECONDS):
            return await ended.get()
    except TimeoutError:
        return None


def _faster_configs(work: Path) -> Path:
    """A copy of the configurations with shorter durations; every line stays where it was."""
    copy = work / "configs"
    shutil.copytree(configs_directory(), copy)
    for file in copy.rglob("*.yaml"):
        text = file.read_text()
        for slow, fast in FAST.items():
            text = text.replace(slow, fast)
        file.write_text(text)
    return copy


def shown(path: Path) -> str:
    """A path as a user would type it here."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near


def _relative_to_configs(place: str, configs: Path) -> str:
    """``place`` (file:line) from ``configs`` on, wherever the configurations really lie."""
    return place.replace(str(configs), shown(configs_directory()))


def _show_reply(reply: Reply, as_expected: bool) -> None:
    first, *rest = reply.lines
    mark = paint("ok", fg="green") if as_expected else paint("NOT AS EXPECTED", fg="red", bold=True)
    _say(f"{INDENT}{first}  {paint(f'{reply.seconds:.2f} s', bold=True)}  {mark}")
    for line in rest:
        _say(textwrap.shorten(f"{line}", WIDTH - len(INDENT), placeholder=" …").join((INDENT, "")))


def _wrapped(label: str, text: str) -> str:
    """A labelled line, broken at the terminal's width without losing a character."""
    first = f"   {label:<5}"
    lines = textwrap.wrap(text, WIDTH - len(INDENT), break_on_hyphens=False) or [""]
    return "\n".join([f"{paint(first, fg='yellow')}{lines[0]}", *(INDENT + line for line in lines[1:])])


def _closing(outcomes: Sequence[bool], fast: bool) -> str:
    good = sum(outcomes)
    told = f"\n{good} of {len(outcomes)} stories went as they should."
    if fast:
        told += "\nDelays and timeouts were a tenth of what configs/ says."
    return f"{told}\nNext: egress explain http://httpbin.org/delay/5 -f {shown(configs_directory() / 'timeout')}"


def _say(text: str | Iterable[str] = "") -> None:
    click.echo(text)
