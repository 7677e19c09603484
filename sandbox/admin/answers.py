"""What an admin port is asked, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

TEXT = "text/plain; charset=UTF-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRequest:
    """One request: of the query the last value of each name, empty where it has none (``?usedonly``)."""

    method: str = "GET"
    path: str = "/"
    query: Mapping[str, str] = field(default_factory=dict)
    host: str | None = None
    origin: str | None = None
    is_local: bool = True
    """It comes from this machine."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply; ``ends`` says that the program ends after it."""

    body: str
    status: int = HTTPStatus.OK
    content_type: str = TEXT
    ends: bool = False


class Refused(Exception):
    """What is asked cannot be answered; whoever dispatches requests gives ``answer`` instead."""

    def __init__(self, words: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(words)
        self.answer = Answer(words, status)


def as_json(value: object) -> Answer:
    """As Envoy writes protobuf messages: one blank for each level."""
    return Answer(json.dumps(value, indent=1, ensure_ascii=False) + "\n", content_type=JSON)
