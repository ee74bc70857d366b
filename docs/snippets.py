"""Runs the Python examples of the pages it is given: `python docs/snippets.py README.md docs/*.md`.

The ```python blocks of a page run in order and share their names. A block with `>>>` is a doctest, so its output must
be what the page prints; any other block must simply run.
"""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(page: Path) -> int:
    """Run all blocks of `page`; the number of failures."""
    names: dict[str, Any] = {"__name__": page.stem}
    failures = 0
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(1))
        if ">>>" in found[1]:
            test = doctest.DocTestParser().get_doctest(found[1], names, page.name, str(page), line)
            failures += doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False).failed
            names.update(test.globs)
        else:
            exec(compile("\n" * line + found[1], str(page), "exec"), names)
    return failures


if __name__ == "__main__":
    failed = [page for page in sys.argv[1:] if run(Path(page))]
    sys.exit(f"examples failed in {', '.join(failed)}" if failed else 0)
