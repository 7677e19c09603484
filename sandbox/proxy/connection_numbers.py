"""Numbers of connections: one row for both sides of the proxy, as Envoy's ``ConnectionImplBase`` counts them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

next_connection_number: Final[Callable[[], int]] = itertools.count(1).__next__
"""Of this process. Envoy begins with 0, which in a pod is the connection to istiod."""
