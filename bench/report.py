"""From the race's JSON: the summary table, the pages that quote it, the chart.

    python -m bench.report bench/results/latest.json                     print the tables
    python -m bench.report bench/results/latest.json --write README.md   put them between the two markers of a page
    python -m bench.report bench/results/latest.json --chart docs/race.png

A ratio is the other library's median time over ours (above 1: pyconv is faster). In "eval" the other library is the
fastest of the engines, layer by layer.

What limits a layer is the longer of two times: its multiply-adds at the measured FMA peak, or its arrays, each moved
once, at the measured bandwidth of a copy. Its share of that limit is that time over ours (arrays that stay in a cache
may exceed the bandwidth of memory).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

from bench.data import PASSES
from bench.layers import FAMILIES
from bench.peers import ALGORITHMS, rivals

ITEM_BYTES = {"float32": 4, "float64": 8}
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
    others = rivals(row["seconds"], subject)
    ours = row["seconds"].get(subject)
    return min(others) / ours if others and ours else None


def geomean(values: list[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def table(result: dict[str, Any], threads: int, dtype: str, subject: str = "pyconv") -> str:
    """Markdown: a line per family, and per pass the geometric mean and the worst layer."""
    lines = [
        "| family | layers | forward vs PyTorch | input gradient vs PyTorch | weight gradient vs PyTorch "
        "| eval layer vs best engine |",
        "|---|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        rows = [r for r in result["rows"] if (r["threads"], r["dtype"], r["family"]) == (threads, dtype, family)]
        if rows:
            cells = [_cell([r for r in rows if r["pass"] == pass_], subject) for pass_ in PASSES]
            names = len({r["layer"] for r in rows})
            lines.append(f"| {TITLES[family]} | {names} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _cell(rows: list[dict[str, Any]], subject: str) -> str:
    """Geometric mean, and the worst layer below it."""
    ratios = [(found, row["layer"]) for row in rows if (found := ratio(row, subject)) is not None]
    if not ratios:
        return "–"
    worst, layer = min(ratios)
    return f"**{geomean([value for value, _ in ratios]):.2f}x** (least {worst:.2f}x, {layer})"


def limits_table(result: dict[str, Any], threads: int, dtype: str, subject: str = "pyconv") -> str:
    """Markdown: per family what limits its layers, per pass the share of that limit, and the memory that calls take."""
    lines = [
        "| family | limited by | forward | input gradient | weight gradient | eval layer "
        f"| extra memory, {subject} / PyTorch: median (most) |",
        "|---|---|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        rows = [r for r in result["rows"] if (r["threads"], r["dtype"], r["family"]) == (threads, dtype, family)]
        found = {row["layer"]: limit(result, row) for row in rows}
        by_memory = sum(one is not None and one[1] for one in found.values())
        if rows and None not in found.values():
            kinds = (("FMA peak", len(found) - by_memory), ("memory", by_memory))
            what = ", ".join(f"{kind} ({count})" for kind, count in kinds if count)
            cells = [_share(result, [r for r in rows if r["pass"] == pass_], subject) for pass_ in PASSES]
            lines.append(f"| {TITLES[family]} | {what} | {' | '.join(cells)} | {_memory(rows, subject)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def limit(result: dict[str, Any], row: dict[str, Any]) -> tuple[float, bool] | None:
    """Seconds that this machine needs at least, and whether its memory says so; None where it was not measured."""
    limits = result["limits"].get(str(row["threads"]), {})
    peak, bandwidth = limits.get(row["dtype"], {}).get("flops"), limits.get("copy_bandwidth")
    if not peak or not bandwidth:
        return None
    work, moved = row["flops"] / peak, row["elements"] * ITEM_BYTES[row["dtype"]] / bandwidth
    return max(work, moved), moved > work


def _share(result: dict[str, Any], rows: list[dict[str, Any]], subject: str) -> str:
    """Geometric mean of the shares of the limit."""
    shares = []
    for row in rows:
        least = limit(result, row)
        if least and subject in row["seconds"]:
            shares.append(least[0] / row["seconds"][subject])
    return f"{geomean(shares):.0%}" if shares else "–"


def _memory(rows: list[dict[str, Any]], subject: str) -> str:
    """Peak resident memory beyond what a process had before the first call: the result, scratch and packed weights."""
    pairs = [
        (row["extra_bytes"][subject], row["extra_bytes"]["torch"])
        for row in rows
        if subject in row["extra_bytes"] and "torch" in row["extra_bytes"]
    ]
    if not pairs:
        return "–"
    medians, most = ([pick(side) / 2**20 for side in zip(*pairs, strict=True)] for pick in (statistics.median, max))
    return f"{medians[0]:.1f} / {medians[1]:.1f} MiB ({most[0]:.0f} / {most[1]:.0f})"


def algorithms_table(result: dict[str, Any], threads: int, dtype: str, subject: str = "pyconv") -> str:
    """Markdown: a line per pass of the layers that both algorithms serve, with the effective GFLOP/s of each.

    Effective: the operations of the direct sum, over time. The last column is the fastest layer against the FMA peak.
    """
    names = [subject, *(f"{subject}_{name}" for name in ALGORITHMS)]
    rows = [r for r in result["rows"] if (r["threads"], r["dtype"]) == (threads, dtype) and {*names} <= {*r["seconds"]}]
    peak = result["limits"].get(str(threads), {}).get(dtype, {}).get("flops")
    lines = [
        f"| 3x3 stride 1, effective GFLOP/s | layers | auto | {' | '.join(ALGORITHMS)} | fastest layer |",
        "|---|---|---|---|---|---|",
    ]
    for pass_ in PASSES:
        mine = [r for r in rows if r["pass"] == pass_]
        if mine:
            rates = [geomean([r["flops"] / r["seconds"][name] / 1e9 for r in mine]) for name in names]
            best, layer = max((r["flops"] / r["seconds"][subject], r["layer"]) for r in mine)
            most = f"{best / 1e9:.0f}{f', {best / peak:.2f}x the FMA peak' if peak else ''} ({layer})"
            cells = " | ".join(f"{rate:.0f}" for rate in rates)
            lines.append(f"| {pass_.replace('_', ' ')} | {len(mine)} | {cells} | {most} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def provenance(result: dict[str, Any]) -> str:
    """Machine, versions, rounds: without them a ratio says nothing."""
    facts = result["machine"]
    peers = [peer for peer in result["peers"].values() if not peer["name"].startswith("pyconv_")]
    versions = ", ".join(f"{peer['name']} {peer['version']}" for peer in peers)
    return (
        f"{facts['processor']}; {versions}; Python {facts['python']}, NumPy {facts['numpy']}. "
        f"Medians of {result['settings']['rounds']} to {result['settings']['most']} rounds."
    )


def caption(result: dict[str, Any], threads: int, dtype: str) -> str:
    """What one table shows, the machine's peak, and where the numbers come from."""
    limits = result["limits"].get(str(threads), {})
    peak = limits.get(dtype, {}).get("flops")
    measured = f", FMA peak {peak / 1e9:.0f} GFLOP/s ({limits[dtype]['method']})" if peak else ""
    if bandwidth := limits.get("copy_bandwidth"):
        measured += f", memory {bandwidth / 1e9:.0f} GB/s (copy)"
    return f"**{dtype}, {threads} thread{'s' if threads > 1 else ''}**{measured}; {provenance(result)}"


def summary(result: dict[str, Any], subject: str = "pyconv") -> str:
    """All tables, each under its caption, then what went wrong."""
    parts = []
    for threads, dtype in sorted({(r["threads"], r["dtype"]) for r in result["rows"]}):
        if found := table(result, threads, dtype, subject):
            parts += [caption(result, threads, dtype), found]
        if found := limits_table(result, threads, dtype, subject):
            parts += ["Share of what limits the layers, and memory:", found]
        if found := algorithms_table(result, threads, dtype, subject):
            parts += ["What `algorithm=` makes of the layers where there is a choice (geometric means):", found]
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
