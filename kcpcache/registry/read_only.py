"""The writing verbs of a view that has none."""

from typing import NoReturn

from kcpcache.meta.errors import MethodNotAllowedError
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object
from kcpcache.registry.resource import ResourceDefinition
from kcpcache.registry.view import Admission, Change, DeleteOptions, Listing, ListOptions, WriteOptions, Written


class ReadOnlyView:
    """The writing verbs of a view that has none. ``origin`` says for people where its objects come from."""

    definition: ResourceDefinition
    origin: str

    async def create(self, namespace: str, obj: Object, options: WriteOptions, admission: Admission) -> Written:
        """Raises MethodNotAllowedError."""
        self._refuse("create")

    async def update(
        self,
        namespace: str,
        name: str,
        change: Change,
        options: WriteOptions,
        admission: Admission,
        *,
        subresource: str = "",
        create_if_missing: bool = False,
    ) -> Written:
        """Raises MethodNotAllowedError."""
        self._refuse("update")

    async def delete(self, namespace: str, name: str, options: DeleteOptions, admission: Admission) -> Written:
        """Raises MethodNotAllowedError."""
        self._refuse("delete")

    async def delete_collection(self, selection: ListOptions, options: DeleteOptions, admission: Admission) -> Listing:
        """Raises MethodNotAllowedError."""
        self._refuse("deletecollection")

    def _refuse(self, verb: str) -> NoReturn:
        raise read_only(self.definition.group_resource, verb, self.origin)


def read_only(resource: GroupResource, verb: str, origin: str) -> MethodNotAllowedError:
    """What a write to a projected resource is answered with."""
    return MethodNotAllowedError(
        f"{verb} is not supported: {resource} is read-only here. Its objects come from {origin}; change them there",
        group=resource.group,
        kind=resource.resource,
    )
