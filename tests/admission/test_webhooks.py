import asyncio

import pytest
from admission_world import World, allow, crd, deny, patch, running_world, webhook
from webhook_server import WebhookServer

from kcpcache.meta.errors import ForbiddenError, InternalError, NotFoundError, StatusError
from kcpcache.registry import write_steps
from kcpcache.registry.view import WriteOptions
from kcpcache.registry.webhook_client import WebhookClient

SCHEMA_UID = "0b2c4a6e-1111-4222-8333-444455556666"
MUTATING = "mutatingwebhookconfigurations.v1.admissionregistration.k8s.io"
VALIDATING = "validatingwebhookconfigurations.v1.admissionregistration.k8s.io"


@pytest.fixture
async def world():
    async with running_world() as found:
        yield found


@pytest.fixture
async def server():
    async with WebhookServer().running() as found:
        found.answer = allow
        yield found


async def configure(world: World, kind: str, *webhooks, name="hooks", cluster="alpha"):
    return await world.create(kind, {"metadata": {"name": name}, "webhooks": list(webhooks)}, cluster=cluster)


def config_map(name="a", **fields):
    return {"metadata": {"name": name, **fields.pop("metadata", {})}, **fields}


def set_data(key, value):
    return {"op": "add", "path": f"/data/{key}", "value": value}


async def bind_cron_tabs(world, provider, cluster):
    spec = crd()["spec"]
    versions = [{**version, "schema": version["schema"]["openAPIV3Schema"]} for version in spec["versions"]]
    note = {"apis.kcp.io/schema-name": "v1.crontabs.stable.example.com"}
    schema = {"metadata": {"name": SCHEMA_UID, "annotations": note}, "spec": {**spec, "versions": versions}}
    await world.given("apiresourceschemas.v1alpha1.apis.kcp.io", schema, cluster="system:bound-crds")
    bound = {
        "group": "stable.example.com",
        "resource": "crontabs",
        "schema": {"UID": SCHEMA_UID, "name": "v1.crontabs.stable.example.com", "identityHash": "id"},
        "storageVersions": ["v1"],
    }
    binding = {
        "metadata": {"name": "tabs"},
        "spec": {"reference": {"export": {"path": "root:alpha", "name": "tabs"}}},
        "status": {"phase": "Bound", "apiExportClusterName": provider, "boundResources": [bound]},
    }
    await world.given("apibindings.v1alpha2.apis.kcp.io", binding, cluster=cluster)


