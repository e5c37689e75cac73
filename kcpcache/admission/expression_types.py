"""Which types the expressions of policies and webhooks give, as kube-apiserver's checker tells before they are stored.

Expressions run without types (``expressions``). Here ``request``, ``namespaceObject`` and the policy's variables have
those of ``apiserver/pkg/admission/plugin/cel`` (BuildRequestType, BuildNamespaceType, CompositionEnv): their fields are
declared as names with dots, which CEL prefers to a field of a dynamic value.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from kcpcache.admission import authorizer_library
from kcpcache.admission.expressions import MOST_CHARACTERS, compile_admission
from kcpcache.schema.cel_environment import CompileError, language, readable
from kcpcache.schema.cel_report import report
from kcpcache.schema.cel_rewrite import relocated, runnable
from kcpcache.schema.cel_text import code

_KIND: Final = ("group", "version", "kind")
_RESOURCE: Final = ("group", "version", "resource")
_TEXTS: Final = {
    "request": ("subResource", "requestSubResource", "name", "namespace", "operation"),
    "request.kind": _KIND,
    "request.requestKind": _KIND,
    "request.resource": _RESOURCE,
    "request.requestResource": _RESOURCE,
    "request.userInfo": ("username", "uid"),
    "namespaceObject.metadata": ("name", "generateName", "namespace", "UID", "resourceVersion"),
    "namespaceObject.status": ("phase",),
}
_ALIASES: Final = {"request": "requesT", "namespaceObject": "namespaceObjecT", "variables": "variableS"}
_HAS: Final = re.compile(r"(?<![\w.])has\s*\(\s*(request|namespaceObject|variables)(?=\s*\.)")
_UNDECLARED: Final = re.compile(
    r"ERROR: [^\n]*: undeclared reference to '(\w+)\.[\w.]+' \(in container ''\)(?:\n \|.*)*"
)
"""cel-cpp names all that is selected from a variable that there is not; cel-go says the variable's name."""
_MOST_TYPED: Final = 100
"""So many variables of a policy have types; any may be what a further one gives."""
_UNTOLD: Final = re.compile(r"\.\s*(?:min|max|sum|slice|reverse|distinct|transformMapEntry)\s*\(")
"""Functions whose result depends on what the list has, which their declarations do not say."""
_NAMES: Final = {
    "NULL": "null_type",
    "TIMESTAMP": "google.protobuf.Timestamp",
    "DURATION": "google.protobuf.Duration",
}
_WORD: Final = re.compile(r"(?<!\.)\b(?:BOOL|BYTES|DOUBLE|DURATION|DYN|INT|LIST|MAP|NULL|STRING|TIMESTAMP|TYPE|UINT)\b")


