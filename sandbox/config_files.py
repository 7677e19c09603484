"""Files and directories that a user names, as texts in a settled order."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandbox.errors import FileError

SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = "-"


def read_texts(paths: Iterable[str]) -> list[tuple[str, str]]:
    """(name, text) of every file; a directory gives its YAML and JSON files, recursively and by name.

    A byte that is not UTF-8 stays as a surrogate, so that the reader of the text can say where it stands.
    Raises ``FileError`` for a path that does not exist or cannot be read, and for a directory without such files.
    """
    return [(name, text) for path in paths for name, text in _texts(path)]


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == STANDARD_INPUT:
        yield "<stdin>", _decoded(sys.stdin.buffer.read())
        return
    place = Path(path)
    if not place.is_dir():
        yield path, _read(place)
        return
    files = sorted(file for file in place.rglob("*") if file.suffix in SUFFIXES and _counts(file, place))
    if not files:
        raise FileError(f"{path}: no {', '.join(SUFFIXES)} file in this directory")
    for file in files:
        yield str(file), _read(file)


def _counts(file: Path, directory: Path) -> bool:
    """Hidden files and what lies in hidden directories (``.git``) is not meant."""
    return not any(part.startswith(".") for part in file.relative_to(directory).parts) and file.is_file()


def _read(file: Path) -> str:
    try:
        return _decoded(file.read_bytes())
    except OSError as error:
        raise FileError(f"{file}: {(error.strerror or str(error)).lower()}") from error


def _decoded(data: bytes) -> str:
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
