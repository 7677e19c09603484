"""Who may import whom: the layer table of ARCHITECTURE.md, read from the source of every module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "sandbox"
PURE = {
    "yaml_source", "istio", "compiler", "plan", "analysis", "wire", "match", "access_log", "metrics", "explain",
    "envoy_config",
}  # fmt: skip
FORBIDDEN_IN_PURE = {
    "asyncio", "socket", "ssl", "select", "threading", "subprocess", "logging", "time", "random", "os", "pathlib",
}  # fmt: skip
EVERYTHING = {"*"}
NAME = re.compile("`([a-z0-9_.]+)`")

# Layer -> the layers it may import besides itself. A name with a dot is one module of a layer.
MAY_IMPORT: dict[str, set[str]] = {
    "frozen_dataclass": set(),
    "collection_pause": set(),
    "yaml_source": set(),
    "wire": set(),
    "plan": {"yaml_source"},
    "istio": {"yaml_source"},
    "compiler": {"istio", "plan", "yaml_source", "envoy_config"},
    "analysis": {"istio", "plan", "yaml_source", "compiler", "match"},
    "match": {"plan", "wire"},
    "access_log": {"plan", "wire", "match"},
    "envoy_config": {"plan"},
    "metrics": {"plan", "access_log"},
    "explain": {"plan", "match", "wire", "yaml_source", "access_log.response_flags"},
    "errors": {"yaml_source"},
    "settings": {"errors"},
    "pki": {"errors"},
    "proxy": {"plan", "match", "wire", "access_log", "metrics", "settings", "errors"},
    "dns": {"plan", "match", "wire", "settings", "errors", "proxy.tasks"},
    "capture": {"dns", "proxy", "match", "plan", "settings", "errors"},
    "lab": {"pki", "settings", "errors", "proxy.tasks"},
    "loading": {"proxy.secret_check", "proxy.file_check", "settings", "errors"}
    | PURE - {"analysis", "wire", "envoy_config"},
    "workloads": {"loading", "capture", "dns", "proxy", "explain", "compiler", "istio", "match", "plan"}
    | {"yaml_source", "pki", "settings", "errors"},
    "doors": {"workloads", "proxy", "settings", "errors"},
    "watching": {"loading.config_files"},
    "reloading": {"app", "loading", "proxy", "errors", "yaml_source"},
    "process": {"app", "reloading"},
    "app": EVERYTHING,
    "admin": EVERYTHING,
    "cli": EVERYTHING,
    "pytest_plugin": EVERYTHING,
    "__main__": {"cli"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))
DOCUMENT = PACKAGE.parent / "ARCHITECTURE.md"


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, by its absolute dotted name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module_name(path).split(".")
                package = here if path.name == "__init__.py" else here[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def layer(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def allows(ours: str, imported: str) -> bool:
    """Whether a module of layer ``ours`` may import ``imported`` (``sandbox.layer.module.name``)."""
    theirs = layer(imported)
    allowed = MAY_IMPORT[ours]
    if allowed is EVERYTHING or theirs in {"", ours, "__version__", "frozen_dataclass", "collection_pause"}:
        return True
    return theirs in allowed or any(imported.startswith(f"sandbox.{one}") for one in allowed if "." in one)


def documented() -> Iterator[tuple[str, set[str]]]:
    """Each layer of the table in ARCHITECTURE.md, with what it may import."""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `") and line.count(" | ") == 2:
            layers, _, allowed = line.strip("| ").split(" | ")
            for name in NAME.findall(layers):
                yield name, EVERYTHING if allowed == "everything" else set(NAME.findall(allowed))


@pytest.mark.parametrize(("name", "allowed"), list(documented()), ids=[name for name, _ in documented()])
def test_the_documentation_has_the_same_table(name: str, allowed: set[str]) -> None:
    assert MAY_IMPORT[name] == allowed


@pytest.mark.parametrize("package", ["compiler", "proxy"])
def test_the_modules_to_look_at_are_there(package: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.partition(f"| in `{package}` |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in NAME.findall(row)} - {"compile_node", package}

    assert named - {path.stem for path in (PACKAGE / package).glob("*.py")} == set()
    assert len(named) > 30


def test_the_documentation_leaves_no_package_out() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert packages - {name for name, _ in documented()} == set()


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_only_layers_below_it(path: Path) -> None:
    ours = layer(module_name(path))
    if not ours:
        return
    assert ours in MAY_IMPORT, f"layer {ours} is not in the table"

    # ``import x.y.name`` is seen both as module and as name in it; a package's own mention adds nothing.
    wrong = sorted(name for name in imports(path) if name.startswith("sandbox.") and not allows(ours, name))
    exact = [name for name in wrong if not any(other != name and other.startswith(name + ".") for other in wrong)]

    assert not [name for name in exact if not _is_prefix_of_allowed(ours, name)]


def _is_prefix_of_allowed(ours: str, name: str) -> bool:
    """``from sandbox.access_log import response_flags`` also names the package: fine where the module is allowed."""
    return any(f"sandbox.{one}".startswith(name) for one in MAY_IMPORT[ours] if "." in one)


@pytest.mark.parametrize("path", [p for p in MODULES if layer(module_name(p)) in PURE], ids=module_name)
def test_a_pure_module_knows_no_clock_socket_file_or_chance(path: Path) -> None:
    imported = {name.split(".")[0] for name in imports(path)}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    opened = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]

    assert not imported & FORBIDDEN_IN_PURE
    assert not opened
