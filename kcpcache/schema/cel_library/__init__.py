"""The functions that Kubernetes adds to CEL (documentation: "Kubernetes CEL libraries")."""

from typing import Any


def extension() -> Any:
    """One CEL extension with all of them; each module here defines the functions of one subject."""
    from cel_expr_python import cel

    from kcpcache.schema.cel_library import (
        lists,
        network,
        ordering,
        quantity,
        refusals,
        regex,
        semver,
        text_formats,
        text_places,
        texts,
        urls,
    )

    modules = (lists, network, ordering, quantity, refusals, regex, semver, text_formats, text_places, texts, urls)
    return cel.CelExtension("kubernetes", [declaration for module in modules for declaration in module.functions(cel)])
