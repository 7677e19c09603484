"""Questions against the name table."""

from __future__ import annotations

import pytest

from sandbox.match.name_lookup import Answer, Forward, NameLookup
from sandbox.plan.name_table import NameEntry, NameTable

TABLE = NameTable(
    hosts={
        "api.example.com": NameEntry(addresses=("240.240.0.1",), registry="External"),
        "dual.example.com": NameEntry(addresses=("10.0.0.1", "2001:DB8::1"), registry="External"),
        "broken.example.com": NameEntry(addresses=("not an address",), registry="External"),
        "*.wild.example.com": NameEntry(addresses=("10.0.0.2",), registry="External"),
        "*.deep.wild.example.com": NameEntry(addresses=("10.0.0.3",), registry="External"),
        "shop.web.svc.cluster.local": NameEntry(
            addresses=("10.96.0.1",), registry="Kubernetes", short_name="shop", namespace="web"
        ),
        "cart.other.svc.cluster.local": NameEntry(
            addresses=("10.96.0.2",), registry="Kubernetes", short_name="cart", namespace="other"
        ),
    }
)


@pytest.fixture
def lookup() -> NameLookup:
    return NameLookup(TABLE, namespace="web", domain="web.svc.cluster.local", search_domain="web.svc.cluster.local")


@pytest.mark.parametrize(
    ("name", "record_type", "addresses"),
    [
        pytest.param("api.example.com.", "A", ("240.240.0.1",), id="a host of a ServiceEntry"),
        pytest.param("API.Example.COM", "A", ("240.240.0.1",), id="in capitals and without the last dot"),
        pytest.param("api.example.com.", "AAAA", (), id="known, but no address of that family"),
        pytest.param("dual.example.com.", "A", ("10.0.0.1",), id="only v4 records for A"),
        pytest.param("dual.example.com.", "AAAA", ("2001:db8::1",), id="only v6 records for AAAA"),
        pytest.param("a.wild.example.com.", "A", ("10.0.0.2",), id="one label under a wildcard"),
        pytest.param("a.b.wild.example.com.", "A", ("10.0.0.2",), id="two labels under a wildcard"),
        pytest.param("a.deep.wild.example.com.", "A", ("10.0.0.3",), id="the longest wildcard wins"),
        pytest.param("shop.", "A", ("10.96.0.1",), id="the bare name of a service in the own namespace"),
        pytest.param("shop.web.", "A", ("10.96.0.1",), id="name and namespace"),
        pytest.param("cart.other.svc.", "A", ("10.96.0.2",), id="name, namespace and svc"),
        pytest.param("shop.web.svc.cluster.local.", "A", ("10.96.0.1",), id="the full name of a service"),
    ],
)
def test_a_known_name_has_the_addresses_of_the_table(
    lookup: NameLookup, name: str, record_type: str, addresses: tuple[str, ...]
) -> None:
    found = lookup.find(name, record_type)

    assert isinstance(found, Answer)
    assert found.addresses == addresses
    assert found.alias is None


@pytest.mark.parametrize(
    ("name", "record_type"),
    [
        pytest.param("www.example.com.", "A", id="a name nobody registered"),
        pytest.param("wild.example.com.", "A", id="the bare domain is not under its wildcard"),
        pytest.param("cart.", "A", id="the bare name of a service of another namespace"),
        pytest.param("broken.example.com.", "A", id="a host whose addresses are malformed"),
        pytest.param(
            "shop.web.svc.cluster.local.web.svc.cluster.local.", "A", id="the search domain after a name that has it"
        ),
        pytest.param("api.example.com.", "MX", id="a type that the table does not hold"),
    ],
)
def test_unknown_name_is_forwarded(lookup: NameLookup, name: str, record_type: str) -> None:
    assert lookup.find(name, record_type) == Forward()


def test_search_domain_is_answered_by_an_alias(lookup: NameLookup) -> None:
    found = lookup.find("api.example.com.web.svc.cluster.local.", "A")

    assert isinstance(found, Answer)
    assert found.alias == ("api.example.com.web.svc.cluster.local.", "api.example.com.")
    assert (found.owner, found.addresses) == ("api.example.com.", ("240.240.0.1",))


def test_alias_without_addresses_of_the_family_is_an_empty_answer(lookup: NameLookup) -> None:
    found = lookup.find("api.example.com.web.svc.cluster.local.", "AAAA")

    assert isinstance(found, Answer)
    assert (found.alias, found.addresses) == (None, ())


def test_search_domain_under_a_wildcard_points_to_the_wildcard_itself(lookup: NameLookup) -> None:
    found = lookup.find("a.wild.example.com.web.svc.cluster.local.", "A")

    assert isinstance(found, Answer)
    assert found.alias == ("a.wild.example.com.web.svc.cluster.local.", "*.wild.example.com.")
    assert found.owner == "*.wild.example.com."


def test_without_search_domain_nothing_is_expanded() -> None:
    lookup = NameLookup(TABLE, namespace="web", domain="web.svc.cluster.local", search_domain=None)

    assert lookup.find("api.example.com.web.svc.cluster.local.", "A") == Forward()
