"""Bodies that kubectl 1.32 sent, byte for byte."""

import pytest

from kcpcache.meta.protobuf import decode_body
from kcpcache.registry.builtin.wire import protobuf_types

RBAC = "rbac.authorization.k8s.io"
BODIES = {
    "kubectl create configmap demo --from-literal=a=1 --from-literal=b=zwei --from-file=bin.dat": (
        (
            "6b3873000a0f0a0276311209436f6e6669674d617012390a140a0464656d6f12001a0022002a0032003800420012060a016112"
            "013112090a016212047a7765691a0e0a0762696e2e64617412030001ff1a002200"
        ),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "demo"},
            "data": {"a": "1", "b": "zwei"},
            "binaryData": {"bin.dat": "AAH/"},
        },
    ),
    "kubectl create secret generic s1 --from-literal=pw=geheim": (
        (
            "6b3873000a0c0a027631120653656372657412240a120a02733112001a0022002a00320038004200120c0a027077120667656865"
            "696d1a001a002200"
        ),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s1"}, "data": {"pw": "Z2VoZWlt"}},
    ),
    "kubectl create namespace n1": (
        "6b3873000a0f0a02763112094e616d657370616365121a0a120a026e3112001a0022002a0032003800420012001a020a001a002200",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n1"}},
    ),
    "kubectl create token sa1 --duration=600s --audience=api": (
        (
            "6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631120c546f6b656e52657175657374"
            "12220a100a0012001a0022002a0032003800420012080a0361706920d8041a040a0012001a002200"
        ),
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {},
            "spec": {"audiences": ["api"], "expirationSeconds": 600},
            "status": {"token": ""},
        },
    ),
    "kubectl create token sa1": (
        (
            "6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631120c546f6b656e52657175657374"
            "121a0a100a0012001a0022002a0032003800420012001a040a0012001a002200"
        ),
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {},
            "spec": {},
            "status": {"token": ""},
        },
    ),
    "kubectl create clusterrolebinding crb --clusterrole=view --user=anna --group=devs --serviceaccount=default:sa1": (
        (
            "6b3873000a320a1c726261632e617574686f72697a6174696f6e2e6b38732e696f2f76311212436c7573746572526f6c6542696e"
            "64696e6712be010a130a0363726212001a0022002a0032003800420012290a04557365721219726261632e617574686f72697a61"
            "74696f6e2e6b38732e696f1a04616e6e612200122a0a0547726f75701219726261632e617574686f72697a6174696f6e2e6b3873"
            "2e696f1a0464657673220012200a0e536572766963654163636f756e7412001a03736131220764656661756c741a2e0a19726261"
            "632e617574686f72697a6174696f6e2e6b38732e696f120b436c7573746572526f6c651a04766965771a002200"
        ),
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "crb"},
            "subjects": [
                {"kind": "User", "apiGroup": RBAC, "name": "anna"},
                {"kind": "Group", "apiGroup": RBAC, "name": "devs"},
                {"kind": "ServiceAccount", "name": "sa1", "namespace": "default"},
            ],
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
        },
    ),
    "kubectl create role r --verb=get,list --resource=configmaps --resource-name=x": (
        (
            "6b3873000a240a1c726261632e617574686f72697a6174696f6e2e6b38732e696f2f76311204526f6c6512310a110a017212001a"
            "0022002a00320038004200121c0a036765740a046c69737412001a0a636f6e6669676d6170732201781a002200"
        ),
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "Role",
            "metadata": {"name": "r"},
            "rules": [
                {
                    "verbs": ["get", "list"],
                    "apiGroups": [""],
                    "resources": ["configmaps"],
                    "resourceNames": ["x"],
                }
            ],
        },
    ),
    "kubectl create clusterrole agg --aggregation-rule=a=b": (
        (
            "6b3873000a2b0a1c726261632e617574686f72697a6174696f6e2e6b38732e696f2f7631120b436c7573746572526f6c6512210a"
            "130a0361676712001a0022002a003200380042001a0a0a080a060a01611201621a002200"
        ),
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "agg"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
        },
    ),
    "kubectl create quota q --hard=cpu=1,configmaps=10 --scopes=BestEffort": (
        (
            "6b3873000a130a027631120d5265736f7572636551756f746112430a110a017112001a0022002a00320038004200122c0a120a0a"
            "636f6e6669676d61707312040a0231300a0a0a0363707512030a0131120a426573744566666f72741a001a002200"
        ),
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q"},
            "spec": {"hard": {"configmaps": "10", "cpu": "1"}, "scopes": ["BestEffort"]},
        },
    ),
    "kubectl auth can-i get configmaps": (
        (
            "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a6563744163636573735265"
            "7669657712420a100a0012001a0022002a0032003800420012240a220a0764656661756c7412036765741a0022002a0a636f6e66"
            "69676d61707332003a001a08080012001a0020001a002200"
        ),
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "configmaps"}},
            "status": {"allowed": False},
        },
    ),
    "kubectl auth can-i get /healthz": (
        (
            "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a6563744163636573735265"
            "76696577122f0a100a0012001a0022002a003200380042001211120f0a082f6865616c74687a12036765741a08080012001a0020"
            "001a002200"
        ),
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"nonResourceAttributes": {"path": "/healthz", "verb": "get"}},
            "status": {"allowed": False},
        },
    ),
    "kubectl auth can-i --list": (
        (
            "6b3873000a310a17617574686f72697a6174696f6e2e6b38732e696f2f7631121653656c665375626a65637452756c6573526576"
            "69657712230a100a0012001a0022002a0032003800420012090a0764656661756c741a04180022001a002200"
        ),
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "metadata": {},
            "spec": {"namespace": "default"},
            "status": {"incomplete": False},
        },
    ),
    "kubectl auth whoami": (
        (
            "6b3873000a2d0a1861757468656e7469636174696f6e2e6b38732e696f2f7631121153656c665375626a65637452657669657712"
            "1a0a100a0012001a0022002a0032003800420012060a040a0012001a002200"
        ),
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}},
    ),
}