class TestTheQuestion:
    async def test_a_review_says_who_does_what_to_which_object(self, world, server):
        await configure(world, VALIDATING, webhook(server))
        await world.create("configmaps", config_map(data={"k": "v"}))
        (review,) = server.reviews
        assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        request = review["request"]
        kind, resource = (
            {"group": "", "version": "v1", "kind": "ConfigMap"},
            {
                "group": "",
                "version": "v1",
                "resource": "configmaps",
            },
        )
        assert request["kind"] == request["requestKind"] == kind
        assert request["resource"] == request["requestResource"] == resource
        assert (request["name"], request["namespace"], request["operation"]) == ("a", "default", "CREATE")
        assert request["userInfo"] == {"username": "ann", "groups": ["dev"]}
        assert request["dryRun"] is False
        assert request["options"] == {
            "kind": "CreateOptions",
            "apiVersion": "meta.k8s.io/v1",
            "fieldManager": "test",
        }
        assert request["object"]["data"] == {"k": "v"}
        assert request["oldObject"] is None
        assert "subResource" not in request
        assert request["uid"]

    async def test_the_objects_say_in_which_workspace_they_are_and_are_not_stored_so(self, world, server):
        seen = []

        def answer(review):
            seen.append([(review["request"][key] or {}).get("metadata") for key in ("object", "oldObject")])
            return patch(review, {"op": "add", "path": "/metadata/annotations/x", "value": "y"})

        server.answer = answer
        await configure(world, MUTATING, webhook(server))
        await world.create("configmaps", config_map())
        await world.update("configmaps", config_map(data={"k": "2"}))
        in_alpha = {"kcp.io/cluster": "alpha"}
        assert [[meta and meta["annotations"] for meta in metas] for metas in seen] == [
            [in_alpha, None],
            [in_alpha, in_alpha | {"x": "y"}],
        ]
        ((entry,),) = [cache.entries("alpha") for cache in world.caches.known() if "/configmaps/" in cache.prefix]
        assert b"kcp.io/cluster" not in entry.tail
        assert entry.object()["metadata"]["annotations"] == in_alpha | {"x": "y"}

    async def test_an_update_shows_both_objects_and_a_delete_only_the_old_one(self, world, server):
        await world.create("configmaps", config_map(data={"k": "1"}))
        await configure(world, VALIDATING, webhook(server))
        await world.update("configmaps", config_map(data={"k": "2"}))
        await world.delete("configmaps", "a", propagation_policy="Foreground", grace_period_seconds=0)
        update, delete = (review["request"] for review in server.reviews)
        assert (update["oldObject"]["data"], update["object"]["data"]) == ({"k": "1"}, {"k": "2"})
        assert (delete["operation"], delete["object"]) == ("DELETE", None)
        assert delete["oldObject"]["data"] == {"k": "2"}
        assert delete["options"]["propagationPolicy"] == "Foreground"

    async def test_a_dry_run_is_told_as_one(self, world, server):
        await configure(world, VALIDATING, webhook(server))
        await world.create("configmaps", config_map(), options=WriteOptions(dry_run=True))
        (review,) = server.reviews
        assert review["request"]["dryRun"] is True
        assert review["request"]["options"]["dryRun"] == ["All"]

    async def test_nothing_but_the_timeout_is_added_to_the_request(self, world, server):
        await configure(world, VALIDATING, webhook(server))
        await world.create("configmaps", config_map())
        (head,) = server.heads
        assert head.startswith("POST /check?timeout=5s HTTP/1.1")
        assert "authorization" not in head.lower()
        assert "cookie" not in head.lower()

    async def test_connections_are_used_again(self, world, server):
        await configure(world, VALIDATING, webhook(server))
        for name in "abc":
            await world.create("configmaps", config_map(name))
        assert (len(server.reviews), server.connections) == (3, 1)

    async def test_a_webhook_that_only_speaks_v1beta1_gets_that(self, world, server):
        await configure(world, VALIDATING, webhook(server, admissionReviewVersions=["v1beta1"]))
        await world.create("configmaps", config_map())
        assert server.reviews[0]["apiVersion"] == "admission.k8s.io/v1beta1"


