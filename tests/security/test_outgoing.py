"""Calls that users may have the server make: only to hosts that it may call, whatever a URL looks like (SSRF)."""

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kcpcache.meta.hosts import is_listed
from kcpcache.registry.webhook_client import WebhookCallError, WebhookClient, target_of
from kcpcache.virtual.proxied import Endpoints, UnusableError, endpoint_of

ALLOWED = "allowed.example.com"
OWN = "https://127.0.0.1:6443"
INTERNAL = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "localhost",
    "localhost.",
    "0.0.0.0",
    "10.0.0.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "169。254。169。254",
    "①⑥⑨.254.169.254",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fd00:ec2::254]",
    "metadata.google.internal",
)
DISGUISED = (
    f"https://{ALLOWED}@169.254.169.254/",
    f"https://{ALLOWED}:443@169.254.169.254/",
    f"https://{ALLOWED}%2f@169.254.169.254/",
    f"https://169.254.169.254#@{ALLOWED}/",
    f"https://169.254.169.254?@{ALLOWED}/",
    f"https://169.254.169.254/@{ALLOWED}/",
    f"https://169.254.169.254\\@{ALLOWED}/",
    f"https://169.254.169.254\\.{ALLOWED}/",
    f"https://{ALLOWED}.169.254.169.254.nip.example/",
    f"https://{ALLOWED}.",
    f"https://.{ALLOWED}/",
    f"https://{ALLOWED}%00.evil.example/",
    f"https://{ALLOWED}\x00.evil.example/",
    "https://169.254.\n169.254/",
    "https:169.254.169.254/",
    "https:///169.254.169.254/",
    "//169.254.169.254/",
    "HTTPS://169.254.169.254/",
    "http://169.254.169.254/",
    f"http://{ALLOWED}/",
    "file:///etc/passwd",
    f"gopher://{ALLOWED}/",
    "unix:///run/docker.sock",
)
URLS = (*(f"https://{host}/services/a/b" for host in INTERNAL), *DISGUISED)


@pytest.mark.parametrize("url", URLS)
def test_an_endpoint_url_leads_to_no_host_that_is_not_allowed(url: str):
    with pytest.raises(UnusableError, match="endpoint URL"):
        Endpoints(OWN, (ALLOWED,), None, None).choose([url])


@pytest.mark.parametrize("host", INTERNAL[1:])
def test_only_its_own_address_as_it_is_published_is_this_server(host: str):
    endpoints = Endpoints(OWN, (), None, None)
    assert endpoints.choose([f"{OWN}/services/a/b"]).own
    with pytest.raises(UnusableError, match="endpoint URL"):
        endpoints.choose([f"https://{host}:6443/services/a/b"])


@pytest.mark.parametrize("url", URLS)
async def test_a_webhook_is_called_at_no_host_that_is_not_allowed(url: str):
    client = WebhookClient([ALLOWED])
    with pytest.raises(WebhookCallError):
        await client.post(target_of({"url": url}), {}, timeout_seconds=1)
    assert client._pools == {}  # nobody was connected to


LISTED = frozenset({ALLOWED, "other.example.com:8443", "[::1]"})
PIECES = [ALLOWED, "other.example.com", "evil.example.com", "[::1]", "::1", "[::ffff:7f00:1]", "8443", "443", "0443"]
PIECES += [*"@:/\\?#[]%.。 \t\n\r\0;&", "//", "%40", "%2f", "%00", "%2e", "xn--", "é", "ⓐ", "user"]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join))
@example(ALLOWED)
@example(f"{ALLOWED}:8443/a")
@example("other.example.com:8443")
@example("[::1]:8443")
def test_the_host_that_was_looked_up_in_the_list_is_the_one_that_is_called(rest: str):
    """Two parsers read a URL; where they read it differently, nothing is called."""
    target = target_of({"url": f"https://{rest}"})
    if target.unusable or not is_listed(target.host, target.port, LISTED):
        return
    try:
        called = httpx.URL(target.url)
    except httpx.InvalidURL:
        return
    assert (called.scheme, called.host, called.port or 443) == ("https", target.host, target.port)
    assert not called.userinfo


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join))
@example(f"{ALLOWED}:8443/a")
@example("[::1]:8443")
def test_an_endpoint_url_is_written_anew_from_what_was_checked(rest: str):
    try:
        found = endpoint_of(f"https://{rest}")
    except UnusableError:
        return
    called = httpx.URL(found.url)
    assert (called.scheme, called.host, called.port or 443, called.path.rstrip("/")) == (
        "https",
        found.host,
        found.port,
        found.path,
    )
    assert not any((called.userinfo, called.query, called.fragment))
