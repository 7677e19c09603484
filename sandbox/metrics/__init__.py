"""Istio's standard metrics and Envoy's statistics: counted as streams end, put into words when somebody asks."""