class TestWhoIsAsked:
    async def test_of_a_bound_type_the_providers_webhooks_and_not_the_workspaces_own(self, world, server):
        await bind_cron_tabs(world, provider="alpha", cluster="bravo")
        rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
        for kind in (MUTATING, VALIDATING):
            await configure(world, kind, webhook(server, "provider.example.com", rules=[rule]))
        await configure(world, VALIDATING, webhook(server, "own.example.com", rules=[rule]), cluster="bravo")
        server.reviews.clear()
        await world.create("crontabs.v1.stable.example.com", config_map("tab"), cluster="bravo")
        assert [review["request"]["name"] for review in server.reviews] == ["tab", "tab"]
        await world.create("configmaps", config_map("own"), cluster="bravo")
        assert [review["request"]["name"] for review in server.reviews[2:]] == ["own"]

    async def test_only_webhooks_of_the_same_workspace(self, world, server):
        await configure(world, VALIDATING, webhook(server), cluster="bravo")
        await world.create("configmaps", config_map())
        assert server.reviews == []
        await world.create("configmaps", config_map(), cluster="bravo")
        assert len(server.reviews) == 1

    @pytest.mark.parametrize(
        ("rule", "asked"),
        [
            ({}, True),
            ({"operations": ["UPDATE", "CREATE"]}, True),
            ({"operations": ["UPDATE"]}, False),
            ({"apiGroups": ["apps"]}, False),
            ({"apiVersions": ["v2"]}, False),
            ({"resources": ["secrets"]}, False),
            ({"resources": ["*"]}, True),
            ({"resources": ["*/*"]}, True),
            ({"resources": ["configmaps/*"]}, False),
            ({"scope": "Namespaced"}, True),
            ({"scope": "Cluster"}, False),
        ],
    )
    async def test_rules_choose_by_operation_group_version_resource_and_scope(self, world, server, rule, asked):
        plain = webhook(server)
        plain["rules"] = [plain["rules"][0] | rule]
        await configure(world, VALIDATING, plain)
        await world.create("configmaps", config_map())
        assert bool(server.reviews) is asked

    @pytest.mark.parametrize(
        ("resources", "asked"),
        [
            (["crontabs"], False),
            (["*"], False),
            (["crontabs/status"], True),
            (["crontabs/*"], True),
            (["*/status"], True),
            (["*/*"], True),
            (["*/scale"], False),
        ],
    )
    async def test_subresources_are_named_by_rules_of_their_own(self, world, server, resources, asked):
        await world.given("customresourcedefinitions.v1.apiextensions.k8s.io", crd())
        made = await world.create("crontabs.v1.stable.example.com", {"metadata": {"name": "a"}})
        plain = webhook(server)
        plain["rules"] = [
            {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources},
        ]
        await configure(world, VALIDATING, plain)
        await world.update("crontabs.v1.stable.example.com", {**made, "status": {"x": 1}}, sub="status")
        assert bool(server.reviews) is asked
        if asked:
            assert server.reviews[0]["request"]["subResource"] == "status"

    async def test_namespace_selectors_see_the_namespaces_labels(self, world, server):
        for team in ("alpha", "other"):
            selector = {"matchLabels": {"team": team}}
            await configure(world, VALIDATING, webhook(server, namespaceSelector=selector), name=team)
        await world.create("configmaps", config_map())
        assert len(server.reviews) == 1

    async def test_an_object_in_a_missing_namespace_is_refused_before_anybody_is_asked(self, world, server):
        await configure(world, VALIDATING, webhook(server, namespaceSelector={"matchLabels": {"a": "b"}}))
        with pytest.raises(NotFoundError, match='namespaces "nowhere" not found'):
            await world.create("configmaps", config_map(), namespace="nowhere")

    async def test_object_selectors_see_the_old_labels_and_the_new_ones(self, world, server):
        selector = {"matchLabels": {"watched": "yes"}}
        await configure(world, VALIDATING, webhook(server, objectSelector=selector))
        await world.create("configmaps", config_map())
        assert server.reviews == []
        await world.update("configmaps", config_map(metadata={"labels": {"watched": "yes"}}))
        await world.update("configmaps", config_map())
        await world.update("configmaps", config_map(data={"a": "b"}))
        assert [review["request"]["operation"] for review in server.reviews] == ["UPDATE", "UPDATE"]

    async def test_match_conditions_must_all_hold(self, world, server):
        conditions = [
            {"name": "named", "expression": "object.metadata.name.startsWith('x')"},
            {"name": "human", "expression": "request.userInfo.username == 'ann'"},
        ]
        await configure(world, VALIDATING, webhook(server, matchConditions=conditions))
        await world.create("configmaps", config_map("a"))
        await world.create("configmaps", config_map("x1"))
        world.user = type(world.user)("bob")
        await world.create("configmaps", config_map("x2"))
        assert [review["request"]["name"] for review in server.reviews] == ["x1"]

    async def test_a_condition_that_fails_refuses_unless_failures_are_ignored_or_another_says_no(self, world, server):
        broken = {"name": "broken", "expression": "object.nope == 'x'"}
        await configure(world, VALIDATING, webhook(server, matchConditions=[broken]))
        with pytest.raises(ForbiddenError, match="resulted in error: no such key: nope"):
            await world.create("configmaps", config_map())
        await world.delete(VALIDATING, "hooks")
        ignored = webhook(server, matchConditions=[broken], failurePolicy="Ignore")
        other = webhook(server, matchConditions=[broken, {"name": "no", "expression": "false"}])
        await configure(world, VALIDATING, ignored, {**other, "name": "second.example.com"})
        await world.create("configmaps", config_map())
        assert server.reviews == []

    async def test_the_configurations_of_admission_are_nobodys_to_judge(self, world, server):
        server.answer = deny
        everything = webhook(server)
        everything["rules"] = [
            {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]},
        ]
        await configure(world, VALIDATING, everything)
        await world.delete(VALIDATING, "hooks")
        await world.create("configmaps", config_map())

    @pytest.mark.parametrize("group", ["validatingadmissionpolicies", "validatingadmissionpolicybindings"])
    async def test_neither_are_policies_and_their_bindings(self, world, server, group):
        server.answer = deny
        everything = webhook(server)
        everything["rules"] = [
            {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]},
        ]
        await configure(world, VALIDATING, everything)
        await configure(world, MUTATING, everything)
        constraints = {"resourceRules": [{**everything["rules"][0], "operations": ["CREATE"]}]}
        spec = {"matchConstraints": constraints, "validations": [{"expression": "true"}]}
        if group.endswith("bindings"):
            spec = {"policyName": "p", "validationActions": ["Deny"]}
        await world.create(f"{group}.v1.admissionregistration.k8s.io", {"metadata": {"name": "p"}, "spec": spec})
        assert server.reviews == []

    async def test_an_equivalent_version_is_converted_for_the_webhook(self, world, server):
        await world.given("customresourcedefinitions.v1.apiextensions.k8s.io", crd())
        rule = {"operations": ["*"], "apiGroups": ["stable.example.com"], "apiVersions": ["v1"], "resources": ["*"]}
        await configure(world, VALIDATING, webhook(server, rules=[rule]))
        exact = webhook(server, "exact.example.com", rules=[rule], matchPolicy="Exact")
        await configure(world, VALIDATING, exact, name="exact")
        await world.create("crontabs.v2.stable.example.com", {"metadata": {"name": "a"}})
        (review,) = server.reviews
        request = review["request"]
        assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1", "v2")
        assert request["object"]["apiVersion"] == "stable.example.com/v1"


