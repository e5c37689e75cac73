"""``python -m kcpcache``."""

from kcpcache.cli import main

main()
