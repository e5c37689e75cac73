"""Which plugins ask about what."""

from datetime import UTC, datetime
from functools import partial

from kcpcache.admission.api_binding import ClaimsNeedIdentity, MayBind, MayBindWhatIsNamed, VirtualStorageAllowed
from kcpcache.admission.cached_resource import OneCachedResource, ReferenceAllowed
from kcpcache.admission.certificates import CERTIFICATES_GROUP, SigningRequests
from kcpcache.admission.chain import Chain
from kcpcache.admission.matching import ADMISSION_GROUP, Subjects
from kcpcache.admission.namespace_lifecycle import NamespaceLifecycle
from kcpcache.admission.policies import Policies, PoliciesCompile, ViewOf
from kcpcache.admission.policy_params import KindOfParamsIsReadable, ParamsAreReadable
from kcpcache.admission.quota import Quotas
from kcpcache.admission.reserved import ReservedGroups, ReservedMetadata, ReservedStatus
from kcpcache.admission.role_grants import RBAC_GROUP, BindingsWithinOwnRights, RolesWithinOwnRights
from kcpcache.admission.webhooks import MutatingWebhooks, ValidatingWebhooks, WebhookDispatcher
from kcpcache.admission.workspace import LogicalClustersAreMade, WorkspaceTypeAllowed
from kcpcache.auth.authorize import Authorizer
from kcpcache.meta.names import GroupResource
from kcpcache.meta.virtual_resources import CACHED_RESOURCES, ENDPOINT_SLICES
from kcpcache.registry.catalog import Resource
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.serving import Serving
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.webhook_client import WebhookClient


def default_chain(
    lookup: Lookup,
    serving: Serving,
    authorizer: Authorizer,
    *,
    cached_apis: bool,
    webhooks: WebhookClient | None = None,
    view: ViewOf | None = None,
) -> Chain:
    """All plugins of a server. ``webhooks`` calls them; ``view`` shows policies' parameters (None: stored ones)."""
    claims, may_bind = ClaimsNeedIdentity(), MayBind(lookup, authorizer)
    subjects = Subjects(lookup, serving)
    view = view or partial(_stored_view, lookup)
    roles, bindings = RolesWithinOwnRights(authorizer), BindingsWithinOwnRights(authorizer)
    dispatcher = WebhookDispatcher(webhooks or WebhookClient(), authorizer.authorize)
    return Chain(
        general=[ReservedMetadata(), NamespaceLifecycle(lookup)],
        specific={
            **{GroupResource(ADMISSION_GROUP, name): [PoliciesCompile()] for name in PoliciesCompile.RESOURCES},
            GroupResource(ADMISSION_GROUP, "validatingadmissionpolicies"): [
                PoliciesCompile(),
                KindOfParamsIsReadable(lookup, serving, authorizer),
            ],
            GroupResource(ADMISSION_GROUP, "validatingadmissionpolicybindings"): [
                ParamsAreReadable(lookup, serving, authorizer)
            ],
            **{GroupResource(RBAC_GROUP, name): [roles] for name in ("roles", "clusterroles")},
            **{GroupResource(RBAC_GROUP, name): [bindings] for name in ("rolebindings", "clusterrolebindings")},
            GroupResource("apiextensions.k8s.io", "customresourcedefinitions"): [ReservedGroups()],
            GroupResource("apis.kcp.io", "apiresourceschemas"): [ReservedGroups()],
            GroupResource(CERTIFICATES_GROUP, "certificatesigningrequests"): [SigningRequests(authorizer)],
            GroupResource("apis.kcp.io", "apiexports"): [
                VirtualStorageAllowed(cached_apis=cached_apis),
                claims,
                ReservedStatus(),
            ],
            GroupResource("apis.kcp.io", "apibindings"): [may_bind, claims, ReservedStatus()],
            CACHED_RESOURCES.group_resource: [OneCachedResource(lookup, serving)],
            ENDPOINT_SLICES.group_resource: [ReferenceAllowed(lookup, authorizer)],
            GroupResource("apis.kcp.io", "apiexportendpointslices"): [may_bind],
            GroupResource("tenancy.kcp.io", "workspacetypes"): [MayBindWhatIsNamed(lookup, authorizer)],
            GroupResource("tenancy.kcp.io", "workspaces"): [WorkspaceTypeAllowed(lookup, authorizer)],
            GroupResource("core.kcp.io", "logicalclusters"): [LogicalClustersAreMade()],
        },
        foreign=MutatingWebhooks(lookup, subjects, dispatcher),
        last=[
            Policies(lookup, subjects, serving, view, authorizer.authorize),
            ValidatingWebhooks(lookup, subjects, dispatcher),
            Quotas(lookup, serving),
        ],
    )


def _stored_view(lookup: Lookup, cluster: str, resource: Resource, version: ServedVersion) -> StoredView:
    return StoredView(lookup.caches, resource.definition, version, cluster, lambda: datetime.now(UTC))
