"""The admin ports, with Envoy's and istio-agent's paths: ``api`` answers, ``http_server`` listens."""
