import base64
import sys
from pathlib import Path

import pytest

from kcpcache.client.endpoint import Endpoint, Overrides, endpoint, run_plugin
from kcpcache.client.kubeconfig import Entry, Kubeconfig, KubeconfigError


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(directory: Path, user=None, **cluster) -> Kubeconfig:
    file = directory / "config"
    cluster = {name.replace("_", "-"): value for name, value in cluster.items()}
    return Kubeconfig(
        clusters={"c": Entry({"server": "https://x/clusters/root", **cluster}, file)},
        contexts={"c": Entry({"cluster": "c", **({} if user is None else {"user": "u"})}, file)},
        users={} if user is None else {"u": Entry(user, file)},
        current_context="c",
        files=(file,),
        default_file=file,
    )


def test_data_comes_before_files_and_files_are_beside_the_kubeconfig(tmp_path):
    (tmp_path / "ca.crt").write_text("the ca")
    (tmp_path / "key").write_text("the key")
    user = {"client-certificate-data": encoded("the certificate"), "client-certificate": "no", "client-key": "key"}
    found = endpoint(config(tmp_path, user, certificate_authority="ca.crt"), Overrides())
    assert found == Endpoint(
        "https://x/clusters/root", ca_pem="the ca", certificate_pem=b"the certificate", key_pem=b"the key"
    )


def test_a_cluster_may_say_how_to_reach_and_trust_it(tmp_path):
    found = endpoint(
        config(tmp_path, tls_server_name="y", proxy_url="http://p:1", insecure_skip_tls_verify=True), Overrides()
    )
    assert (found.tls_server_name, found.proxy_url, found.insecure, found.ca_pem) == ("y", "http://p:1", True, None)


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        ({"token": "t"}, [("Authorization", "Bearer t")]),
        ({"token": "no", "tokenFile": "token"}, [("Authorization", "Bearer from the file")]),
        ({"username": "a", "password": "b"}, [("Authorization", f"Basic {encoded('a:b')}")]),
        (
            {"token": "t", "as": "you", "as-uid": "1", "as-groups": ["a", "b"], "as-user-extra": {"k": ["v", "w"]}},
            [
                ("Impersonate-User", "you"),
                ("Impersonate-Uid", "1"),
                ("Impersonate-Group", "a"),
                ("Impersonate-Group", "b"),
                ("Impersonate-Extra-k", "v"),
                ("Impersonate-Extra-k", "w"),
                ("Authorization", "Bearer t"),
            ],
        ),
        ({}, []),
    ],
)
def test_credentials_become_headers(tmp_path, user, headers):
    (tmp_path / "token").write_text("from the file\n")
    assert endpoint(config(tmp_path, user), Overrides()).headers == tuple(headers)


def test_flags_come_before_the_kubeconfig(tmp_path):
    (tmp_path / "mine.crt").write_text("mine")
    overrides = Overrides(server="https://y", token="t", certificate_authority=str(tmp_path / "mine.crt"))
    found = endpoint(config(tmp_path, {"client-certificate-data": encoded("no")}), overrides)
    assert found == Endpoint("https://y", ca_pem="mine", headers=(("Authorization", "Bearer t"),))


def test_a_plugin_gives_a_token_or_a_certificate(tmp_path):
    asked = []

    def execute(spec, directory):
        asked.append((spec, directory))
        return {"token": "t", "clientCertificateData": "c", "clientKeyData": "k"}

    found = endpoint(config(tmp_path, {"exec": {"command": "x"}}), Overrides(), execute)
    assert asked == [({"command": "x"}, tmp_path)]
    assert (found.headers, found.certificate_pem, found.key_pem) == ((("Authorization", "Bearer t"),), b"c", b"k")


SCRIPT = """
import json, os
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
print(json.dumps({"kind": "ExecCredential", "status": {"token": asked["apiVersion"] + os.environ["MINE"]}}))
"""


def test_a_plugin_is_run_with_its_arguments_and_environment(tmp_path):
    env = [{"name": "MINE", "value": "!"}]
    version = "client.authentication.k8s.io/v1beta1"
    spec = {"apiVersion": version, "command": sys.executable, "args": ["-c", SCRIPT], "env": env}
    assert run_plugin(spec, tmp_path) == {"token": f"{version}!"}
    script = tmp_path / "here" / "plugin"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\n{SCRIPT}")
    script.chmod(0o755)
    assert run_plugin({"command": "here/plugin", "env": env}, tmp_path) == {"token": "client.authentication.k8s.io/v1!"}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"command": "no-such-plugin"}, "credential plugin no-such-plugin not found: install it"),
        ({"command": "no-such-plugin", "installHint": "buy it"}, "not found: buy it"),
        ({"command": "false"}, "credential plugin false failed"),
        ({"command": "true"}, "printed no ExecCredential"),
        ({"command": "echo", "args": ["[]"]}, "printed no ExecCredential"),
        ({"command": "echo", "args": ['{"status": 1}']}, "printed no ExecCredential"),
    ],
)
def test_a_plugin_that_gives_nothing_is_told(tmp_path, spec, why):
    with pytest.raises(KubeconfigError) as caught:
        run_plugin(spec, tmp_path)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("user", "cluster", "overrides", "why"),
    [
        ({"client-certificate-data": "§"}, {}, Overrides(), "client-certificate-data in .*config is not base64"),
        ({"client-key": "missing"}, {}, Overrides(), "missing cannot be read: No such file"),
        ({}, {"server": "x:443"}, Overrides(), "server 'x:443' of the kubeconfig is no URL"),
        ({}, {"server": "http://[bad"}, Overrides(), "server 'http://\\[bad' of the kubeconfig is no URL"),
        ({}, {"server": "https://h:abc"}, Overrides(), "server 'https://h:abc' of the kubeconfig is no URL"),
        ({}, {"server": "https://"}, Overrides(), "server 'https://' of the kubeconfig is no URL"),
        ({}, {"proxy-url": "http://[bad"}, Overrides(), "proxy-url 'http://\\[bad' of the kubeconfig is no URL"),
        ({"client-certificate": "a\0b"}, {}, Overrides(), "is no name of a file"),
        ({"as": "a", "as-groups": 5}, {}, Overrides(), "as-groups of the kubeconfig is no list"),
        ({"as": "a", "as-user-extra": 5}, {}, Overrides(), "as-user-extra of the kubeconfig is no mapping"),
        ({"as": "a", "as-user-extra": {"k": 5}}, {}, Overrides(), "as-user-extra of k of the kubeconfig is no list"),
        ({"as": "a\nX: y"}, {}, Overrides(), "cannot be sent as 'Impersonate-User'"),
        ({"as": "a", "as-user-extra": {"k k": ["v"]}}, {}, Overrides(), "cannot be sent as 'Impersonate-Extra-k k'"),
        ({"token": "a\r\nb"}, {}, Overrides(), "cannot be sent as 'Authorization'"),
        ({}, {}, Overrides(user="v"), 'user "v" not found in kubeconfig; there are: u'),
        ({}, {}, Overrides(context="v"), 'context "v" does not exist; there are: c'),
        ({}, {}, Overrides(certificate_authority="/missing"), "/missing cannot be read"),
    ],
)
def test_what_leads_nowhere_is_told(tmp_path, user, cluster, overrides, why):
    with pytest.raises(KubeconfigError, match=why):
        endpoint(config(tmp_path, user, **cluster), overrides)
