"""What the server itself says about objects at the two ends of their lives, and that nobody owns it."""

from typing import Any, Final

from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.namespaces import NAMESPACE
from kcpcache.registry.crd import CrdRules

CRD: Final[dict[str, Any]] = {"spec": {"versions": [{"name": "v1"}, {"name": "v2", "storage": True}]}}


def test_a_new_definition_has_a_status_with_its_storage_version_and_conditions_to_read():
    new: Object = {**CRD, "status": {"storedVersions": ["v0"], "conditions": [{"type": "Established"}]}}
    CrdRules().prepare_create(new)
    assert new["status"] == {
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": [],
        "storedVersions": ["v2"],
    }


def test_a_deleted_namespace_is_terminating_from_the_first_moment():
    namespace: Object = {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active", "conditions": []}}
    NAMESPACE.prepare_delete(namespace)
    assert namespace["status"] == {"phase": "Terminating", "conditions": []}
