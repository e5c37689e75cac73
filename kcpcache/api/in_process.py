"""What a virtual workspace's URL of this server means, without the way over the network.

The request is judged as if the user had made it himself: an endpoint URL opens nothing that he could not open.
"""

from collections.abc import Callable, Mapping

from kcpcache.api.handler import attributes_of, check_call
from kcpcache.api.paths import parse
from kcpcache.api.services import ServiceHandler
from kcpcache.auth.authorize import forbid
from kcpcache.auth.user import User
from kcpcache.meta.errors import path_not_found
from kcpcache.registry.view import View


class InProcess:
    """See ``virtual.proxied.InProcess``. ``handlers`` may be filled later; ``path_of`` is as in ``Services``."""

    def __init__(self, handlers: Mapping[str, ServiceHandler], path_of: Callable[[str], str]) -> None:
        self._handlers, self._path_of = handlers, path_of

    async def __call__(self, path: str, query: str, user: User) -> View:
        """The view for a reading request. Raises ForbiddenError, NotFoundError, and what the service raises."""
        info = parse(path.encode(), query.encode(), "GET")
        handler = self._handlers.get(info.service.name) if info.service else None
        if handler is None or not info.is_resource:
            raise path_not_found()
        workspace = await handler.enter(info, user)
        if workspace.authorize is not None:
            attributes = attributes_of(info, workspace.user, workspace.cluster)
            decision = workspace.authorize(attributes)
            if not decision.allowed:
                raise forbid(attributes, decision)
        found = workspace.find(info, False)
        if found is None:
            raise path_not_found()
        check_call(info, workspace.cluster, *found, self._path_of)
        return workspace.view(*found)
