"""Names of Envoy's filters where more than the filter itself goes by them: configuration of routes, metadata."""

from __future__ import annotations

from typing import Final

CORS: Final = "envoy.filters.http.cors"
FAULT: Final = "envoy.filters.http.fault"
HTTP_RBAC: Final = "envoy.filters.http.rbac"
JWT_AUTHN: Final = "envoy.filters.http.jwt_authn"
NETWORK_RBAC: Final = "envoy.filters.network.rbac"
