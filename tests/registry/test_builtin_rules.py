import base64
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcpcache.registry.builtin.rules import RULES
from kcpcache.registry.builtin.rules.quantities import canonical, quantity

RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
CONFIG_MAPS, SECRETS, NAMESPACES = RULES["", "configmaps"], RULES["", "secrets"], RULES["", "namespaces"]


def b64(text):
    return base64.b64encode(text.encode()).decode()


def messages(errors):
    return [error.message for error in errors]


def defaulted(rules, obj):
    rules.default(obj)
    once = deepcopy(obj)
    rules.default(obj)
    assert obj == once, "defaulting must be idempotent"
    return obj


# ConfigMaps


def test_keys_of_config_maps_are_file_names():
    long = "k" * 254
    found = messages(CONFIG_MAPS.validate({"data": {"a/b": "", "..": "", "..x": "", long: "", "ok.-_K9": ""}}))
    regex = (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
        "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
    )
    assert found == [
        "data[..]: Invalid value: \"..\": must not be '..'",
        "data[..x]: Invalid value: \"..x\": must not start with '..'",
        f'data[a/b]: Invalid value: "a/b": {regex}',
        f'data[{long}]: Invalid value: "{long}": must be no more than 253 characters',
    ]


def test_a_key_is_either_text_or_binary():
    found = CONFIG_MAPS.validate({"data": {"a": "1"}, "binaryData": {"a": b64("1")}})
    assert messages(found) == ['data[a]: Invalid value: "a": duplicate of key present in binaryData']


def test_a_config_map_holds_a_mebibyte():
    full = {"data": {"a": "x" * (1024 * 1024 - 2)}, "binaryData": {"b": b64("xx")}}
    assert CONFIG_MAPS.validate(full) == []
    full["data"]["c"] = "é"
    assert messages(CONFIG_MAPS.validate(full)) == ["[]: Too long: may not be more than 1048576 bytes"]


def test_binary_data_must_be_base64():
    assert [error.path for error in CONFIG_MAPS.validate({"binaryData": {"a": "*"}})] == ["binaryData[a]"]


def test_an_immutable_config_map_changes_no_more():
    old = {"immutable": True, "data": {"a": "1"}}
    fixed = "Forbidden: field is immutable when `immutable` is set"
    assert CONFIG_MAPS.validate_update({**old, "metadata": {"labels": {"a": "b"}}}, old) == []
    assert messages(CONFIG_MAPS.validate_update({"data": {"a": "2"}, "binaryData": {"b": ""}}, old)) == [
        f"immutable: {fixed}",
        f"data: {fixed}",
        f"binaryData: {fixed}",
    ]
    assert CONFIG_MAPS.validate_update(old, {"data": {"a": "0"}}) == []


# Secrets


def test_string_data_is_folded_into_data_and_wins():
    secret = defaulted(SECRETS, {"data": {"a": b64("old"), "b": b64("b")}, "stringData": {"a": "new", "c": ""}})
    assert secret == {"type": "Opaque", "data": {"a": b64("new"), "b": b64("b"), "c": ""}}
    assert defaulted(SECRETS, {"stringData": {"a": "1"}})["data"] == {"a": b64("1")}
    assert defaulted(SECRETS, {"type": "example.com/t"}) == {"type": "example.com/t"}


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("Opaque", {}, []),
        ("example.com/own", {}, []),
        (
            "kubernetes.io/service-account-token",
            {},
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
        (
            "kubernetes.io/basic-auth",
            {},
            ["data[username]: Required value", "data[password]: Required value"],
        ),
        ("kubernetes.io/basic-auth", {"password": b64("x")}, []),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": ""}, ["data[ssh-privatekey]: Required value"]),
        ("kubernetes.io/tls", {"tls.crt": b64("x")}, ["data[tls.key]: Required value"]),
        ("kubernetes.io/tls", {"tls.crt": "", "tls.key": ""}, []),
        ("kubernetes.io/dockercfg", {}, ["data[.dockercfg]: Required value"]),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": b64("{}")}, []),
        (
            "kubernetes.io/dockerconfigjson",
            {".dockerconfigjson": b64("[]")},
            ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": must be a JSON object'],
        ),
    ],
)
def test_well_known_secret_types_ask_for_their_items(kind, data, expected):
    assert messages(SECRETS.validate({"type": kind, "data": data})) == expected


