"""``url`` with its methods: URLs as Go's ``net/url`` reads them, which differs from Python in what it takes."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote_from_bytes, unquote_plus, unquote_to_bytes

from kcpcache.meta.go_values import go_quoted
from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.messages import cel_type, message

_MAX_LENGTH = 64 * 1024
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PORT = re.compile(r"(?::[0-9]*)?", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>\"]|[^\x00-\x7f]|%25|%[89A-Fa-f][0-9A-Fa-f])*", re.ASCII)
_ESCAPED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_WRITTEN_PATH = re.compile(r"[A-Za-z0-9\-_.~$&+,/:;=@!'()*%\[\]]*", re.ASCII)
_UNESCAPED_PATH = "-_.~$&+,/:;=@"
_ERROR = "URL parse error during conversion from string: "


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL; ``host`` has the port."""

    scheme: str = ""
    host: str = ""
    path: str = ""
    query: str = ""

    @property
    def hostname(self) -> str:
        """Without port and without the brackets of IPv6."""
        if self.host.startswith("["):
            return self.host[1:].partition("]")[0]
        return self.host.rpartition(":")[0] if ":" in self.host else self.host

    @property
    def port(self) -> str:
        """Its digits, if there is one."""
        last = self.host.rpartition("]")[2]
        return last.rpartition(":")[2] if ":" in last else ""

    @property
    def escaped_path(self) -> str:
        """As written if that could be sent, else escaped."""
        if _WRITTEN_PATH.fullmatch(self.path):
            return self.path
        return quote_from_bytes(unquote_to_bytes(self.path), safe=_UNESCAPED_PATH)

    @property
    def values(self) -> dict[str, list[str]]:
        """The query; what is malformed in it is left out."""
        found: dict[str, list[str]] = {}
        for piece in self.query.split("&"):
            if piece and ";" not in piece and _ESCAPED.fullmatch(piece):
                key, _, value = piece.partition("=")
                found.setdefault(unquote_plus(key), []).append(unquote_plus(value))
        return found


def check(text: str) -> None:
    """Raise ValueError for what Go takes for no absolute URL and for no absolute path."""
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"{_ERROR}too long")
    _parse(text, request=True)
    parse(text)


@lru_cache(maxsize=64)
def parse(text: str) -> Url:
    """The parts of a URL, which may have a fragment. Raises ValueError."""
    address, _, fragment = text.partition("#")
    _check_escapes(fragment)
    return _parse(address, request=False)


def _parse(text: str, *, request: bool) -> Url:
    if _CONTROL.search(text):
        raise ValueError(f"{_ERROR}net/url: invalid control character in URL")
    if not text and request:
        raise ValueError(f"{_ERROR}empty url")
    if text == "*":
        return Url(path="*")
    if text.startswith(":"):
        raise ValueError(f"{_ERROR}missing protocol scheme")
    found = _SCHEME.match(text)
    scheme, rest = (found[1].lower(), text[found.end() :]) if found else ("", text)
    rest, _, query = rest.partition("?")
    host = ""
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, query=query)  # opaque, such as mailto:
        if request:
            raise ValueError(f"{_ERROR}invalid URI for request")
        if ":" in rest.partition("/")[0]:
            raise ValueError(f"{_ERROR}first path segment in URL cannot contain colon")
    elif rest.startswith("//") and (scheme or (not request and not rest.startswith("///"))):
        authority, slash, path = rest[2:].partition("/")
        host, rest = _host(authority), slash + path
    _check_escapes(rest)
    return Url(scheme, host, rest, query)


def _host(authority: str) -> str:
    user, at, host = authority.rpartition("@")
    if at and (_USER.fullmatch(user) is None or _ESCAPED.fullmatch(user) is None):
        raise ValueError(f"{_ERROR}net/url: invalid userinfo")
    if host.startswith("["):
        _, bracket, port = host.rpartition("]")
        if not bracket:
            raise ValueError(f"{_ERROR}missing ']' in host")
    else:
        port = ":" + host.rpartition(":")[2] if ":" in host else ""
    if _PORT.fullmatch(port) is None:
        raise ValueError(f'{_ERROR}invalid port "{port}" after host')
    if _HOST.fullmatch(host) is None:
        known = _HOST.match(host)
        raise ValueError(
            f"{_ERROR}invalid character {go_quoted(host[known.end() :][:1] if known else '')} in host name"
        )
    return unquote_to_bytes(host).decode(errors="replace")


def _check_escapes(text: str) -> None:
    if _ESCAPED.fullmatch(text) is None:
        escape = _BAD_ESCAPE.search(text)
        raise ValueError(f'{_ERROR}invalid URL escape "{escape[0] if escape else ""}"')


def _is_url(text: str) -> bool:
    try:
        check(text)
    except ValueError:
        return False
    return True


def _url(text: str) -> Any:
    try:
        check(text)
    except ValueError as error:
        raise ValueError(f"{_ERROR}parse {go_quoted(text)}: {str(error).removeprefix(_ERROR)}") from None
    return message("URL", text)


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind, text, url = cel.Type, cel.Type.STRING, cel_type(cel, "URL")
    methods = (
        ("getScheme", text, lambda value: parse(value.text).scheme),
        ("getHost", text, lambda value: parse(value.text).host),
        ("getHostname", text, lambda value: parse(value.text).hostname),
        ("getPort", text, lambda value: parse(value.text).port),
        ("getEscapedPath", text, lambda value: parse(value.text).escaped_path),
        ("getQuery", kind.Map(text, kind.List(text)), lambda value: parse(value.text).values),
    )
    return [
        cel.FunctionDecl("url", [cel.Overload("kubernetes_url", url, [text], False, impl=called_by_cel(_url))]),
        cel.FunctionDecl(
            "isURL", [cel.Overload("kubernetes_is_url", kind.BOOL, [text], False, impl=called_by_cel(_is_url))]
        ),
        *(
            cel.FunctionDecl(
                name, [cel.Overload(f"kubernetes_url_{name}", result, [url], True, impl=called_by_cel(impl))]
            )
            for name, result, impl in methods
        ),
    ]
