"""How the workload's names resolve before any DNS server is asked: from the mesh's name table."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.match.name_lookup import Answer, NameLookup
from sandbox.plan.name_table import NameTable

KUBERNETES = "Kubernetes"


def table_lookup(table: NameTable, *, namespace: str, domain: str, captures_dns: bool) -> Callable[[str], str | None]:
    """From a name to the address that the workload would get, or ``None`` where DNS decides.

    Without DNS capture only Kubernetes services are known (a cluster's own DNS server answers for them).
    """
    if not captures_dns:
        hosts = {host: entry for host, entry in table.hosts.items() if entry.registry == KUBERNETES}
        table = NameTable(hosts=hosts)
    names = NameLookup(table, namespace=namespace, domain=domain, search_domain=None)

    def look_up(name: str) -> str | None:
        for kind in ("A", "AAAA"):
            answer = names.find(name, kind)
            if isinstance(answer, Answer) and answer.addresses:
                return answer.addresses[0]
        return None

    return look_up
