"""Who asked for a certificate, and who may decide on that (as in kube-apiserver), over HTTP."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from shard_http import Http, rule
from shard_world import Shard

from kcpcache.meta.objects import Object

GROUP = "certificates.k8s.io"
SIGNER = "example.com/signer"
APPROVED = {"type": "Approved", "status": "True", "reason": "Fine"}


@pytest.fixture(scope="module")
def pem() -> str:
    return signing_request("developers")


def signing_request(organization: str) -> str:
    subject = {NameOID.COMMON_NAME: "jane", NameOID.ORGANIZATION_NAME: organization}
    name = x509.Name([x509.NameAttribute(key, value) for key, value in subject.items()])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


@pytest.fixture
async def at(shard: Shard, http: Http) -> str:
    """The requests of a workspace in which eve may write them, and ann also decide for the signers of example.com."""
    cluster = await shard.workspace("work")
    requests = (
        "certificatesigningrequests",
        "certificatesigningrequests/approval",
        "certificatesigningrequests/status",
    )
    await http.grant(cluster, "eve", [rule(GROUP, name, "*") for name in requests], "requests")
    signers = [
        rule(GROUP, "signers", "approve", names=("example.com/*",)),
        rule(GROUP, "signers", "sign", names=(SIGNER,)),
    ]
    await http.grant(cluster, "ann", [*(rule(GROUP, name, "*") for name in requests), *signers], "deciding")
    return f"/clusters/{cluster}/apis/{GROUP}/v1/certificatesigningrequests"


async def ask(http: Http, at: str, pem: str, user: str = "eve", **spec: object) -> Object:
    wanted = {"request": pem, "signerName": SIGNER, "usages": ["client auth"], **spec}
    response = await http.request("POST", at, {"metadata": {"name": "a"}, "spec": wanted}, user=user)
    assert response.status_code == 201, response.text
    found: Object = response.json()
    return found


async def test_the_requester_is_who_asked_whatever_the_request_says(http: Http, at: str, pem: str) -> None:
    found = await ask(http, at, pem, username="root", uid="1", groups=["system:masters"], extra={"x": ["y"]})
    spec = {key: value for key, value in found["spec"].items() if key in {"username", "uid", "groups", "extra"}}
    assert spec == {"username": "eve", "groups": ["system:authenticated"]}
    change = {"spec": {"username": "root"}}
    await http.request("PATCH", f"{at}/a", change, user="eve")
    assert (await http.get(f"{at}/a"))["spec"]["username"] == "eve"


async def test_only_who_may_approve_for_the_signer_decides(http: Http, at: str, pem: str) -> None:
    await ask(http, at, pem)
    decision = {"status": {"conditions": [APPROVED]}}
    code, message = await http.refused("PATCH", f"{at}/a/approval", decision, user="eve")
    assert (code, message) == (
        403,
        (
            f'certificatesigningrequests.{GROUP} "a" is forbidden: '
            f'user not permitted to approve requests with signerName "{SIGNER}"'
        ),
    )
    response = await http.request("PATCH", f"{at}/a/approval", decision, user="ann")
    assert response.status_code == 200, response.text
    (condition,) = response.json()["status"]["conditions"]
    assert condition["lastUpdateTime"] == condition["lastTransitionTime"]
    assert condition["lastUpdateTime"]
    code, message = await http.refused("PATCH", f"{at}/a/approval", {"status": {"conditions": []}}, user="ann")
    assert (code, 'updates may not remove a condition of type "Approved"' in message) == (422, True)


async def test_an_approval_changes_the_conditions_only_and_a_status_never_decides(
    http: Http, at: str, pem: str
) -> None:
    await ask(http, at, pem)
    decision = {"status": {"conditions": [APPROVED], "certificate": "eA=="}}
    code, message = await http.refused("PATCH", f"{at}/a/status", decision, user="ann")
    assert (code, 'updates may not add a condition of type "Approved"' in message) == (422, True)
    response = await http.request("PATCH", f"{at}/a/approval", decision, user="ann")
    assert "certificate" not in response.json()["status"]


async def test_only_who_may_sign_for_the_signer_puts_the_certificate_in(http: Http, at: str, pem: str) -> None:
    await ask(http, at, pem)
    issued = {"status": {"certificate": "eA=="}}
    code, message = await http.refused("PATCH", f"{at}/a/status", issued, user="eve")
    assert (code, "user not permitted to sign requests" in message) == (403, True)
    response = await http.request("PATCH", f"{at}/a/status", issued, user="ann")
    assert (response.status_code, response.json()["status"]["certificate"]) == (200, "eA==")


async def test_nobody_asks_to_become_a_master(http: Http, at: str, pem: str) -> None:
    signer = "kubernetes.io/kube-apiserver-client"
    spec = {"request": signing_request("system:masters"), "signerName": signer, "usages": ["client auth"]}
    code, message = await http.refused("POST", at, {"metadata": {"name": "b"}, "spec": spec})
    assert (code, f"use of {signer} signer with system:masters group is not allowed" in message) == (403, True)
    await ask(http, at, pem, signerName=signer)