class TestTheAnswer:
    async def test_a_denial_carries_the_webhooks_message_code_and_reason(self, world, server):
        server.answer = lambda review: deny(review, message="not on fridays", code=451, reason="Friday")
        await configure(world, VALIDATING, webhook(server))
        with pytest.raises(StatusError) as caught:
            await world.create("configmaps", config_map())
        status = caught.value.status()
        assert status["message"] == 'admission webhook "check.example.com" denied the request: not on fridays'
        assert (status["code"], status["reason"]) == (451, "Friday")

    async def test_a_denial_without_words_is_400(self, world, server):
        server.answer = deny
        await configure(world, VALIDATING, webhook(server))
        with pytest.raises(StatusError, match="denied the request without explanation") as caught:
            await world.create("configmaps", config_map())
        assert caught.value.status()["code"] == 400

    async def test_the_first_refusal_in_the_webhooks_order_counts(self, world, server):
        server.answer = lambda review: deny(review, message=review["request"]["uid"])
        names = ["b.example.com", "a.example.com"]
        await configure(world, VALIDATING, *(webhook(server, name) for name in names), name="z")
        await configure(world, VALIDATING, webhook(server, "last.example.com"), name="y")
        with pytest.raises(StatusError, match=r"last\.example\.com"):
            await world.create("configmaps", config_map())
        assert len(server.reviews) == 3

    async def test_validating_webhooks_are_asked_at_the_same_time(self, world, server):
        barrier = asyncio.Barrier(2)
        server.before_answer = barrier.wait
        await configure(world, VALIDATING, webhook(server, "a.example.com"), webhook(server, "b.example.com"))
        await world.create("configmaps", config_map())
        assert len(server.reviews) == 2

    async def test_warnings_reach_the_client_of_a_refused_write_too(self, world, server):
        server.answer = lambda review: {
            **deny(review),
            "response": {**deny(review)["response"], "warnings": ["mind the gap"]},
        }
        await configure(world, VALIDATING, webhook(server))
        options = WriteOptions()
        with pytest.raises(StatusError):
            await world.create("configmaps", config_map(), options=options)
        assert options.warnings == ["mind the gap"]

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (lambda review: {**allow(review), "kind": "Other"}, "expected webhook response of admission.k8s.io/v1"),
            (lambda review: {k: v for k, v in allow(review).items() if k != "response"}, "response was absent"),
            (lambda review: allow(review, uid="other"), 'got "other"'),
            (lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{]}", "json parse error"),
            (lambda _: [], "no JSON object"),
            (lambda _: b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "HTTP status 500"),
            (
                lambda _: b"HTTP/1.1 302 Found\r\nlocation: https://localhost/\r\ncontent-length: 0\r\n\r\n",
                "HTTP status 302",
            ),
            (
                lambda _: b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
                "encoded, which was not asked for",
            ),
            (
                lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n" + b" " * 4_000_000,
                "larger than 3145728 bytes",
            ),
            (lambda review: patch(review, set_data("a", "b")), "may not return response.patch"),
        ],
    )
    async def test_what_is_no_answer_is_a_failure(self, world, server, answer, why):
        server.answer = answer
        await configure(world, VALIDATING, webhook(server))
        with pytest.raises(InternalError) as caught:
            await world.create("configmaps", config_map())
        prefix = 'Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: '
        assert caught.value.message.startswith(prefix)
        assert why in caught.value.message
        await world.delete(VALIDATING, "hooks")
        await configure(world, VALIDATING, webhook(server, failurePolicy="Ignore"))
        await world.create("configmaps", config_map())


