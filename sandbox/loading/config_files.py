"""Files and directories that a user names, as texts in a settled order."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandbox.errors import FileError
from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.text import decode_text

SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = "-"


def read_texts(paths: Iterable[str], problems: Problems) -> list[tuple[str, str]]:
    """(name, text) of every file; a directory gives its YAML and JSON files, recursively and by name.

    A file that is no text is left out, with a problem. Raises ``FileError`` for a path that does not exist or cannot be
    read, and for a directory without such files.
    """
    found = [(name, decode_text(name, data, problems)) for path in paths for name, data in _files(path)]
    return [(name, text) for name, text in found if text is not None]


def _files(path: str) -> Iterator[tuple[str, bytes]]:
    if path == STANDARD_INPUT:
        text = sys.stdin.buffer.read()
        if not text.strip():  # what should have written it has failed, or it was read before
            raise FileError("<stdin>: nothing to read")
        yield "<stdin>", text
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


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FileError(f"{file}: {(error.strerror or str(error)).lower()}") from error
