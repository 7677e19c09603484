"""Tables, colour and paths as a terminal shows them."""

from __future__ import annotations

import io

import pytest

from sandbox.cli.terminal import has_colour, paint, table


class Terminal(io.StringIO):
    """Text output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_columns_are_as_wide_as_their_widest_cell_and_five_blanks() -> None:
    shown = table(("NAME", "PORT"), [("a.example.com", "80"), ("b", "443")])

    assert shown.split("\n") == ["NAME              PORT", "a.example.com     80", "b                 443"]


@pytest.mark.parametrize(
    ("variable", "value", "coloured"),
    [
        pytest.param("TERM", "xterm", True, id="a terminal"),
        pytest.param("TERM", "dumb", False, id="a dumb terminal"),
        pytest.param("NO_COLOR", "1", False, id="NO_COLOR"),
        pytest.param("NO_COLOR", "", True, id="an empty NO_COLOR says nothing"),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, coloured: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, value)

    assert has_colour(Terminal()) is coloured


def test_a_file_gets_no_colour() -> None:
    assert paint("text", io.StringIO(), fg="red") == "text"
