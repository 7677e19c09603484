"""The DNS proxy that answers a captured workload, as Istio's agent does."""
