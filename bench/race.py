"""The race: pyconv against PyTorch, ONNX Runtime, OpenVINO and ncnn on named layers, in one run.

    python -m bench.race --quick                                  a few layers of each family, minutes
    python -m bench.race --family depthwise --pass forward        one corner of it
    python -m bench.race --resume                                 all of it, taken up where it stopped

Each library lives in a process of its own (`bench/worker.py`) and only one works at a time. Idle threads of a library
spin for a while and would slow the next one down, so the libraries take turns in short bursts with a pause before
each; a time is the median of its rounds. Each row also says how many cores other processes used meanwhile. Every
result is checked (`bench/data.py`) before it is timed, and a wrong one fails the race. Where pyconv has a choice of
algorithm, each one also races by itself, under a name of its own (`pyconv_winograd`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import layers as tables
from bench import machine
from bench.data import PASSES
from bench.layers import Layer
from bench.peers import PEERS, rivals

DTYPES = ("float32", "float64")
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Pace:
    """`rounds` turns per library, each after `pause` seconds, for `seconds` and at least `least` calls; then up to
    `most` of them, until no library's median round exceeds its best one by more than `spread`.
    """

    rounds: int = 5
    seconds: float = 0.06
    least: int = 2
    pause: float = 0.03
    most: int = 12
    spread: float = 0.1

    def ends(self, turns: int, medians: dict[str, list[float]]) -> bool:
        """Whether a row whose libraries took `medians` seconds in their turns so far needs no further turn."""
        settled = all(statistics.median(times) <= (1 + self.spread) * min(times) for times in medians.values() if times)
        return turns >= self.rounds and (settled or turns >= self.most)


class Disturbance:
    """Cores that processes other than `pids` kept busy since the start; None where /proc does not say."""

    def __init__(self, pids: list[int]) -> None:
        self.pids, self.begin = pids, time.monotonic()
        self.before = self._others()

    def _others(self) -> float | None:
        try:
            user, nice, system = (int(field) for field in Path("/proc/stat").read_text().split()[1:4])
            mine = 0
            for pid in self.pids:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                mine += int(fields[11]) + int(fields[12])
            return (user + nice + system - mine) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError):
            return None

    def cores(self) -> float | None:
        now = self._others()
        spent = time.monotonic() - self.begin
        return None if now is None or self.before is None else round(max(now - self.before, 0) / max(spent, 0.01), 2)


class Runner:
    """A library in its process. A process that dies answers with an error and is started anew."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer, self.threads = peer, threads
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "OPENBLAS_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.command(), stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment)
        self.hello = self.answer()

    def command(self) -> list[str]:
        return [sys.executable, "-m", "bench.worker", self.peer, str(self.threads)]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"process ended with code {self.process.wait()}"}

    def ask(self, do: str, **rest: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **rest}) + "\n")
            self.process.stdin.flush()
            found = self.answer()
        except BrokenPipeError:
            found = {"error": f"process ended with code {self.process.wait()}"}
        if self.process.poll() is not None:
            self.start()
        return found

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(runners: list[Runner], layer: Layer, pass_: str, dtype: str, pace: Pace) -> dict[str, Any]:
    """One row of the result: every library that has this pass, checked, then timed in turns."""
    row: dict[str, Any] = {"layer": layer.name, "family": layer.family, "pass": pass_, "dtype": dtype}
    row |= {"threads": runners[0].threads, "flops": layer.flops, "elements": layer.elements}
    row |= {"seconds": {}, "best": {}, "rounds": {}, "worst_error": {}, "extra_bytes": {}, "problems": {}}
    ready: list[Runner] = []
    sums: dict[str, tuple[float, float]] = {}
    for runner in runners:
        found = runner.ask("prepare", what={"layer": asdict(layer), "pass_": pass_, "dtype": dtype})
        if "error" in found:
            row["problems"][runner.peer] = found["error"]
        elif "verdict" in found:
            verdict = found["verdict"]
            row["worst_error"][runner.peer] = round(verdict["worst"], 4)
            row["extra_bytes"][runner.peer] = found["extra_bytes"]
            sums[runner.peer] = (verdict["signed_sum"], verdict["sum_tolerance"])
            if verdict["worst"] <= 1:
                ready.append(runner)
            else:
                row["problems"][runner.peer] = f"wrong: a value is {verdict['worst']:.3g} tolerances off"
    _compare_sums(sums, row["problems"])
    medians: dict[str, list[float]] = {runner.peer: [] for runner in ready}
    others = Disturbance([os.getpid(), *(runner.process.pid for runner in runners)])
    turn = 0
    while not pace.ends(turn, medians):
        for runner in ready[turn % max(len(ready), 1) :] + ready[: turn % max(len(ready), 1)]:
            time.sleep(pace.pause)
            found = runner.ask("burst", seconds=pace.seconds, least=pace.least)
            if "error" in found:
                row["problems"][runner.peer] = found["error"]
            else:
                medians[runner.peer].append(statistics.median(found["times"]))
                row["best"][runner.peer] = min(row["best"].get(runner.peer, 1e9), *found["times"])
        turn += 1
    row["other_cores"] = others.cores()
    row["rounds"] = {peer: times for peer, times in medians.items() if times}
    row["seconds"] = {peer: statistics.median(times) for peer, times in row["rounds"].items()}
    for runner in runners:
        runner.ask("drop")
    return row


