"""Brings files from outside docs/ into the documentation site; mkdocs runs it, see `hooks` in mkdocs.yml.

Documents link to files by their place in the repository, so that the links work there, too. In the site, a link to a
file outside docs/ leads to that file's page, if it has one, or to the published repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

ROOT = Path(__file__).resolve().parent.parent
# Patterns of files in the repository, and the folder or path that they get in the site.
JOINING = (
    ("CHANGELOG.md", "changelog.md"),
    ("CONTRIBUTING.md", "contributing.md"),
    ("benchmarks/ABLATIONS.md", "ablations.md"),
    ("benchmarks/RESULTS.md", "measured.md"),
    ("esg/assets/README.md", "weights/cropformer-nano.md"),
    ("esg/assets/gella-nano.md", "weights/gella-nano.md"),
    ("esg_nodes/web/docs/*.md", "comfyui/nodes/"),
    ("esg_nodes/web/docs/pictures/*", "comfyui/nodes/pictures/"),
    ("workflows/*.json", "comfyui/workflows/"),
    ("workflows/*.jpg", "comfyui/workflows/"),
)
_LINK = re.compile(r"\[([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\(([^()\s:#]+)(#[^()\s]*)?\)")


def joined() -> dict[str, str]:
    """Returns the path in the site of every file that is added to it, by its path in the repository."""
    return {
        path.relative_to(ROOT).as_posix(): place + path.name if place.endswith("/") else place
        for pattern, place in JOINING
        for path in sorted(ROOT.glob(pattern))
    }


def with_links(text: str, source: str, page: str, repository: str) -> str:
    """Returns a document with links that fit the site.

    Args:
        text: the document, in Markdown.
        source: its path in the repository.
        page: its path in the site, before it becomes HTML.
        repository: address of the published repository; if empty, links to files without a page become plain text.
    """
    places = joined()

    def replace(link: re.Match[str]) -> str:
        words, target, anchor = link[1], unquote(link[2]), link[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (ROOT / path).exists():
            return link[0]  # mkdocs reports it
        place = path.removeprefix("docs/") if path.startswith("docs/") else places.get(path)
        if place is not None:
            return f"[{words}]({quote(posixpath.relpath(place, posixpath.dirname(page) or '.'))}{anchor})"
        return f"[{words}]({repository.rstrip('/')}/blob/main/{quote(path)}{anchor})" if repository else words

    return _LINK.sub(replace, text)


def with_pages(nav: Any) -> Any:
    """Returns the navigation with all Markdown files of a folder in the place of an entry such as `comfyui/nodes/*`."""
    if isinstance(nav, list):
        return [with_pages(entry) for entry in nav]
    if isinstance(nav, dict):
        return {title: with_pages(entry) for title, entry in nav.items()}
    if not nav.endswith("/*"):
        return nav
    return [place for place in joined().values() if place.startswith(nav[:-1]) and place.endswith(".md")]


def on_config(config: Any) -> Any:
    """Lists the pages from outside docs/ in the navigation."""
    config.nav = with_pages(config.nav)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the files from outside docs/."""
    from mkdocs.structure.files import File

    for path, place in joined().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Makes the links of a page fit the site."""
    source = Path(page.file.abs_src_path).relative_to(ROOT).as_posix()
    return with_links(markdown, source, page.file.src_uri, config.repo_url or "")
