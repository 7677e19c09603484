"""Compose recipes: they parse, what they name exists, their commands are ours, and every recipe is explained."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from sandbox.cli.main import egress

DOCKER = Path(__file__).parents[2] / "docker"
RECIPES = sorted(path.parent for path in DOCKER.glob("*/compose.yaml"))
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")


def services(recipe: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((recipe / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def ours() -> Iterator[Any]:
    """Every service that runs our image."""
    for recipe in RECIPES:
        for name, service in services(recipe).items():
            if "build" in service:
                yield pytest.param(recipe, service, id=f"{recipe.name}: {name}")


def parse(words: list[str]) -> click.Context:
    """Parses a command line without running it; raises ``click.UsageError``."""
    command: click.Command = egress
    context = click.Context(egress, info_name="egress")
    while isinstance(command, click.Group):
        name, words = words[0], words[1:]
        found = command.get_command(context, name)
        assert found is not None, f"no command {name}"
        command = found
    return command.make_context(command.name, words, parent=context)


def test_there_are_four_recipes_each_with_a_readme() -> None:
    names = ["egress-gateway", "explicit-proxy", "network-aliases", "shared-namespace"]
    assert [recipe.name for recipe in RECIPES] == names
    assert all(f"docker/{recipe.name}/compose.yaml" in (recipe / "README.md").read_text() for recipe in RECIPES)
    assert all(f"]({recipe.name}/)" in (DOCKER / "README.md").read_text() for recipe in RECIPES)


@pytest.mark.parametrize(("recipe", "service"), list(ours()))
def test_command_and_files_exist(recipe: Path, service: dict[str, Any]) -> None:
    assert parse(service["command"]) is not None
    context = (recipe / service["build"]["context"]).resolve()
    assert (context / service["build"]["dockerfile"]).samefile(DOCKER / "Dockerfile")
    for volume in service["volumes"]:
        source, target, mode = volume.split(":")
        assert (recipe / source).is_dir()
        assert (target, mode) == ("/mesh", "ro")


@pytest.mark.parametrize(("recipe", "service"), list(ours()))
def test_only_the_init_step_has_a_capability(recipe: Path, service: dict[str, Any]) -> None:
    is_init = service["command"][0] == "capture"

    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_ADMIN"] if is_init else [])
    assert service.get("user", "1337:1337") == ("0:0" if is_init else "1337:1337")
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_services_name_each_other(recipe: Path) -> None:
    found = services(recipe)

    for service in found.values():
        assert set(service.get("depends_on", ())) <= set(found)
        kind, _, owner = service.get("network_mode", "").partition(":")
        assert not kind or (kind == "service" and owner in found)
    assert found["app"]["depends_on"]["sandbox"] == {"condition": "service_healthy"}


def test_image_is_the_user_that_rules_leave_alone() -> None:
    assert "\nUSER 1337:1337\n" in DOCKERFILE
    assert "15021/healthz/ready" in DOCKERFILE
    command = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1]
    assert parse(json.loads(command)).params["istio_ports"] is True


INSTRUCTIONS = [
    (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
    for line in DOCKERFILE.replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]


def arguments(instruction: str) -> list[str]:
    return [words for name, words in INSTRUCTIONS if name == instruction]


def test_image_is_built_of_what_the_package_needs() -> None:
    project = tomllib.loads((DOCKER.parent / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], *wheel["packages"]}
    needed |= {path.split("/")[0] for path in (*wheel["force-include"], *wheel["shared-scripts"])}

    copied = {word for words in arguments("COPY") if "--from" not in words for word in words.split()[:-1]}

    assert needed <= copied
    assert all((DOCKER.parent / path).exists() for path in copied)


@pytest.mark.parametrize(
    ("instruction", "pattern"),
    [
        pytest.param("FROM", r"python:3\.\d+-slim( AS build)?", id="bases have a version, and are small"),
        pytest.param("RUN", r"(?!.*(sudo|chmod 777|curl|wget)).*", id="nothing is fetched or opened by hand"),
        pytest.param("RUN", r"(?!.*apt-get install(?!.* --no-install-recommends)).*", id="no recommended packages"),
        pytest.param("RUN", r"(?!.*apt-get(?!.*rm -rf /var/lib/apt/lists)).*", id="no package lists stay"),
        pytest.param("RUN", r"(?!.*pip install(?! --no-cache-dir)).*", id="no cache of pip stays"),
        pytest.param("ENTRYPOINT", r"\[.*\]", id="no shell before the command"),
        pytest.param("CMD", r"\[.*\]", id="no shell before the default command"),
        pytest.param("HEALTHCHECK", r"--interval=.* CMD \[.*\]", id="no shell before the health check"),
        pytest.param("USER", r"\d+:\d+", id="a user by number, so that an engine can tell it is not root"),
        pytest.param("WORKDIR", r"/.*", id="absolute directories"),
        pytest.param("ENV", r"(?!.*(?i:password|secret|token)).*", id="no secrets"),
    ],
)
def test_instructions_keep_the_usual_rules(instruction: str, pattern: str) -> None:
    assert arguments(instruction)
    assert [words for words in arguments(instruction) if not re.fullmatch(pattern, words)] == []


def test_nothing_is_added_after_root_is_left() -> None:
    names = [name for name, _ in INSTRUCTIONS]

    assert "ADD" not in names
    assert set(names[names.index("USER") :]) == {"USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