def test_a_broken_docker_config_does_not_show_its_contents():
    secret = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": b64('{"auth": "geheim')}}
    (error,) = SECRETS.validate(secret)
    assert "geheim" not in error.message


def test_a_token_secret_names_its_account():
    annotations = {"kubernetes.io/service-account.name": "sa"}
    secret = {"type": "kubernetes.io/service-account-token", "metadata": {"annotations": annotations}}
    assert SECRETS.validate(secret) == []


def test_type_and_immutable_data_of_a_secret_stay():
    old = {"type": "Opaque", "data": {"a": ""}, "immutable": True}
    new = {"type": "kubernetes.io/tls", "data": {}, "immutable": True}
    assert messages(SECRETS.validate_update(new, old)) == [
        'type: Invalid value: "kubernetes.io/tls": field is immutable',
        "data: Forbidden: field is immutable when `immutable` is set",
    ]


def test_a_secret_holds_a_mebibyte():
    secret = {"data": {"a": b64("x" * (1024 * 1024 + 1))}}
    assert messages(SECRETS.validate(secret)) == ["data: Too long: may not be more than 1048576 bytes"]


# Namespaces


def test_a_new_namespace_is_active_held_and_labelled():
    made = defaulted(NAMESPACES, {"metadata": {"name": "n", "labels": {"a": "b"}}})
    NAMESPACES.prepare_create(made)
    assert made == {
        "metadata": {"name": "n", "labels": {"a": "b", "kubernetes.io/metadata.name": "n"}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def test_the_name_label_cannot_lie():
    found = defaulted(NAMESPACES, {"metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "other"}}})
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}


@pytest.mark.parametrize("meta", [{}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}])
def test_a_namespace_that_was_finalized_is_not_held_again(meta):
    finalized = {"metadata": {"name": "n", **meta}, "spec": {"finalizers": ["example.com/f"]}}
    assert defaulted(NAMESPACES, deepcopy(finalized))["spec"] == {"finalizers": ["example.com/f"]}


def test_an_ordinary_update_keeps_the_finalizers_of_a_namespace():
    new = {"spec": {"finalizers": []}}
    NAMESPACES.prepare_update(new, {"spec": {"finalizers": ["kubernetes"]}})
    assert new == {"spec": {"finalizers": ["kubernetes"]}}


def test_whoever_finalizes_a_namespace_is_told_which_finalizer_is_wrong_and_all_that_is():
    """``ValidateNamespaceFinalizeUpdate`` of Kubernetes 1.33: with the place in the list, other than for a new one."""
    new = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes", ""]}}
    stored = deepcopy(new) | {"metadata": {"name": "n", "resourceVersion": "1"}}
    neither = 'Invalid value: "": name is neither a standard finalizer name nor is it fully qualified'
    for namespace, path in ((new, "spec.finalizers"), (stored, "spec.finalizers[1]")):
        found = messages(NAMESPACES.validate(namespace))
        assert found[0] == f'{path}: Invalid value: "": name part must be non-empty'
        assert found[-1] == f"{path}: {neither}"
        assert len(found) == 3


def test_no_finalizers_of_a_namespace_are_left_out():
    assert defaulted(NAMESPACES, {"metadata": {"name": "n"}, "spec": {"finalizers": []}})["spec"] == {}


@pytest.mark.parametrize(
    ("deleted", "phase", "expected"),
    [
        (False, "Active", []),
        (False, "Terminating", ["may only be 'Active' if `deletionTimestamp` is empty"]),
        (True, "Terminating", []),
        (True, "Active", ["may only be 'Terminating' if `deletionTimestamp` is not empty"]),
    ],
)
def test_the_phase_of_a_namespace_says_whether_it_is_being_deleted(deleted, phase, expected):
    meta = {"name": "n"} | ({"deletionTimestamp": "2030-01-01T00:00:00Z"} if deleted else {})
    old = {"metadata": meta, "status": {"phase": "Terminating" if deleted else "Active"}}
    found = messages(NAMESPACES.validate_update({"metadata": meta, "status": {"phase": phase}}, old))
    assert found == [f'status.Phase: Invalid value: "{phase}": {why}' for why in expected]


def test_a_namespace_has_no_grace():
    namespace = {"metadata": {"name": "n", "deletionGracePeriodSeconds": 0}}
    NAMESPACES.prepare_delete(namespace)
    assert namespace == {"metadata": {"name": "n"}, "status": {"phase": "Terminating"}}


@pytest.mark.parametrize("plain", [{"k": 1}, {"k": True, "l": "x"}, "x", [1]])
def test_plain_items_of_a_secret_that_are_no_text_stay_to_be_refused(plain):
    assert defaulted(SECRETS, {"stringData": plain}) == {"stringData": plain, "type": "Opaque"}


@pytest.mark.parametrize("data", [{"k": "!"}, {"k": 1}, "x"])
def test_data_of_a_secret_that_is_none_stays_to_be_refused_where_plain_data_would_take_its_place(data):
    """It is decoded first (Secret.Data is []byte), and ``stringData`` put over it afterwards."""
    assert defaulted(SECRETS, {"data": data, "stringData": {"k": "v"}}) == {"data": data, "type": "Opaque"}


def test_finalizers_of_namespaces_are_standard_or_qualified():
    found = NAMESPACES.validate({"spec": {"finalizers": ["kubernetes", "example.com/f", "mine", "a b/c"]}})
    assert messages(found)[0] == (
        'spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified'
    )
    assert len(found) == 2


# RBAC


def test_policy_rules_say_something():
    found = RULES[RBAC, "roles"].validate({"rules": [{}, {"verbs": ["get"], "nonResourceURLs": ["/"]}]})
    assert messages(found) == [
        "rules[0].verbs: Required value: verbs must contain at least one value",
        "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        "rules[0].resources: Required value: resource rules must supply at least one resource",
        'rules[1].nonResourceURLs: Invalid value: ["/"]: namespaced rules cannot apply to non-resource URLs',
    ]


def test_cluster_roles_may_speak_of_paths_but_not_of_both():
    rules = RULES[RBAC, "clusterroles"]
    assert rules.validate({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}) == []
    mixed = {"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"]}
    assert messages(rules.validate({"rules": [mixed]})) == [
        (
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: '
            "rules cannot apply to both regular resources and non-resource URLs"
        )
    ]


def test_aggregation_needs_a_good_selector():
    rules = RULES[RBAC, "clusterroles"]
    assert messages(rules.validate({"aggregationRule": {}})) == [
        (
            "aggregationRule.clusterRoleSelectors: Required value: "
            "at least one clusterRoleSelector required if aggregationRule is non-nil"
        )
    ]
    selectors = [{"matchLabels": {"a": "b"}}, {"matchExpressions": [{"key": "a", "operator": "In"}]}]
    assert messages(rules.validate({"aggregationRule": {"clusterRoleSelectors": selectors}})) == [
        (
            "aggregationRule.clusterRoleSelectors[1].matchExpressions[0].values: Required value: "
            "must be specified when `operator` is 'In' or 'NotIn'"
        )
    ]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}, []),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x", ""]}]}, []),
        (
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]},
            [
                (
                    ".matchExpressions[0].values: Forbidden: "
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
            ],
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Near"}]},
            ['.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator'],
        ),
    ],
)
def test_selectors_ask_only_what_labels_can_answer(selector, expected):
    found = RULES[RBAC, "clusterroles"].validate({"aggregationRule": {"clusterRoleSelectors": [selector]}})
    assert messages(found) == [f"aggregationRule.clusterRoleSelectors[0]{text}" for text in expected]


