"""The product document's story: Cloud Co. shares its catalogue, from the manifests that the tutorial uses."""

from real_kubectl import Kubectl
from real_server import REPOSITORY

EXAMPLE = REPOSITORY / "docs" / "examples" / "cloud-co"
GROUP = "/apis/cloud.example.com/v1"
CPU, MEM = "cpuflavors-v1", "memflavors-v1"


def share_catalogue(kubectl: Kubectl, provider: str) -> dict[str, str]:
    """Define, fill, cache and export the flavors in workspace ``provider``; each CachedResource's identity hash."""
    files = sorted((EXAMPLE / "provider").iterdir())
    crds, rest, export = files[:2], files[2:-1], files[-1]
    kubectl(provider, "apply", *(f"--filename={file}" for file in crds))
    kubectl(provider, "wait", "--for=condition=Established", "--timeout=10s", *(f"--filename={file}" for file in crds))
    kubectl(provider, "apply", *(f"--filename={file}" for file in rest))
    cached = [f"cachedresource/{name}" for name in (CPU, MEM)]
    kubectl(provider, "wait", "--for=jsonpath={.status.phase}=Ready", "--timeout=10s", *cached)
    hashes = {name: kubectl.json(provider, "cachedresource", name)["status"]["identityHash"] for name in (CPU, MEM)}
    text = export.read_text().replace("${CPUFLAVORS_IDENTITY_HASH}", hashes[CPU])
    kubectl(provider, "apply", "-f", "-", stdin=text.replace("${MEMFLAVORS_IDENTITY_HASH}", hashes[MEM]))
    return hashes


def bind_catalogue(kubectl: Kubectl, consumer: str, provider: str) -> None:
    """Bind workspace ``consumer`` to what ``provider`` shares, and wait until that is served."""
    binding = (EXAMPLE / "consumer" / "01-compute-apibinding.yaml").read_text()
    kubectl(consumer, "apply", "-f", "-", stdin=binding.replace("root:provider", provider))
    kubectl(consumer, "wait", "--for=condition=Ready", "apibinding/compute", "--timeout=10s")
    kubectl(consumer, "wait", "--for=jsonpath={.status.phase}=Bound", "apibinding/compute", "--timeout=10s")
