"""``kcpcache openapi``."""

import typer


def openapi() -> None:
    """Print the OpenAPI 3 document of all that every server has: its own endpoints, built-in types and kcp's.

    What a workspace serves in fact, custom types included, a running server tells at /openapi/v3.

    Example: kcpcache openapi > kcpcache.openapi.json
    """
    import orjson

    from kcpcache.api.openapi_program import program_document

    typer.echo(orjson.dumps(program_document(), option=orjson.OPT_INDENT_2))
