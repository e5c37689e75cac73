"""The whole HTTP application: Kubernetes paths go straight to their handler, everything else to FastAPI."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from starlette.exceptions import HTTPException

import kcpcache
from kcpcache.api.body import Receive
from kcpcache.api.exchange import Scope, Send
from kcpcache.api.handler import KubernetesHandler, status_error
from kcpcache.api.health import HEALTH_PATHS, health, version
from kcpcache.api.services import Services
from kcpcache.meta.errors import BadRequestError, MethodNotAllowedError, StatusError, path_not_found
from kcpcache.meta.objects import Object

KUBERNETES_PATHS: Final = (b"/api", b"/openapi", b"/clusters", b"/services")
"""What begins like this is the handler's (``/apis`` among them), which answers 404 for what only looks alike."""
_NOT_FOUND, _METHOD_NOT_ALLOWED = 404, 405
_NO_METHOD: Final = "the server does not allow this method on the requested resource"


class Application:
    """The ASGI application. ``fixed`` may be given further routes before it serves."""

    def __init__(self, services: Services) -> None:
        self.kubernetes = KubernetesHandler(services)
        self.fixed = fixed_application(services, self.kubernetes)
        # What is nobody's is for the handler to refuse: strangers do not learn what there is and what is not.
        self.fixed.router.default = self.kubernetes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's lifespan."""
        if scope["type"] in {"http", "websocket"}:
            raw_path: bytes = scope["raw_path"]
            if raw_path.startswith(KUBERNETES_PATHS) or raw_path == b"/":
                await self.kubernetes(scope, receive, send)
                return
        await self.fixed(scope, receive, send)  # type: ignore[arg-type]

    def at_once(self, scope: Scope) -> bytes | None:
        """The body of the answer to a GET, for a server that can send it without a task (see ``api/shortcuts.py``)."""
        return self.kubernetes.shortcuts.answer(scope)


def create_app(services: Services) -> Application:
    """The application over these services."""
    return Application(services)


def fixed_application(services: Services, kubernetes: KubernetesHandler) -> FastAPI:
    """The program's own fixed endpoints. Its lifespan ends all watches as soon as shutdown begins."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async def end_watches() -> None:
            await services.shutting_down.wait()
            kubernetes.end_watches()

        task = asyncio.create_task(end_watches(), name="end-watches")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    app = FastAPI(
        title="kcpcache",
        version=kcpcache.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # it would lead to whatever the Host header says
        lifespan=lifespan,
    )
    for path in sorted(HEALTH_PATHS):
        app.add_api_route(
            path,
            _health_route(path, services),
            methods=["GET", "HEAD"],
            response_class=PlainTextResponse,
            response_model=None,
        )
    app.add_api_route("/version", version_route, methods=["GET", "HEAD"], response_model=None)
    for kind in (HTTPException, RequestValidationError, StatusError, Exception):
        app.add_exception_handler(kind, _on_error)
    return app


async def _on_error(_request: Request, error: Exception) -> Response:
    found = _status_error(error)
    headers = dict(found.headers())
    return Response(orjson.dumps(found.status()), found.code, headers, media_type="application/json")


def _status_error(error: Exception) -> StatusError:
    """As for Kubernetes paths, and with FastAPI's own errors in Kubernetes' terms."""
    if isinstance(error, RequestValidationError):
        return BadRequestError("the request does not have the form that this endpoint needs")
    if isinstance(error, HTTPException):
        return {_NOT_FOUND: path_not_found(), _METHOD_NOT_ALLOWED: MethodNotAllowedError(_NO_METHOD)}.get(
            error.status_code, BadRequestError(str(error.detail))
        )
    return status_error(error)


def _health_route(path: str, services: Services) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        found = health(
            path,
            services.ready_checks,
            verbose="verbose" in request.query_params,
            shutting_down=services.shutting_down.is_set(),
        )
        return PlainTextResponse(found.text, found.status)

    return answer


async def version_route() -> Object:
    """What ``kubectl version`` reads."""
    return version()
