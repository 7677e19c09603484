from __future__ import annotations

import itertools

import pytest

from sandbox.compiler.host_names import matches
from sandbox.compiler.host_table import HostTable

LABELS = ("", "a", "ab", "b.a", "*", "*a", "*.a", "*.b.a", "*b", "c.b.a", "*.", "a.b")


@pytest.mark.parametrize("host", LABELS)
def test_a_table_finds_what_comparing_with_every_host_finds(host: str) -> None:
    for hosts in itertools.permutations(LABELS, 3):
        assert HostTable(hosts).fitting(host) == [other for other in hosts if matches(other, host)], hosts


def test_hosts_keep_their_order_and_stand_once() -> None:
    table = HostTable(["b.x.com", "*.x.com", "a.x.com", "b.x.com", "x.com"])

    assert table.fitting("*.x.com") == ["b.x.com", "*.x.com", "a.x.com"]
