"""Validation and defaults that are peculiar to single built-in resources.

They expect objects of the right types (``schema.structural_schema``) but never raise on others.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kcpcache.registry.builtin.rules import (
    admissionregistration,
    certificates,
    coordination,
    data,
    events,
    limit_ranges,
    namespaces,
    quotas,
    rbac,
    reviews,
)
from kcpcache.registry.builtin.rules.rule import Rules

NO_RULES: Final = Rules()
"""For resources of which there is nothing to say beyond their schema."""

_AUTHORIZATION: Final = "authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"

RULES: Final[Mapping[tuple[str, str], Rules]] = MappingProxyType(
    {
        ("", "configmaps"): data.CONFIG_MAP,
        ("", "secrets"): data.SECRET,
        ("", "namespaces"): namespaces.NAMESPACE,
        ("", "events"): events.CORE_EVENT,
        ("", "resourcequotas"): quotas.RESOURCE_QUOTA,
        ("", "limitranges"): limit_ranges.LIMIT_RANGE,
        ("", "serviceaccounts"): NO_RULES,
        ("", "serviceaccounts/token"): reviews.TOKEN_REQUEST,
        ("events.k8s.io", "events"): events.EVENTS_EVENT,
        (rbac.GROUP, "roles"): rbac.ROLE,
        (rbac.GROUP, "rolebindings"): rbac.ROLE_BINDING,
        (rbac.GROUP, "clusterroles"): rbac.CLUSTER_ROLE,
        (rbac.GROUP, "clusterrolebindings"): rbac.CLUSTER_ROLE_BINDING,
        ("coordination.k8s.io", "leases"): coordination.LEASE,
        ("certificates.k8s.io", "certificatesigningrequests"): certificates.CERTIFICATE_SIGNING_REQUEST,
        (_AUTHORIZATION, "subjectaccessreviews"): reviews.SUBJECT_ACCESS_REVIEW,
        (_AUTHORIZATION, "localsubjectaccessreviews"): reviews.LOCAL_SUBJECT_ACCESS_REVIEW,
        (_AUTHORIZATION, "selfsubjectaccessreviews"): reviews.SELF_SUBJECT_ACCESS_REVIEW,
        (_ADMISSION, "validatingwebhookconfigurations"): admissionregistration.VALIDATING_WEBHOOKS,
        (_ADMISSION, "mutatingwebhookconfigurations"): admissionregistration.MUTATING_WEBHOOKS,
        (_ADMISSION, "validatingadmissionpolicies"): admissionregistration.VALIDATING_ADMISSION_POLICY,
        (
            _ADMISSION,
            "validatingadmissionpolicybindings",
        ): admissionregistration.VALIDATING_ADMISSION_POLICY_BINDING,
    }
)
"""By (group, resource); resources that are missing here have ``NO_RULES``."""
