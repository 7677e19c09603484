"""Trust domain aliases in principals."""

from __future__ import annotations

import pytest

from sandbox.compiler.trust_domains import TrustDomains

DOMAINS = TrustDomains(("td1", "td2", "some-td"))


@pytest.mark.parametrize(
    ("principal", "migrated"),
    [
        pytest.param("td1/ns/a/sa/b", ("td1/ns/a/sa/b", "td2/ns/a/sa/b", "some-td/ns/a/sa/b"), id="own"),
        pytest.param("td2/ns/a/sa/b", ("td1/ns/a/sa/b", "td2/ns/a/sa/b", "some-td/ns/a/sa/b"), id="alias"),
        pytest.param("cluster.local/ns/a/sa/b", ("td1/ns/a/sa/b", "td2/ns/a/sa/b", "some-td/ns/a/sa/b"), id="pointer"),
        pytest.param("other/ns/a/sa/b", ("other/ns/a/sa/b",), id="foreign"),
        pytest.param("*/ns/a/sa/b", ("*/ns/a/sa/b",), id="any domain"),
        pytest.param("*-td/ns/a/sa/b", ("td1/ns/a/sa/b", "td2/ns/a/sa/b", "*-td/ns/a/sa/b"), id="suffix"),
        pytest.param("not-a-principal", ("not-a-principal",), id="other form"),
    ],
)
def test_principals_are_written_out_for_every_alias(principal: str, migrated: tuple[str, ...]) -> None:
    assert DOMAINS.migrate("source.principal", (principal,)) == migrated


def test_a_trust_domain_stands_for_all_aliases() -> None:
    assert DOMAINS.migrate("source.trustDomain", ("td2", "other")) == ("td1", "td2", "some-td", "other")


def test_other_attributes_stay_as_they_are() -> None:
    assert DOMAINS.migrate("source.namespace", ("td1",)) == ("td1",)
