"""Lists of hosts that the server may call, as flags give them: ``host`` on any port, or ``host:port``."""


def is_listed(host: str, port: int, hosts: frozenset[str]) -> bool:
    """Whether a host (a name, or an address without brackets) and port are on the list, in whatever spelling."""
    bracketed = f"[{host}]" if ":" in host else host
    return not hosts.isdisjoint((host, bracketed, f"{bracketed}:{port}"))
