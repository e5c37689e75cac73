"""Plain HTTPS calls to a Kubernetes-style server: one connection, JSON in and out, Status errors raised."""

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, urlencode, urlsplit

from kcpcache.client.endpoint import Endpoint
from kcpcache.client.workspaces import cluster_of
from kcpcache.meta.objects import Object

TIMEOUT_SECONDS = 60.0
RETRIES = 10
"""How often a call is made again that the server puts off (429 or 5xx with ``Retry-After``), as client-go does it."""

APPLY = "application/apply-patch+yaml"
_JSON = "application/json"
_TABLE = f"{_JSON};as=Table;g=meta.k8s.io;v=v1"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_PUT_OFF = frozenset({429, *range(500, 600)})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ApiError(Exception):
    """The server's Status: ``code``, ``reason``, and its message as text."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class UnreachableError(Exception):
    """No answer came; one line that says why and what to look at."""


class RefusedError(UnreachableError):
    """Nobody listens there."""


class _Https(http.client.HTTPSConnection):
    """HTTPS whose certificate may be for another name than the host's (``tls-server-name``)."""

    def __init__(self, host: str, port: int, *, context: ssl.SSLContext, server_name: str, timeout: float) -> None:
        super().__init__(host, port, context=context, timeout=timeout)
        self._tls, self._server_name = context, server_name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)  # with the tunnel through a proxy, if any
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


class Connection:
    """Calls to one server, one after the other, on one connection that is made at the first call.

    Paths are the server's: the workspace in the endpoint's URL is not part of them, see ``workspaces.cluster_url``.
    Every call raises ApiError for what the server refuses, UnreachableError where it does not answer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        user_agent: str = "kcpcache",
        environ: Mapping[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint, self._url = endpoint, urlsplit(endpoint.server)
        found = cluster_of(endpoint.server)
        self._prefix = (found[0] if found else self._url).path.rstrip("/")
        self._headers = (*endpoint.headers, ("User-Agent", user_agent))
        self._environ, self._sleep = os.environ if environ is None else environ, sleep
        self._http: http.client.HTTPConnection | None = None
        self._tls: ssl.SSLContext | None = None

    @property
    def server(self) -> str:
        """The endpoint's URL."""
        return self._endpoint.server

    def close(self) -> None:
        """Close the connection; the next call makes a new one."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        """The object or list at ``path``."""
        return self._json("GET", path, query)

    def table(self, path: str) -> Object:
        """The Table of what is at ``path``, as kubectl prints it."""
        return self._json("GET", path, None, accept=_TABLE)

    def items(self, path: str, query: Mapping[str, str] | None = None) -> list[Object]:
        """All items of a list, page by page."""
        found: list[Object] = []
        asked = {"limit": "500", **(query or {})}
        while True:
            page = self.get(path, asked)
            found += page.get("items") or []
            asked["continue"] = page.get("metadata", {}).get("continue", "")
            if not asked["continue"]:
                return found

    def text(self, path: str) -> str:
        """What is at ``path``, where that is no JSON."""
        response, content = self._send("GET", path, b"", _JSON, "*/*")
        if response.status >= http.client.BAD_REQUEST:
            raise _error(response.status, content)
        return content.decode(errors="replace")

    def create(self, path: str, obj: Object) -> Object:
        """Create ``obj`` in the collection at ``path``; the object that came to be."""
        return self._json("POST", path, None, obj)

    def update(self, path: str, obj: Object) -> Object:
        """Replace the object at ``path``."""
        return self._json("PUT", path, None, obj)

    def apply(self, path: str, obj: Object, *, field_manager: str, force: bool = False) -> Object:
        """Server-side apply of ``obj`` at its path."""
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        return self._json("PATCH", path, query, obj, content_type=APPLY)

    def delete(self, path: str) -> bool:
        """Delete the object at ``path``; False where there is none."""
        try:
            self._json("DELETE", path, {"propagationPolicy": "Background"})
        except ApiError as error:
            if error.code != http.client.NOT_FOUND:
                raise
            return False
        return True

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any = None,
        *,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> Object:
        target = f"{path}?{urlencode(query)}" if query else path
        payload = b"" if body is None else json.dumps(body).encode()
        for _ in range(RETRIES):
            response, content = self._send(method, target, payload, content_type, accept)
            wait = response.headers.get("Retry-After", "")
            if response.status not in _PUT_OFF or not wait.isdecimal():
                break
            self._sleep(float(wait))
        if response.status >= http.client.BAD_REQUEST:
            raise _error(response.status, content)
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise ApiError(response.status, "InternalError", f"the answer to {method} {path} is not a JSON object")
        return parsed

    def _send(
        self, method: str, target: str, payload: bytes, content_type: str, accept: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        with self._explained():
            if self._http is not None:
                # The server may have closed an idle connection: only then, and where it is safe, is a call made twice.
                try:
                    return self._exchange(self._http, method, target, payload, content_type, accept)
                except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                    self.close()
                    if method not in {"GET", "PUT"}:
                        raise
            self._http = self._open()
            return self._exchange(self._http, method, target, payload, content_type, accept)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        payload: bytes,
        content_type: str,
        accept: str,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection.putrequest(method, self._prefix + target, skip_accept_encoding=True)
        for name, value in self._headers:
            connection.putheader(name, value.encode())
        connection.putheader("Accept", accept)
        if payload:
            connection.putheader("Content-Type", content_type)
        if payload or method != "GET":
            connection.putheader("Content-Length", str(len(payload)))
        connection.endheaders(payload or None)
        response = connection.getresponse()
        return response, response.read()

    def _open(self) -> http.client.HTTPConnection:
        host, port = _host_and_port(self._url)
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        proxy = proxy_for(self._endpoint, self._environ)
        address, proxy_port = _host_and_port(proxy) if proxy else (host, port)
        if self._tls is None:
            self._tls = tls_context(self._endpoint)
        name = self._endpoint.tls_server_name or host
        connection = _Https(address, proxy_port, context=self._tls, server_name=name, timeout=TIMEOUT_SECONDS)
        if proxy:
            pair = base64.b64encode(f"{proxy.username}:{proxy.password or ''}".encode()).decode()
            connection.set_tunnel(host, port, {"Proxy-Authorization": f"Basic {pair}"} if proxy.username else {})
        return connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong below HTTP, in a user's words; the connection is of no use afterwards."""
        where = self._url.netloc
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            text = (
                f"the certificate of {where} is not trusted: {error.verify_message}; is the kubeconfig of this server?"
            )
        except ssl.SSLError as error:
            text = f"no TLS connection to {where}: {error.reason or error}"
        except ConnectionRefusedError:
            self.close()
            text = f"the connection to the server {where} was refused - did you specify the right host or port?"
            raise RefusedError(text) from None
        except TimeoutError:
            text = f"the server {where} did not answer in {TIMEOUT_SECONDS:.0f} s"
        except socket.gaierror as error:
            text = f"the host of {where} is not known: {error.strerror}"
        except (OSError, http.client.HTTPException) as error:
            text = f"the connection to the server {where} failed: {error or type(error).__name__}"
        else:
            return
        self.close()
        raise UnreachableError(text) from None


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """A client's context for the endpoint: what it trusts, and its certificate. Raises UnreachableError."""
    try:
        context = ssl.create_default_context(cadata=endpoint.ca_pem)
    except (ssl.SSLError, TypeError, ValueError):
        raise UnreachableError("the certificate authority of the kubeconfig is no PEM certificate") from None
    if endpoint.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if endpoint.certificate_pem:
        # The library takes files only. The directory is the user's own and is gone a moment later.
        with tempfile.TemporaryDirectory(prefix="kcpcache-") as directory:
            file = Path(directory) / "client.pem"
            file.touch(mode=0o600)
            file.write_bytes(endpoint.certificate_pem + b"\n" + endpoint.key_pem)
            try:
                context.load_cert_chain(file)
            except ssl.SSLError:
                raise UnreachableError("the client certificate and key of the kubeconfig do not fit") from None
    return context