def test_selectors_hold_valid_labels():
    selector = {"matchLabels": {"a b": "c"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["x y"]}]}
    found = RULES[RBAC, "clusterroles"].validate({"aggregationRule": {"clusterRoleSelectors": [selector]}})
    assert [error.path.removeprefix("aggregationRule.clusterRoleSelectors[0]") for error in found] == [
        ".matchLabels",
        ".matchExpressions[0].values[0]",
    ]


def test_bindings_mean_rbac_where_no_group_is_given():
    binding = {
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [
            {"kind": "User", "name": "u"},
            {"kind": "Group", "name": "g"},
            {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
        ],
    }
    found = defaulted(RULES[RBAC, "rolebindings"], binding)
    assert found["roleRef"]["apiGroup"] == RBAC
    assert [subject.get("apiGroup") for subject in found["subjects"]] == [RBAC, RBAC, None]
    assert RULES[RBAC, "rolebindings"].validate(found) == []


def test_binding_mistakes_are_told_in_kubes_words():
    binding = {
        "roleRef": {"apiGroup": "x", "kind": "Role", "name": "a/b"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "S", "apiGroup": RBAC},
            {"kind": "User", "apiGroup": "x"},
            {"kind": "Robot", "name": "r"},
        ],
    }
    found = messages(RULES[RBAC, "clusterrolebindings"].validate(binding))
    assert found[:3] == [
        f'roleRef.apiGroup: Unsupported value: "x": supported values: "{RBAC}"',
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        "roleRef.name: Invalid value: \"a/b\": may not contain '/'",
    ]
    assert found[3].startswith('subjects[0].name: Invalid value: "S": a lowercase RFC 1123 subdomain')
    assert found[4:] == [
        f'subjects[0].apiGroup: Unsupported value: "{RBAC}": supported values: ""',
        "subjects[0].namespace: Required value",
        "subjects[1].name: Required value",
        f'subjects[1].apiGroup: Unsupported value: "x": supported values: "{RBAC}"',
        'subjects[2].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
    ]


