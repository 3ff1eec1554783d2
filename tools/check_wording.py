"""Finds wording that `docs/style.md` rules out in documents, messages, docstrings and comments; part of `make lint`."""

from __future__ import annotations

import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "RELEASING.md",
    "SECURITY.md",
    "__init__.py",
    "install.py",
    "docs",
    "benchmarks",
    "esg",
    "esg_nodes",
    "web_demo",
    "space",
    "tools",
    "locales/en",
)
# The two files that quote the patterns.
LATER = ("docs/style.md", "tools/check_wording.py")

BANNED = {  # pattern: what to write instead
    r'"""(?:What|Who) ': "a noun: the settings of ..., the number of ...",
    r"\banew\b": "again",
    r"\bby lot\b": "at random",
    r"(?<![Tt]here )\b(?:is|are) none\b(?! of)": "negate the verb: is not, are not, do not exist",
    r"(?<![Tt]here )\b(?:is|are) no (?!longer|more|fewer|less|larger|smaller)\w+": "negate the verb: is not a",
    r"\bshall\b(?! should)": "must, or will",  # but for lists of modal verbs
    r"\bto be had\b": "available",
    r"\b(?:is|are) told\b": "ESG reports, the message says",
    r"\bwhich is said\b|\bthat is said\b": "and says so",
    r"\bso far as\b": "as far as",
    r"\bno (?:whole )?number\b": "not a number",
    r"\bthat of nobody\b|\bwhoever wants\b|\bwho wants\b": "name the subject",
    r"\bfor want of\b": "because something is missing",
    r"\bgiv(?:es?|en|ing) back\b": "reconstruct, return",
    r"\bgo(?:es|ing)? on with\b": "continue with, resume",
    r"\bby turns\b": "alternately",
    r"\bmaybe none\b": "possibly none",
    r"\bmeans nothing\b": "refers to nothing",
    r"\bmay well\b": "may",
    r"\b(?:the surer|is surer)\b": "is more certain",
    r"\bat hand\b": "available",
    r"\blies? above\b": "is on top",
    r"\bit lies in\b": "it is in",
    r"\beach two\b": "every pair of",
    r"\b(?:dollars|seconds|s|ms|MB|GB) an? (?:photo|picture|hour|million|step|token)\b": "per",
    r"\b[Ww]hat became of\b": "the outcome of",
    r"\bof several,? the\b": "the first of several",
    r"\bhow surely\b": "how likely",
    r"\b(?:is|are) asked of\b": "must",
    r"\bof no narrower\b": "negate the verb",
    r"\b(?:photos|pictures|texts|points|masks|tokens|rows?) a (?:step|group|view|picture|photo|scene|token)\b": "per",
    r"\b[Tt]ak(?:es?|ing) (?:a photo|photos|pictures) apart\b|\btaken apart\b": "segment",
}
_ANY = re.compile("|".join(f"({pattern})" for pattern in BANNED))


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Lines for people in a file, with their numbers: all lines of a document, strings and comments of a program."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        return
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT or tokenize.tok_name[token.type] in ("STRING", "FSTRING_MIDDLE"):
                yield from enumerate(token.string.splitlines(), start=token.start[0])


def findings(path: Path) -> Iterator[str]:
    """One line for each banned wording in a file."""
    for number, line in texts(path):
        for match in _ANY.finditer(line):
            advice = list(BANNED.values())[(match.lastindex or 1) - 1]
            yield f"{path.relative_to(ROOT)}:{number}: {match[0]!r}; rather: {advice}"


def main() -> int:
    files = sorted(
        path
        for place in PLACES
        for path in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))
        if path.suffix in (".py", ".md", ".json", ".js") and not str(path.relative_to(ROOT)).startswith(LATER)
    )
    found = [line for path in files for line in findings(path)]
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
