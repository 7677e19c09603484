"""What istiod's validation would let into a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.istio.validate import validate_configuration, validate_object

if TYPE_CHECKING:
    from sandbox.istio.load import Configuration
    from sandbox.yaml_source.problems import Problem


def refusals_of_istiod(configuration: Configuration, previous: Configuration | None) -> list[Problem]:
    """The errors of objects that istiod's validation would not let into a cluster.

    What was let in by the load before (``previous``) is not looked at again.
    """
    if previous is None or previous.pilot_env != configuration.pilot_env:
        verdicts = validate_configuration(configuration)
    else:
        known = {id(loaded) for loaded in previous.objects}
        new = [loaded for loaded in configuration.objects if id(loaded) not in known and loaded.resource is not None]
        verdicts = [validate_object(loaded, configuration.pilot_env) for loaded in new]
    return [one for verdict in verdicts for one in verdict.problems if one.severity == "error"]


def without_refused(configuration: Configuration) -> tuple[Configuration, list[Problem]]:
    """The configuration without objects that istiod would not let into a cluster, and the errors that say why."""
    errors = [
        one for verdict in validate_configuration(configuration) for one in verdict.problems if one.severity == "error"
    ]
    if not errors:
        return configuration, []
    refused = {
        id(loaded.resource)
        for loaded in configuration.objects
        if loaded.resource is not None
        and any(one.severity == "error" for one in validate_object(loaded, configuration.pilot_env).problems)
    }
    return configuration.without(refused), errors
