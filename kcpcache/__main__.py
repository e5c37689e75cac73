"""The program ``kcpcache``, and ``python -m kcpcache``."""

import sys


def main() -> None:
    """The entry point. Whoever interrupts it, be it while it is still being loaded, gets no traceback."""
    try:
        from kcpcache.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