class Types:
    """The types of the expressions of one policy or configuration, which may use ``names``; variables are added."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._variables: dict[str, Any] = {}
        self._environments: dict[tuple[str, ...], Any] = {}

    def add(self, variable: str, text: str) -> None:
        """A variable, which expressions may use from now on. Raises CompileError; then it may be of any type."""
        try:
            found = self.check(text, ())
        except CompileError:
            self._define(variable, None)
            raise
        self._define(variable, found)

    def check(self, text: str, wanted: tuple[str, ...], *, without: Sequence[str] = ()) -> Any:
        """The type of the expression; None where that cannot be told. It may not use the names in ``without``.

        Raises CompileError with kube's text, also where the type is none of those ``wanted`` ((): it may be any).
        """
        names = tuple(name for name in self._names if name not in without)
        found = self._type(text, names)
        used = compile_admission(text, self._names, ()).variables
        for name in used:
            if name not in self._variables:
                undefined = [(_dot(text, name), f"undefined field '{name}'")]
                raise CompileError(f"compilation failed: {report(text, undefined)}")
        told = found.name() != "DYN" or not (
            _UNTOLD.search(code(text)) or any(self._variables[name] is None for name in used)
        )
        if not told:
            return None
        if wanted and found.name() not in {name.upper() for name in wanted}:
            raise CompileError(_mistyped(wanted, found))
        return found

    def _define(self, variable: str, found: Any) -> None:
        if len(self._variables) < _MOST_TYPED:
            self._environments.clear()
            self._variables[variable] = found
        else:
            self._variables[variable] = None

    def _type(self, text: str, names: tuple[str, ...]) -> Any:
        if len(text) > MOST_CHARACTERS:
            raise CompileError(f"expression is longer than {MOST_CHARACTERS} characters")
        rewritten = runnable(_within_has(text))
        try:
            return self._environment(names).compile(rewritten.text).return_type()
        except RuntimeError as error:
            why = relocated(readable(str(error)), text, rewritten)
            for name, alias in _ALIASES.items():
                why = why.replace(alias, name)
            if found := _UNDECLARED.fullmatch(why):
                why = report(
                    text, [(_place(text, found[1]), f"undeclared reference to '{found[1]}' (in container '')")]
                )
            raise CompileError(f"compilation failed: {why}") from None
        except UnicodeEncodeError:
            raise CompileError("compilation failed: expression is not valid Unicode") from None

    def _environment(self, names: tuple[str, ...]) -> Any:
        found = self._environments.get(names)
        if found is None:
            variables = {f"variables.{name}": kind for name, kind in self._variables.items() if kind is not None}
            found = self._environments[names] = _environment(names, variables if "variables" in names else {})
        return found


def _environment(names: tuple[str, ...], typed: dict[str, Any]) -> Any:
    from cel_expr_python import cel

    kind, known = cel.Type, language()
    texts = kind.List(kind.STRING)
    labels = kind.Map(kind.STRING, kind.STRING)
    fields = {f"{holder}.{name}": kind.STRING for holder, below in _TEXTS.items() for name in below} | {
        "request.dryRun": kind.BOOL,
        "request.userInfo.groups": texts,
        "request.userInfo.extra": kind.Map(kind.STRING, texts),
        "namespaceObject.metadata.labels": labels,
        "namespaceObject.metadata.annotations": labels,
        "namespaceObject.metadata.finalizers": texts,
        "namespaceObject.metadata.generation": kind.INT,
        "namespaceObject.metadata.deletionGracePeriodSeconds": kind.INT,
        "namespaceObject.metadata.creationTimestamp": kind.TIMESTAMP,
        "namespaceObject.metadata.deletionTimestamp": kind.TIMESTAMP,
        "namespaceObject.spec.finalizers": texts,
    }
    fields = {name: found for name, found in fields.items() if name.split(".")[0] in names}
    aliases = [alias for name, alias in _ALIASES.items() if name in names]
    special = {name: found for name, found in authorizer_library.variables().items() if name in names}
    return cel.NewEnv(
        variables=dict.fromkeys((*names, *aliases), kind.DYN) | fields | special | typed,
        **known | {"extensions": [*known["extensions"], authorizer_library.extension()]},
    )


def _within_has(text: str) -> str:
    """The expression with other names, as long, in what ``has()`` asks: cel-cpp's knows no names with dots."""
    for found in _HAS.finditer(code(text)):
        text = text[: found.start(1)] + _ALIASES[found[1]] + text[found.end(1) :]
    return text


def _place(text: str, name: str) -> int:
    """Where an expression uses the variable first."""
    found = re.search(rf"(?<![\w.]){name}\b", code(text))
    return found.start() if found else 0


def _dot(text: str, name: str) -> int:
    """Where ``variables.<name>`` has its dot."""
    found = re.search(rf"(?<![\w.])variables\s*(\.)\s*{name}\b", code(text))
    return found.start(1) if found else 0


def _mistyped(wanted: tuple[str, ...], found: Any) -> str:
    names = [_NAMES.get(name.upper(), name) for name in wanted]
    text = names[0] if len(names) == 1 else f"one of [{' '.join(names)}]"
    shown = _WORD.sub(lambda word: _NAMES.get(word[0], word[0].lower()), found.name())
    shown = shown.replace("<", "(").replace(">", ")").replace("kcpcache.admission.", "kubernetes.authorization.")
    return f"must evaluate to {text} but got {shown}"
