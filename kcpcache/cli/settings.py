"""What commands share: the settings that flags and environment make, and how a command fails."""

from typing import Any, NoReturn

import typer

from kcpcache.config import Settings


def settings_of(given: dict[str, Any]) -> Settings:
    """The settings that flags and environment make; where they cannot be, one line and the end of the program."""
    from pydantic import ValidationError

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + ".".join(str(part) for part in first["loc"]).replace("_", "-")
        fail(f"{flag}: {first['msg'].removeprefix('Value error, ')}")


def fail(text: str) -> NoReturn:
    """One line on stderr that says what was wrong and what to do; exit code 1."""
    typer.echo(f"kcpcache: {text}", err=True)
    raise typer.Exit(1)