def _compare_sums(sums: dict[str, tuple[float, float]], problems: dict[str, str]) -> None:
    """The sums under random signs must agree with those of the first library."""
    for peer, (value, tolerance) in sums.items():
        first, allowed = next(iter(sums.values()))
        if not abs(value - first) <= tolerance + allowed:
            problems[peer] = f"wrong: signed sum {value:.6g}, the first library's is {first:.6g}"


def passes_of(peer_names: list[str], wanted: list[str], dtype: str) -> list[str]:
    """Engines race in float32 and in "eval" only; the other passes are for pyconv and PyTorch."""
    engines = set(peer_names) - {"torch"}
    return [p for p in wanted if p != "eval" or (dtype == "float32" and engines)]


def show(row: dict[str, Any]) -> str:
    """One line: GFLOP/s of each library, and the ratio of pyconv to the best other one."""
    rates = "  ".join(f"{peer} {row['flops'] / s / 1e9:8.1f}" for peer, s in row["seconds"].items())
    others = rivals(row["seconds"])
    ours = row["seconds"].get("pyconv")
    ratio = f"  {min(others) / ours:6.2f}x" if others and ours else ""
    problems = "".join(f"  [{peer}: {text}]" for peer, text in row["problems"].items())
    return f"{row['layer']:34} {row['pass']:15} {row['dtype']} {row['threads']}t  {rates}{ratio}{problems}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", nargs="+", default=["workloads"], choices=sorted(tables.TABLES))
    parser.add_argument("--family", nargs="+", default=[], choices=tables.FAMILIES)
    parser.add_argument("--layers", nargs="+", default=[], metavar="PATTERN", help="names, shell patterns allowed")
    parser.add_argument("--pass", dest="passes", nargs="+", default=list(PASSES), choices=PASSES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--dtype", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--algorithm", default="auto", help="algorithm= of pyconv's functions")
    parser.add_argument("--quick", action="store_true", help="four layers of each family, shorter turns")
    parser.add_argument("--rounds", type=int, help="turns per library, at least")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "latest.json")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows of --output and measure only what it lacks"
    )
    parser.add_argument(
        "--calm", type=float, default=9.0, help="with --resume: drop rows during which others used more cores"
    )
    return parser.parse_args()


def main() -> int:
    """Run the race, write the JSON after every layer, print the summary; 1 when a result was wrong."""
    from bench.report import summary

    given = arguments()
    os.environ["PYCONV_RACE_ALGORITHM"] = given.algorithm
    pace = Pace(rounds=3, seconds=0.02) if given.quick else Pace()
    pace = replace(pace, rounds=given.rounds or pace.rounds)
    chosen = [one for name in given.table for one in tables.load(tables.TABLES[name])]
    chosen = tables.select(chosen, given.family, given.layers)
    if given.quick:
        chosen = [one for family in tables.FAMILIES for one in tables.select(chosen, [family])[::3][:4]]
    result: dict[str, Any] = {"machine": machine.describe(), "limits": {}, "peers": {}, "missing": {}, "rows": []}
    if given.resume and given.output.exists():
        result |= json.loads(given.output.read_text())
        result["rows"] = [row for row in result["rows"] if (row["other_cores"] or 0) <= given.calm]
    result["settings"] = {**asdict(pace), "algorithm": given.algorithm}
    done = {(r["layer"], r["pass"], r["dtype"], r["threads"]) for r in result["rows"]}
    given.output.parent.mkdir(parents=True, exist_ok=True)
    for threads in given.threads:
        before = _limits(threads)
        runners = _start(given.peers, threads, result)
        for layer in chosen if runners else []:
            for dtype in given.dtype:
                for pass_ in passes_of([r.peer for r in runners], given.passes, dtype):
                    if (layer.name, pass_, dtype, threads) in done:
                        continue
                    row = measure(runners, layer, pass_, dtype, pace)
                    result["rows"].append(row)
                    print(show(row), flush=True)
            given.output.write_text(json.dumps(result))
        for runner in runners:
            runner.stop()
        result["limits"][str(threads)] = _better(before, _limits(threads))
        given.output.write_text(json.dumps(result))
    print(summary(result))
    return int(any("wrong" in text for row in result["rows"] for text in row["problems"].values()))


def _start(names: list[str], threads: int, result: dict[str, Any]) -> list[Runner]:
    """Start the libraries; one that is missing is reported and left out."""
    runners = []
    for name in names:
        runner = Runner(name, threads)
        if "error" in runner.hello:
            result["missing"][name] = runner.hello["error"]
            print(f"left out: {name}: {runner.hello['error']}", file=sys.stderr)
        else:
            result["peers"][name] = runner.hello
            runners.append(runner)
    return runners


def _limits(threads: int) -> dict[str, Any]:
    """The machine's limits, measured in a process of its own so that its threads are gone before the race goes on."""
    command = [sys.executable, "-m", "bench.machine", "--threads", str(threads)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    limits: dict[str, Any] = json.loads(found.stdout)["limits"] if found.returncode == 0 else {}
    if found.returncode:
        print(found.stderr, file=sys.stderr)
    return limits


def _better(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Of two measurements of the limits the larger ones: a neighbour may hide half of the machine for a while."""
    return {name: max((found[name] for found in (a, b) if name in found), key=_rate) for name in {**a, **b}}


def _rate(limit: Any) -> float:
    """Of what `bench/machine.py` measured: a number, or what comes with the method."""
    return (limit["flops"] or 0.0) if isinstance(limit, dict) else limit


if __name__ == "__main__":
    sys.exit(main())
