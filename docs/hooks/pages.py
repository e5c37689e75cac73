"""What the site shows beyond the Markdown files of this folder. mkdocs calls the functions ``on_…``.

Links stay as they work in a checkout, where directories and the files above this folder can be opened.
"""

from pathlib import Path
from typing import Final

import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY: Final = Path(__file__).resolve().parents[2]
CHANGELOG, CHANGELOG_PAGE = "../CHANGELOG.md", "changelog.md"
DECISIONS: Final = "adr/README.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    for uri, content in {CHANGELOG_PAGE: changelog, **reference.pages()}.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files above this folder to their pages, and list the decisions on theirs."""
    if page.file.src_uri == DECISIONS:
        markdown += "\n" + "".join(_decision(file) for file in files if file.src_uri.startswith("adr/0"))
    return markdown.replace(f"]({CHANGELOG})", f"]({CHANGELOG_PAGE})")


def _decision(file: File) -> str:
    title = file.content_string.partition("\n")[0].removeprefix("# ")
    return f"* [{title}]({Path(file.src_uri).name})\n"
