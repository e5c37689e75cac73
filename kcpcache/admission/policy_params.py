"""What a ValidatingAdmissionPolicy is given as ``params``: nobody is shown by its messages what he may not read.

After kube's strategies of both types: ``authz.go`` of ``validatingadmissionpolicy`` and of its binding.
"""

from typing import Final

from kcpcache.admission.chain import MutateNothing, Request
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.meta.errors import InvalidError, field_forbidden
from kcpcache.meta.names import GroupVersionResource, split_api_version
from kcpcache.meta.objects import Object, name_of, nested
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.serving import Serving

_GROUP: Final = "admissionregistration.k8s.io"
_POLICIES: Final = GroupVersionResource(_GROUP, "v1", "validatingadmissionpolicies")
_ANY: Final = "*"


class _ParamsAreReadable(MutateNothing):
    def __init__(self, lookup: Lookup, serving: Serving, authorizer: Authorizer) -> None:
        self._lookup, self._serving, self._authorizer = lookup, serving, authorizer

    def _may_get(self, request: Request, kind: object, namespace: str, name: str) -> bool:
        """Whether the user may get that of a ``paramKind``; of one that is not known, of everything."""
        asked = request.attributes
        group, version, resource = self._resource(asked.cluster, kind)
        wanted = Attributes(
            user=asked.user,
            verb="get",
            cluster=asked.cluster,
            group=group,
            version=version,
            resource=resource,
            namespace=namespace,
            name=name,
        )
        return self._authorizer.authorize(wanted).allowed

    def _resource(self, cluster: str, kind: object) -> tuple[str, str, str]:
        if not isinstance(kind, dict):
            return _ANY, _ANY, _ANY
        group, version = split_api_version(str(kind.get("apiVersion") or ""))
        for found in self._serving.snapshot(cluster).resources.values():
            if (found.definition.group, found.definition.kind) == (group, kind.get("kind")):
                return group, version, found.definition.plural
        return group, version, _ANY


class KindOfParamsIsReadable(_ParamsAreReadable):
    """For validatingadmissionpolicies: its bindings may name any object of the kind."""

    async def validate(self, request: Request) -> None:
        """Raises InvalidError where the user may not get all objects of ``spec.paramKind``."""
        kind = nested(request.new, "spec", "paramKind") if request.new else None
        if not kind or kind == nested(request.old, "spec", "paramKind"):
            return
        if not self._may_get(request, kind, _ANY, _ANY):
            what = f"the referenced paramKind (kind={kind.get('kind')}, apiVersion={kind.get('apiVersion')})"
            why = f'user "{request.attributes.user.name}" must have "get" permission on all objects of {what}'
            raise _refused(request, "ValidatingAdmissionPolicy", "spec.paramKind", why)


class ParamsAreReadable(_ParamsAreReadable):
    """For validatingadmissionpolicybindings."""

    async def validate(self, request: Request) -> None:
        """Raises InvalidError where the user may not get what ``spec.paramRef`` names, or selects among."""
        spec: Object = nested(request.new, "spec", default={}) if request.new else {}
        old: Object = nested(request.old, "spec", default={}) if request.old else {}
        ref, policy = spec.get("paramRef"), str(spec.get("policyName") or "")
        if not ref or (ref == old.get("paramRef") and policy == old.get("policyName")):
            return
        found = self._lookup.get(_POLICIES, request.attributes.cluster, policy)
        kind = nested(found, "spec", "paramKind") if found else None
        if not self._may_get(request, kind, ref.get("namespace") or "", ref.get("name") or ""):
            name = request.attributes.user.name
            why = f'user "{name}" does not have "get" permission on the object referenced by paramRef'
            raise _refused(request, "ValidatingAdmissionPolicyBinding", "spec.paramRef", why)


def _refused(request: Request, kind: str, path: str, why: str) -> InvalidError:
    return InvalidError(_GROUP, kind, name_of(request.new or {}), [field_forbidden(path, why)])
