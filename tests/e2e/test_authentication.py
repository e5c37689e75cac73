"""Ways to be somebody that a server is told of by flags, against a real server, a real issuer and real files."""

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import orjson
import pytest
import trustme
from joserfc import jws
from joserfc.jwk import RSAKey
from real_server import Server, eventually, start_server

REVIEWS = "/apis/authentication.k8s.io/v1"


class Issuer:
    """An OpenID Connect issuer over TLS, on a thread of its own."""

    def __init__(self, authority: trustme.CA) -> None:
        self.keys = {"k1": RSAKey.generate_key(2048)}
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = orjson.dumps(issuer.documents().get(self.path))
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Silence."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def documents(self) -> dict[str, Any]:
        keys = [{**key.as_dict(private=False), "kid": kid} for kid, key in self.keys.items()]
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return {"/.well-known/openid-configuration": discovery, "/keys": {"keys": keys}}

    def token(self, kid: str = "k1", **claims: object) -> str:
        claims = {"iss": self.url, "aud": "kcpcache", "email": "jane@x.org", "exp": time.time() + 600, **claims}
        return jws.serialize_compact({"alg": "RS256", "kid": kid}, orjson.dumps(claims), self.keys[kid])

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def issuer(authority: trustme.CA) -> Iterator[Issuer]:
    with Issuer(authority) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Path:
    folder = tmp_path_factory.mktemp("authentication")
    for name in ("issuer-ca.crt", "client-ca.crt"):
        authority.cert_pem.write_to_path(folder / name)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path, issuer: Issuer) -> Iterator[Server]:
    flags = {
        "oidc-issuer-url": issuer.url,
        "oidc-client-id": "kcpcache",
        "oidc-username-claim": "email",
        "oidc-groups-claim": "teams",
        "oidc-groups-prefix": "oidc:",
        "oidc-required-claim": "hd=x.org",
        "oidc-ca-file": folder / "issuer-ca.crt",
        "client-ca-file": folder / "client-ca.crt",
        "log-level": "debug",
    }
    with start_server(folder / "root", *(f"--{name}={value}" for name, value in flags.items())) as server:
        yield server


def who(http: httpx.Client) -> tuple[str, list[str]] | int:
    response = http.post(f"{REVIEWS}/selfsubjectreviews", json={})
    if response.status_code != httpx.codes.CREATED:
        return response.status_code
    found = response.json()["status"]["userInfo"]
    return found["username"], found.get("groups", [])


def test_an_id_token_is_its_user_and_every_review_of_it_says_the_same(server: Server, issuer: Issuer):
    token = issuer.token(hd="x.org", teams=["devs"])
    jane = ("jane@x.org", ["oidc:devs", "system:authenticated"])
    with server.client(token=token) as http:
        assert who(http) == jane
    with server.client("kcp-admin") as admin:
        status = admin.post(f"{REVIEWS}/tokenreviews", json={"spec": {"token": token}}).json()["status"]
        assert (status["authenticated"], status["user"]["username"], status["user"]["groups"]) == (True, *jane)
        binding = {
            "metadata": {"name": "devs"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "oidc:devs"}],
        }
        created = admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json=binding)
        assert created.status_code == httpx.codes.CREATED
    with server.client(token=token) as http:
        assert http.get("/api/v1/secrets").status_code == httpx.codes.OK


@pytest.mark.parametrize("claims", [{"hd": "y.org"}, {}, {"hd": "x.org", "aud": "x"}, {"hd": "x.org", "exp": 1}])
def test_an_id_token_that_is_not_for_this_server_is_refused(claims: dict[str, Any], server: Server, issuer: Issuer):
    token = issuer.token(**claims)
    with server.client(token=token) as http:
        assert who(http) == httpx.codes.UNAUTHORIZED
    log = server.log.read_text()
    assert "a token of the OpenID Connect issuer is refused" in log
    for part in token.split("."):
        assert part not in log


def test_another_set_of_client_authorities_needs_no_restart(server: Server, folder: Path, authority: trustme.CA):
    def pair(signer: trustme.CA, name: str) -> tuple[Path, Path]:
        made = signer.issue_cert("someone@x.org", common_name=name, organization_name="devs")
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        paths[0].write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        paths[1].write_bytes(made.private_key_pem.bytes())
        return paths

    def good(certificate: tuple[Path, Path]) -> bool:
        with server.client(certificate=certificate) as http:
            try:
                return isinstance(who(http), tuple)
            except httpx.TransportError:
                return False

    other = trustme.CA()
    old, new = pair(authority.create_child_ca(), "old"), pair(other, "new")
    assert (good(old), good(new)) == (True, False)
    with server.client(certificate=old) as open_connection:
        assert who(open_connection) == ("old", ["devs", "system:authenticated"])
        other.cert_pem.write_to_path(folder / "client-ca.crt")
        eventually(lambda: good(new), timeout=30)
        assert who(open_connection) == httpx.codes.UNAUTHORIZED
    assert not good(old)
    with server.client("kcp-admin") as http:
        assert who(http) == ("kcp-admin", ["system:kcp:admin", "system:authenticated"])