class TestCalls:
    async def fails(self, world, **fields):
        async with WebhookServer().running() as server:
            server.answer = allow
            fields = {key: value(server) if callable(value) else value for key, value in fields.items()}
            await configure(world, VALIDATING, webhook(server, **fields))
            with pytest.raises(InternalError) as caught:
                await world.create("configmaps", config_map())
            assert server.reviews == []
            return caught.value.message

    async def test_a_certificate_of_another_authority_is_not_trusted(self, world):
        other = WebhookServer()
        found = await self.fails(
            world, clientConfig=lambda server: {**server.client_config(), "caBundle": other.ca_bundle}
        )
        assert "certificate verify failed" in found.lower()

    async def test_without_a_bundle_the_systems_authorities_count(self, world):
        found = await self.fails(world, clientConfig=lambda server: {"url": server.client_config()["url"]})
        assert "certificate verify failed" in found.lower()

    async def test_a_certificate_of_another_host_is_not_trusted(self, world):
        def by_address(server):
            return {**server.client_config(), "url": f"https://127.0.0.1:{server.port}/"}

        assert "certificate verify failed" in (await self.fails(world, clientConfig=by_address)).lower()

    async def test_nobody_listening_is_a_failure(self, world):
        found = await self.fails(world, clientConfig={"url": "https://localhost:1/x"})
        assert 'Post "https://localhost:1/x?timeout=5s"' in found

    async def test_there_are_no_services_to_call(self, world):
        service = {"service": {"namespace": "default", "name": "hook"}}
        found = await self.fails(world, clientConfig=service)
        assert "service default/hook not found: workspaces have no Services" in found

    async def test_a_host_that_is_not_allowed_is_not_called(self, world):
        world.client._allowed = WebhookClient(["elsewhere.example.com", "localhost:1"])._allowed
        assert "host localhost is not one that this server may call" in await self.fails(world)

    @pytest.mark.parametrize("listed", ["LOCALHOST", "localhost:{port}"])
    async def test_a_host_that_is_allowed_is_called(self, world, server, listed):
        world.client._allowed = WebhookClient(["other", listed.format(port=server.port)])._allowed
        await configure(world, VALIDATING, webhook(server))
        await world.create("configmaps", config_map())
        assert len(server.reviews) == 1

    async def test_what_a_host_wants_kept_is_not_kept(self, world, server):
        """One connection serves the webhooks of many workspaces."""
        review = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"%b","allowed":true}}'

        def answer(asked):
            body = review % asked["request"]["uid"].encode()
            head = b"HTTP/1.1 200 OK\r\nset-cookie: session=1; Path=/; Secure\r\ncontent-length: %d\r\n\r\n"
            return head % len(body) + body

        server.answer = answer
        await configure(world, VALIDATING, webhook(server))
        for name in ("a", "b"):
            await world.create("configmaps", config_map(name))
        assert len(server.heads) == 2
        assert not any("cookie" in head.lower() for head in server.heads)

    async def test_credentials_in_a_url_are_not_sent(self, world):
        found = await self.fails(world, clientConfig={"url": "https://user:secret@localhost:1/x"})
        assert "user information is not permitted" in found
        assert "secret" not in found

    async def test_a_slow_webhook_runs_out_of_time(self, world, server):
        never = asyncio.Event()
        server.before_answer = never.wait
        await configure(world, VALIDATING, webhook(server, timeoutSeconds=1))
        with pytest.raises(InternalError, match="context deadline exceeded"):
            await world.create("configmaps", config_map())
        never.set()

    async def test_proxies_of_the_environment_are_not_used(self, world, server, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://localhost:1")
        monkeypatch.setenv("ALL_PROXY", "http://localhost:1")
        await configure(world, VALIDATING, webhook(server))
        await world.create("configmaps", config_map())
        assert len(server.reviews) == 1

    async def test_the_pools_of_hosts_long_not_called_are_closed(self, monkeypatch):
        monkeypatch.setattr("kcpcache.registry.webhook_client._MOST_POOLS", 1)
        client = WebhookClient()
        for server in (WebhookServer(), WebhookServer()):
            async with server.running():
                target = {"url": f"https://localhost:{server.port}/", "caBundle": server.ca_bundle}
                from kcpcache.registry.webhook_client import target_of

                assert await client.post(target_of(target), {}, timeout_seconds=5) == {}
        assert len(client._pools) == 1
        await client.close()


class TestMutating:
    async def test_patches_are_applied_one_after_another_in_the_order_of_names(self, world, server):
        def answer(review):
            data = review["request"]["object"].get("data") or {}
            return patch(review, set_data(f"k{len(data)}", ",".join(sorted(data)) or "first"))

        server.answer = answer
        await configure(world, MUTATING, webhook(server, "z.example.com"), webhook(server, "y.example.com"), name="b")
        await configure(world, MUTATING, webhook(server, "x.example.com"), name="a")
        made = await world.create("configmaps", config_map(data={}))
        assert made["data"] == {"k0": "first", "k1": "k0", "k2": "k0,k1"}

    async def test_the_validating_ones_see_what_the_mutating_ones_made(self, world, server):
        def answer(review):
            if review["request"]["object"].get("data", {}).get("added"):
                return deny(review, message="seen")
            return patch(review, {"op": "add", "path": "/data", "value": {"added": "yes"}})

        server.answer = answer
        await configure(world, MUTATING, webhook(server))
        await configure(world, VALIDATING, webhook(server))
        with pytest.raises(StatusError, match="seen"):
            await world.create("configmaps", config_map())

    async def test_webhooks_see_defaults_and_unknown_fields_are_dropped_after_them(self, world, server):
        spec = {"type": "object", "properties": {"size": {"type": "integer", "default": 3}}}
        schema = {"type": "object", "properties": {"spec": spec}}
        await world.given("customresourcedefinitions.v1.apiextensions.k8s.io", crd(**schema))
        server.answer = lambda review: patch(review, {"op": "add", "path": "/spec/other", "value": 1})
        rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["crontabs"]}
        await configure(world, MUTATING, webhook(server, rules=[rule]))
        made = await world.create("crontabs.v1.stable.example.com", {"metadata": {"name": "a"}, "spec": {}})
        assert server.reviews[0]["request"]["object"]["spec"] == {"size": 3}
        assert made["spec"] == {"size": 3}

    async def test_a_patch_in_an_equivalent_version_comes_back_in_the_clients(self, world, server):
        await world.given("customresourcedefinitions.v1.apiextensions.k8s.io", crd())
        rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["v1"], "resources": ["crontabs"]}
        await configure(world, MUTATING, webhook(server, rules=[rule]))
        server.answer = lambda review: patch(review, {"op": "add", "path": "/spec", "value": {"by": "hook"}})
        made = await world.create("crontabs.v2.stable.example.com", {"metadata": {"name": "a"}})
        assert (made["apiVersion"], made["spec"]) == ("stable.example.com/v2", {"by": "hook"})

    async def test_what_a_write_may_not_change_a_webhook_may_not_change_either(self, world, server):
        await world.given("customresourcedefinitions.v1.apiextensions.k8s.io", crd())
        rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["crontabs"]}
        await configure(world, MUTATING, webhook(server, rules=[rule]))
        changes = {"uid": "mine", "namespace": "kube-system", "creationTimestamp": "2000-01-01T00:00:00Z", "name": "b"}
        server.answer = lambda review: patch(
            review,
            *({"op": "add", "path": f"/metadata/{key}", "value": value} for key, value in changes.items()),
            {"op": "add", "path": "/status", "value": {"phase": "Ready"}},
            {"op": "add", "path": "/metadata/labels", "value": {"kept": "yes"}},
        )
        made = await world.create("crontabs.v1.stable.example.com", {"metadata": {"name": "a"}})
        meta = made["metadata"]
        assert not {meta[key] for key in changes} & set(changes.values())
        assert meta["labels"] == {"kept": "yes"}
        assert "status" not in made

    async def test_what_a_webhook_changes_is_nobodys(self, world, server):
        """As in Kubernetes: managed fields are noted before admission, which sees them."""
        server.answer = lambda review: patch(review, set_data("sidecar", "yes"), set_data("mine", "changed"))
        await configure(world, MUTATING, webhook(server))
        made = await world.create("configmaps", config_map(data={"mine": "1"}))
        assert made["data"] == {"mine": "changed", "sidecar": "yes"}
        (entry,) = made["metadata"]["managedFields"]
        assert (entry["manager"], entry["operation"]) == ("test", "Update")
        assert entry["fieldsV1"] == {"f:data": {".": {}, "f:mine": {}}}
        assert server.reviews[0]["request"]["object"]["metadata"]["managedFields"] == [entry]

        server.answer = lambda review: patch(review, set_data("later", "yes"))
        made["data"]["more"] = "2"
        updated = await world.update("configmaps", made)
        assert updated["data"] == {"mine": "changed", "sidecar": "yes", "more": "2", "later": "yes"}
        (entry,) = updated["metadata"]["managedFields"]
        assert entry["fieldsV1"] == {"f:data": {".": {}, "f:mine": {}, "f:more": {}}}

    async def test_defaults_that_a_webhook_sees_are_the_writers(self, world, server):
        spec = {"type": "object", "properties": {"size": {"type": "integer", "default": 3}, "hook": {"type": "string"}}}
        await world.given(
            "customresourcedefinitions.v1.apiextensions.k8s.io", crd(type="object", properties={"spec": spec})
        )
        rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["crontabs"]}
        await configure(world, MUTATING, webhook(server, rules=[rule]))
        server.answer = lambda review: patch(review, {"op": "add", "path": "/spec/hook", "value": "x"})
        made = await world.create("crontabs.v1.stable.example.com", {"metadata": {"name": "a"}, "spec": {}})
        assert made["spec"] == {"size": 3, "hook": "x"}
        assert made["metadata"]["managedFields"][0]["fieldsV1"] == {"f:spec": {".": {}, "f:size": {}}}

    async def test_generated_names_that_are_taken_leave_the_owners_as_they_are(self, world, server, monkeypatch):
        names = iter(["taken", "taken", "free"])
        monkeypatch.setattr(write_steps, "random_suffix", lambda: next(names))
        server.answer = lambda review: patch(review, set_data("sidecar", "yes"))
        await configure(world, MUTATING, webhook(server))
        generated = {"metadata": {"generateName": "a-"}, "data": {"mine": "1"}}
        await world.create("configmaps", generated)
        made = await world.create("configmaps", generated)
        assert made["metadata"]["name"] == "a-free"
        (entry,) = made["metadata"]["managedFields"]
        assert entry["fieldsV1"]["f:data"] == {".": {}, "f:mine": {}}

    @pytest.mark.parametrize(
        ("sent", "kept", "warned"),
        [
            ([{"manager": "m", "operation": "Nope"}], "test", "operation must be `Apply` or `Update`"),
            ([{}], "test", "operation must be `Apply` or `Update`"),
            (None, None, None),
            ([], None, None),
            ("hook", "hook", None),
        ],
    )
    async def test_a_webhook_may_set_managed_fields_that_are_valid(self, world, server, sent, kept, warned):
        def answer(review):
            entries = sent
            if sent == "hook":
                entries = [review["request"]["object"]["metadata"]["managedFields"][0] | {"manager": "hook"}]
            return patch(review, {"op": "replace", "path": "/metadata/managedFields", "value": entries})

        server.answer = answer
        await configure(world, MUTATING, webhook(server))
        options = WriteOptions(field_manager="test")
        made = await world.create("configmaps", config_map(data={"mine": "1"}), options=options)
        entries = made["metadata"].get("managedFields") or []
        assert [entry["manager"] for entry in entries] == ([kept] if kept else [])
        warning = (
            ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated "
            f"mutating admission controller; please fix your requests: {warned}"
        )
        assert [text for text in options.warnings if "managedFields" in text] == ([warning] if warned else [])

    async def test_a_scale_is_shown_and_patched_as_one(self, world, server):
        made = crd()
        paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
        made["spec"]["versions"][0]["subresources"]["scale"] = paths
        await world.given("customresourcedefinitions.v1.apiextensions.k8s.io", made)
        table = "crontabs.v1.stable.example.com"
        live = await world.create(table, {"metadata": {"name": "a"}, "spec": {"replicas": 1, "other": "kept"}})
        rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["crontabs/scale"]}
        await configure(world, MUTATING, webhook(server, rules=[rule]))
        server.answer = lambda review: patch(review, {"op": "replace", "path": "/spec/replicas", "value": 5})
        live["spec"]["replicas"] = 3
        found = await world.update(table, live, sub="scale")
        assert found["spec"] == {"replicas": 5, "other": "kept"}
        (review,) = server.reviews
        scale = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        assert review["request"]["kind"] == review["request"]["requestKind"] == scale
        assert review["request"]["object"]["spec"] == {"replicas": 3}
        assert review["request"]["oldObject"]["spec"] == {"replicas": 1}
        assert review["request"]["object"]["kind"] == "Scale"

    async def test_nobody_is_asked_about_an_object_in_a_missing_namespace(self, world, server):
        await configure(world, MUTATING, webhook(server))
        with pytest.raises(NotFoundError, match='namespaces "nowhere" not found'):
            await world.create("configmaps", config_map(), namespace="nowhere")
        assert server.reviews == []

    async def test_the_servers_own_plugins_look_again_at_what_webhooks_made(self, world, server):
        class DropsIt:
            async def mutate(self, request):
                (request.new["metadata"].get("annotations") or {}).pop("internal.kcp.io/x", None)

            async def validate(self, request):
                pass

        world.plugins.append(DropsIt())
        note = {"op": "add", "path": "/metadata/annotations", "value": {"internal.kcp.io/x": "1", "mine": "2"}}
        server.answer = lambda review: patch(review, note)
        await configure(world, MUTATING, webhook(server))
        made = await world.create("configmaps", config_map())
        assert "internal.kcp.io/x" not in made["metadata"]["annotations"]
        assert made["metadata"]["annotations"]["mine"] == "2"

    @pytest.mark.parametrize(("policy", "calls"), [("Never", 1), ("IfNeeded", 2)])
    async def test_a_webhook_is_called_again_if_a_later_one_changed_the_object(self, world, server, policy, calls):
        asked = []

        def answer(review):
            labels = review["request"]["object"]["metadata"].get("labels")
            asked.append(labels)
            if len(asked) == 2:
                return patch(review, {"op": "add", "path": "/metadata/labels", "value": {"late": "yes"}})
            return allow(review)

        server.answer = answer
        first = webhook(server, "a.example.com", reinvocationPolicy=policy)
        await configure(world, MUTATING, first, webhook(server, "b.example.com"))
        await world.create("configmaps", config_map())
        assert asked == [None, None, {"late": "yes"}][: calls + 1]

    async def test_a_webhook_is_not_called_again_for_its_own_change(self, world, server):
        server.answer = lambda review: patch(review, {"op": "add", "path": "/data", "value": {"a": "b"}})
        await configure(world, MUTATING, webhook(server, reinvocationPolicy="IfNeeded"))
        await world.create("configmaps", config_map())
        assert len(server.reviews) == 1

    @pytest.mark.parametrize(
        ("operation", "why"),
        [
            ({"op": "remove", "path": "/data/none"}, "cannot be applied"),
            ({"op": "replace", "path": "", "value": []}, "leaves no object"),
            ({"op": "add", "path": "/metadata/labels", "value": {"a": 1}}, "must be of type string"),
        ],
    )
    async def test_a_patch_that_cannot_be_applied_fails_the_write(self, world, server, operation, why):
        server.answer = lambda review: patch(review, operation)
        await configure(world, MUTATING, webhook(server))
        with pytest.raises(InternalError, match=why):
            await world.create("configmaps", config_map())

    async def test_deletions_are_shown_to_mutating_webhooks(self, world, server):
        await world.create("configmaps", config_map())
        await configure(world, MUTATING, webhook(server))
        server.answer = lambda review: deny(review, message="keep it")
        with pytest.raises(StatusError, match="keep it"):
            await world.delete("configmaps", "a")
