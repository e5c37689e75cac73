"""Which entries of a kubeconfig change when the workspace does. Pure; names and rules are those of ``kubectl ws``."""

from kcpcache.client.endpoint import cluster_entry, context_entry
from kcpcache.client.kubeconfig import Edit, Entry, Kubeconfig, KubeconfigError

CURRENT, PREVIOUS = "workspace.kcp.io/current", "workspace.kcp.io/previous"


def enter(config: Kubeconfig, server: str, context_name: str = "") -> Edit:
    """Make ``server`` current, in a context of kcp's own; the context that was current becomes the previous one.

    Raises KubeconfigError.
    """
    _, context = context_entry(config, context_name)
    cluster = cluster_entry(config, context)
    clusters = {CURRENT: Entry({**cluster.body, "server": server}, cluster.origin)}
    contexts = {CURRENT: Entry({**context.body, "cluster": CURRENT}, context.origin)}
    if context.body.get("cluster") == CURRENT:  # it is about to be overwritten
        clusters[PREVIOUS] = cluster
        context = Entry({**context.body, "cluster": PREVIOUS}, context.origin)
    contexts[PREVIOUS] = context
    return Edit(clusters, contexts, CURRENT)


def go_back(config: Kubeconfig) -> tuple[Edit, str]:
    """Exchange the current and the previous context; also the server that is current then. Raises KubeconfigError."""
    _, context = context_entry(config)
    if PREVIOUS not in config.contexts:
        raise KubeconfigError("no previous workspace found in kubeconfig")
    previous = config.contexts[PREVIOUS]
    back_to = cluster_entry(config, previous)
    clusters: dict[str, Entry] = {}
    if context.body.get("cluster") == CURRENT:
        clusters[PREVIOUS] = cluster_entry(config, context)
        context = Entry({**context.body, "cluster": PREVIOUS}, context.origin)
    if previous.body.get("cluster") == PREVIOUS:
        clusters[CURRENT] = back_to
        previous = Entry({**previous.body, "cluster": CURRENT}, previous.origin)
    edit = Edit(clusters, {CURRENT: previous, PREVIOUS: context}, CURRENT)
    return edit, str(back_to.body.get("server", ""))


def create(
    config: Kubeconfig, name: str, *, server: str = "", overwrite: bool = False, keep_current: bool = False
) -> tuple[Edit, str]:
    """A context ``name`` with a cluster of that name, like the current ones; also the sentence that reports it.

    ``server`` is the cluster's where it is not the current one's. Raises KubeconfigError where the name is taken.
    """
    current_name, context = context_entry(config)
    cluster = cluster_entry(config, context)
    existed = name in config.contexts
    if existed and not overwrite:
        raise KubeconfigError(f'context "{name}" already exists in kubeconfig, use --overwrite to update it')
    body = {**cluster.body, "server": server} if server else cluster.body
    edit = Edit(
        {name: Entry(body, cluster.origin)},
        {name: Entry({**context.body, "cluster": name}, context.origin)},
        None if keep_current else name,
    )
    switched = "" if keep_current or current_name == name else " and switched to it"
    return edit, f'{"Updated" if existed else "Created"} context "{name}"{switched}.'