def test_a_binding_keeps_its_role():
    old = {"roleRef": {"kind": "ClusterRole", "name": "view"}}
    new = {"roleRef": {"kind": "ClusterRole", "name": "admin"}}
    for plural in ("rolebindings", "clusterrolebindings"):
        (error,) = RULES[RBAC, plural].validate_update(new, old)
        assert error.path == "roleRef"
        assert error.message.endswith("cannot change roleRef")
        assert RULES[RBAC, plural].validate_update(old, old) == []


# Leases


def test_leases_last_and_count():
    spec = {"leaseDurationSeconds": 0, "leaseTransitions": -1, "preferredHolder": "x"}
    assert messages(RULES["coordination.k8s.io", "leases"].validate({"spec": spec})) == [
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined",
    ]


def test_leases_have_no_strategy_but_one_from_before():
    """leaseStrategy.PrepareForCreate and PrepareForUpdate: CoordinatedLeaderElection is off by default in 1.33."""
    leases = RULES["coordination.k8s.io", "leases"]
    coordinated = {"strategy": "OldestEmulationVersion", "preferredHolder": "x", "holderIdentity": "y"}
    sent = {"spec": coordinated}
    made = dict(sent)
    leases.prepare_create(made)
    assert made == {"spec": {"holderIdentity": "y"}}
    assert sent["spec"] == coordinated
    new = {"spec": dict(coordinated)}
    leases.prepare_update(new, {"spec": {"strategy": "OldestEmulationVersion"}})
    assert new == {"spec": {"strategy": "OldestEmulationVersion", "holderIdentity": "y"}}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("OldestEmulationVersion", []),
        ("example.com/Mine", []),
        ("Newest", ['Unsupported value: "Newest": supported values: "OldestEmulationVersion"']),
    ],
)
def test_strategies_of_leases_are_known_or_qualified(strategy, expected):
    found = RULES["coordination.k8s.io", "leases"].validate({"spec": {"strategy": strategy}})
    assert messages(found) == [f"spec.strategy.strategy: {why}" for why in expected]


# Events


@pytest.mark.parametrize(
    ("own", "other", "fits"),
    [("a", "a", True), ("a", "b", False), ("default", "", True), ("a", "", False)],
)
def test_an_event_stands_in_the_namespace_of_its_object(own, other, fits):
    event = {"metadata": {"namespace": own}, "involvedObject": {"namespace": other}}
    expected = [f'involvedObject.namespace: Invalid value: "{other}": does not match event.namespace']
    assert messages(RULES["", "events"].validate(event)) == ([] if fits else expected)


