"""The pages tell the truth: their links lead somewhere, and what they name exists."""

import re
from pathlib import Path

import pytest

from lipstream.compose import resolve
from lipstream.config.load import load_config
from lipstream.routing.selector import parse_selector
from lipstream.upstream.providers import KINDS
from tests.house.source import PACKAGE, ROOT, text_files
from tests.house.test_budgets import CORE

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path for path in text_files() if path.suffix == ".md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
FRAGMENT = re.compile(r"\+[a-z0-9-]+\.(feature|change|fix|removal)\.md")

# Where a file lies on somebody's machine, and where somebody's packages come from.
PRIVATE = re.compile(r"(?<![\w.:/~-])/(?:work|root|home)/\w|index[-_]url|\bregistry\s*=")


def anchors(page: Path) -> set[str]:
    """Lists the anchors of a page's headings, as hosts of Markdown derive them."""
    titles = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def leads_nowhere(page: Path, link: str) -> bool:
    target, _, anchor = link.partition("#")
    if "://" in target:
        return False
    file = page.parent / target if target else page
    return not file.exists() or bool(anchor and anchor not in anchors(file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_local_links_lead_somewhere(page: Path) -> None:
    """A link to a page or heading that is gone fails."""
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if leads_nowhere(page, link)] == []


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def selectors() -> list[str]:
    """Lists the first cells of README.md's table of selectors; a bar in a cell is escaped."""
    _, _, table = README.partition("| write | to get |")
    table, _, _ = table.partition("\n\n")
    return [text.replace("\\|", "|") for text in re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)]


@pytest.mark.parametrize("selector", selectors())
def test_selectors_of_the_readme_parse(selector: str) -> None:
    """What the table tells to write can be written."""
    assert parse_selector(selector).arms != ()


def test_configuration_of_the_readme_is_valid() -> None:
    """The example can be copied: every key is known, every route leads to a backend."""
    (text,) = blocks("yaml")
    keys = {"OPENAI_API_KEY": "k", "NVIDIA_API_KEY": "k"}
    setup = resolve(load_config(text, kinds=KINDS, environment=keys), keys)
    assert set(setup.backends) == {"openai", "fast", "nim"}
    assert setup.warnings == ()


def test_every_page_is_listed() -> None:
    """Whoever opens docs/index.md finds every page."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")}
    assert {page for page in pages - {"index.md"} if f"({page})" not in index} == set()


def test_every_folder_is_in_the_tree_of_the_design() -> None:
    """The map shows every folder and every module at the top."""
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    folders = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert {name for name in folders | files if f"| `{name}` |" not in design} == set()


def test_the_reading_order_is_the_measured_core() -> None:
    """The walk that is proposed is the walk whose length is kept."""
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    _, _, walk = design.partition("## An afternoon's reading")
    walk, _, _ = walk.partition("## Names")
    assert re.findall(r"`([\w/]+\.py)`", walk) != []
    assert set(re.findall(r"`([\w/]+\.py)`", walk)) == set(CORE)


def test_changelog_fragments_have_a_known_kind() -> None:
    """A fragment with a mistyped name would be left out of the changelog."""
    names = {path.name for path in (ROOT / "changes").glob("*")} - {"README.md"}
    assert {name for name in names if not FRAGMENT.fullmatch(name)} == set()


def test_no_text_speaks_of_a_private_machine() -> None:
    """What is written here holds for every reader, on every machine."""
    private = {
        path.relative_to(ROOT).as_posix()
        for path in text_files()
        if PRIVATE.search(path.read_text(encoding="utf-8", errors="replace"))
    }
    assert private == set()
