"""ValidatingAdmissionPolicy: the workspace's CEL rules, where a binding puts them in force (KEP-3488).

Errors' texts are kube-apiserver's. What ``Audit`` and ``auditAnnotations`` say is noted for the audit log.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

import orjson

from kcpcache.admission.authorizer_library import Deciding
from kcpcache.admission.chain import MutateNothing, Request
from kcpcache.admission.configurations import Index
from kcpcache.admission.error_order import position
from kcpcache.admission.expressions import BudgetError, Evaluation, EvaluationError, compiling_weight
from kcpcache.admission.match_conditions import ConditionsError
from kcpcache.admission.matching import ADMISSION_GROUP, Subject, Subjects
from kcpcache.admission.policy import (
    Binding,
    Enforced,
    ParamKind,
    Policy,
    Validation,
    configuration_errors,
    enforced,
    policy_errors,
)
from kcpcache.admission.review import DeniedError, request_of
from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.meta.audit_annotations import annotate
from kcpcache.meta.errors import FieldError, InvalidError, NotFoundError, forbidden
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, metadata, name_of, new_uid
from kcpcache.registry.beside import computed
from kcpcache.registry.catalog import Resource
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.pauses import Slices
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.serving import Serving
from kcpcache.registry.view import ListOptions, View

POLICIES: Final = GroupVersionResource(ADMISSION_GROUP, "v1", "validatingadmissionpolicies")
BINDINGS: Final = GroupVersionResource(ADMISSION_GROUP, "v1", "validatingadmissionpolicybindings")
_CODES: Final = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}
_MESSAGE_BYTES: Final = 5 * 1024
_NOTE_CHARACTERS: Final = 10 * 1024
_FAILURE: Final = "validation.policy.admission.k8s.io/validation_failure"

_Notes: TypeAlias = dict[str, list[str]]
"""What a policy has to say to the audit log: the values of each key."""

ErrorsOf: TypeAlias = Callable[[Object], Iterator[FieldError]]

ViewOf: TypeAlias = Callable[[str, Resource, ServedVersion], View]
"""``view(cluster, resource, version)``."""


class PoliciesCompile(MutateNothing):
    """No expression is stored that does not compile. For policies and webhook configurations."""

    RESOURCES: ClassVar[Mapping[str, tuple[str, ErrorsOf]]] = {
        "validatingadmissionpolicies": ("ValidatingAdmissionPolicy", policy_errors),
        "validatingwebhookconfigurations": ("ValidatingWebhookConfiguration", configuration_errors),
        "mutatingwebhookconfigurations": ("MutatingWebhookConfiguration", configuration_errors),
    }

    async def validate(self, request: Request) -> None:
        """Raises InvalidError. What was stored already is not judged again."""
        found = self.RESOURCES.get(request.attributes.resource)
        if found is None or request.new is None:
            return
        kind, errors_of = found
        if errors := await self._errors(errors_of, request.new, request.old):
            raise InvalidError(ADMISSION_GROUP, kind, name_of(request.new), errors)

    async def complete(self, error: InvalidError, new: Object, old: Object | None) -> InvalidError:
        """See ``chain.Completing``. All is in the order in which kube-apiserver says it."""
        found = next((errors_of for kind, errors_of in self.RESOURCES.values() if kind == new.get("kind")), None)
        if found is None or any(cause.reason == "FieldValueTypeInvalid" for cause in error.errors):
            return error
        errors = sorted([*error.errors, *await self._errors(found, new, old)], key=position)
        return InvalidError(ADMISSION_GROUP, str(new["kind"]), name_of(new), errors)

    @staticmethod
    async def _errors(errors_of: ErrorsOf, new: Object, old: Object | None) -> list[FieldError]:
        if old is not None and all(new.get(key) == old.get(key) for key in ("spec", "webhooks")):
            return []
        return await computed(compiling_weight([new]), lambda: list(errors_of(new)))


class _ConfigurationError(Exception):
    """A policy or binding cannot be carried out."""


@dataclass(frozen=True, slots=True)
class _Breach:
    """A rule (the ``index``-th) that was broken, or failed, under one binding.

    ``always``: what the binding's actions say does not matter, the write is refused.
    """

    policy: Policy
    binding: Binding
    message: str
    reason: str = ""
    index: int = 0
    always: bool = False

    def described(self, what: str) -> str:
        return (
            f"ValidatingAdmissionPolicy '{self.policy.name}' with binding '{self.binding.name}'{what}: {self.message}"
        )

    def noted(self) -> str:
        """As the audit log has it: a list, of one."""
        return orjson.dumps(
            [
                {
                    "message": self.message,
                    "policy": self.policy.name,
                    "binding": self.binding.name,
                    "expressionIndex": self.index,
                    "validationActions": sorted(self.binding.actions),
                }
            ]
        ).decode()


class Policies(MutateNothing):
    """See ``chain.Plugin``. Costs one dict lookup in workspaces without bindings.

    ``view`` shows the objects that parameters are read from.
    """

    def __init__(
        self,
        lookup: Lookup,
        subjects: Subjects,
        serving: Serving,
        view: ViewOf,
        authorize: Callable[[Attributes], Decision],
    ) -> None:
        self._index: Index[Enforced] = Index(lookup, [BINDINGS, POLICIES], enforced)
        self._subjects, self._serving, self._view, self._authorize = subjects, serving, view, authorize

    async def validate(self, request: Request) -> None:
        """Warn of breaches where bindings say Warn; raises DeniedError for the first where they say Deny."""
        if self._index.empty:
            return
        found = await self._index.of(self._subjects.judge(request.attributes))
        subject = self._subjects.of(request) if found else None
        if not found or subject is None:
            return
        denied: list[_Breach] = []
        for policy, bindings in found:
            version = policy.match.version(subject)
            if version is None:
                continue
            data = await self._data(subject, version)
            notes: _Notes = {}
            for binding in bindings:
                if binding.match.version(subject) is None:
                    continue
                for breach in await self._breaches(policy, binding, subject, data, notes):
                    if breach.always or "Deny" in binding.actions:
                        denied.append(breach)
                    if "Warn" in binding.actions and not breach.always:
                        request.options.warnings.append(f"Validation failed for {breach.described('')}")
                    if "Audit" in binding.actions and not breach.always:
                        annotate(_FAILURE, breach.noted())
            for key, values in notes.items():
                annotate(f"{policy.name}/{key}", ", ".join(values))
        if denied:
            raise _denial(request, denied[0])

    async def _data(self, subject: Subject, version: str) -> Object:
        """What the expressions of a policy see, but for parameters and variables."""
        new, old = await subject.in_version(version)
        namespace = subject.namespace()
        if namespace is not None:
            meta = {key: value for key, value in metadata(namespace).items() if key != "managedFields"}
            namespace = {**namespace, "metadata": meta}
        request = request_of(subject, version, new_uid())
        return {"object": new, "oldObject": old, "request": request, "namespaceObject": namespace}

    async def _breaches(
        self, policy: Policy, binding: Binding, subject: Subject, data: Object, notes: _Notes
    ) -> list[_Breach]:
        try:
            params = await self._params(policy, binding, subject)
        except _ConfigurationError as error:
            return [] if policy.ignore_failures else [_Breach(policy, binding, str(error), always=True)]
        found, slices = [], Slices()
        for param in params:
            seen = {**data, "params": param} if policy.param_kind is not None else data
            answers = Deciding(subject.request.attributes, self._authorize)
            evaluation = Evaluation(policy.names, seen, answers, subject.budget, policy.variables)
            found += await _judge(policy, binding, evaluation, notes, slices)
            await slices.pause_if_over()
        return found

    async def _params(self, policy: Policy, binding: Binding, subject: Subject) -> Sequence[Object | None]:
        """The parameters: the rules are to hold for each. One None for policies and bindings without parameters.

        Raises _ConfigurationError.
        """
        if policy.broken:
            raise _ConfigurationError(f"failed to configure policy: {policy.broken}")
        kind, ref = policy.param_kind, binding.param_ref
        if kind is None or ref is None:
            return [None]
        attributes = subject.request.attributes
        cluster = self._subjects.judge(attributes)
        resource, version = self._resource(cluster, kind)
        namespace = ""
        if resource.definition.namespaced:
            namespace = ref.namespace or (attributes.namespace if subject.in_namespace else "")
            if not namespace:
                raise _ConfigurationError(
                    "failed to configure binding: cannot use namespaced paramRef in policy binding that matches "
                    "cluster-scoped resources"
                )
        elif ref.namespace:
            raise _ConfigurationError(
                "failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
            )
        view = self._view(cluster, resource, version)
        found: list[Object | None] = []
        if ref.name:
            try:
                found.append((await view.get(namespace, ref.name, resource_version="0")).object())
            except NotFoundError:
                found = []
        else:
            options = ListOptions(namespace=namespace, label_selector=ref.selector, resource_version="0")
            found += [item.object() for item in (await view.list(options)).items()]
        if not found and ref.deny_without:
            raise _ConfigurationError(
                "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
            )
        return found

    def _resource(self, cluster: str, kind: ParamKind) -> tuple[Resource, ServedVersion]:
        for resource in self._serving.snapshot(cluster).resources.values():
            definition = resource.definition
            if (definition.group, definition.kind) == (kind.group, kind.kind):
                version = definition.version(kind.version)
                if version is not None:
                    return resource, version
        group_version = f"{kind.group}/{kind.version}" if kind.group else kind.version
        raise _ConfigurationError(
            "failed to configure policy: failed to find resource referenced by paramKind: "
            f"'{group_version}, Kind={kind.kind}'"
        )


async def _judge(
    policy: Policy, binding: Binding, evaluation: Evaluation, notes: _Notes, slices: Slices
) -> list[_Breach]:
    """What one evaluation finds; failures are breaches, or nothing where they are to be ignored.

    What is to be noted for the audit log is added to ``notes``.
    """
    found: list[_Breach] = []
    try:
        if policy.conditions and not policy.conditions.hold(evaluation):
            return []
    except ConditionsError as error:
        return [] if policy.ignore_failures else [_Breach(policy, binding, str(error))]
    for index, validation in enumerate(policy.validations):
        await slices.pause_if_over()
        try:
            if evaluation.evaluate(validation.expression) is not True:
                message = _message(validation, evaluation)
                found.append(_Breach(policy, binding, message, validation.reason, index))
        except BudgetError as error:
            return found if policy.ignore_failures else [*found, _Breach(policy, binding, str(error), index=index)]
        except EvaluationError as error:
            if not policy.ignore_failures:
                why = f"expression '{validation.expression.text}' resulted in error: {error}"
                found.append(_Breach(policy, binding, why, index=index))
    return [*found, *_take_notes(policy, binding, evaluation, notes)]


def _take_notes(policy: Policy, binding: Binding, evaluation: Evaluation, notes: _Notes) -> Iterator[_Breach]:
    """Add what ``auditAnnotations`` give, each value once; an expression that fails refuses the write."""
    for key, expression in policy.audit_annotations:
        try:
            value = evaluation.evaluate(expression)
        except EvaluationError as error:
            if not policy.ignore_failures:
                why = f"expression '{expression.text}' resulted in error: {error}"
                yield _Breach(policy, binding, why, always=True)
            continue
        if value is not None and not isinstance(value, str):
            why = (
                f"valueExpression '{expression.text}' resulted in unsupported return type: {type(value).__name__}. "
                "Return type must be either string or null."
            )
            yield _Breach(policy, binding, why, always=True)
        elif text := (value or "").strip()[:_NOTE_CHARACTERS]:
            values = notes.setdefault(key, [])
            if text not in values:
                values.append(text)


def _message(validation: Validation, evaluation: Evaluation) -> str:
    """The message expression's text where it gives one line, otherwise the fixed one."""
    if validation.message_expression is not None:
        try:
            said: Any = evaluation.evaluate(validation.message_expression)
        except EvaluationError:
            said = None
        if isinstance(said, str):
            text = said.strip()
            if text and "\n" not in text and len(text.encode()) <= _MESSAGE_BYTES:
                return text
    return validation.message


def _denial(request: Request, breach: _Breach) -> DeniedError:
    attributes, message = request.attributes, breach.described(" denied request")
    known = forbidden(attributes.group, attributes.resource, request.name, message)
    details = {**known.status()["details"], "causes": [{"message": message}]}
    reason = breach.reason or "Invalid"
    return DeniedError(known.message, code=_CODES.get(reason, _CODES["Invalid"]), reason=reason, details=details)
