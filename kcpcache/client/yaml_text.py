"""YAML as Kubernetes' tools read it: what looks like a date is text."""

from typing import Any

import yaml

YamlError = yaml.YAMLError
_DEEPEST = 1000
_NOT_JSON = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}


class _Loader(yaml.CSafeLoader):
    """Safe, and without types that JSON does not have."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_JSON]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def load_documents(content: str | bytes) -> list[Any]:
    """The documents that are not empty. Raises YamlError, UnicodeDecodeError."""
    if len(content) > _DEEPEST:
        _check_depth(content)
    return [each for each in yaml.load_all(content, Loader=_Loader) if each is not None]


def _check_depth(content: str | bytes) -> None:
    """The parser itself calls itself for each level, until the process has no stack left."""
    depth = 0
    for event in yaml.parse(content, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise YamlError(f"it is nested more than {_DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def dump(value: Any) -> str:
    """One document, keys in their order."""
    return str(yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True))


def one_line(error: Exception) -> str:
    """What is wrong, for an error's text."""
    return " ".join(str(error).split())
