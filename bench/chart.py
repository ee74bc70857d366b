"""The race as a picture: a panel per pass and number of threads, a dot per layer, a line at 1.

A dot above the line is a layer on which pyconv is faster than the best other library. The small tick in the same
column is what a kernel running at the measured FMA peak would have scored, so the distance between the two is what is
left to gain. Dots above their tick do more than the multiply-add units could with the direct sum: Winograd's algorithm.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from bench.data import PASSES
from bench.layers import FAMILIES
from bench.peers import rivals
from bench.report import TITLES, provenance, ratio

RIVAL = {"eval": "best engine"}


def draw(result: dict[str, Any], path: Path, subject: str = "pyconv") -> None:
    """Draw all float32 rows (float64 ones when there are no others) into `path`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    dtype = "float32" if any(row["dtype"] == "float32" for row in result["rows"]) else "float64"
    rows = [row for row in result["rows"] if row["dtype"] == dtype and ratio(row, subject) is not None]
    if not rows:
        raise SystemExit("nothing to draw: no layer was measured for both sides")
    threads = sorted({row["threads"] for row in rows})
    passes = [pass_ for pass_ in PASSES if any(row["pass"] == pass_ for row in rows)]
    shape = (len(passes), len(threads))
    figure, panels = plt.subplots(*shape, figsize=(8 * shape[1], 2.6 * shape[0]), squeeze=False, sharey=True)
    for line, pass_ in zip(panels, passes, strict=True):
        for panel, count in zip(line, threads, strict=True):
            _panel(panel, [r for r in rows if (r["pass"], r["threads"]) == (pass_, count)], result, subject)
            panel.set_title(f"{pass_.replace('_', ' ')}, {count} thread{'s' if count > 1 else ''}, {dtype}")
            panel.set_ylabel(f"times faster than\n{RIVAL.get(pass_, 'PyTorch')}")
    figure.suptitle("\n".join(textwrap.wrap(provenance(result), 110)), fontsize="small")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="lower center", ncols=4, fontsize="small")
    figure.tight_layout(rect=(0, 0.9 / figure.get_figheight(), 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(panel: Any, rows: list[dict[str, Any]], result: dict[str, Any], subject: str) -> None:
    """One pass at one number of threads: layers ordered by family, then by ratio."""
    at = 0
    for family in FAMILIES:
        mine = sorted((row for row in rows if row["family"] == family), key=lambda row: ratio(row, subject) or 0)
        if not mine:
            continue
        places = range(at, at + len(mine))
        panel.plot(places, [ratio(row, subject) for row in mine], "o", markersize=4, label=TITLES[family])
        peaks = [_at_peak(row, result, subject) for row in mine]
        if all(peaks):
            panel.plot(places, peaks, "_", color="0.6", markersize=5, label=None if at else "at the FMA peak")
        at += len(mine) + 2
    panel.axhline(1, color="black", linewidth=0.8)
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter("{x:g}")
    panel.set_xticks([])


def _at_peak(row: dict[str, Any], result: dict[str, Any], subject: str) -> float | None:
    """The ratio that the measured FMA peak would reach on this row."""
    peak = result["limits"].get(str(row["threads"]), {}).get(row["dtype"], {}).get("flops")
    fastest = min(rivals(row["seconds"], subject))
    return fastest * peak / row["flops"] if peak else None
