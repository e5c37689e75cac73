"""How CEL calls functions written in Python, without the references that cel-cpp's Python interface loses on the way.

The interface (cel-expr-python 0.1.3) never gives back the arguments and the result of a call, so that each call would
take memory for good. It also gives back a ``None`` that it never took, once for each null that leaves CEL; before
Python 3.12 that ends the process when the last one is gone. Which of this the installed version does is tried out.
"""

import ctypes
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

_VARIABLE_ARGUMENTS = 1
"""``METH_VARARGS``: the function gets the very tuple that was made for the call."""
_ENOUGH = sys.maxsize // 4
_NOTHING = object()


class _Method(ctypes.Structure):
    """``PyMethodDef``: the C function calls its ``self`` with the tuple of arguments as the only one."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class _Pending(threading.local):
    """The result of the last call in a thread, which CEL has taken over once it makes the next."""

    result: Any = _NOTHING


_method = _Method(
    b"called_by_cel",
    ctypes.cast(ctypes.pythonapi.PyObject_CallOneArg, ctypes.c_void_p).value,
    _VARIABLE_ARGUMENTS,
    None,
)
_pending = _Pending()
_release: Callable[[Any], None] = ctypes.pythonapi.Py_DecRef
_release.argtypes, _release.restype = (ctypes.py_object,), None  # type: ignore[attr-defined]
_new: Callable[[int, Any, None], Any] = ctypes.pythonapi.PyCFunction_NewEx
_new.argtypes, _new.restype = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p), ctypes.py_object  # type: ignore[attr-defined]


def called_by_cel(implementation: Callable[..., Any]) -> Callable[..., Any]:
    """The function in the form in which a CEL environment may have it; it raises and returns the same."""
    keeps_arguments, keeps_results = _kept()
    if not keeps_arguments and not keeps_results:
        return implementation

    def receive(arguments: tuple[Any, ...]) -> Any:
        if _pending.result is not _NOTHING:
            _release(_pending.result)
            _pending.result = _NOTHING
        if keeps_arguments:
            _release(arguments)
        result = implementation(*arguments)
        if keeps_results and result is not True and result is not False:
            _pending.result = result
        return result

    called: Callable[..., Any] = _new(ctypes.addressof(_method), receive, None)
    return called


@cache
def _kept() -> tuple[bool, bool]:
    """Whether references to arguments and to results of calls are lost."""
    from cel_expr_python import cel

    _keep_none()
    seen: list[str] = []

    def probe(given: str) -> str:
        seen.append(given)
        seen.append(f"{given}{given}")
        return seen[-1]

    text = cel.Type.STRING
    function = cel.FunctionDecl("probe", [cel.Overload("probe", text, [text], False, impl=probe)])
    environment = cel.NewEnv(variables={"self": text}, functions=[function])
    environment.compile("probe(self) == self").eval(environment.Activation({"self": "given"})).value()
    seen.append("".join(seen))
    argument, result, none = [sys.getrefcount(text) for text in seen]
    return argument > none, result > none


def _keep_none() -> None:
    """Give ``None`` more references than can be lost, as Python 3.12 and later have it."""
    count = ctypes.c_ssize_t.from_address(id(None))
    if sys.version_info < (3, 12) and 0 < count.value < _ENOUGH:
        count.value += _ENOUGH
