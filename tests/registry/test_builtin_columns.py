from datetime import UTC, datetime, timedelta

import pytest

from kcpcache.meta.columns import AGE_COLUMN, age, human_duration
from kcpcache.meta.objects import nested
from kcpcache.registry.builtin.events import to_events_form
from kcpcache.registry.builtin.resources import BUILTIN_RESOURCES

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
CREATED = {"name": "x", "creationTimestamp": "2026-05-27T12:00:00Z"}
RESOURCES = {(found.group, found.plural): found for found in BUILTIN_RESOURCES}


def cells(group, plural, obj, *, wide=False):
    found = {}
    for column in RESOURCES[group, plural].columns:
        if column.priority and not wide:
            continue
        value = column.value
        found[column.name] = nested(obj, *value.strip(".").split(".")) if isinstance(value, str) else value(obj, NOW)
    return found


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (599, "9m59s"),
        (600, "10m"),
        (659, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (5 * 3600 + 600, "5h10m"),
        (8 * 3600 + 600, "8h"),
        (47 * 3600, "47h"),
        (2 * 86400, "2d"),
        (3 * 86400 + 4 * 3600, "3d4h"),
        (8 * 86400 + 4 * 3600, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (760 * 86400, "2y30d"),
        (8 * 365 * 86400 + 86400, "8y"),
    ],
)
def test_durations_read_as_kubectl_prints_them(seconds, text):
    assert human_duration(timedelta(seconds=seconds)) == text


def test_the_age_is_unknown_without_a_creation_time():
    assert age({"metadata": CREATED}, NOW) == "5d"
    for obj in ({}, {"metadata": None}, {"metadata": {}}, {"metadata": {"creationTimestamp": "soon"}}):
        assert age(obj, NOW) == "<unknown>"


def test_a_column_describes_itself_for_the_table():
    assert AGE_COLUMN.definition() == {
        "name": "Age",
        "type": "string",
        "format": "",
        "description": "Time since the object was created.",
        "priority": 0,
    }


@pytest.mark.parametrize(
    ("group", "plural", "obj", "expected"),
    [
        ("", "configmaps", {"data": {"a": "1"}, "binaryData": {"b": ""}}, {"Data": 2}),
        ("", "secrets", {"type": "Opaque", "data": {"a": ""}}, {"Type": "Opaque", "Data": 1}),
        ("", "namespaces", {"status": {"phase": "Active"}}, {"Status": "Active"}),
        ("", "serviceaccounts", {}, {"Secrets": 0}),
        (
            "",
            "resourcequotas",
            {"status": {"hard": {"limits.cpu": "4", "pods": "3", "cpu": "2"}, "used": {"cpu": "1"}}},
            {"Request": "cpu: 1/2, pods: 0/3", "Limit": "limits.cpu: 0/4"},
        ),
        ("coordination.k8s.io", "leases", {"spec": {"holderIdentity": "me"}}, {"Holder": "me"}),
        (
            "certificates.k8s.io",
            "certificatesigningrequests",
            {
                "spec": {"signerName": "example.com/s", "username": "anna", "expirationSeconds": 3600},
                "status": {"conditions": [{"type": "Approved"}], "certificate": "eA=="},
            },
            {
                "SignerName": "example.com/s",
                "Requestor": "anna",
                "RequestedDuration": "60m",
                "Condition": "Approved,Issued",
            },
        ),
        (
            "admissionregistration.k8s.io",
            "validatingadmissionpolicies",
            {"spec": {"validations": [{}, {}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}},
            {"Validations": 2, "ParamKind": "v1/ConfigMap"},
        ),
        (
            "admissionregistration.k8s.io",
            "validatingadmissionpolicybindings",
            {"spec": {"policyName": "p", "paramRef": {"selector": {}, "namespace": "n"}}},
            {"PolicyName": "p", "ParamRef": "n/*"},
        ),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", {"webhooks": [{}]}, {"Webhooks": 1}),
    ],
)
def test_types_show_what_kube_apiserver_shows(group, plural, obj, expected):
    found = cells(group, plural, {"metadata": CREATED, **obj})
    assert found == {"Name": "x", "Age": "5d"} | expected


def test_a_pending_request_without_duration_says_so():
    found = cells("certificates.k8s.io", "certificatesigningrequests", {"metadata": CREATED, "spec": {}})
    assert (found["RequestedDuration"], found["Condition"]) == ("<none>", "Pending")


@pytest.mark.parametrize("plural", ["roles", "clusterroles"])
def test_roles_show_when_they_were_created(plural):
    found = cells("rbac.authorization.k8s.io", plural, {"metadata": CREATED})
    assert found == {"Name": "x", "Created At": "2026-05-27T12:00:00Z"}


def test_bindings_show_their_subjects_only_when_asked():
    binding = {
        "metadata": CREATED,
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [
            {"kind": "User", "name": "anna"},
            {"kind": "User", "name": "bert"},
            {"kind": "ServiceAccount", "name": "sa", "namespace": "ns"},
        ],
    }
    narrow = cells("rbac.authorization.k8s.io", "rolebindings", binding)
    assert narrow == {"Name": "x", "Role": "ClusterRole/view", "Age": "5d"}
    wide = cells("rbac.authorization.k8s.io", "rolebindings", binding, wide=True)
    assert (wide["Users"], wide["Groups"], wide["ServiceAccounts"]) == ("anna, bert", "", "ns/sa")


EVENT = {
    "metadata": CREATED,
    "type": "Warning",
    "reason": "Failed",
    "message": "it failed\n",
    "involvedObject": {"kind": "ConfigMap", "name": "c", "fieldPath": "data"},
    "source": {"component": "controller", "host": "node"},
    "firstTimestamp": "2026-06-01T11:00:00Z",
    "lastTimestamp": "2026-06-01T11:58:00Z",
    "count": 3,
}


@pytest.mark.parametrize("group", ["", "events.k8s.io"])
def test_events_show_the_same_in_both_forms(group):
    event = to_events_form(EVENT) if group else EVENT
    assert cells(group, "events", event, wide=True) == {
        "Last Seen": "2m",
        "Type": "Warning",
        "Reason": "Failed",
        "Object": "configmap/c",
        "Subobject": "data",
        "Source": "controller, node",
        "Message": "it failed",
        "First Seen": "60m",
        "Count": 3,
        "Name": "x",
    }


def test_an_event_series_tells_when_it_was_last_seen_and_how_often():
    event = {
        "eventTime": "2026-06-01T11:59:00.000000Z",
        "series": {"count": 7, "lastObservedTime": "2026-06-01T11:59:30.000000Z"},
        "reportingComponent": "me",
    }
    found = cells("", "events", event, wide=True)
    assert (found["Last Seen"], found["First Seen"], found["Count"]) == ("30s", "60s", 7)
    single = cells("", "events", {k: v for k, v in event.items() if k != "series"}, wide=True)
    assert (single["Last Seen"], single["Count"], single["Source"]) == ("60s", 1, "me")


@pytest.mark.parametrize("found", BUILTIN_RESOURCES, ids=lambda found: f"{found.plural}.{found.group}")
def test_an_empty_object_can_be_shown(found):
    assert cells(found.group, found.plural, {"metadata": CREATED}, wide=True)