def test_an_event_with_a_precise_time_says_who_saw_what():
    event = {
        "metadata": {"namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingComponent": "c",
        "reportingInstance": "x" * 129,
        "action": "a",
        "message": "m" * 1025,
    }
    assert messages(RULES["", "events"].validate(event)) == [
        'reportingInstance: Invalid value: "": can have at most 128 characters',
        "reason: Required value",
        'message: Invalid value: "": can have at most 1024 characters',
    ]


def test_the_newer_form_is_stricter_and_only_its_series_goes_on():
    rules = RULES["events.k8s.io", "events"]
    event = {
        "metadata": {"namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "c",
        "reportingInstance": "i",
        "action": "a",
        "reason": "r",
        "type": "Normal",
    }
    assert rules.validate(event) == []
    assert messages(rules.validate({})) == ["eventTime: Required value"]
    broken = {**event, "type": "Odd", "series": {"count": 1}, "deprecatedCount": 1}
    assert [error.path for error in rules.validate(broken)] == [
        "type",
        "series.count",
        "series.lastObservedTime",
        "deprecatedCount",
    ]
    assert rules.validate_update({**event, "series": {"count": 2}}, event) == []
    assert messages(rules.validate_update({**event, "note": "n"}, event)) == [
        'note: Invalid value: "n": field is immutable'
    ]


# Quotas and limits


def test_quotas_limit_known_resources_by_quantities():
    hard = {
        "cpu": "1",
        "count/configmaps": "5",
        "requests.memory": "1Gi",
        "requests.hugepages-2Mi": "1",
        "mood": "1",
        "pods": "0.5",
        "secrets": "-1",
        "services": "many",
    }
    found = messages(RULES["", "resourcequotas"].validate({"spec": {"hard": hard, "scopes": ["Odd"]}}))
    assert found == [
        'spec.hard[mood]: Invalid value: "mood": must be a standard resource type or fully qualified',
        'spec.hard[mood]: Invalid value: "mood": must be a standard resource for quota',
        'spec.hard[pods]: Invalid value: "0.5": must be an integer',
        'spec.hard[secrets]: Invalid value: "-1": must be greater than or equal to 0',
        (
            'spec.hard[services]: Invalid value: "many": quantities must match the regular expression '
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ),
        'spec.scopes: Invalid value: ["Odd"]: unsupported scope',
    ]


_ONLY_EXISTS = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"hard": {"pods": "1", "requests.cpu": "1"}, "scopes": ["NotBestEffort", "PriorityClass"]}, []),
        ({"hard": {"count/configmaps": "1", "requests.example.com/gpu": "1"}, "scopes": ["BestEffort"]}, []),
        ({"hard": {"persistentvolumeclaims": "1"}, "scopes": ["VolumeAttributesClass"]}, []),
        (
            {"hard": {"configmaps": "1"}, "scopes": ["NotBestEffort"]},
            ['spec.scopes: Invalid value: ["NotBestEffort"]: unsupported scope applied to resource'],
        ),
        (
            {"hard": {"hugepages-2Mi": "1"}, "scopes": ["NotBestEffort"]},
            ['spec.scopes: Invalid value: ["NotBestEffort"]: unsupported scope applied to resource'],
        ),
        (
            {"hard": {"cpu": "1"}, "scopes": ["Terminating", "BestEffort"]},
            ['spec.scopes: Invalid value: ["Terminating","BestEffort"]: unsupported scope applied to resource'],
        ),
        (
            {"scopes": ["Terminating", "NotTerminating"]},
            ['spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes'],
        ),
    ],
)
def test_a_scope_must_fit_what_is_limited(spec, said):
    assert messages(RULES["", "resourcequotas"].validate({"spec": spec})) == said


