"""The documentation as a site: complete, current, and without requests to anybody else."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_group

from kcpcache.cli.app import app
from kcpcache.meta import errors
from kcpcache.metrics.catalog import ALL

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", target]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False)
    assert built.returncode == 0, built.stderr
    return target


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_the_site_asks_nobody_else_for_anything(site: Path):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|iframe|source|link (?!rel=.canonical))[^>]*(?:src|href)=.(//|https?:)", page.read_text()
        )
        assert not loaded, page
        assert "mermaid" not in page.read_text(), "the theme would load what draws it from elsewhere"


def test_the_reference_names_every_command_and_flag(site: Path):
    shown = text_of(site / "reference" / "commands" / "index.html")
    for name, command in get_group(app).commands.items():
        assert f"kcpcache {name}" in shown
        for parameter in command.params:
            assert all(option in shown for option in parameter.opts if option.startswith("--"))


def test_the_reference_names_every_metric_and_its_labels(site: Path):
    shown = text_of(site / "reference" / "metrics" / "index.html")
    assert len(ALL) > 20
    for metric in ALL:
        assert all(name in shown for name in (metric.name, *metric.labels))


def test_the_reference_names_every_error(site: Path):
    shown = text_of(site / "reference" / "errors" / "index.html")
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StatusError)]
    reasons = re.findall(r'FieldError\(\s*"(\w+)"', Path(errors.__file__).read_text())
    assert len(kinds) > 15
    assert len(reasons) > 5
    for reason in [*(kind.reason for kind in kinds), *reasons]:
        assert re.search(rf"\b{reason}\b", shown), reason


def test_the_reference_describes_every_type_of_kcp(site: Path):
    for path in (REPOSITORY / "openapi" / "crds").glob("*.yaml"):
        spec = yaml.safe_load(path.read_text())["spec"]
        shown = text_of(site / "reference" / spec["group"] / "index.html")
        assert all(f"{spec['names']['kind']} {version['name']}" in shown for version in spec["versions"])


def test_every_decision_has_its_page_and_is_listed(site: Path):
    listed = (site / "adr" / "index.html").read_text()
    decisions = [path.stem for path in (REPOSITORY / "docs" / "adr").glob("0*.md")]
    assert decisions
    assert all(f'href="{name}/"' in listed for name in decisions)


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_what_the_readme_and_the_changelog_link_to_is_there(name: str):
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", (REPOSITORY / name).read_text())
    assert [link for link in linked if not (REPOSITORY / link).exists()] == []
