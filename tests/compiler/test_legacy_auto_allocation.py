"""Addresses by hash: the allocator that istiod falls back to."""

from __future__ import annotations

from sandbox.compiler.legacy_auto_allocation import SLOTS, allocate_by_hash


def test_addresses_depend_on_the_name_alone() -> None:
    alone = allocate_by_hash(["default/a.example.com"])
    together = allocate_by_hash(["default/b.example.com", "default/a.example.com"])
    assert alone["default/a.example.com"] == together["default/a.example.com"]


def test_a_key_that_stands_twice_has_one_address() -> None:
    assert len(allocate_by_hash(["default/a.example.com"] * 2)) == 1


def test_every_address_is_given_once_and_none_ends_in_0_or_255() -> None:
    found = allocate_by_hash(f"default/host-{number}.example.com" for number in range(5000))
    fourths = {int(address.rsplit(".")[-1]) for address, _ in found.values()}
    assert len({address for address, _ in found.values()}) == 5000
    assert not fourths & {0, 255}


def test_both_families_are_from_the_ranges_of_istio() -> None:
    ((address, address6),) = allocate_by_hash(["default/a.example.com"]).values()
    assert address.startswith("240.240.")
    assert address6.startswith("2001:2::f0f0:")


def test_when_addresses_run_out_the_rest_have_none() -> None:
    found = allocate_by_hash(str(number) for number in range(SLOTS + 10))
    assert SLOTS * 0.99 < len(found) <= SLOTS
