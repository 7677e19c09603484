"""Istio's and Kubernetes' objects as users write them: one module for each kind, loading, validation."""
