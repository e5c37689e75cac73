"""``python -m kcpcache``."""

from kcpcache.cli.app import main

main()
