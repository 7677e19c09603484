"""Egress Sandbox: an Istio sidecar's and egress gateway's outbound behaviour, on a laptop, from real YAML."""

__version__ = "0.1.0"
