"""``format.dns1123Label().validate(x)`` and its kin: an optional list of what is wrong with a text.

Python cannot return CEL's optionals. These functions return a list of one item or none, of which ``first()`` makes an
optional value: ``cel_rewrite`` adds that to the text of a rule before it is compiled to run.
"""

from collections.abc import Callable
from typing import Any

from kcpcache.meta import names
from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.messages import cel_type, message
from kcpcache.schema.formats import STRING_FORMATS

_REFUSALS = {"byte": "invalid base64", "uuid": "does not match the UUID format"}

_Validate = Callable[[str], list[str]]


def _named(name: str) -> _Validate:
    check = STRING_FORMATS[name]
    return lambda text: [] if check(text) else [_REFUSALS.get(name, f"invalid {name}")]


def _prefix(validate: _Validate) -> _Validate:
    """For ``generateName``: a trailing hyphen is as good as what will follow it."""
    return lambda text: validate(f"{text[:-1]}a" if text.endswith("-") and len(text) > 1 else text)


_FORMATS: dict[str, _Validate] = {
    "dns1123Label": names.dns1123_label_errors,
    "dns1123Subdomain": names.dns1123_subdomain_errors,
    "dns1035Label": names.dns1035_label_errors,
    "qualifiedName": names.qualified_name_errors,
    "dns1123LabelPrefix": _prefix(names.dns1123_label_errors),
    "dns1123SubdomainPrefix": _prefix(names.dns1123_subdomain_errors),
    "dns1035LabelPrefix": _prefix(names.dns1035_label_errors),
    "labelValue": names.label_value_errors,
    "uri": _named("uri"),
    "uuid": _named("uuid"),
    "byte": _named("byte"),
    "date": _named("date"),
    "datetime": _named("datetime"),
}


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    form = cel_type(cel, "Format")

    def declare(name: str, result: Any, parameters: list[Any], impl: Any, *, member: bool = True) -> Any:
        overload = cel.Overload(
            f"kubernetes_{name.replace('.', '_')}", result, parameters, member, impl=called_by_cel(impl)
        )
        return cel.FunctionDecl(name, [overload])

    return [
        *(declare(f"format.{name}", form, [], _maker(name), member=False) for name in _FORMATS),
        declare("format.named", kind.List(form), [kind.STRING], _find, member=False),
        declare("validate", kind.List(kind.List(kind.STRING)), [form, kind.STRING], _validate),
        # So that the checker does not believe that what dynamic values hold is of one type only.
        declare("value", kind.DYN, [form], lambda found: found),
    ]


def _maker(name: str) -> Callable[[], Any]:
    return lambda: message("Format", name)


def _find(name: str) -> list[Any]:
    return [message("Format", name)] if name in _FORMATS else []


def _validate(form: Any, text: str) -> list[list[str]]:
    errors = _FORMATS[form.text](text)
    return [errors] if errors else []