@pytest.mark.parametrize(
    ("requirements", "said"),
    [
        ([{"scopeName": "PriorityClass", "operator": "In", "values": ["a b"]}], []),
        ([{"scopeName": "BestEffort", "operator": "Exists"}], []),
        (
            [{}],
            [
                'scopeName: Invalid value: "": unsupported scope',
                'operator: Invalid value: "": not a valid selector operator',
            ],
        ),
        (
            [{"scopeName": "PriorityClass", "operator": "In"}],
            [
                (
                    "values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' "
                    "for scope selector"
                ),
            ],
        ),
        (
            [{"scopeName": "PriorityClass", "operator": "Exists", "values": ["a"]}],
            [
                (
                    "values: Invalid value: [\"a\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for "
                    "scope selector"
                )
            ],
        ),
        (
            [{"scopeName": "Terminating", "operator": "In", "values": ["a"]}],
            [f'operator: Invalid value: "In": {_ONLY_EXISTS}'],
        ),
    ],
)
def test_a_scope_selector_says_what_it_selects(requirements, said):
    spec = {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": requirements}}
    path = "spec.scopeSelector.matchExpressions."
    assert messages(RULES["", "resourcequotas"].validate({"spec": spec})) == [path + text for text in said]


def test_a_scope_selector_must_fit_what_is_limited_and_itself():
    both = [{"scopeName": "Terminating", "operator": "Exists"}, {"scopeName": "NotTerminating", "operator": "Exists"}]
    one = [{"scopeName": "BestEffort", "operator": "Exists"}]
    validate = RULES["", "resourcequotas"].validate
    assert messages(validate({"spec": {"scopeSelector": {"matchExpressions": both}}})) == [
        "spec.scopeSelector.matchExpressions: Invalid value: null: conflicting scopes"
    ]
    assert messages(validate({"spec": {"hard": {"cpu": "1"}, "scopeSelector": {"matchExpressions": one}}})) == [
        (
            "spec.scopeSelector.matchExpressions: Invalid value: "
            '{"MatchExpressions":[{"ScopeName":"BestEffort","Operator":"Exists","Values":null}]}: '
            "unsupported scope applied to resource"
        )
    ]


def test_quantities_are_stored_in_canonical_form():
    found = defaulted(RULES["", "resourcequotas"], {"spec": {"hard": {"cpu": 0.5, "memory": "1024Mi", "pods": 3}}})
    assert found["spec"]["hard"] == {"cpu": "500m", "memory": "1Gi", "pods": "3"}


def test_scopes_of_a_quota_stay_in_whatever_order():
    rules = RULES["", "resourcequotas"]
    old = {"spec": {"scopes": ["BestEffort", "Terminating"]}}
    assert rules.validate_update({"spec": {"scopes": ["Terminating", "BestEffort"]}}, old) == []
    assert [error.path for error in rules.validate_update({"spec": {}}, old)] == ["spec.scopes"]


def test_limits_agree_with_one_another():
    limits = [
        {"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "0.5"}},
        {"type": "Pod", "default": {"cpu": "1"}},
        {"type": "Pod"},
    ]
    assert messages(RULES["", "limitranges"].validate({"spec": {"limits": limits}})) == [
        'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
        'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "0.5": ratio 0.5 is less than 1',
        "spec.limits[1].default: Forbidden: may not be specified when `type` is 'Pod'",
        'spec.limits[2].type: Duplicate value: "Pod"',
    ]


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"type": "example.com/Thing", "max": {"example.com/size": "1"}}, []),
        ({"type": "Thing"}, ['type: Invalid value: "Thing": must be a standard limit type or fully qualified']),
        (
            {"type": "Pod", "max": {"size": "1"}},
            [
                'max[size]: Invalid value: "size": must be a standard resource type or fully qualified',
                'max[size]: Invalid value: "size": must be a standard resource for containers',
            ],
        ),
        (
            {"type": "Container", "max": {"requests.example.com/gpu": "1"}},
            [
                (
                    'max[requests.example.com/gpu]: Invalid value: "requests.example.com/gpu": '
                    "doesn't follow extended resource name standard"
                )
            ],
        ),
        (
            {"type": "PersistentVolumeClaim"},
            ["limits: Required value: either minimum or maximum storage value is required, but neither was provided"],
        ),
        ({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}, []),
        (
            {"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}},
            ['maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000'],
        ),
        (
            {"type": "Container", "default": {"example.com/gpu": "2"}, "defaultRequest": {"example.com/gpu": "1"}},
            [
                (
                    'defaultRequest[example.com/gpu]: Invalid value: "1": default value 2 must equal to defaultRequest '
                    "value 1 in example.com/gpu"
                )
            ],
        ),
    ],
)
def test_a_limit_is_of_something_known_and_possible(limit, said):
    found = messages(RULES["", "limitranges"].validate({"spec": {"limits": [limit]}}))
    assert found == [f"spec.limits[0].{text}" for text in said]


def test_container_limits_fill_in_one_another():
    item = {"type": "Container", "max": {"cpu": 2}, "min": {"memory": "1Mi"}}
    found = defaulted(RULES["", "limitranges"], {"spec": {"limits": [item]}})["spec"]["limits"][0]
    assert found["default"] == {"cpu": "2"}
    assert found["defaultRequest"] == {"cpu": "2", "memory": "1Mi"}


