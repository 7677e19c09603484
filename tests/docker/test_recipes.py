"""Compose recipes: they parse, what they name exists, their commands are ours, and every recipe is explained."""

from __future__ import annotations

import json
import re
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


def test_there_are_three_recipes_each_with_a_readme() -> None:
    assert [recipe.name for recipe in RECIPES] == ["explicit-proxy", "network-aliases", "shared-namespace"]
    assert all(f"docker/{recipe.name}/compose.yaml" in (recipe / "README.md").read_text() for recipe in RECIPES)
    assert all(f"]({recipe.name}/)" in (DOCKER / "README.md").read_text() for recipe in RECIPES)


@pytest.mark.parametrize(("recipe", "service"), list(ours()))
def test_command_and_files_exist(recipe: Path, service: dict[str, Any]) -> None:
    assert parse(service["command"])
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
