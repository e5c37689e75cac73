"""What kcp's types demand beyond their schemas: rules, accepted spellings, and conversions between their versions."""

from collections.abc import Callable, Mapping

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object
from kcpcache.meta.virtual_resources import CACHED_RESOURCES, ENDPOINT_SLICES
from kcpcache.registry.kcp import cached_resource, conversion, tenancy
from kcpcache.registry.kcp.api_binding import ApiBindingRules
from kcpcache.registry.kcp.api_export import ApiExportRules
from kcpcache.registry.kcp.api_resource_schema import ApiResourceSchemaRules
from kcpcache.registry.kcp.endpoint_slices import EndpointSliceRules
from kcpcache.registry.resource import Convert, Rules

RULES: Mapping[GroupResource, Rules] = {
    CACHED_RESOURCES.group_resource: cached_resource.CachedResourceRules(),
    ENDPOINT_SLICES.group_resource: EndpointSliceRules("cachedResource"),
    GroupResource("apis.kcp.io", "apiexportendpointslices"): EndpointSliceRules("export"),
    GroupResource("apis.kcp.io", "apiresourceschemas"): ApiResourceSchemaRules(),
    conversion.API_EXPORTS: ApiExportRules(),
    conversion.API_BINDINGS: ApiBindingRules(),
    GroupResource("tenancy.kcp.io", "workspaces"): tenancy.WorkspaceRules(),
    GroupResource("tenancy.kcp.io", "workspacetypes"): tenancy.WorkspaceTypeRules(),
    GroupResource("core.kcp.io", "logicalclusters"): tenancy.LogicalClusterRules(),
    GroupResource("topology.kcp.io", "partitions"): tenancy.PartitionRules(),
    GroupResource("topology.kcp.io", "partitionsets"): tenancy.PartitionSetRules(),
}
NORMALIZERS: Mapping[GroupResource, Callable[[Object], None]] = {
    CACHED_RESOURCES.group_resource: cached_resource.normalize
}
PATCH_NORMALIZERS: Mapping[GroupResource, Callable[[Object], None]] = {
    CACHED_RESOURCES.group_resource: cached_resource.normalize_patch
}
"""For the documents of JSON merge patches, before they are applied."""
CONVERSIONS: Mapping[GroupResource, Convert] = conversion.CONVERSIONS
