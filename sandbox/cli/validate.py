"""``egress validate``: each object by itself, with istiod's verdict."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from sandbox.cli import exit_codes
from sandbox.cli.options import mesh_options, settings_for

if TYPE_CHECKING:
    from sandbox.istio.validate import ObjectVerdict
    from sandbox.yaml_source.problems import Problem


@click.command(
    epilog="""\b
Examples:
  egress validate -f my-mesh/
  kustomize build . | egress validate -f -
  egress validate -f my-mesh/ -o json | jq '.[] | select(.verdict == "error")'

\b
Exit status: 0 no errors, 65 a text is no YAML, 79 an object has errors."""
)
@mesh_options
@click.option(
    "-o", "--output", type=click.Choice(("text", "json", "yaml", "github")), default="text", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="Errors and warnings only.")
def validate(files: tuple[str, ...], mesh: str | None, namespace: str, output: str, quiet: bool) -> int:
    """Check every object by itself, as istiod and the API server do: all problems at once.

    For each: code, file, line and column, the field's path, what is wrong, and what would be right.
    """
    settings = settings_for(files=files, mesh=mesh, namespace=namespace)
    # Imported here: --help needs none of the rules.
    from sandbox.cli.problem_report import github_annotation, place_order, print_problems, summary
    from sandbox.istio.validate import validate_configuration
    from sandbox.loading import read_configuration

    configuration = read_configuration(settings)
    verdicts = validate_configuration(configuration)
    told = dict.fromkeys(problem for verdict in verdicts for problem in verdict.problems)
    others = [problem for problem in configuration.problems if problem not in told]
    problems = [*told, *others]
    match output:
        case "text":
            print_problems(problems, least="warning" if quiet else "info")
        case "github":
            for problem in sorted(problems, key=place_order):
                click.echo(github_annotation(problem))
        case _:
            _print_records([*map(_record, verdicts), *_records_without_object(others)], output)
    click.echo(f"egress: {_counted(verdicts)}{'; ' if problems else ''}{summary(problems)}", err=True)
    return _exit_code(problems)


def _record(verdict: ObjectVerdict) -> dict[str, object]:
    from sandbox.cli.problem_report import record

    return {
        "file": verdict.file,
        "line": verdict.line,
        "kind": verdict.kind,
        "namespace": verdict.namespace,
        "name": verdict.name,
        "verdict": verdict.verdict,
        "problems": [record(problem) for problem in verdict.problems],
    }


def _records_without_object(problems: Sequence[Problem]) -> list[dict[str, object]]:
    """What is wrong where there is no object to speak of, as objects without a name; notes are left out."""
    from sandbox.cli.problem_report import record

    return [
        {
            **dict.fromkeys(("kind", "namespace", "name"), ""),
            "file": problem.span.file if problem.span else "",
            "line": problem.span.line if problem.span else 0,
            "verdict": "error",
            "problems": [record(problem)],
        }
        for problem in problems
        if problem.severity == "error"
    ]


def _print_records(records: Sequence[Mapping[str, object]], output: str) -> None:
    if output == "json":
        click.echo(json.dumps(records, indent=1, ensure_ascii=False))
        return
    import yaml

    click.echo(yaml.safe_dump(list(records), sort_keys=False, allow_unicode=True).rstrip("\n"))


def _counted(verdicts: Sequence[ObjectVerdict]) -> str:
    counts: Counter[str] = Counter(map(_outcome, verdicts))
    objects = f"{len(verdicts)} object{'s' * (len(verdicts) != 1)}"
    words = {
        "valid": "valid",
        "warning": "with warnings",
        "error": "refused",
        "schema": "refused by the API server's schema",
    }
    told = ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items() if counts[verdict])
    return f"{objects}: {told}" if told else objects


def _outcome(verdict: ObjectVerdict) -> str:
    """istiod's verdict, unless it never comes to see the object."""
    is_refused_before = verdict.verdict != "error" and any(one.severity == "error" for one in verdict.problems)
    return "schema" if is_refused_before else verdict.verdict


def _exit_code(problems: Sequence[Problem]) -> int:
    errors = [problem for problem in problems if problem.severity == "error"]
    if any(problem.layer == "yaml" for problem in errors):
        return exit_codes.DATA
    return exit_codes.FINDINGS if errors else 0
