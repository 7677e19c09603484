"""The admin ports, with the paths of Envoy and istio-agent: ``endpoints`` lists them, ``http_server`` listens."""
