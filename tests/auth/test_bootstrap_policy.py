import pytest
from rbac_world import World, cluster_role_binding, subject

from kcpcache.auth.attributes import Attributes, bind_attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.bootstrap_policy import root_objects, system_admin_objects, workspace_admin_binding
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.user import ANONYMOUS, User

ALICE = User("alice", groups=("system:authenticated",))
KCP_ADMIN = User("kcp-admin", groups=("system:kcp:admin", "system:authenticated"))
TENANCY, TOPOLOGY = "tenancy.kcp.io", "topology.kcp.io"
ROBOT = "system:serviceaccount:default:robot"


class Ready:
    def state(self, _):
        return "ready"

    def required_groups(self, _cluster):
        return ()


class Policies:
    """Every workspace has bound root's exports."""

    def provider(self, _cluster, group, _resource):
        return "root" if group in {TENANCY, TOPOLOGY} else None


def authorizer(*objects):
    world = World().add("system:admin", *system_admin_objects()).add("root", *root_objects()).add("ws", *objects)
    return Authorizer(Rbac(world), Ready(), Policies())


def may(user, verb, resource, *, group=TENANCY, name="", cluster="root", subresource="", decide=None):
    attributes = Attributes(
        user=user, verb=verb, cluster=cluster, group=group, resource=resource, name=name, subresource=subresource
    )
    return (decide or authorizer()).authorize(attributes).allowed


def may_path(user, path, cluster="root", verb="get", decide=None):
    attributes = Attributes(user=user, verb=verb, cluster=cluster, path=path, is_resource=False)
    return (decide or authorizer()).authorize(attributes).allowed


def test_names_are_unique_and_bindings_name_roles_that_are_there():
    shared = {each["metadata"]["name"] for each in system_admin_objects() if each["kind"] == "ClusterRole"}
    for objects in (system_admin_objects(), root_objects()):
        names = [(each["kind"], each["metadata"]["name"]) for each in objects]
        assert len(names) == len(set(names))
        roles = shared | {name for kind, name in names if kind == "ClusterRole"}
        assert {each["roleRef"]["name"] for each in objects if "roleRef" in each} <= roles


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_every_authenticated_user_sees_roots_workspaces_and_types(verb):
    assert may(ALICE, verb, "workspaces", name="x")
    assert may(ALICE, verb, "workspacetypes", name="x")
    assert may(ALICE, verb, "logicalclusters", group="core.kcp.io", name="cluster")
    assert not may(ANONYMOUS, verb, "workspaces", name="x")


@pytest.mark.parametrize(
    ("verb", "resource", "name", "allowed"),
    [
        ("use", "workspacetypes", "universal", True),
        ("use", "workspacetypes", "organization", True),
        ("use", "workspacetypes", "team", True),
        ("use", "workspacetypes", "home", False),
        ("use", "workspacetypes", "root", False),
        ("create", "workspaces", "~", True),
        ("create", "workspaces", "x", False),
        ("create", "workspaces", "", False),
        ("delete", "workspaces", "x", False),
        ("update", "workspacetypes", "universal", False),
    ],
)
def test_every_authenticated_user_may_use_roots_types_and_make_a_home(verb, resource, name, allowed):
    assert may(ALICE, verb, resource, name=name) is allowed


@pytest.mark.parametrize(("export", "allowed"), [(TENANCY, True), (TOPOLOGY, True), ("cache.kcp.io", False)])
def test_every_authenticated_user_may_bind_tenancy_and_topology(export, allowed):
    decision = authorizer().authorize_reference(bind_attributes(ALICE, "root", export))
    assert decision.allowed is allowed


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/apis", "/apis/x/v1", "/openapi/v3", "/version"])
def test_discovery_is_for_those_with_access(path):
    assert may_path(ALICE, path)
    assert may_path(ALICE, path, "ws") is (path == "/version")


def test_access_to_root_is_none_to_other_workspaces():
    assert may_path(ALICE, "/", verb="access")
    assert not may_path(ALICE, "/", "ws", verb="access")


