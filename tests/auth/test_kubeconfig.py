import base64
import stat
from datetime import UTC, datetime

import pytest
import yaml

from kcpcache.auth.certificates import ensure_certificates
from kcpcache.auth.kubeconfig import admin_kubeconfig, server_url, write_kubeconfig


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return ensure_certificates(tmp_path_factory.mktemp("root"), ["localhost"], datetime(2026, 3, 1, tzinfo=UTC))


def test_contexts_are_those_that_kcps_tools_look_for(certificates):
    config = admin_kubeconfig("127.0.0.1", 6443, certificates)
    url = "https://127.0.0.1:6443"
    assert {each["name"]: each["cluster"]["server"] for each in config["clusters"]} == {
        "base": url,
        "root": f"{url}/clusters/root",
        "system:admin": f"{url}/clusters/system:admin",
    }
    assert {each["name"]: tuple(each["context"].values()) for each in config["contexts"]} == {
        "base": ("base", "kcp-admin"),
        "root": ("root", "kcp-admin"),
        "shard-base": ("base", "shard-admin"),
        "system:admin": ("system:admin", "shard-admin"),
    }
    assert config["current-context"] == "root"


def test_certificates_and_keys_are_inline(certificates):
    config = admin_kubeconfig("127.0.0.1", 6443, certificates)
    data = {each["name"]: each["user"] for each in config["users"]}
    for name, pair in (("kcp-admin", certificates.kcp_admin), ("shard-admin", certificates.shard_admin)):
        assert base64.b64decode(data[name]["client-certificate-data"]) == pair.certificate_path.read_bytes()
        assert base64.b64decode(data[name]["client-key-data"]) == pair.key_path.read_bytes()
    authorities = {each["cluster"]["certificate-authority-data"] for each in config["clusters"]}
    assert [base64.b64decode(each) for each in authorities] == [certificates.serving_authority.certificate_pem()]


def test_a_serving_certificate_of_ones_own_brings_its_authority(certificates):
    config = admin_kubeconfig("127.0.0.1", 6443, certificates, serving_ca_pem=b"mine")
    assert config["clusters"][0]["cluster"]["certificate-authority-data"] == base64.b64encode(b"mine").decode()


def test_an_ipv6_host_stands_in_brackets():
    assert server_url("::1", 6443) == "https://[::1]:6443"


def test_the_file_is_for_its_owner_and_reads_back(tmp_path, certificates):
    config, path = admin_kubeconfig("localhost", 6443, certificates), tmp_path / "admin.kubeconfig"
    assert write_kubeconfig(path, config)
    assert yaml.safe_load(path.read_text()) == config
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_kubectl_added_survives_until_an_address_or_a_certificate_changes(tmp_path, certificates):
    path = tmp_path / "admin.kubeconfig"
    write_kubeconfig(path, admin_kubeconfig("localhost", 6443, certificates))
    edited = yaml.safe_load(path.read_text())
    edited["current-context"] = "workspace.kcp.io/current"
    edited["contexts"].append({"name": "workspace.kcp.io/current", "context": {"cluster": "x", "user": "kcp-admin"}})
    edited["clusters"].insert(0, {"name": "x", "cluster": {"server": "https://localhost:6443/clusters/x"}})
    path.write_text(yaml.safe_dump(edited))
    assert not write_kubeconfig(path, admin_kubeconfig("localhost", 6443, certificates))
    assert yaml.safe_load(path.read_text()) == edited
    moved = admin_kubeconfig("localhost", 7443, certificates)
    assert write_kubeconfig(path, moved)
    assert yaml.safe_load(path.read_text()) == moved


@pytest.mark.parametrize("content", [b"", b"[", b"- a\n", b"\xff\xfe", b"clusters: 1\nusers: []\n"])
def test_a_damaged_kubeconfig_is_written_anew(tmp_path, certificates, content):
    path = tmp_path / "admin.kubeconfig"
    path.write_bytes(content)
    assert write_kubeconfig(path, admin_kubeconfig("localhost", 6443, certificates))
