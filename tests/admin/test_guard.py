"""Who may ask an admin port."""

from __future__ import annotations

import pytest

from sandbox.admin.answers import AdminRequest, Refused
from sandbox.admin.guard import check_caller


@pytest.mark.parametrize(
    ("request_", "is_loopback_only", "changes", "allowed"),
    [
        pytest.param(AdminRequest(host="127.0.0.1:15000"), True, True, True, id="by the address of loopback"),
        pytest.param(AdminRequest(host="[::1]:15000"), True, False, True, id="by that of IPv6"),
        pytest.param(AdminRequest(host="LocalHost:15000"), True, False, True, id="by name"),
        pytest.param(AdminRequest(host="admin.localhost"), True, False, True, id="by a name below localhost"),
        pytest.param(AdminRequest(host=None), True, False, True, id="HTTP/1.0 without Host"),
        pytest.param(AdminRequest(host="evil.test"), True, False, False, id="a name that resolves to loopback"),
        pytest.param(AdminRequest(host="127.0.0.1.evil.test"), True, False, False, id="a name that looks like it"),
        pytest.param(AdminRequest(host="10.0.0.1:15000"), True, False, False, id="another address"),
        pytest.param(AdminRequest(host="[::1"), True, False, False, id="no host at all"),
        pytest.param(AdminRequest(host="sandbox:15090"), False, False, True, id="a port for others, by their name"),
        pytest.param(
            AdminRequest(host="127.0.0.1", origin="http://127.0.0.1:3000"),
            True,
            True,
            True,
            id="a page of this machine",
        ),
        pytest.param(
            AdminRequest(host="127.0.0.1", origin="http://evil.test"), True, False, False, id="another's page"
        ),
        pytest.param(AdminRequest(host="127.0.0.1", origin="null"), True, False, False, id="a page of nobody"),
        pytest.param(AdminRequest(host="sandbox", origin="http://evil.test"), False, False, False, id="on any port"),
        pytest.param(AdminRequest(host="sandbox", is_local=False), False, False, True, id="others may read"),
        pytest.param(AdminRequest(host="sandbox", is_local=False), False, True, False, id="but change nothing"),
    ],
)
def test_who_may_ask(request_: AdminRequest, is_loopback_only: bool, changes: bool, allowed: bool) -> None:
    if allowed:
        check_caller(request_, is_loopback_only=is_loopback_only, changes=changes)
        return
    with pytest.raises(Refused) as refused:
        check_caller(request_, is_loopback_only=is_loopback_only, changes=changes)
    assert refused.value.answer.status == 403
