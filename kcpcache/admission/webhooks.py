"""Admission webhooks of the request's workspace: mutating ones one after another, validating ones at the same time.

Documentation: "Dynamic Admission Control". Errors' texts are kube-apiserver's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container
from typing import Final

import orjson
import structlog

from kcpcache.admission.authorizer_library import Deciding
from kcpcache.admission.chain import MutateNothing, Request
from kcpcache.admission.configurations import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Index, Webhook, webhooks_of
from kcpcache.admission.expressions import REQUEST_VARIABLES, Evaluation
from kcpcache.admission.match_conditions import ConditionsError
from kcpcache.admission.matching import Subject, Subjects
from kcpcache.admission.review import Verdict, denial, request_of, review_of, seen_in, unseen, verdict_of
from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.meta import object_meta
from kcpcache.meta.audit_annotations import annotate
from kcpcache.meta.errors import BadRequestError, InternalError, StatusCause, StatusError, forbidden
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import Object, copy, nested, new_uid
from kcpcache.meta.patch.json_patch import apply_json_patch
from kcpcache.registry.conversion_webhook import object_in
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.scale import set_replicas
from kcpcache.registry.view import WriteOptions
from kcpcache.registry.webhook_client import WebhookCallError, WebhookClient

log = structlog.get_logger(__name__)

_KEPT: Final = (
    "name", "namespace", "generateName", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
)  # fmt: skip
"""Metadata that a webhook cannot change."""
_MUTATION: Final = "mutation.webhook.admission.k8s.io/"
_VALIDATING: Final = "validating.webhook.admission.k8s.io/"
_FAILED_OPEN: Final = "failed-open."
"""What kube-apiserver begins the names of its audit annotations with."""


class WebhookDispatcher:
    """Asks one webhook about one write: what both kinds have in common."""

    def __init__(self, client: WebhookClient, authorize: Callable[[Attributes], Decision]) -> None:
        self._client, self._authorize = client, authorize

    async def wanted(self, webhook: Webhook, subject: Subject) -> str | None:
        """The version in which the webhook wants the object; None where it is not to be asked.

        Raises ForbiddenError where its conditions fail and failures count.
        """
        version = webhook.match.version(subject)
        if version is None:
            return None
        if webhook.conditions:
            new, old = await subject.in_version(version)
            data = {"object": new, "oldObject": old, "request": request_of(subject, version, new_uid())}
            attributes = subject.request.attributes
            evaluation = Evaluation(REQUEST_VARIABLES, data, Deciding(attributes, self._authorize), subject.budget)
            try:
                if not webhook.conditions.hold(evaluation):
                    return None
            except ConditionsError as error:
                if webhook.ignore_failures:
                    return None
                raise forbidden(attributes.group, attributes.resource, subject.request.name, str(error)) from None
        return version

    async def ask(self, webhook: Webhook, subject: Subject, version: str, *, may_patch: bool) -> Verdict | None:
        """What the webhook says; None where it failed and that is to be ignored. Warnings are passed on.

        Raises DeniedError for a no, InternalError where it failed and that counts.
        """
        request = subject.request
        if request.options.dry_run and not webhook.dry_run:
            raise BadRequestError(f'admission webhook "{webhook.name}" does not support dry run')
        uid = new_uid()
        cluster = request.attributes.cluster
        new, old = (seen_in(cluster, obj) for obj in await subject.in_version(version))
        review = review_of(webhook.version, request_of(subject, version, uid), new, old)
        try:
            answer = await self._client.post(webhook.target, review, timeout_seconds=webhook.timeout_seconds)
            verdict = verdict_of(answer, webhook.version, uid, may_patch=may_patch)
        except WebhookCallError as error:
            return self._failed(webhook, f'failed calling webhook "{webhook.name}": failed to call webhook: {error}')
        request.options.warnings.extend(verdict.warnings)
        for key, value in verdict.notes.items():
            annotate(f"{webhook.name}/{key}", str(value))
        if not verdict.allowed:
            raise denial(webhook.name, verdict.result)
        return verdict

    @staticmethod
    def _failed(webhook: Webhook, why: str) -> None:
        log.warning("a webhook failed", webhook=webhook.name, ignored=webhook.ignore_failures, why=why)
        if not webhook.ignore_failures:
            raise _internal(why)


class MutatingWebhooks:
    """See ``chain.ForeignMutator``. Costs two dict lookups in workspaces without configurations."""

    def __init__(self, lookup: Lookup, subjects: Subjects, dispatcher: WebhookDispatcher) -> None:
        self._index: Index[tuple[Webhook, ...]] = Index(lookup, [MUTATING_WEBHOOKS], webhooks_of)
        self._subjects, self._dispatcher = subjects, dispatcher

    async def mutate(self, request: Request, again: Callable[[], Awaitable[None]]) -> None:
        """Call the webhooks in order; those that like are called once more where others changed what they saw.

        Raises DeniedError, InternalError, ForbiddenError, and NotFoundError where the namespace is not there.
        """
        if self._index.empty:
            return
        webhooks = await self._index.of(self._subjects.judge(request.attributes))
        subject = self._subjects.of(request) if webhooks else None
        if not webhooks or subject is None:
            return
        if request.operation == "CREATE":
            subject.namespace()  # nobody is asked about what cannot be
        _default(subject)
        options = request.options
        if isinstance(options, WriteOptions) and options.own is not None and request.new is not None:
            await options.own(request.old, request.new, options, request.attributes.subresource)
        first = _Round(0)
        await self._round(webhooks, subject, first)
        if not first.changed:
            return
        before = copy(request.new)
        await again()
        reinvoked = first.outdated | (first.reinvocable if request.new != before else set())
        second = _Round(1)
        await self._round(webhooks, subject, second, only=reinvoked)
        if second.changed:
            await again()

    async def _round(
        self, webhooks: tuple[Webhook, ...], subject: Subject, found: "_Round", only: Container[tuple[str, str]] = ()
    ) -> None:
        for index, webhook in enumerate(webhooks):
            if found.number and webhook.key not in only:
                continue
            version = await self._dispatcher.wanted(webhook, subject)
            if version is None:
                continue
            changes = found.changes
            try:
                verdict = await self._dispatcher.ask(webhook, subject, version, may_patch=True)
                if verdict is not None and verdict.patch:
                    await self._patch(webhook, subject, version, verdict, found)
            finally:
                found.note_call(index, webhook, mutated=found.changes > changes)
            if verdict is None:
                annotate(f"{_FAILED_OPEN}{_MUTATION}{found.place(index)}", webhook.name)
            elif webhook.reinvoke:
                found.reinvocable.add(webhook.key)

    @staticmethod
    async def _patch(webhook: Webhook, subject: Subject, version: str, verdict: Verdict, found: "_Round") -> None:
        """Change the object as the webhook says, but for what is not its to change."""
        request = subject.request
        if request.new is None:
            raise _internal(
                f'admission webhook "{webhook.name}" attempted to modify the object, which is not supported'
            )
        shown, _ = await subject.in_version(version)
        try:
            patched = apply_json_patch(copy(seen_in(request.attributes.cluster, shown)), verdict.patch)
        except StatusError as error:
            why = error.causes[0].message if error.causes else error.message
            raise _internal(f'the patch of webhook "{webhook.name}" cannot be applied: {why}') from None
        if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
            raise _internal(f'the patch of webhook "{webhook.name}" leaves no object')
        if errors := object_meta.type_errors(patched["metadata"]):
            raise _internal(f'the patch of webhook "{webhook.name}" leaves no object: {errors[0].message}')
        unseen(patched)
        attributes = request.attributes
        paths, replicas = subject.version.scale, nested(patched, "spec", "replicas")
        if paths is not None and subject.scale(version) is not None:
            if not isinstance(replicas, int) or isinstance(replicas, bool):
                raise _internal(f'the patch of webhook "{webhook.name}" leaves no Scale')
            if replicas != nested(shown, "spec", "replicas"):
                set_replicas(request.new, paths, replicas)
                found.note_change(webhook)
            return
        patched = {**patched, "apiVersion": api_version(attributes.group, version), "kind": request.new["kind"]}
        made = await object_in(subject.definition, patched, api_version(attributes.group, attributes.version))
        before = copy(request.new)
        _keep(subject, made, before)
        request.new.clear()
        request.new.update(made)
        _default(subject)
        if request.new != before:
            found.note_change(webhook)


class _Round:
    """One round of calls: who changed something, and who was asked before somebody else did."""

    def __init__(self, number: int) -> None:
        self.number, self.changes = number, 0
        self.reinvocable: set[tuple[str, str]] = set()
        self.outdated: set[tuple[str, str]] = set()

    @property
    def changed(self) -> bool:
        """Whether anybody has changed something."""
        return self.changes > 0

    def place(self, index: int) -> str:
        """How the audit log names the call of the ``index``-th webhook."""
        return f"round_{self.number}_index_{index}"

    def note_call(self, index: int, webhook: Webhook, *, mutated: bool) -> None:
        """Tell the audit log that a webhook was called, and whether it changed the object."""
        call = {"configuration": webhook.key[0], "webhook": webhook.name, "mutated": mutated}
        annotate(f"{_MUTATION}{self.place(index)}", orjson.dumps(call).decode())

    def note_change(self, webhook: Webhook) -> None:
        """All who were asked before ``webhook`` have seen something else."""
        self.changes += 1
        self.outdated |= self.reinvocable
        self.reinvocable.clear()


class ValidatingWebhooks(MutateNothing):
    """See ``chain.Plugin``. Costs two dict lookups in workspaces without configurations."""

    def __init__(self, lookup: Lookup, subjects: Subjects, dispatcher: WebhookDispatcher) -> None:
        self._index: Index[tuple[Webhook, ...]] = Index(lookup, [VALIDATING_WEBHOOKS], webhooks_of)
        self._subjects, self._dispatcher = subjects, dispatcher

    async def validate(self, request: Request) -> None:
        """Ask all that match; raises the first refusal in their order: DeniedError, InternalError, ForbiddenError."""
        if self._index.empty:
            return
        webhooks = await self._index.of(self._subjects.judge(request.attributes))
        subject = self._subjects.of(request) if webhooks else None
        if not webhooks or subject is None:
            return
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._refusal(*found, subject)) for found in enumerate(webhooks)]
        for task in asked:
            if (error := task.result()) is not None:
                raise error

    async def _refusal(self, index: int, webhook: Webhook, subject: Subject) -> StatusError | None:
        try:
            version = await self._dispatcher.wanted(webhook, subject)
            if version is not None and await self._dispatcher.ask(webhook, subject, version, may_patch=False) is None:
                annotate(f"{_FAILED_OPEN}{_VALIDATING}round_0_index_{index}", webhook.name)
        except StatusError as error:
            return error
        return None


def _internal(why: str) -> InternalError:
    return InternalError(f"Internal error occurred: {why}", causes=[StatusCause("", why)])


def _default(subject: Subject) -> None:
    """Webhooks see objects without unknown fields and with defaults, and so does whoever comes after them."""
    obj, definition, schema = subject.request.new, subject.definition, subject.version.schema
    if obj is None:
        return
    if definition.normalize is not None:
        definition.normalize(obj)
    object_meta.drop_unknown(obj["metadata"])
    schema.prune(obj)
    schema.default(obj)
    definition.rules.default(obj)


def _keep(subject: Subject, made: Object, before: Object) -> None:
    """Put back what the write itself could not change."""
    meta, kept = made["metadata"], before["metadata"]
    for key in _KEPT:
        if key in kept:
            meta[key] = kept[key]
        else:
            meta.pop(key, None)
    if subject.version.has_status and not subject.request.attributes.subresource:
        if "status" in before:
            made["status"] = before["status"]
        else:
            made.pop("status", None)
