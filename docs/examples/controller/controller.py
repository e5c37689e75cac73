"""Runs the instances of every consumer: a controller of Cloud Co.'s, on kubernetes_asyncio.

It is told where and who in its environment: URL is that of the APIExportEndpointSlice, TOKEN a token, CA a file.
"""

import asyncio
import os
from typing import Any, Final

from kubernetes_asyncio import client, watch
from kubernetes_asyncio.client.exceptions import ApiException

INSTANCES: Final = ("cloud.example.com", "v1", "instances")
FLAVORS: Final = ("cloud.example.com", "v1", "cpuflavors")
NOT_FOUND, CONFLICT, GONE = 404, 409, 410


def api(cluster: str) -> client.CustomObjectsApi:
    """A client for one logical cluster of a consumer, or with ``*`` for all of them at once."""
    configuration = client.Configuration(host=f"{os.environ['URL']}/clusters/{cluster}")
    configuration.ssl_ca_cert = os.environ["CA"]
    configuration.api_key = {"BearerToken": f"Bearer {os.environ['TOKEN']}"}
    return client.CustomObjectsApi(client.ApiClient(configuration))


async def reconcile(instance: dict[str, Any]) -> None:
    """Bring the status of one instance to what its flavor says. Nothing is written where that is so already."""
    metadata, spec = instance["metadata"], instance["spec"]
    consumer = api(metadata["annotations"]["kcp.io/cluster"])
    async with consumer.api_client:
        try:
            flavor = await consumer.get_cluster_custom_object(*FLAVORS, spec["cpuFlavor"])
            status = {"phase": "Running", "address": f"{metadata['name']}.{flavor['spec']['cores']}-cores.example.com"}
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise
            status = {"phase": "Pending"}
        if instance.get("status") == status:
            return
        group, version, plural = INSTANCES
        written = {**instance, "status": status}
        try:
            await consumer.replace_namespaced_custom_object_status(
                group, version, metadata["namespace"], plural, metadata["name"], written
            )
        except ApiException as error:
            if error.status not in {NOT_FOUND, CONFLICT}:  # it changed meanwhile, and the watch tells of that too
                raise
        else:
            print(f"{metadata['name']} is {status['phase']}", flush=True)  # noqa: T201 -- what its user sees


async def run() -> None:
    """List the instances of all consumers, and follow every change."""
    everyone = api("*")
    async with everyone.api_client:
        listed = await everyone.list_cluster_custom_object(*INSTANCES)
        print(f"{len(listed['items'])} instances at the start", flush=True)  # noqa: T201
        for instance in listed["items"]:
            await reconcile(instance)
        version = listed["metadata"]["resourceVersion"]
        stream = watch.Watch().stream(everyone.list_cluster_custom_object, *INSTANCES, resource_version=version)
        async for event in stream:
            if event["type"] in {"ADDED", "MODIFIED"}:
                await reconcile(event["object"])


async def main() -> None:
    """Begin again where the history that a watch needs is gone."""
    while True:
        try:
            await run()
        except ApiException as error:
            if error.status != GONE:
                raise


if __name__ == "__main__":
    asyncio.run(main())
