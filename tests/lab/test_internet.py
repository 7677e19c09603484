"""The embedded internet answers as the hosts it stands for."""

from __future__ import annotations

import http.client
import json
import socket
import ssl

import pytest

from sandbox.lab.internet import Internet


def address_of(internet: Internet, host: str, port: int) -> tuple[str, int]:
    """Where a name of the internet really is."""
    found = next(one for one in internet.overrides if one.host == host and one.port == port)
    assert found.address_port is not None
    return found.address, found.address_port


def get(internet: Internet, host: str, path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    """One plain request."""
    connection = http.client.HTTPConnection(*address_of(internet, host, 80), timeout=10)
    try:
        connection.request(method, path, headers={"Host": host})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/get", 200, id="get"),
        pytest.param("/status/418", 418, id="a status that was asked for"),
        pytest.param("/status/nonsense", 400, id="no status"),
        pytest.param("/status/999", 400, id="a status that does not exist"),
        pytest.param("/redirect/1", 302, id="a redirect"),
        pytest.param("/delay/0", 200, id="no delay"),
        pytest.param("/delay/soon", 404, id="no number"),
        pytest.param("/nowhere", 404, id="an unknown path"),
    ],
)
def test_httpbin_answers_each_of_its_paths(internet: Internet, path: str, status: int) -> None:
    response, _ = get(internet, "httpbin.org", path)

    assert response.status == status


def test_httpbin_says_what_it_was_asked(internet: Internet) -> None:
    _, body = get(internet, "httpbin.org", "/anything/here?a=b", method="DELETE")

    told = json.loads(body)
    assert (told["method"], told["args"], told["headers"]["Host"]) == ("DELETE", {"a": "b"}, "httpbin.org")


def test_httpbin_streams_lines_in_chunks(internet: Internet) -> None:
    response, body = get(internet, "httpbin.org", "/stream/3")

    assert response.getheader("transfer-encoding") == "chunked"
    assert [json.loads(line)["id"] for line in body.splitlines()] == [0, 1, 2]


def test_httpbin_gives_as_many_bytes_as_asked(internet: Internet) -> None:
    _, body = get(internet, "httpbin.org", "/bytes/1000")

    assert len(body) == 1000


def test_aliyun_sends_plain_requests_to_https(internet: Internet) -> None:
    response, _ = get(internet, "www.aliyun.com", "/product?a=b")

    assert response.status == 301
    assert response.getheader("location") == "https://www.aliyun.com/product?a=b"
    assert response.getheader("server") == "Tengine"


@pytest.mark.parametrize("host", ["en.wikipedia.org", "de.wikipedia.org", "httpbin.org", "www.google.com"])
def test_a_host_shows_a_certificate_of_the_local_authority(internet: Internet, host: str) -> None:
    context = ssl.create_default_context(cafile=internet.authority.certificate_file)

    with (
        socket.create_connection(address_of(internet, host, 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        assert secure.version() == "TLSv1.3"


def test_the_echo_sends_back_what_it_gets(internet: Internet) -> None:
    with socket.create_connection(address_of(internet, "tcp-echo.example.com", 9000), timeout=10) as connection:
        connection.sendall(b"hello")

        assert connection.recv(100) == b"hello"


def test_the_database_speaks_first(internet: Internet) -> None:
    with socket.create_connection(address_of(internet, "mysql.example.com", 3306), timeout=10) as connection:
        greeting = connection.recv(1000)

    assert greeting[4:5] == b"\x0a"
    assert b"8.0.36-embedded" in greeting


def test_the_database_refuses_a_login_and_names_itself(internet: Internet) -> None:
    with socket.create_connection(address_of(internet, "mysql.example.com", 3306), timeout=10) as connection:
        connection.recv(1000)
        connection.sendall(b"\x20\x00\x00\x01" + bytes(32))

        assert b"this is mysql.example.com" in connection.recv(1000)


def test_the_store_keeps_a_value_whichever_way_it_is_asked(internet: Internet) -> None:
    with socket.create_connection(address_of(internet, "redis.example.com", 6379), timeout=10) as connection:
        connection.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n")
        stored = connection.recv(100)
        connection.sendall(b"GET a\r\n")
        got = connection.recv(100)

    assert (stored, got) == (b"+OK\r\n", b"$5\r\nhello\r\n")


def test_every_host_has_an_address_of_its_own(internet: Internet) -> None:
    addresses: dict[str, set[str]] = {}
    for one in internet.overrides:
        addresses.setdefault(one.address, set()).add(one.host)

    assert {"httpbin.org", "www.httpbin.org"} in addresses.values()
    assert all("mysql.example.com" not in hosts or len(hosts) == 1 for hosts in addresses.values())
