"""``authorizer`` in CEL (documentation: "Kubernetes authorizer library"): whether somebody may do something.

A check travels as a message whose text is JSON; only the functions here make such messages. Who is asked about, and
in which logical cluster, is known by the evaluation that is going on.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson

from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.user import SERVICE_ACCOUNT_PREFIX, User, service_account_groups, with_standard_group
from kcpcache.meta.objects import Object
from kcpcache.schema.cel_calls import called_by_cel

AUTHORIZER: Final = "authorizer"
REQUEST_RESOURCE: Final = "authorizer.requestResource"

_PACKAGE: Final = "kcpcache.admission"
_TYPES: Final = ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision")


@dataclass(frozen=True, slots=True)
class Deciding:
    """What checks are answered from: the request being judged, and the authorizer."""

    attributes: Attributes
    authorize: Callable[[Attributes], Decision]

    @property
    def authorizer(self) -> Any:
        """The value of ``authorizer``."""
        return _message("Authorizer", {})

    @property
    def request_resource(self) -> Any:
        """The value of ``authorizer.requestResource``: a check of the resource being written."""
        a = self.attributes
        return _message(
            "ResourceCheck",
            {
                "group": a.group,
                "resource": a.resource,
                "subresource": a.subresource,
                "namespace": a.namespace,
                "name": a.name,
            },
        )

    def decide(self, check: Object, verb: str) -> Decision:
        """The answer to a check."""
        user, account = self.attributes.user, check.get("account")
        if account:
            name = f"{SERVICE_ACCOUNT_PREFIX}{account[0]}:{account[1]}"
            user = with_standard_group(User(name, groups=service_account_groups(account[0])))
        cluster = self.attributes.cluster
        if "path" in check:
            asked = Attributes(user=user, verb=verb, cluster=cluster, path=check["path"], is_resource=False)
        else:
            asked = Attributes(
                user=user,
                verb=verb,
                cluster=cluster,
                group=check["group"],
                version="*",
                resource=check["resource"],
                subresource=check.get("subresource", ""),
                namespace=check.get("namespace", ""),
                name=check.get("name", ""),
            )
        return self.authorize(asked)


_deciding: ContextVar[Deciding] = ContextVar("deciding")


@contextlib.contextmanager
def deciding(answers: Deciding) -> Iterator[None]:
    """Within it, checks are answered by ``answers``."""
    token = _deciding.set(answers)
    try:
        yield
    finally:
        _deciding.reset(token)


@cache
def _classes() -> dict[str, Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="kcpcache/authorizer.proto", package=_PACKAGE, syntax="proto3")
    for name in _TYPES:
        file.message_type.add(name=name).field.add(
            name="text",
            number=1,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _TYPES}


def _message(kind: str, state: Object) -> Any:
    return _classes()[kind](text=orjson.dumps(state).decode())


def _state(value: Any) -> Object:
    return orjson.loads(value.text)  # type: ignore[no-any-return]


def _step(kind: str, *keys: str) -> Callable[..., Any]:
    """A function that notes its arguments under ``keys`` and goes on to ``kind``."""

    def step(value: Any, *given: str) -> Any:
        noted = dict(zip(keys, given, strict=True))
        return _message(kind, {**_state(value), **noted})

    return step


def _service_account(value: Any, namespace: str, name: str) -> Any:
    return _message("Authorizer", {**_state(value), "account": [namespace, name]})


def _check(value: Any, verb: str) -> Any:
    if type(value).__name__ not in {"PathCheck", "ResourceCheck"}:
        raise ValueError("no such overload")
    decision = _deciding.get().decide(_state(value), verb.lower())
    return _message("Decision", {"allowed": decision.allowed, "reason": decision.reason})


def variables() -> dict[str, Any]:
    """The variables' CEL types."""
    from cel_expr_python import cel

    _classes()
    return {AUTHORIZER: cel.Type(f"{_PACKAGE}.Authorizer"), REQUEST_RESOURCE: cel.Type(f"{_PACKAGE}.ResourceCheck")}


def extension() -> Any:
    """The CEL extension with the library."""
    from cel_expr_python import cel

    _classes()
    text, boolean = cel.Type.STRING, cel.Type.BOOL
    types = {name: cel.Type(f"{_PACKAGE}.{name}") for name in _TYPES}

    def declare(name: str, of: str, result: Any, more: list[Any], impl: Any) -> Any:
        parameters = [types[of], *more]
        return cel.FunctionDecl(
            name, [cel.Overload(f"authorizer_{name}", result, parameters, True, impl=called_by_cel(impl))]
        )

    def narrow(name: str) -> Any:
        return declare(name, "ResourceCheck", types["ResourceCheck"], [text], _step("ResourceCheck", name))

    return cel.CelExtension(
        "authorizer",
        [
            declare("group", "Authorizer", types["GroupCheck"], [text], _step("GroupCheck", "group")),
            declare("path", "Authorizer", types["PathCheck"], [text], _step("PathCheck", "path")),
            declare("serviceAccount", "Authorizer", types["Authorizer"], [text, text], _service_account),
            declare("resource", "GroupCheck", types["ResourceCheck"], [text], _step("ResourceCheck", "resource")),
            *(narrow(name) for name in ("subresource", "namespace", "name", "fieldSelector", "labelSelector")),
            # cel-cpp tells overloads apart by kind, and all messages are of one.
            cel.FunctionDecl(
                "check",
                [
                    cel.Overload(
                        "authorizer_check", types["Decision"], [cel.Type.DYN, text], True, impl=called_by_cel(_check)
                    )
                ],
            ),
            declare("allowed", "Decision", boolean, [], lambda value: bool(_state(value)["allowed"])),
            declare("reason", "Decision", text, [], lambda value: str(_state(value)["reason"])),
            declare("errored", "Decision", boolean, [], lambda _: False),
            declare("error", "Decision", text, [], lambda _: ""),
        ],
    )
