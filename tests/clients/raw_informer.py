"""An informer as client-go has them: list, then watch, resume where it was, start over when that is too long ago."""

import contextlib
import json
import threading
from typing import Any, NamedTuple

import httpx

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Seen(NamedTuple):
    """One object as the informer knows it."""

    resource_version: int
    obj: dict[str, Any]


class Informer:
    """A cache of a collection that a thread keeps. ``streaming`` asks for the initial state as a watch's first events.

    Whatever it is told that no right server says becomes an entry of ``complaints``: an event that does not follow from
    what it knew, a revision that is not above the one before.
    """

    def __init__(self, client: httpx.Client, path: str, *, streaming: bool) -> None:
        self._client, self._path, self._streaming = client, path, streaming
        self.cache: dict[str, Seen] = {}
        self.complaints: list[str] = []
        self.position = 0
        self.relists = 0
        self.resumes = 0
        self.events = 0
        self.synced = threading.Event()
        self._known = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let its connection be the last."""
        self._stop.set()

    def join(self, timeout: float = 20.0) -> None:
        """Wait for the end of its connection."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            # A broken connection is what this is about; everything else is the server's fault.
            with contextlib.suppress(httpx.TransportError):
                if not self._known:
                    self._begin()
                else:
                    self.resumes += 1
                    self._known = self._follow({"resourceVersion": str(self.position)}, {})

    def _begin(self) -> None:
        self.relists += 1
        if self._streaming:
            begun: dict[str, Seen] = {}
            query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            self._known = self._follow(query, begun)
            return
        found: dict[str, Seen] = {}
        query = {"limit": "500"}
        while True:
            response = self._client.get(self._path, params=query)
            if response.status_code == httpx.codes.GONE:
                raise httpx.TransportError("the list took too long")
            page = response.raise_for_status().json()
            for obj in page["items"]:
                self._initial(found, obj)
            if not (token := page["metadata"].get("continue")):
                break
            query = {"limit": "500", "continue": token}
        self._replace(found, int(page["metadata"]["resourceVersion"]))

    def _initial(self, found: dict[str, Seen], obj: dict[str, Any]) -> None:
        name, version = obj["metadata"]["name"], int(obj["metadata"]["resourceVersion"])
        if name in found:
            self.complaints.append(f"{name} came twice in one initial state")
        found[name] = Seen(version, obj)

    def _replace(self, found: dict[str, Seen], position: int) -> None:
        for name, (version, _) in found.items():
            if version > position:
                self.complaints.append(f"{name} has version {version} in a state as of {position}")
            if name in self.cache and version < self.cache[name].resource_version:
                self.complaints.append(f"{name} went back from {self.cache[name].resource_version} to {version}")
        if position < self.position:
            self.complaints.append(f"the state went back from {self.position} to {position}")
        self.cache, self.position, self._known = found, position, True
        self.synced.set()

    def _follow(self, query: dict[str, str], begun: dict[str, Seen]) -> bool:
        """Watch to the end. Whether there is something known, and it can still be followed from where it is."""
        initial = "sendInitialEvents" in query
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": "5", **query}
        with self._client.stream("GET", self._path, params=query) as response:
            if response.status_code == httpx.codes.GONE:
                return False
            if not response.is_success:
                self.complaints.append(f"{response.status_code} {response.read()!r}")
                return False
            for line in response.iter_lines():
                event = json.loads(line)
                kind, obj = event["type"], event["object"]
                if kind == "ERROR":
                    if obj["code"] != httpx.codes.GONE:
                        self.complaints.append(f"an error event: {obj}")
                    return False
                if initial and kind == "ADDED":
                    self._initial(begun, obj)
                elif initial and kind == "BOOKMARK":
                    if obj["metadata"].get("annotations", {}).get(INITIAL_EVENTS_END) != "true":
                        continue  # not the one that ends the initial state
                    self._replace(begun, int(obj["metadata"]["resourceVersion"]))
                    initial = False
                else:
                    self._apply(kind, obj)
                if self._stop.is_set():
                    break
        return not initial

    def _apply(self, kind: str, obj: dict[str, Any]) -> None:
        version = int(obj["metadata"]["resourceVersion"])
        if kind == "BOOKMARK":
            if version < self.position:
                self.complaints.append(f"a bookmark of {version} after {self.position}")
            self.position = version
            return
        name, self.events = obj["metadata"]["name"], self.events + 1
        if version <= self.position:
            self.complaints.append(f"{kind} {name} of {version} after {self.position}")
        self.position = version
        known = self.cache.get(name)
        if (kind == "ADDED") != (known is None):
            self.complaints.append(f"{kind} {name}, which is {'there' if known else 'not there'}")
        if known is not None and version <= known.resource_version:
            self.complaints.append(f"{kind} {name} of {version} is not above {known.resource_version}")
        if kind == "MODIFIED" and known is not None and obj["metadata"]["uid"] != known.obj["metadata"]["uid"]:
            self.complaints.append(f"{name} became another without having been deleted")
        if kind == "DELETED":
            self.cache.pop(name, None)
        else:
            self.cache[name] = Seen(version, obj)
