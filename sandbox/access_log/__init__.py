"""From a finished stream to a line: Envoy's command operators, formats, filters and CEL."""
