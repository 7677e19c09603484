"""The plan to and from Envoy's own JSON: dumps, bootstraps, and patches of EnvoyFilters."""
