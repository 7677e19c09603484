"""Integer types of the protos, with the ranges the decoder checks."""

from __future__ import annotations

from typing import Annotated, NamedTuple


class IntegerRange(NamedTuple):
    """Both ends are included."""

    least: int
    most: int


Int32 = Annotated[int, IntegerRange(-(2**31), 2**31 - 1)]
UInt32 = Annotated[int, IntegerRange(0, 2**32 - 1)]
Int64 = Annotated[int, IntegerRange(-(2**63), 2**63 - 1)]
UInt64 = Annotated[int, IntegerRange(0, 2**64 - 1)]