@pytest.mark.parametrize("command", BODIES)
def test_what_kubectl_sends_decodes_to_what_its_json_would_say(command):
    sent, expected = BODIES[command]
    assert decode_body(bytes.fromhex(sent), protobuf_types()) == expected


@pytest.mark.parametrize(
    "api_version",
    ["v1", "meta.k8s.io/v1", f"{RBAC}/v1", "coordination.k8s.io/v1", "apiextensions.k8s.io/v1"],
)
def test_delete_options_are_known_in_the_group_of_the_object_they_are_about(api_version):
    type_meta = _field(1, api_version.encode()) + _field(2, b"DeleteOptions")
    options = _field(1, 0) + _field(2, _field(1, b"u-1")) + _field(4, b"Foreground") + _field(5, b"All")
    sent = b"k8s\x00" + _field(1, type_meta) + _field(2, options)
    assert decode_body(sent, protobuf_types()) == {
        "apiVersion": api_version,
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u-1"},
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    }


def test_a_crd_keeps_its_recursive_schema_and_its_unions():
    string = _field(5, b"string")
    items = _field(24, _field(1, string))
    anything = _field(30, _field(1, 1))
    schema = b"".join(
        [
            _field(5, b"object"),
            _field(29, _field(1, b"name") + _field(2, string)),
            _field(29, _field(1, b"list") + _field(2, _field(5, b"array") + items)),
            _field(29, _field(1, b"map") + _field(2, anything)),
            _field(37, 1),
            _field(38, 1),
        ]
    )
    version = b"".join(
        [_field(1, b"v1"), _field(2, 1), _field(3, 0), _field(4, _field(1, schema)), _field(5, _field(1, b""))]
    )
    type_meta = _field(1, b"apiextensions.k8s.io/v1") + _field(2, b"CustomResourceDefinition")
    sent = b"k8s\x00" + _field(1, type_meta) + _field(2, _field(2, _field(7, version)))
    assert decode_body(sent, protobuf_types())["spec"]["versions"] == [
        {
            "name": "v1",
            "served": True,
            "storage": False,
            "schema": {
                "openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "list": {"type": "array", "items": {"type": "string"}},
                        "map": {"additionalProperties": True},
                    },
                    "nullable": True,
                    "x-kubernetes-preserve-unknown-fields": True,
                }
            },
            "subresources": {"status": {}},
        }
    ]


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80, number >> 7])


def _field(number: int, value: bytes | int) -> bytes:
    """One field of the wire format; numbers and lengths below 16384."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value
