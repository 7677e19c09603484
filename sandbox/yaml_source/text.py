"""Bytes of a file into text."""

from __future__ import annotations

from typing import Final

from sandbox.yaml_source.problems import Problems
from sandbox.yaml_source.span import Span

_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def decode_text(file: str, data: bytes, problems: Problems) -> str | None:
    """The text of a file in UTF-8 (or UTF-16 with its mark); None and a problem if it is neither."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    body = data[len(mark) :]
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        before = body[: error.start].decode(encoding, errors="replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        problems.at(
            "SBX0001",
            f"byte 0x{body[error.start]:02x} is not {encoding.upper()}",
            Span(file, line, column),
            hint="save the file as UTF-8",
        )
        return None
