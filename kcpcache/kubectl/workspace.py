"""``kubectl ws``: enter, show and create workspaces, and keep them as contexts."""

import http.client
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kcpcache.client.connection import ApiError
from kcpcache.client.endpoint import cluster_entry, context_entry
from kcpcache.client.kubeconfig import KubeconfigError
from kcpcache.client.workspaces import APIS, TENANCY, cluster_of, cluster_url, url_of
from kcpcache.kubectl import commands, contexts
from kcpcache.kubectl.paths import ROOT, destination, resolve, split
from kcpcache.kubectl.session import CommandError, Session
from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.objects import Object
from kcpcache.meta.selectors import parse_label_selector

READY_SECONDS = 60.0
_HOME_NOTE = (
    "Note: 'kubectl ws' now matches 'cd' semantics: go to home workspace. 'kubectl ws -' to go back. "
    "'kubectl ws .' to print current workspace."
)
_ROOT_NOTE = (
    "Note: Using 'root:' to define an absolute path is no longer supported. Instead, use ':root' to specify an "
    "absolute path."
)


def use(session: Session, command: commands.Use) -> None:
    """Enter a workspace and say so."""
    going = destination(command.typed, str(session.home))
    if going.legacy and not command.short:
        session.note(_ROOT_NOTE)
    if going.kind == "current":
        show(session, session.endpoint.server, short=command.short)
        return
    if going.kind == "previous":
        edit, server = contexts.go_back(session.config)
        session.edit(edit)
        _warn_of_claims(session, server)
        show(session, server, short=command.short)
        return
    base, current = session.workspace()
    home = _home_path(session) if going.kind == "home" else ""
    path = resolve(going, current, home)
    workspace_type = None if going.kind == "top" else _check_access(session, path)
    server = url_of(base, path)
    session.edit(contexts.enter(session.config, server, session.options.overrides.context))
    _warn_of_claims(session, server)
    show(session, server, workspace_type, short=command.short)
    if not command.typed and not command.short:
        session.note(_HOME_NOTE)


def show(session: Session, server: str, workspace_type: Object | None = None, *, short: bool = False) -> None:
    """Print which workspace a server's URL leads to; ``short`` prints the path alone, or nothing."""
    found = cluster_of(server)
    if short:
        if found is not None:
            session.say(found[1])
    elif found is None:
        session.say(f'Current workspace is the URL "{server}".')
    else:
        shown = f" (type {_type_path(workspace_type)})" if workspace_type else ""
        session.say(f"Current workspace is '{found[1]}'{shown}.")


def current(session: Session, command: commands.Current) -> None:
    """Print the current workspace."""
    show(session, session.endpoint.server, short=command.short)


def create_context(session: Session, command: commands.CreateContext) -> None:
    """Keep the current workspace under a name of its own."""
    _, context = context_entry(session.config)
    server = str(cluster_entry(session.config, context).body.get("server", ""))
    found = cluster_of(server)
    if found is None:
        raise KubeconfigError(f'current URL "{server}" does not point to a workspace')
    edit, sentence = contexts.create(session.config, command.name or found[1], overwrite=command.overwrite)
    session.edit(edit)
    session.say(sentence)


def create(session: Session, command: commands.Create) -> None:
    """Create a workspace, wait until it is ready, and enter it or make a context of it where that is asked."""
    _, parent = session.workspace()
    wanted = new_workspace(command)
    collection = cluster_url(parent, f"{TENANCY}/workspaces")
    path = f"{collection}/{quote(command.name, safe='')}"
    made, existed = _create_or_get(session, collection, path, wanted, ignore_existing=command.ignore_existing)
    reference = f'Workspace "{command.name}" (type {_type_path(made["spec"].get("type"))})'
    if existed:
        _check_type(command, made, wanted)
    said = f"{reference} {'already exists' if existed else 'created'}."
    if existed and _is_ready(made):
        session.say(said)
    if not _is_ready(made):
        session.say(f"{said} Waiting for it to be ready...")
        made = session.wait(path, _is_ready, READY_SECONDS, f'workspace "{command.name}" is not ready')
    session.say(f"{reference} is ready to use.")
    _after_creation(session, command, parent, made)


def new_workspace(command: commands.Create) -> Object:
    """The Workspace to create. Raises CommandError for a selector that is none."""
    spec: Object = {}
    if command.type:
        path, name = split(command.type)
        spec["type"] = {"name": name.lower()} | ({"path": path} if path else {})
    if command.location_selector:
        spec["location"] = {"selector": _label_selector(command.location_selector)}
    return {
        "apiVersion": "tenancy.kcp.io/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": command.name},
        "spec": spec,
    }


def _label_selector(text: str) -> Object:
    try:
        requirements = parse_label_selector(text).requirements
    except BadRequestError as error:
        raise CommandError(f"invalid location selector: {error.message}") from None
    terms = [
        {"key": each.key, "operator": each.operator} | ({"values": sorted(each.values)} if each.values else {})
        for each in requirements
    ]
    return {"matchExpressions": terms}


