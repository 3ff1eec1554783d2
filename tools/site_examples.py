"""Shows the examples in docstrings as code in the documentation site; mkdocs.yml names this extension.

In Markdown, the lines of an example would be quotations, and `][` in a result a link.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def with_code_blocks(docstring: str) -> str:
    """A docstring in which every example, up to the next empty line, is a code block."""
    return _EXAMPLE.sub(lambda example: f"```pycon\n{example[0]}\n```", docstring)


class Examples(Extension):
    """Changes the docstrings as they are loaded."""

    def on_instance(self, *, obj: Any, **options: Any) -> None:
        """Changes the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = with_code_blocks(obj.docstring.value)
