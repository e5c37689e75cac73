"""``kubectl kcp bind apiexport`` and ``kubectl kcp claims``: APIBindings and the claims they answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kcpcache.client.connection import ApiError
from kcpcache.client.workspaces import APIS, cluster_url
from kcpcache.kubectl import commands
from kcpcache.kubectl.session import CommandError, Session
from kcpcache.meta.objects import Object

_COLUMNS = ("APIBINDING", "GROUP-RESOURCE", "VERBS", "STATUS")
_GAP = 3


def bind(session: Session, command: commands.Bind) -> None:
    """Create the APIBinding and wait until it is bound."""
    _, workspace = session.workspace()
    exported: list[Object] = []
    if command.all_claims:
        path = cluster_url(command.path, f"{APIS}/apiexports/{quote(command.export, safe='')}")
        try:
            exported = session.connection.get(path).get("spec", {}).get("permissionClaims") or []
        except ApiError as error:
            raise CommandError(f'failed to get APIExport "{command.export}": {error}') from None
    collection = cluster_url(workspace, f"{APIS}/apibindings")
    try:
        made = session.connection.create(collection, new_binding(command, exported))
    except ApiError as error:
        raise CommandError(f"failed to create APIBinding: {error}") from None
    session.say(f"apibinding {command.name} created. Waiting to successfully bind ...")
    if not _is_bound(made):
        path = f"{collection}/{quote(command.name, safe='')}"
        session.wait(path, _is_bound, command.timeout_seconds, f"could not bind {command.name}: it is not bound")
    session.say(f"{command.name} created and bound.")


def new_binding(command: commands.Bind, exported: Iterable[Mapping[str, Any]] = ()) -> Object:
    """The APIBinding to create; ``exported`` are the export's claims where all are to be decided on alike."""
    claims = [_acceptable(claim.group, claim.resource, claim.state) for claim in command.claims]
    claims += [
        _acceptable(claim.get("group", ""), claim["resource"], command.all_claims, claim.get("identityHash", ""))
        for claim in exported
    ]
    return {
        "apiVersion": "apis.kcp.io/v1alpha2",
        "kind": "APIBinding",
        "metadata": {"name": command.name},
        "spec": {
            "reference": {"export": {"path": command.path, "name": command.export}},
            **({"permissionClaims": claims} if claims else {}),
        },
    }


def _acceptable(group: str, resource: str, state: str, identity_hash: str = "") -> Object:
    identity = {"identityHash": identity_hash} if identity_hash else {}
    claim = {"group": group, "resource": resource, **identity, "verbs": ["*"]}
    return {**claim, "selector": {"matchAll": True}, "state": state}


def _is_bound(binding: Object) -> bool:
    return bool(binding.get("status", {}).get("phase") == "Bound")


def get_claims(session: Session, command: commands.GetClaims) -> None:
    """Print a table of claims and what was decided on them."""
    _, workspace = session.workspace()
    collection = cluster_url(workspace, f"{APIS}/apibindings")
    try:
        if command.name:
            bindings = [session.connection.get(f"{collection}/{quote(command.name, safe='')}")]
        else:
            bindings = session.connection.items(collection)
    except ApiError as error:
        what = "error finding APIBinding" if command.name else f'error listing APIBindings in "{workspace}" workspace'
        raise CommandError(f"{what}: {error}") from None
    for line in table([_COLUMNS, *claim_rows(bindings)]):
        session.say(line)


def claim_rows(bindings: Iterable[Object]) -> Iterator[tuple[str, ...]]:
    """A row for each claim that an APIBinding names."""
    for binding in bindings:
        for claim in binding.get("spec", {}).get("permissionClaims") or []:
            group, resource = claim.get("group", ""), claim.get("resource", "")
            shown = f"{resource}.{group}" if group else resource
            yield binding["metadata"]["name"], shown, ",".join(claim.get("verbs") or []), claim.get("state", "")


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with columns as kubectl sets them."""
    widths = [max(len(row[column]) for row in rows) + _GAP for column in range(len(rows[0]))]
    for row in rows:
        yield "".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def decide(session: Session, command: commands.DecideClaims) -> None:
    """Accept or reject claims of an APIBinding; what its export claims and it does not name yet is added."""
    _, workspace = session.workspace()
    path = cluster_url(workspace, f"{APIS}/apibindings/{quote(command.name, safe='')}")
    try:
        binding = session.connection.get(path)
        claims, count = decided(binding, command)
        if not count:
            raise CommandError(f'APIBinding "{command.name}" has no such claim; see: kubectl kcp claims get apibinding')
        session.connection.update(path, {**binding, "spec": {**binding["spec"], "permissionClaims": claims}})
    except ApiError as error:
        raise CommandError(f'error updating permission claim for APIBinding "{command.name}": {error}') from None
    what = f'claim "{command.resource}"' if command.resource else f"{count} claim(s)"
    if command.identity_hash:
        what = f'claim with identity hash "{command.identity_hash}"'
    session.say(f'{what} on APIBinding "{command.name}" is {command.state.lower()}')


def decided(binding: Object, command: commands.DecideClaims) -> tuple[list[Object], int]:
    """The APIBinding's claims after the decision, and how many it is about."""
    claims = [dict(claim) for claim in binding.get("spec", {}).get("permissionClaims") or []]
    named = {_identity(claim) for claim in claims}
    for exported in binding.get("status", {}).get("exportPermissionClaims") or []:
        if _identity(exported) not in named and _is_meant(exported, command):
            kept = {key: exported[key] for key in ("group", "resource", "identityHash", "verbs") if key in exported}
            claims.append({**kept, "selector": {"matchAll": True}, "state": command.state})
    meant = [claim for claim in claims if _is_meant(claim, command)]
    for claim in meant:
        claim["state"] = command.state
    return claims, len(meant)


def _identity(claim: Mapping[str, Any]) -> tuple[str, str, str]:
    return claim.get("group", ""), claim.get("resource", ""), claim.get("identityHash", "")


def _is_meant(claim: Mapping[str, Any], command: commands.DecideClaims) -> bool:
    if command.identity_hash:
        return bool(claim.get("identityHash") == command.identity_hash)
    resource, _, group = command.resource.partition(".")
    wanted = resource, "" if group == "core" else group
    return command.everything or (claim.get("resource", ""), claim.get("group", "")) == wanted
