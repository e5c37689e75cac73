"""``kcpcache backup`` and ``kcpcache restore``."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kcpcache.cli.settings import fail, settings_of

RootDir = Annotated[Path | None, typer.Option(help="Where the server keeps everything.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.")], root_dir: RootDir = None, force: Force = False
) -> None:
    """Write everything that a server keeps into one file, while it runs.

    The file holds keys and Secrets: it is readable for you alone, and is to be kept so. The key file that encrypts
    Secrets, if there is one, is not in it.

    Example: kcpcache backup kcpcache-$(date +%F).tar
    """
    from kcpcache.backup.write import write_backup

    settings = settings_of({"root_dir": root_dir})
    with _failing():
        written = write_backup(settings.root_dir, file, now=datetime.now(UTC), overwrite=force)
    typer.echo(
        f"backed up {written.store.entries} entries at revision {written.store.revision} into {file} "
        f"({written.size_bytes / 1e6:.1f} MB), checked"
    )


def restore(
    file: Annotated[Path, typer.Argument(help="The file that kcpcache backup wrote.")],
    root_dir: RootDir = None,
    force: Force = False,
) -> None:
    """Put back what kcpcache backup wrote, while the server is stopped.

    Without --force only into a new or empty directory. Clients list anew after it: revisions go on far above those
    that they know.

    Example: kcpcache restore kcpcache-2025-08-01.tar --root-dir /var/lib/kcpcache
    """
    from kcpcache.backup.restore import restore_backup

    settings = settings_of({"root_dir": root_dir})
    with _failing():
        found, aside = restore_backup(file, settings.root_dir, now=datetime.now(UTC), overwrite=force)
    typer.echo(
        f"restored {found.store.entries} entries, as they were at {found.created}, into {settings.root_dir}; now: "
        f"kcpcache start --root-dir {settings.root_dir}"
    )
    if aside is not None:
        typer.echo(f"what was there before is in {aside}: remove it when it is not needed any more")


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    from kcpcache.backup.archive import BackupError
    from kcpcache.root_dir import RootDirError
    from kcpcache.storage.store import StoreError, StoreLockedError

    try:
        yield
    except StoreLockedError:
        fail("a server runs there: stop it first")
    except (BackupError, RootDirError, StoreError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'the disk'}: {error.strerror}")
