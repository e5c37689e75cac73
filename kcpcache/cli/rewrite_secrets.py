"""``kcpcache rewrite-secrets``."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from kcpcache.cli.settings import fail, settings_of


def rewrite_secrets(
    root_dir: Annotated[Path | None, typer.Option(help="Where the server keeps everything.")] = None,
    encryption_key_file: Annotated[Path | None, typer.Option(help="Keys, a line each: name base64.")] = None,
    delete_unreadable: Annotated[bool, typer.Option(help="Delete Secrets that cannot be decrypted any more.")] = False,
) -> None:
    """Encrypt all Secrets with the first key of the key file, while the server is stopped.

    For a key file that is new, or has a new first line. Afterwards keys below the first are needed no more.

    Example: kcpcache rewrite-secrets --encryption-key-file /etc/kcpcache/keys
    """
    settings = settings_of({"root_dir": root_dir, "encryption_key_file": encryption_key_file})

    from kcpcache.root_dir import DATABASE
    from kcpcache.storage import sqlite_rewrite
    from kcpcache.storage.key_file import load_keys
    from kcpcache.storage.store import StoreError

    path = settings.root_dir / DATABASE
    if settings.encryption_key_file is None:
        fail("--encryption-key-file is missing: it names the keys")
    if not path.is_file():
        fail(f"--root-dir {settings.root_dir} holds no {DATABASE}")
    try:
        keys = load_keys(settings.encryption_key_file)
        found = sqlite_rewrite.rewrite_values(path, keys, without_missing_keys=delete_unreadable)
        if delete_unreadable and found.unreadable:
            deleted = asyncio.run(sqlite_rewrite.delete_unreadable(path, keys, found.unreadable))
            typer.echo(f"deleted {deleted} Secrets that could not be decrypted")
    except StoreError as error:
        fail(str(error))
    typer.echo(f"encrypted {found.changed} values with key {keys.keys[0].name!r}; {found.current} were so already")
    if found.unreadable and not delete_unreadable:
        names = ", ".join(sorted(set(found.unreadable)))
        fail(f"could not be decrypted and were left as they are (--delete-unreadable deletes them): {names}")
