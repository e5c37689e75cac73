"""The reference: pages written from the program itself whenever the site is built, so that none can be out of date."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import metrics_reference
import yaml
from typer.main import get_group

from kcpcache.cli.app import app
from kcpcache.meta import errors

_INDENT = "&nbsp;" * 4
CRDS = Path(__file__).resolve().parents[2] / "openapi" / "crds"


def pages() -> dict[str, str]:
    """Every page's Markdown, by its path in the site's sources."""
    return {
        "reference/commands.md": "".join(_commands()),
        "reference/metrics.md": metrics_reference.page(),
        "reference/errors.md": "".join(_errors()),
        **{f"reference/{group}.md": "".join(_group(group, crds)) for group, crds in _crds().items()},
    }


def _commands() -> Iterator[str]:
    yield "# Commands and flags\n\n`kcpcache <command> --help` says the same in the terminal.\n"
    group = get_group(app)
    for name, command in sorted(group.commands.items()):
        arguments = [found for found in command.params if found.param_type_name == "argument"]
        options = [found for found in command.params if found.param_type_name == "option"]
        words = " ".join([name, *(str(found.name).upper() for found in arguments)])
        yield f"\n## kcpcache {words}\n\n{_help(command.help or '')}\n"
        if options:
            yield "\n| flag | default | |\n| --- | --- | --- |\n"
        for option in options:
            flags = ", ".join(f"`{flag}`" for flag in option.opts)
            yield _row(flags, _default(option), getattr(option, "help", None) or "")


def _help(text: str) -> str:
    return re.sub(r"^Example: (.*)$", r"Example: `\1`", _plain(inspect.cleandoc(text)), flags=re.MULTILINE)


def _default(option: Any) -> str:
    """What ``--help`` shows: a text of its own where the value is not known to the option."""
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    return f"`{shown}`" if shown and not callable(shown) else ""


def _errors() -> Iterator[str]:
    yield "# Errors\n\n"
    yield "Every error is a Kubernetes `Status`. Its `reason` is for programs, its `message` for people.\n\n"
    yield "| code | reason | what it means |\n| --- | --- | --- |\n"
    found = [kind for kind in vars(errors).values() if _is_error(kind)]
    for kind in sorted(found, key=lambda kind: (kind.code, kind.reason)):
        yield _row(str(kind.code), f"`{kind.reason}`", _first_sentence(kind))
    yield "\n## What is wrong with a field\n\n"
    yield "An `Invalid` has a cause for each field in `details.causes`, with these reasons:\n\n"
    yield "| reason | what it means |\n| --- | --- |\n"
    for name, function in sorted(vars(errors).items()):
        if name.startswith("field_"):
            reason = f"FieldValue{''.join(part.title() for part in name.removeprefix('field_').split('_'))}"
            yield _row(f"`{reason}`", _first_sentence(function))


def _is_error(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, errors.StatusError) and kind is not errors.StatusError


def _first_sentence(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0].partition(" See ``")[0]


def _crds() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(CRDS.glob("*.yaml")):
        crd = yaml.safe_load(path.read_text(encoding="utf-8"))
        found.setdefault(crd["spec"]["group"], []).append(crd)
    return found


def _group(group: str, crds: list[dict[str, Any]]) -> Iterator[str]:
    yield f"# {group}\n\n`kubectl explain` says the same in a workspace.\n"
    for crd in crds:
        spec = crd["spec"]
        scope = {"Cluster": "cluster scoped", "Namespaced": "namespaced"}[spec["scope"]]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            yield f"\n## {spec['names']['kind']} {version['name']}\n\n"
            yield f"`{spec['names']['plural']}.{group}/{version['name']}`, {scope}. "
            yield f"{_plain(_oneline(schema['description']))}\n\n"
            yield "| field | type | |\n| --- | --- | --- |\n"
            for depth, name, node, required in _fields(schema, 0):
                needed = "Required. " if required else ""
                field = f"{_INDENT * depth}`{name}`{{style='white-space: nowrap'}}"
                yield _row(field, _type(node), needed + _oneline(node.get("description", "")))


def _fields(schema: Mapping[str, Any], depth: int) -> Iterator[tuple[int, str, Mapping[str, Any], bool]]:
    """All fields below a schema, parents before children: depth, name, schema, and whether its parent must have it."""
    required = schema.get("required", ())
    for name, node in schema.get("properties", {}).items():
        if not depth and name in {"apiVersion", "kind", "metadata"}:
            continue
        yield depth, name, node, name in required
        for inner in (node, node.get("items"), node.get("additionalProperties")):
            if isinstance(inner, dict):
                yield from _fields(inner, depth + 1)


def _type(node: Mapping[str, Any]) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if "enum" in node:
        return ", ".join(f"`{choice}`" if choice else "empty" for choice in node["enum"])
    kind = str(node.get("format") or node.get("type", "any"))
    if kind == "array":
        return f"list of {_type(node['items'])}"
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"map to {_type(node['additionalProperties'])}"
    return kind


def _oneline(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Text that says the same in Markdown."""
    return text.replace("<", "&lt;").replace("``", "`")


def _row(*cells: str) -> str:
    escaped = (_plain(_oneline(cell)).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |\n"