@pytest.mark.parametrize(
    ("written", "number"),
    [("1", 1), ("100m", 0.1), ("1.5Gi", 1.5 * 2**30), ("2e3", 2000), (".5", 0.5), ("1E", 10**18), (3, 3)],
)
def test_quantities_are_numbers_with_suffixes(written, number):
    assert float(quantity(written)) == pytest.approx(number)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1000", "1k"),
        ("1500", "1500"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1024Ki", "1Mi"),
        ("1.3Ki", "1332"),
        ("-2000", "-2k"),
        ("1e3", "1e3"),
        ("12E2", "1200"),
        ("5e-3", "5e-3"),
        ("0.0000000001", "1n"),
        ("-0.0000000001", "-1n"),
        ("+.0Mi", "0"),
        ("1000E", "1000E"),
        (1e100, None),
        ("ten", None),
    ],
)
def test_quantities_have_one_canonical_form(written, text):
    assert canonical(written) == text
    if text is not None:
        assert canonical(text) == text


@pytest.mark.parametrize(
    "written", ["", "x", "1x", "1 Gi", "--1", "1e", True, None, [], "9" * 65, "1mi", "1e999", "\u0661"]
)
def test_what_is_no_quantity_is_not_taken_for_one(written):
    assert quantity(written) is None


# Reviews and tokens


def test_a_review_asks_about_exactly_one_thing():
    rules = RULES["authorization.k8s.io", "selfsubjectaccessreviews"]
    assert [error.path for error in rules.validate({"spec": {}})] == ["spec.resourceAttributes"]
    both = {"spec": {"resourceAttributes": {}, "nonResourceAttributes": {}}}
    assert [error.path for error in rules.validate(both)] == ["spec.nonResourceAttributes"]
    assert rules.validate({"spec": {"nonResourceAttributes": {"path": "/"}}}) == []


def test_reviews_of_others_say_who_and_local_ones_where():
    spec = {"resourceAttributes": {"namespace": "other"}}
    assert messages(RULES["authorization.k8s.io", "subjectaccessreviews"].validate({"spec": spec})) == [
        'spec.user: Invalid value: "": at least one of user or group must be specified'
    ]
    local = {"metadata": {"namespace": "mine"}, "spec": {**spec, "groups": ["g"]}}
    assert messages(RULES["authorization.k8s.io", "localsubjectaccessreviews"].validate(local)) == [
        'spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace'
    ]


def test_tokens_last_an_hour_unless_asked_otherwise():
    rules = RULES["", "serviceaccounts/token"]
    assert defaulted(rules, {}) == {"spec": {"expirationSeconds": 3600}}
    assert defaulted(rules, {"spec": {"expirationSeconds": 700}})["spec"] == {"expirationSeconds": 700}
    for seconds, text in ((599, "less than 10 minutes"), (2**32 + 1, "larger than 2^32 seconds")):
        (error,) = rules.validate({"spec": {"expirationSeconds": seconds}})
        assert error.message.endswith(text)


# Arbitrary input

_keys = st.sampled_from(
    [
        *("metadata", "namespace", "spec", "status", "data", "stringData", "type", "rules", "verbs", "subjects"),
        *("roleRef", "kind", "name", "webhooks", "clientConfig", "url", "service", "hard", "limits", "min", "max"),
        *("matchConstraints", "validations", "finalizers", "conditions", "scopes", "eventTime", "series", "labels"),
        *("request", "usages", "signerName", "paramRef", "selector", "matchExpressions", "operator", "scope"),
    ]
)
_leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["User", "Container", "kubernetes.io/tls", "1e100", "https://[", "In"])
)
_json = st.recursive(
    _leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4), max_leaves=20
)
_objects = st.dictionaries(_keys, _json, max_size=5)


@given(st.sampled_from(sorted(RULES)), _objects, _objects)
@settings(max_examples=600)
def test_rules_never_raise_and_defaults_are_idempotent(key, obj, old):
    rules = RULES[key]
    rules.validate(obj)
    rules.validate_update(obj, old)
    rules.prepare_update(obj, deepcopy(old))
    defaulted(rules, obj)
    rules.validate(obj)
