"""Static tokens, from a file in kube's CSV: ``token,user,uid,"group1,group2"``."""

import csv
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

from kcpcache.auth.user import User, unique

_COLUMNS = 4


class TokenFileError(ValueError):
    """The token file cannot be used; the text names file and line, and never a token."""


class TokenAnswer(NamedTuple):
    """A token's user. The answer may be remembered for ``cache_seconds``; never when that is 0."""

    user: User
    cache_seconds: float


class TokenAuthenticator(Protocol):
    """One kind of bearer token: a link of the chain."""

    async def __call__(self, token: str) -> TokenAnswer | None:
        """The token's user; None where the token is not of this kind.

        Raises UnauthorizedError where it is of this kind and not good.
        """
        ...


def token_digest(token: str) -> bytes:
    """What is kept of a token in memory: its SHA-256."""
    return sha256(token.encode(errors="surrogatepass")).digest()


class StaticTokens:
    """Tokens known in advance. They are kept, and looked up, as SHA-256, so that timing tells nothing of them."""

    def __init__(self, users: Iterable[tuple[str, User]]) -> None:
        self._answers = {token_digest(token): TokenAnswer(user, cache_seconds=float("inf")) for token, user in users}

    async def __call__(self, token: str) -> TokenAnswer | None:
        """The token's user, or None."""
        return self._answers.get(token_digest(token))


def load_static_tokens(path: Path) -> StaticTokens:
    """The tokens of a file. Raises TokenFileError where it cannot be read or a line is wrong."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return StaticTokens(_parse(lines, str(path)))
    except (OSError, UnicodeDecodeError) as error:
        raise TokenFileError(f"cannot read the token file {path}: {_why(error)}") from None


def _parse(lines: Iterable[str], source: str) -> list[tuple[str, User]]:
    users: dict[str, User] = {}
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            if not row or not any(field.strip() for field in row):
                continue
            where = f"{source}, line {reader.line_num}"
            token, user = _user(row, where)
            if token in users:
                raise TokenFileError(f"{where}: this token stands in the file already, further up")
            users[token] = user
    except csv.Error as error:
        raise TokenFileError(f"{source}, line {reader.line_num}: {error}") from None
    return list(users.items())


def _user(row: list[str], where: str) -> tuple[str, User]:
    if len(row) < _COLUMNS - 1:
        raise TokenFileError(f"{where}: needs at least three columns (token, user, uid), has {len(row)}")
    if len(row) > _COLUMNS:
        raise TokenFileError(f'{where}: has more than four columns; several groups go in quotes: "group1,group2"')
    token, name, uid = (field.strip() for field in row[:3])
    if not token or not name:
        raise TokenFileError(f"{where}: the {'user' if token else 'token'} is empty")
    groups = row[3].split(",") if len(row) == _COLUMNS else ()
    return token, User(name, uid, unique(group.strip() for group in groups if group.strip()))


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"
