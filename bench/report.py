"""From the race's JSON: the summary table, the pages that quote it, the chart.

    python -m bench.report bench/results/latest.json                     print the tables
    python -m bench.report bench/results/latest.json --write README.md   put them between the two markers of a page
    python -m bench.report bench/results/latest.json --chart docs/race.png

A ratio is the other library's median time over ours (above 1: pyconv is faster). In "eval" the other library is the
fastest of the engines, layer by layer.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from bench.data import PASSES
from bench.layers import FAMILIES

BEGIN, END = "<!-- race: begin -->", "<!-- race: end -->"
TITLES = {
    "dense": "dense, not 3x3 stride 1",
    "3x3s1": "3x3 stride 1",
    "depthwise": "depthwise",
    "grouped": "grouped, dilated",
    "transposed": "transposed",
    "1d": "1-D",
}


def ratio(row: dict[str, Any], subject: str = "pyconv") -> float | None:
    """How many times faster than the best other library; None when one side is missing."""
    others = [seconds for peer, seconds in row["seconds"].items() if peer != subject]
    ours = row["seconds"].get(subject)
    return min(others) / ours if others and ours else None


def geomean(values: list[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def table(result: dict[str, Any], threads: int, dtype: str, subject: str = "pyconv") -> str:
    """Markdown: a line per family, per pass the geometric mean and the worst layer, then the share of the FMA peak."""
    lines = [
        "| family | layers | forward vs PyTorch | input gradient vs PyTorch | weight gradient vs PyTorch "
        "| eval layer vs best engine | share of FMA peak, forward |",
        "|---|---|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        rows = [r for r in result["rows"] if (r["threads"], r["dtype"], r["family"]) == (threads, dtype, family)]
        if rows:
            cells = [_cell([r for r in rows if r["pass"] == pass_], subject) for pass_ in PASSES]
            names = len({r["layer"] for r in rows})
            share = _share(result, [r for r in rows if r["pass"] == "forward"], subject)
            lines.append(f"| {TITLES[family]} | {names} | {' | '.join(cells)} | {share} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _cell(rows: list[dict[str, Any]], subject: str) -> str:
    """Geometric mean, and the worst layer below it."""
    ratios = [(found, row["layer"]) for row in rows if (found := ratio(row, subject)) is not None]
    if not ratios:
        return "–"
    worst, layer = min(ratios)
    return f"**{geomean([value for value, _ in ratios]):.2f}x** (least {worst:.2f}x, {layer})"


def _share(result: dict[str, Any], rows: list[dict[str, Any]], subject: str) -> str:
    """Geometric mean of our rate over the measured FMA peak."""
    shares = []
    for row in rows:
        peak = result["limits"].get(str(row["threads"]), {}).get(row["dtype"], {}).get("flops")
        if peak and subject in row["seconds"]:
            shares.append(row["flops"] / row["seconds"][subject] / peak)
    return f"{geomean(shares):.0%}" if shares else "–"


def provenance(result: dict[str, Any]) -> str:
    """Machine, versions, rounds: without them a ratio says nothing."""
    facts = result["machine"]
    versions = ", ".join(f"{peer['name']} {peer['version']}" for peer in result["peers"].values())
    return (
        f"{facts['processor']}; {versions}; Python {facts['python']}, NumPy {facts['numpy']}. "
        f"Medians of {result['settings']['rounds']} rounds."
    )


def caption(result: dict[str, Any], threads: int, dtype: str) -> str:
    """What one table shows, the machine's peak, and where the numbers come from."""
    limits = result["limits"].get(str(threads), {})
    peak = limits.get(dtype, {}).get("flops")
    measured = f", FMA peak {peak / 1e9:.0f} GFLOP/s ({limits[dtype]['method']})" if peak else ""
    return f"**{dtype}, {threads} thread{'s' if threads > 1 else ''}**{measured}; {provenance(result)}"


def summary(result: dict[str, Any], subject: str = "pyconv") -> str:
    """All tables, each under its caption, then what went wrong."""
    parts = []
    for threads, dtype in sorted({(r["threads"], r["dtype"]) for r in result["rows"]}):
        if found := table(result, threads, dtype, subject):
            parts += [caption(result, threads, dtype), found]
    wrong = [f"- {r['layer']} {r['pass']} {p}: {text}" for r in result["rows"] for p, text in r["problems"].items()]
    missing = [f"- {peer} was left out: {text}" for peer, text in result["missing"].items()]
    return "\n\n".join(parts + (["\n".join(wrong + missing)] if wrong or missing else []))


def write(page: Path, text: str) -> None:
    """Replace what stands between the two markers of a page; everything else of it stays."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} lacks the markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Print the tables; with --write or --chart put them where they are read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--write", type=Path, nargs="+", default=[], metavar="PAGE")
    parser.add_argument("--heading", default="", help='first line of what --write writes, such as "## How fast"')
    parser.add_argument("--threads", type=int, help="only this number of threads")
    parser.add_argument("--dtype", choices=("float32", "float64"), help="only this dtype")
    parser.add_argument("--chart", type=Path, metavar="PNG")
    parser.add_argument("--subject", default="pyconv", help="the library that the ratios are about")
    given = parser.parse_args()
    result = json.loads(given.result.read_text())
    kept = [r for r in result["rows"] if given.threads in (None, r["threads"]) and given.dtype in (None, r["dtype"])]
    result["rows"] = kept
    text = summary(result, given.subject)
    print(text)
    for page in given.write:
        write(page, f"{given.heading}\n\n{text}" if given.heading else text)
    if given.chart:
        from bench.chart import draw

        draw(result, given.chart, given.subject)


if __name__ == "__main__":
    main()
