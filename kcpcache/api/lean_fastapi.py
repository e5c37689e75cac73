"""FastAPI without the models of the OpenAPI documents that it could write.

The fixed endpoints are in no such document. To build the models takes a twentieth of a start and 2.4 MB. Whatever of
FastAPI is needed comes from here: who imports it first decides.
"""

import sys
from types import ModuleType
from typing import Any, Final

_MODELS: Final = "fastapi.openapi.models"


class _Nothing(ModuleType):
    """In place of the models: each name is an empty class, good enough for the annotations that name it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = type(name, (), {})
        setattr(self, name, found)
        return found


def _import_without_models() -> None:
    if "fastapi" in sys.modules:
        return
    sys.modules[_MODELS] = _Nothing(_MODELS)
    try:
        import fastapi  # noqa: F401 -- to have it imported is all
    finally:
        del sys.modules[_MODELS]


_import_without_models()

from fastapi import APIRouter, FastAPI, Request  # noqa: E402
from fastapi.exceptions import RequestValidationError  # noqa: E402
from fastapi.responses import PlainTextResponse, Response  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402

__all__ = [
    "APIRouter",
    "FastAPI",
    "HTTPException",
    "PlainTextResponse",
    "Request",
    "RequestValidationError",
    "Response",
]
