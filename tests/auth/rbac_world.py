"""RBAC objects in memory, and short ways to write them."""

from dataclasses import dataclass, field

from kcpcache.auth.bootstrap_policy import cluster_role, cluster_role_binding, path_rule, rule

__all__ = ["World", "cluster_role", "cluster_role_binding", "path_rule", "role", "role_binding", "rule", "subject"]


@dataclass
class World:
    """An RbacSource: objects by logical cluster. Counts how often bindings are read."""

    objects: dict[str, list] = field(default_factory=dict)
    reads: int = 0

    def add(self, cluster, *objects):
        self.objects.setdefault(cluster, []).extend(objects)
        return self

    def _all(self, cluster, kind):
        return [each for each in self.objects.get(cluster, []) if each["kind"] == kind]

    def cluster_roles(self, cluster):
        return self._all(cluster, "ClusterRole")

    def cluster_role_bindings(self, cluster):
        self.reads += 1
        return self._all(cluster, "ClusterRoleBinding")

    def role_bindings(self, cluster, namespace):
        bindings = self._all(cluster, "RoleBinding")
        return [each for each in bindings if each["metadata"]["namespace"] == namespace]

    def role(self, cluster, namespace, name):
        wanted = {"namespace": namespace, "name": name}
        return next((each for each in self._all(cluster, "Role") if each["metadata"] == wanted), None)

    def cluster_role(self, cluster, name):
        roles = self.cluster_roles(cluster)
        return next((each for each in roles if each["metadata"]["name"] == name), None)


def role(namespace, name, rules):
    return cluster_role(name, rules) | {"kind": "Role", "metadata": {"namespace": namespace, "name": name}}


def role_binding(namespace, name, role_name, subjects, kind="ClusterRole"):
    binding = cluster_role_binding(name, role_name, subjects)
    binding["roleRef"]["kind"] = kind
    return binding | {"kind": "RoleBinding", "metadata": {"namespace": namespace, "name": name}}


def subject(kind, name, namespace=None):
    found = {"kind": kind, "name": name}
    return found | {"namespace": namespace} if namespace else found
