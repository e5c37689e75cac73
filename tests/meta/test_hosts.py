import pytest

from kcpcache.meta.hosts import is_listed


@pytest.mark.parametrize(
    ("host", "port", "listed"),
    [
        ("a.example.com", 443, True),
        ("a.example.com", 8443, True),
        ("b.example.com", 443, False),
        ("b.example.com", 8443, True),
        ("sub.a.example.com", 443, False),
        ("::1", 443, True),
        ("::2", 443, False),
        ("::2", 8443, True),
    ],
)
def test_a_host_is_listed_on_any_port_or_on_one(host: str, port: int, listed: bool):
    hosts = frozenset({"a.example.com", "b.example.com:8443", "[::1]", "[::2]:8443"})
    assert is_listed(host, port, hosts) is listed
