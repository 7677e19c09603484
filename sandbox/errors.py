"""Every exception that a caller of the library can meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.yaml_source.problems import Problems


class SandboxError(Exception):
    """Base of all errors of this package."""


class ConfigError(SandboxError):
    """The configuration cannot be used; ``problems`` holds every finding with its file and line."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("the configuration has errors")
        self.problems = problems


class SettingsError(SandboxError):
    """An option of the command line (or of ``Settings``) cannot be used."""


class ListenError(SandboxError):
    """An address could not be bound; the message names it and the reason."""


class FileError(SandboxError):
    """A file or directory that was named cannot be read."""
