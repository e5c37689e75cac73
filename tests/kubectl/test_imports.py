"""The plugins start fast, and are clients: what they import says so."""

import pkgutil
import subprocess
import sys

import kcpcache.kubectl

OURS = {"client", "kubectl", "meta", "private_files"}
HEAVY = {"fastapi", "httpx", "pydantic", "rich", "typer", "cryptography", "asyncio"}


def test_nothing_of_the_server_and_no_large_library_is_in_the_plugins():
    modules = [found.name for found in pkgutil.iter_modules(kcpcache.kubectl.__path__, "kcpcache.kubectl.")]
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(ran.stdout.split())
    assert {name.split(".")[1] for name in imported if name.startswith("kcpcache.")} <= OURS
    assert not imported & HEAVY
