"""Serves the files of the page. They hold nothing of the server's: whoever reaches it may have them."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

PATH: Final = "/dashboard"
_STATIC: Final = Path(__file__).parent / "static"
_INDEX: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    # Nothing from elsewhere, nothing inline, in nobody's frame: what an object holds can never run.
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # asked again each time, and answered with 304 as long as it is the same
}
_NOT_MODIFIED: Final = 304
_FOUND_ELSEWHERE: Final = 307


def router() -> APIRouter:
    """The page at ``/dashboard``, its other files below. Reads them now."""
    found = APIRouter()
    for file in sorted(_STATIC.iterdir()):
        path = PATH if file.name == _INDEX else f"{PATH}/{file.name}"
        route = _route(file.read_bytes(), _TYPES[file.suffix])
        found.add_api_route(path, route, methods=["GET", "HEAD"], response_class=Response)
    found.add_api_route(f"{PATH}/", _to_the_page, methods=["GET", "HEAD"], response_class=Response)
    return found


async def _to_the_page() -> Response:
    return Response(status_code=_FOUND_ELSEWHERE, headers=HEADERS | {"location": PATH})


def _route(content: bytes, content_type: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = HEADERS | {"etag": tag}

    async def answer(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=_NOT_MODIFIED, headers=headers)
        return Response(content, media_type=content_type, headers=headers)

    return answer
