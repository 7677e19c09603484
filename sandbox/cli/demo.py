"""``egress demo``: the stories of the README with real traffic, offline."""

from __future__ import annotations

import click

from sandbox.cli import exit_codes


@click.command(
    epilog="""\b
Examples:
  egress demo
  egress demo 2 3           # only these stories
  egress demo --fast        # with a tenth of the waiting
"""
)
@click.argument("numbers", nargs=-1, type=int, metavar="[STORY]...")
@click.option("--fast", is_flag=True, help="A tenth of all delays and timeouts.")
def demo(numbers: tuple[int, ...], fast: bool) -> int:
    """Watch what a sidecar does with real calls to an embedded internet.

    For each call: the request, the answer and its time, the mesh's own log line, and the line of YAML that decided.
    Everything stays on this machine's loopback. The exit status is 0 when every call came to what it should.
    """
    # Imported here: --help needs neither proxy nor internet.
    import asyncio

    from sandbox.cli.demo_runner import play
    from sandbox.cli.demo_stories import STORIES

    if wrong := [number for number in numbers if not 1 <= number <= len(STORIES)]:
        raise click.BadParameter(f"there is no story {wrong[0]}: they are 1 to {len(STORIES)}")
    chosen = [(number, STORIES[number - 1]) for number in numbers or range(1, len(STORIES) + 1)]
    return 0 if asyncio.run(play(chosen, fast)) else exit_codes.FAILED
