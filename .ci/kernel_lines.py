"""Which lines of pyx/ were run, from what gcov counted: `make coverage-kernels` prints a table of them.

A line counts as run if it was in the module of any dtype. Lines that only a failed allocation reaches are counted like
all others. What the translator adds at the end of a C source carries line numbers too, but of lines that are not there
or hold no code, and is left out.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path


def main(folder: str) -> None:
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    for data in sorted(Path(folder).resolve().rglob("*.gcda")):
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(["gcov", "--json-format", str(data)], cwd=scratch, check=True, capture_output=True)
            for report in Path(scratch).glob("*.gcov.json.gz"):
                for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
                    name = Path(file["file"]).name
                    if name.endswith((".pyx", ".pxd", ".pxi")) and not name.startswith("__init__"):
                        for line in file["lines"]:
                            at = line["line_number"]
                            counts[name][at] = counts[name].get(at, 0) + line["count"]
    total = run = 0
    for name in sorted(counts):
        source = Path("pyx", name).read_text(encoding="utf-8").splitlines()
        lines = {at: count for at, count in counts[name].items() if at <= len(source) and is_code(source[at - 1])}
        missing = [at for at in sorted(lines) if not lines[at]]
        total, run = total + len(lines), run + len(lines) - len(missing)
        share = 100 * (len(lines) - len(missing)) / len(lines)
        print(f"{name:24} {len(lines):5} lines {share:6.1f} %  {' '.join(map(str, missing))}")
    print(f"{'pyx/':24} {total:5} lines {100 * run / max(total, 1):6.1f} %")


def is_code(line: str) -> bool:
    """Whether a line of a source says something to do."""
    text = line.strip()
    return bool(text) and not text.startswith(
        ("#", '"', "cdef extern", "cimport", "from ", "import ", "enum", "cdef enum")
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