def test_the_access_role_lets_in_and_lets_review_oneself_and_no_more():
    decide = authorizer(cluster_role_binding("b", "system:kcp:workspace:access", [subject("User", "alice")]))
    assert may_path(ALICE, "/apis", "ws", decide=decide)
    for group, resource in (
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authentication.k8s.io", "selfsubjectreviews"),
    ):
        assert may(ALICE, "create", resource, group=group, cluster="ws", decide=decide)
    assert not may(ALICE, "list", "configmaps", group="", cluster="ws", decide=decide)
    assert not may(ALICE, "list", "workspaces", cluster="ws", decide=decide)


def test_kcp_admins_are_admins_of_every_workspace_within_the_policies():
    assert may(KCP_ADMIN, "delete", "secrets", group="", cluster="ws")
    assert may(KCP_ADMIN, "delete", "workspaces", cluster="ws")
    assert may(KCP_ADMIN, "update", "workspaces", subresource="status", cluster="ws")
    assert not may(KCP_ADMIN, "update", "partitions", group=TOPOLOGY, subresource="status", cluster="ws")
    assert may_path(KCP_ADMIN, "/metrics")


@pytest.mark.parametrize("creator", [ALICE, User(ROBOT, extra={"authentication.kcp.io/cluster-name": ("root",)})])
def test_the_creator_of_a_workspace_is_its_admin_within_the_policies(creator):
    decide = authorizer(workspace_admin_binding(creator))
    assert may(creator, "delete", "secrets", group="", cluster="ws", decide=decide)
    assert may_path(creator, "/", "ws", verb="access", decide=decide)
    assert may(ALICE, "create", "workspaces", cluster="ws", decide=decide) is (creator is ALICE)


def test_the_creator_may_not_write_the_status_of_its_workspaces():
    decide = authorizer(workspace_admin_binding(ALICE))
    assert may(ALICE, "get", "workspaces", subresource="status", cluster="ws", decide=decide)
    assert not may(ALICE, "update", "workspaces", subresource="status", cluster="ws", decide=decide)
    assert may(ALICE, "create", "partitions", group=TOPOLOGY, cluster="ws", decide=decide)


def test_a_foreign_namesake_of_the_creating_account_gets_nothing():  # P11
    creator = User(ROBOT, extra={"authentication.kcp.io/cluster-name": ("root",)})
    decide = authorizer(workspace_admin_binding(creator))
    for home in ("ws", "other"):
        namesake = User(ROBOT, extra={"authentication.kcp.io/cluster-name": (home,)})
        assert not may(namesake, "get", "secrets", group="", cluster="ws", decide=decide)


@pytest.mark.parametrize(
    ("role", "can", "cannot"),
    [
        ("view", ("list", "configmaps"), ("get", "secrets")),
        ("edit", ("update", "secrets"), ("create", "rolebindings")),
        ("admin", ("create", "rolebindings"), ("update", "resourcequotas")),
    ],
)
def test_view_edit_and_admin_each_stop_where_they_do_in_kube(role, can, cannot):
    access = cluster_role_binding("a", "system:kcp:workspace:access", [subject("User", "alice")])
    decide = authorizer(access, cluster_role_binding("b", role, [subject("User", "alice")]))
    for (verb, resource), allowed in ((can, True), (cannot, False)):
        group = "rbac.authorization.k8s.io" if resource == "rolebindings" else ""
        assert may(ALICE, verb, resource, group=group, cluster="ws", decide=decide) is allowed


def test_the_roles_that_clients_of_kube_refer_to_are_there():
    roles = {each["metadata"]["name"]: each for each in system_admin_objects() if each["kind"] == "ClusterRole"}
    assert {"cluster-admin", "admin", "edit", "view", "system:basic-user", "system:discovery"} < set(roles)
    assert roles["system:public-info-viewer"]["rules"][0]["nonResourceURLs"][:2] == ["/healthz", "/livez"]
    for name, least in (("view", "get"), ("edit", "update"), ("admin", "update")):
        assert roles[name]["aggregationRule"]["clusterRoleSelectors"] == [
            {"matchLabels": {f"rbac.authorization.k8s.io/aggregate-to-{name}": "true"}}
        ]
        assert any("configmaps" in each["resources"] and least in each["verbs"] for each in roles[name]["rules"])