def proxy_for(endpoint: Endpoint, environ: Mapping[str, str]) -> SplitResult | None:
    """The kubeconfig's proxy, else ``$HTTPS_PROXY``, unless the host is this one or excluded by ``$NO_PROXY``."""
    if endpoint.proxy_url:
        return urlsplit(endpoint.proxy_url)
    found = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    host = urlsplit(endpoint.server).hostname or ""
    if not found or host in _LOCAL_HOSTS:
        return None
    excluded = (environ.get("NO_PROXY") or environ.get("no_proxy") or "").split(",")
    names = [name.strip().lstrip("*.") for name in excluded if name.strip()]
    bypassed = "*" in excluded or any(host == name or host.endswith(f".{name}") for name in names)
    if bypassed:
        return None
    try:
        proxy = urlsplit(found if "://" in found else f"http://{found}")
        usable = bool(proxy.hostname) and proxy.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UnreachableError(f"$HTTPS_PROXY {found!r} is no URL")
    return proxy


def _host_and_port(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or _DEFAULT_PORTS.get(url.scheme, 443)


def _error(code: int, content: bytes) -> ApiError:
    try:
        status = json.loads(content)
        return ApiError(code, str(status.get("reason", "")), str(status["message"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        text = content[:200].decode(errors="replace").strip()
        return ApiError(code, "", f"the server answered {code} {http.client.responses.get(code, '')}: {text}".strip())