def _create_or_get(
    session: Session, collection: str, path: str, wanted: Object, *, ignore_existing: bool
) -> tuple[Object, bool]:
    try:
        return session.connection.create(collection, wanted), False
    except ApiError as error:
        if error.reason != "AlreadyExists" or not ignore_existing:
            raise
        return session.connection.get(path), True


def _check_type(command: commands.Create, found: Object, wanted: Object) -> None:
    asked = wanted["spec"].get("type")
    has = found["spec"].get("type") or {}
    if asked and (has.get("name"), has.get("path")) != (asked["name"], asked.get("path")):
        raise CommandError(
            f'workspace "{command.name}" cannot be created with type {_type_path(asked)}, it already exists with '
            f"different type {_type_path(has)}"
        )


def _is_ready(workspace: Object) -> bool:
    return bool(workspace.get("status", {}).get("phase") == "Ready")


def _after_creation(session: Session, command: commands.Create, parent: str, made: Object) -> None:
    if command.create_context:
        edit, sentence = contexts.create(
            session.config,
            command.create_context,
            server=str(made["spec"].get("URL", "")),
            overwrite=command.ignore_existing,
            keep_current=not command.enter,
        )
        session.edit(edit)
        session.say(sentence)
    elif command.enter:
        use(session, commands.Use(f":{parent}:{command.name}"))


def _home_path(session: Session) -> str:
    url = str(session.connection.get(cluster_url(ROOT, f"{TENANCY}/workspaces/~")).get("spec", {}).get("URL", ""))
    found = cluster_of(url)
    if found is None:
        raise CommandError(f'invalid home workspace URL "{url}"')
    return found[1]


def _check_access(session: Session, path: str) -> Object | None:
    """The workspace's type as far as its parent tells it. Raises CommandError where it cannot be entered."""
    denied = False
    try:
        denied = not session.connection.get(cluster_url(path, "/apis")).get("groups")
    except ApiError as error:
        if error.code != http.client.FORBIDDEN:
            raise
        denied = True
    workspace_type, missing = ({"name": "root"}, False) if path == ROOT else _type_in_parent(session, path)
    if denied and missing:
        raise CommandError(f'workspace "{path}" not found')
    if denied:
        raise CommandError(f'access to workspace "{path}" denied')
    return workspace_type


def _type_in_parent(session: Session, path: str) -> tuple[Object | None, bool]:
    """The type, and whether the parent says that there is no such workspace; a parent may well be closed to a user."""
    parent, name = split(path)
    if not parent:
        return None, False
    try:
        workspace = session.connection.get(cluster_url(parent, f"{TENANCY}/workspaces/{quote(name, safe='')}"))
    except ApiError as error:
        return None, error.code == http.client.NOT_FOUND
    return workspace["spec"].get("type"), False


def _type_path(workspace_type: Mapping[str, Any] | None) -> str:
    found = workspace_type or {}
    return f"{found['path']}:{found.get('name', '')}" if found.get("path") else str(found.get("name", ""))


def _warn_of_claims(session: Session, server: str) -> None:
    """Tell of claims that wait for an answer; never a reason not to enter."""
    found = cluster_of(server)
    if found is None:
        return
    try:
        bindings = session.connection.items(cluster_url(found[1], f"{APIS}/apibindings"))
    except ApiError as error:
        if error.code not in {http.client.FORBIDDEN, http.client.NOT_FOUND}:
            session.note(f"error checking APIBindings: {error}")
        return
    for warning in claim_warnings(bindings):
        session.note(warning)


def claim_warnings(bindings: Sequence[Object]) -> Iterator[str]:
    """A line or two for each claim of an export that its APIBinding does not answer, or answers for other verbs."""
    for binding in bindings:
        name = binding["metadata"]["name"]
        answers = {_claim_key(claim): claim for claim in binding.get("spec", {}).get("permissionClaims") or []}
        for claim in binding.get("status", {}).get("exportPermissionClaims") or []:
            answer, shown = answers.get(_claim_key(claim)), claim_text(claim)
            if answer is None:
                yield (
                    f"Warning: claim for {shown} exported but not specified on APIBinding {name}\n"
                    "Add this claim to the APIBinding's Spec."
                )
                continue
            if answer.get("state") not in {"Accepted", "Rejected"}:
                yield f"Warning: claim for {shown} specified on APIBinding {name} but not accepted or rejected."
            allowed, expected = sorted(answer.get("verbs") or []), sorted(claim.get("verbs") or [])
            if allowed != expected:
                yield (
                    f"Warning: allowed verbs ({','.join(allowed)}) on claim for {shown} on APIBinding {name} do not "
                    f"match expected verbs ({','.join(expected)})."
                )


def _claim_key(claim: Mapping[str, Any]) -> tuple[str, str, str]:
    return claim.get("group", ""), claim.get("resource", ""), claim.get("identityHash", "")


def claim_text(claim: Mapping[str, Any]) -> str:
    """``resource.group:identity``, without what is empty."""
    group, resource, identity = _claim_key(claim)
    return resource + (f".{group}" if group else "") + (f":{identity}" if identity else "")
