"""CachedResourceEndpointSlice and APIExportEndpointSlice: what they refer to is there, and stays the same."""

from kcpcache.meta.errors import FieldError, field_required
from kcpcache.meta.names import dns1123_subdomain_errors
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.rules.rule import invalid, section, text
from kcpcache.registry.kcp.claims import reference_errors
from kcpcache.registry.resource import NoRules


class EndpointSliceRules(NoRules):
    """Of the slices that name their source in ``spec.<field>``. See ``registry.resource.Rules``.

    The schema's CEL rule keeps the reference from changing. It does not see one that goes with the whole spec, which
    the schema does not require.
    """

    def __init__(self, field: str) -> None:
        self._field = field

    def validate(self, obj: Object) -> list[FieldError]:
        """The reference, and the name of the Partition if there is one."""
        spec, path = section(obj, "spec"), f"spec.{self._field}"
        if not isinstance(spec.get(self._field), dict):
            return [field_required(path)]
        errors = list(reference_errors(spec[self._field], path))
        if partition := text(spec, "partition"):
            errors += invalid("spec.partition", partition, dns1123_subdomain_errors(partition))
        return errors
