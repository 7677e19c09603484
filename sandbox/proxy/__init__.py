"""The data plane, in Envoy's words: doors, listeners, connection managers, routers, clusters."""
