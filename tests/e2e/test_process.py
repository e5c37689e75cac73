"""The process: what it prints and writes, how it refuses to start, and how it ends."""

import contextlib
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import trustme
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from real_kubectl import Kubectl
from real_server import Server, command, environment, eventually, start_server

import kcpcache

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
FOREIGN_DATABASE = "CREATE TABLE accounts (id INTEGER PRIMARY KEY); INSERT INTO accounts VALUES (7);"


def run(*arguments: object, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(environ), capture_output=True, text=True, timeout=30, check=False
    )


def refusal(root_dir: Path, *flags: object, environ: Mapping[str, str] | None = None) -> str:
    """The one line with which the program refuses to start."""
    ran = run("start", "--root-dir", root_dir, "--port", 0, *flags, environ=environ)
    assert ran.returncode not in {0, None}, ran.stdout
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert len(lines) == 1, ran.stderr
    assert lines[0].startswith("kcpcache: ")
    return lines[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- what it says and writes


def test_version_prints_one_line():
    ran = run("version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"kcpcache {kcpcache.__version__}\n", "")


def test_the_kubeconfig_is_private_and_has_the_contexts_that_kcps_tools_look_for(server: Server):
    assert stat.S_IMODE(server.kubeconfig.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.root_dir.stat().st_mode) == 0o700
    open_to_others = [path.name for path in server.root_dir.iterdir() if path.stat().st_mode & 0o077]
    assert [name for name in open_to_others if not name.endswith(".crt")] == []
    config = yaml.safe_load(server.kubeconfig.read_text())
    servers = {found["name"]: found["cluster"]["server"] for found in config["clusters"]}
    assert servers == {
        "base": server.url,
        "root": f"{server.url}/clusters/root",
        "system:admin": f"{server.url}/clusters/system:admin",
    }
    assert sorted(found["name"] for found in config["contexts"]) == ["base", "root", "shard-base", "system:admin"]
    assert config["current-context"] == "root"


@pytest.mark.parametrize(
    ("user", "name", "group"),
    [("kcp-admin", "kcp-admin", "system:kcp:admin"), ("shard-admin", "shard-admin", "system:masters")],
)
def test_each_administrator_is_who_kcps_tools_expect(user: str, name: str, group: str, server: Server):
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    with server.client(user) as http:
        found = http.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json=review).json()["status"]
        everywhere = http.get("/clusters/*/apis/core.kcp.io/v1alpha1/logicalclusters")
    assert found["userInfo"]["username"] == name
    assert sorted(found["userInfo"]["groups"]) == sorted([group, "system:authenticated"])
    assert everywhere.is_success == (group == "system:masters")


def test_every_context_of_the_kubeconfig_works_in_kubectl(kubectl: Kubectl, server: Server):
    for context in ("base", "root", "shard-base", "system:admin"):
        kubectl_flags = (f"--context={context}", f"--server={_server_of(server, context)}")
        assert "clusterroles" in kubectl(
            "root", *kubectl_flags, "api-resources", "--api-group=rbac.authorization.k8s.io"
        )


def _server_of(server: Server, context: str) -> str:
    config = yaml.safe_load(server.kubeconfig.read_text())
    cluster = next(found["context"]["cluster"] for found in config["contexts"] if found["name"] == context)
    return str(next(found["cluster"]["server"] for found in config["clusters"] if found["name"] == cluster))


# -- who it lets in


@pytest.fixture(scope="module")
def certify(server: Server, tmp_path_factory: pytest.TempPathFactory):
    """Make a client certificate, as an administrator does with what lies beside the kubeconfig."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = x509.load_pem_x509_certificate((server.root_dir / "client-ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((server.root_dir / "client-ca.key").read_bytes(), None)

    def make(user: str, group: str, *, own_authority: bool = False, days: int = 1) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group), x509.NameAttribute(NameOID.COMMON_NAME, user)]
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(names))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(key if own_authority else signer, hashes.SHA256())
        )
        paths = folder / f"{user}.crt", folder / f"{user}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        paths[1].write_bytes(key.private_bytes(*plain))
        return paths

    return make


def test_a_certificate_made_with_the_client_authority_is_its_user_and_group(certify, kubectl: Kubectl):
    certificate, key = certify("carol", "buyers")
    carol = kubectl.as_user(f"--client-certificate={certificate}", f"--client-key={key}")
    printed = carol("root", "auth", "whoami")
    assert "carol" in printed
    assert "buyers" in printed
    assert "system:authenticated" in printed
    assert "orbidden" in carol.refused("root", "get", "secrets", "-A")
    rule = ("--clusterrole=cluster-admin", "--group=buyers")
    kubectl("root", "create", "clusterrolebinding", "buyers-administrate", *rule)
    eventually(lambda: carol.run("root", "get", "secrets", "-A").code == 0)


@pytest.mark.parametrize("flaw", [{"own_authority": True}, {"days": -1}], ids=["of another authority", "expired"])
def test_a_certificate_that_the_client_authority_does_not_vouch_for_opens_nothing(flaw, certify, server: Server):
    pair = certify("mallory", "system:masters", **flaw)
    with server.client(certificate=pair) as http:
        try:
            code = http.get("/api/v1/namespaces").status_code
        except httpx.TransportError:
            return
    assert code == httpx.codes.UNAUTHORIZED


# -- how it refuses to start


def test_a_port_in_use_is_one_clear_line(tmp_path: Path, server: Server):
    line = refusal(tmp_path / "root", "--port", server.port)
    assert f"cannot listen on 127.0.0.1:{server.port}" in line
    assert contents(tmp_path) == {}


def test_a_second_process_on_the_same_root_dir_is_refused_and_the_first_goes_on(server: Server):
    files = [name for name in contents(server.root_dir) if not name.startswith("kcpcache.db")]
    before = {name: (server.root_dir / name).read_bytes() for name in files}
    line = refusal(server.root_dir)
    assert "in use by another process" in line
    assert {name: (server.root_dir / name).read_bytes() for name in files} == before
    with server.client() as http:
        assert http.post(CONFIG_MAPS, json={"metadata": {"generateName": "still-"}}).is_success


def test_a_root_dir_that_holds_other_files_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("do not touch")
    line = refusal(tmp_path)
    assert "thesis.txt" in line
    assert "name an empty or new directory" in line
    assert contents(tmp_path) == {"thesis.txt": b"do not touch"}


def test_a_root_dir_that_is_a_file_or_lies_below_one_is_refused(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("here")
    assert "is not a directory" in refusal(file)
    assert "cannot be made" in refusal(file / "below")
    assert contents(tmp_path) == {"file": b"here"}


def test_a_root_dir_on_a_read_only_place_is_refused():
    assert "--root-dir /proc/kcpcache cannot be made" in refusal(Path("/proc/kcpcache"))


def test_keys_that_were_opened_to_others_are_closed_at_the_start_and_the_log_says_so(tmp_path: Path):
    root = tmp_path / "root"
    with start_server(root):
        pass
    opened = [root / name for name in ("ca.key", "service-account.key", "admin.kubeconfig", "kcpcache.db")]
    for path in opened:
        path.chmod(0o644)
    with start_server(root) as server:
        log = server.log.read_text()
        for path in opened:
            assert f'"path":"{path}","mode":"0644"' in log
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir() if path.suffix != ".crt"}
        assert set(modes.values()) == {0o600}, modes  # the database's log too, which is made as open as the database


def test_an_unwritable_root_dir_is_refused(tmp_path: Path):
    tmp_path.chmod(0o500)
    if _may_write(tmp_path):
        pytest.skip("this user may write everywhere")
    assert "is not writable" in refusal(tmp_path)


def _may_write(folder: Path) -> bool:
    with contextlib.suppress(PermissionError):
        (folder / "probe").touch()
        (folder / "probe").unlink()
        return True
    return False


def broken_databases(folder: Path, genuine: bytes) -> Iterator[tuple[str, bytes]]:
    yield "not a database", b"not a database at all" * 400
    with contextlib.closing(sqlite3.connect(folder / "foreign.db")) as foreign:
        foreign.executescript(FOREIGN_DATABASE)
    yield "someone else's", (folder / "foreign.db").read_bytes()
    yield "of a newer version", genuine[:60] + (99).to_bytes(4, "big") + genuine[64:]
    yield "cut off", genuine[: len(genuine) // 2]
    yield "overwritten", genuine[:4096] + bytes(range(256)) * ((len(genuine) - 4096) // 256)


@pytest.fixture(scope="module")
def genuine_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root_dir = tmp_path_factory.mktemp("genuine") / "root"
    with start_server(root_dir):
        pass
    return (root_dir / "kcpcache.db").read_bytes()


@pytest.mark.parametrize("kind", ["not a database", "someone else's", "of a newer version", "cut off", "overwritten"])
def test_a_broken_database_is_one_clear_line_and_is_left_as_it_is(kind: str, genuine_database: bytes, tmp_path: Path):
    """Whatever is wrong with it, someone may still want to mend it."""
    data = dict(broken_databases(tmp_path, genuine_database))[kind]
    database = tmp_path / "root" / "kcpcache.db"
    database.parent.mkdir()
    database.write_bytes(data)
    assert str(database) in refusal(tmp_path / "root")
    assert database.read_bytes() == data


def test_a_flag_that_cannot_be_is_one_clear_line(tmp_path: Path):
    assert "--feature-gates: unknown feature gate" in refusal(tmp_path / "a", "--feature-gates", "Teleport=true")
    assert "--shard-name" in refusal(tmp_path / "a", "--shard-name", "No Such Name")
    assert "--shard-external-url" in refusal(tmp_path / "a", "--shard-external-url", "http://api.example.com")
    assert str(tmp_path / "none.csv") in refusal(tmp_path / "a", "--token-auth-file", tmp_path / "none.csv")
    assert "--history-seconds" in refusal(tmp_path / "a", environ={"KCPCACHE_HISTORY_SECONDS": "-1"})


# -- settings


def test_a_certificate_of_ones_own_is_shown_and_needs_its_key(tmp_path: Path):
    authority = trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    pair.cert_chain_pems[0].write_to_path(certificate)
    pair.private_key_pem.write_to_path(key)
    assert "go together" in refusal(tmp_path / "half", "--tls-cert-file", certificate)
    with start_server(tmp_path / "root", "--tls-cert-file", certificate, "--tls-private-key-file", key) as server:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with httpx.Client(base_url=server.url, verify=context, trust_env=False) as http:
            assert http.get("/livez").text == "ok"


def test_every_flag_can_be_given_in_the_environment_and_a_flag_wins(tmp_path: Path):
    tokens = tmp_path / "tokens.csv"
    tokens.write_text('t-1,dora,u-1,"system:masters"\n')
    environ = {
        "KCPCACHE_BIND_ADDRESS": "127.0.0.2",
        "KCPCACHE_PORT": "1",
        "KCPCACHE_SHARD_NAME": "east",
        "KCPCACHE_TOKEN_AUTH_FILE": str(tokens),
        "KCPCACHE_FEATURE_GATES": "CacheAPIs=false",
    }
    with start_server(tmp_path / "root", environ=environ) as server, server.client(token="t-1") as http:
        assert server.url.startswith("https://127.0.0.2:")
        shards = http.get("/clusters/root/apis/core.kcp.io/v1alpha1/shards").json()["items"]
        assert [shard["metadata"]["name"] for shard in shards] == ["east"]
        assert {shard["spec"]["baseURL"] for shard in shards} == {server.url}
        groups = {group["name"] for group in http.get("/apis").json()["groups"]}
        assert "cache.kcp.io" not in groups
        assert "apis.kcp.io" in groups


def test_with_the_feature_gate_off_there_is_no_cached_resource_and_no_virtual_storage(tmp_path: Path):
    schema = yaml.safe_load(
        (Path(__file__).parents[2] / "docs/examples/cloud-co/provider/07-cpuflavors-apiresourceschema.yaml").read_text()
    )
    reference = {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": "cpuflavors-v1"}
    resource = {"group": "cloud.example.com", "name": "cpuflavors", "schema": schema["metadata"]["name"]}

    def export(name: str, storage: dict[str, object]) -> dict[str, object]:
        resources = [{**resource, "storage": storage}]
        head = {"apiVersion": "apis.kcp.io/v1alpha2", "kind": "APIExport", "metadata": {"name": name}}
        return {**head, "spec": {"resources": resources}}

    virtual = {"virtual": {"reference": reference, "identityHash": "0" * 64}}
    apis = "/clusters/root/apis"
    with start_server(tmp_path / "root", "--feature-gates", "CachedAPIs=false") as server, server.client() as http:
        assert http.get(f"{apis}/cache.kcp.io/v1alpha1").status_code == httpx.codes.NOT_FOUND
        assert http.get(f"{apis}/cache.kcp.io/v1alpha1/cachedresources").status_code == httpx.codes.NOT_FOUND
        replication = "/services/replication/root/cpuflavors-v1/clusters/*/apis"
        assert http.get(replication).status_code == httpx.codes.NOT_FOUND
        assert http.post(f"{apis}/apis.kcp.io/v1alpha1/apiresourceschemas", json=schema).is_success
        refused = http.post(f"{apis}/apis.kcp.io/v1alpha2/apiexports", json=export("with-virtual", virtual))
        assert refused.is_client_error
        assert "CachedAPIs" in refused.json()["message"]
        assert http.post(f"{apis}/apis.kcp.io/v1alpha2/apiexports", json=export("with-crd", {"crd": {}})).is_success


# -- how it ends


def test_sigterm_ends_open_watches_cleanly_finishes_writes_and_exits_with_0(tmp_path: Path):
    with start_server(tmp_path / "root") as server:
        with (
            server.watch(CONFIG_MAPS) as one,
            server.watch("/api/v1/limitranges") as other,
            server.client() as http,
        ):
            assert http.post(CONFIG_MAPS, json={"metadata": {"name": "before"}}).is_success
            assert one.names(1) == [("ADDED", "before")]
            with unfinished_post(server, b'{"metadata": {"name": "during"}}') as finish:
                readiness = ReadinessPoll(server)
                started = time.monotonic()
                server.process.terminate()
                readiness.wait_until_not_ready()
                assert finish().startswith(b"HTTP/1.1 201")
            assert [event for event in one.rest() if event["object"]["metadata"]["name"] != "during"] == []
            assert other.rest() == []
            assert server.process.wait(10) == 0
            assert time.monotonic() - started < 10
            assert set(readiness.after_the_first_failure()) == {500, ReadinessPoll.GONE}
        assert not server.complaints()
    with start_server(tmp_path / "root") as server, server.client() as http:
        assert {item["metadata"]["name"] for item in http.get(CONFIG_MAPS).json()["items"]} >= {"before", "during"}


class ReadinessPoll:
    """Asks /readyz on one connection as fast as it answers, until that is gone."""

    GONE = 0

    def __init__(self, server: Server) -> None:
        self.statuses: list[int] = []
        self._server = server
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()
        eventually(lambda: 200 in self.statuses)

    def _poll(self) -> None:
        with self._server.client(None) as http, contextlib.suppress(httpx.HTTPError):
            while True:
                self.statuses.append(http.get("/readyz").status_code)
        self.statuses.append(self.GONE)

    def wait_until_not_ready(self) -> None:
        eventually(lambda: self.statuses[-1] != 200)

    def after_the_first_failure(self) -> list[int]:
        self._thread.join(10)
        return self.statuses[next(n for n, status in enumerate(self.statuses) if status != 200) :]


@contextlib.contextmanager
def unfinished_post(server: Server, body: bytes) -> Iterator:
    """A request whose body has come but for its last byte; what is yielded sends that and reads the answer."""
    certificate = server.user_pem("kcp-admin")
    context = ssl.create_default_context(cadata=server.authority())
    context.load_cert_chain(certificate)
    lines = (
        f"POST {CONFIG_MAPS} HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    head = "\r\n".join((*lines, "", ""))
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.settimeout(10)
        connection.sendall(head.encode() + body[:-1])

        def finish() -> bytes:
            connection.sendall(body[-1:])
            return connection.recv(65536)

        yield finish


def test_sigint_ends_it_as_sigterm_does(tmp_path: Path):
    with start_server(tmp_path / "root") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0
        assert not server.complaints()
