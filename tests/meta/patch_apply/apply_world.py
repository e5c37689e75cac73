"""A type with every kind of field, and an object of it that several managers write."""

from kcpcache.meta.managed_fields import apply, update
from kcpcache.meta.managed_fields.fields_v1 import paths, shown
from kcpcache.meta.objects import copy

STRING = {"type": "string"}
INTEGER = {"type": "integer"}
VERSION = "example.com/v1"

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": INTEGER,
                "image": STRING,
                "flag": {"type": "boolean"},
                "nested": {
                    "type": "object",
                    "properties": {
                        "a": STRING,
                        "b": STRING,
                        "inner": {"type": "object", "properties": {"c": STRING, "d": STRING}},
                    },
                },
                "free": {"type": "object", "additionalProperties": STRING},
                "freeObjects": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "properties": {"a": STRING, "b": STRING}},
                },
                "selector": {
                    "type": "object",
                    "additionalProperties": STRING,
                    "x-kubernetes-map-type": "atomic",
                },
                "args": {"type": "array", "items": STRING},
                "set": {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
                "numbers": {"type": "array", "items": INTEGER, "x-kubernetes-list-type": "set"},
                "items": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": STRING,
                            "value": STRING,
                            "other": STRING,
                            "set": {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"},
                        },
                    },
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                },
                "ports": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "port": INTEGER,
                            "protocol": {"type": "string", "default": "TCP"},
                            "name": STRING,
                        },
                    },
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "protocol"],
                },
                "amount": {"x-kubernetes-int-or-string": True},
                "raw": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "any": {"x-kubernetes-preserve-unknown-fields": True},
                "template": {"type": "object", "x-kubernetes-embedded-resource": True},
            },
        },
        "status": {"type": "object", "properties": {"phase": STRING, "ready": INTEGER}},
    },
}


def thing(spec=None, *, metadata=None, **fields):
    obj = {"apiVersion": VERSION, "kind": "Thing", "metadata": {"name": "x", **(metadata or {})}, **fields}
    return obj if spec is None else obj | {"spec": spec}


class World:
    """One object and what is done to it; each write is a minute after the last."""

    def __init__(self, schema=SCHEMA, version=VERSION):
        self.schema, self.version = schema, version
        self.live = None
        self.minute = 0

    def now(self):
        self.minute += 1
        return f"2026-01-01T00:{self.minute:02}:00Z"

    def apply(self, manager, spec=None, *, force=False, subresource="", reset=(), obj=None, **rest):
        applied = obj or thing(spec, **rest)
        applied["apiVersion"] = self.version
        before = copy(self.live), copy(applied)
        live = apply(
            self.live,
            applied,
            manager=manager,
            schema=self.schema,
            api_version=self.version,
            force=force,
            now=self.now(),
            subresource=subresource,
            reset=reset,
        )
        assert (self.live, applied) == before, "arguments stay as they are"
        self.live = live
        return self

    def update(self, manager, spec=None, *, subresource="", obj=None, **rest):
        new = copy(obj or thing(spec, **rest))
        new["apiVersion"] = self.version
        before = copy(self.live)
        update(
            self.live,
            new,
            manager=manager,
            schema=self.schema,
            api_version=self.version,
            now=self.now(),
            subresource=subresource,
        )
        assert self.live == before, "the old object stays as it is"
        self.live = new
        return self

    @property
    def spec(self):
        return self.live.get("spec")

    @property
    def entries(self):
        return self.live["metadata"].get("managedFields", [])

    def owned(self, manager, operation=None):
        """The fields that a manager owns, as shown in conflicts."""
        return {
            shown(path)
            for entry in self.entries
            if entry["manager"] == manager and operation in {None, entry["operation"]}
            for path in paths(entry["fieldsV1"])
        }

    def owners(self):
        return {entry["manager"] for entry in self.entries}

    def time(self, manager):
        return next(entry.get("time") for entry in self.entries if entry["manager"] == manager)
