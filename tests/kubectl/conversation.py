"""A plugin's call without a server: answers by path, and what was printed and written."""

import io
from pathlib import Path
from typing import Any

from kcpcache.client.connection import ApiError
from kcpcache.client.endpoint import Endpoint
from kcpcache.client.kubeconfig import Edit, Entry, Kubeconfig
from kcpcache.kubectl.commands import Options
from kcpcache.kubectl.session import Session

TENANCY = "/apis/tenancy.kcp.io/v1alpha1/workspaces"
FORBIDDEN, NOT_FOUND, BROKEN = (
    ApiError(403, "Forbidden", "no"),
    ApiError(404, "NotFound", "not there"),
    ApiError(500, "InternalError", "broken"),
)


class Answers:
    """A connection that answers from a dict, by ``<workspace><path>``; what is not in it is not found."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def get(self, path: str) -> Any:
        answer = self.answers.get(path.removeprefix("/clusters/"), NOT_FOUND)
        if isinstance(answer, Exception):
            raise answer
        return answer

    items = get


class Call(Session):
    """A session in ``root:foo``."""

    def __init__(self, answers: dict[str, Any], server: str = "https://x/clusters/root:foo") -> None:
        super().__init__(Options(), {}, Path("/home/me"), io.StringIO(), io.StringIO(), io.StringIO())
        file = Path("/k")
        self.config = Kubeconfig(
            {"c": Entry({"server": server}, file)}, {"c": Entry({"cluster": "c"}, file)}, {}, "c", (file,), file
        )
        self.endpoint = Endpoint(server)
        self._connection = Answers(answers)
        self.edits: list[Edit] = []

    def edit(self, edit: Edit) -> None:
        self.edits.append(edit)

    @property
    def printed(self) -> str:
        return self.out.getvalue()

    @property
    def noted(self) -> str:
        return self.err.getvalue()
