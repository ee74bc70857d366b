"""Faults planted by hand, one at a time, each of which the suite has to notice: `make mutations`.

A fault is a line of the sources changed as a slip of the keyboard, or of thought, would change it (`faults/` lists
them). Each is built in a copy of the project, for the best instruction set of this CPU, and a part of the suite runs on
it: the fault is caught if a test fails, crashes or does not end. One that survives fails the run, and so does one whose
line is no longer in the sources. A run of all of them writes its result to `tests/mutations.md`, and there names those
that this CPU cannot run.

    python tests/mutations.py FOLDER             the copies are made in FOLDER
    python tests/mutations.py FOLDER plane.pxd   only the faults of a file, and no table
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults import FAULTS, Fault
from pyconv import _kernels

ROOT = Path(__file__).parents[1]
TESTS = (  # the quick ones first: most faults fail in seconds
    "test_smoke", "test_shares", "test_zero_sizes", "test_functional", "test_layers", "test_losses", "test_optim",
    "test_blocks", "test_out", "test_scaling", "test_nonfinite", "test_exact_integers", "test_saving", "test_loading",
    "test_batches", "test_errors", "test_threads", "test_properties", "test_winograd", "test_winograd_auto",
    "test_winograd_small", "test_random_geometry", "test_bounds",
)  # fmt: skip
LIMIT = 600  # seconds for the tests of one fault
LEVEL = _kernels.chosen
HOMES = {  # the modules that a fault in a shared file is built into, by how its name begins; few of those that share it
    "winograd": ("winograd",),
    "columns": ("windows",),
    "max_pool": ("windows",),
    "average_pool": ("windows",),
    "pointwise": ("network",),
    "normalization": ("network",),
    "softmax": ("network",),
    "scaling": ("network", "convolution"),
    "": ("convolution", "windows"),
}


def copy_sources(to: Path) -> None:
    """The files that git knows or would take, with a quicker compilation: what is tested is not how fast it is."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    replace(to / "setup.py", '"-O3"', '"-O1"')


def replace(file: Path, old: str, new: str) -> None:
    """Change the one place of a file that reads `old`."""
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{file.name} has {text.count(old)} places that read {old!r}")
    file.write_text(text.replace(old, new), encoding="utf-8")


def narrow(setup: Path, file: str) -> None:
    """Build a fault in `file` into few modules and one dtype; the others stay as they are, and the tests use all."""
    shared = next(modules for start, modules in HOMES.items() if Path(file).name.startswith(start))
    modules = (Path(file).stem,) if file.endswith(".pyx") else shared
    text = setup.read_text(encoding="utf-8")
    text = re.sub(r"^KERNELS = \(.*?\)$", f"KERNELS = {modules!r}", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^DTYPES = \{.*?\}$", 'DTYPES = {"float32": "float"}', text, flags=re.MULTILINE | re.DOTALL)
    setup.write_text(text, encoding="utf-8")


def build(folder: Path) -> str:
    """Compile the copy; what the compiler said if it failed."""
    result = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
        cwd=folder, env={**os.environ, "PYCONV_BUILD": LEVEL}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if result.returncode == 0 else result.stderr[-1000:]


def test(folder: Path, room: str = "") -> str:
    """The first test that fails in the copy, or nothing if all pass; those with the name of a room come first."""
    files = [f"tests/{name}.py" for name in sorted(TESTS, key=lambda name: f"test_{room}" not in name)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_WAIT_POLICY": "passive", "PYCONV_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *files]
    try:
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return "no end"
    if result.returncode == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) tests/(\S+?)(?:\[| |$)", result.stdout, re.MULTILINE)
    return failed[1] if failed else f"the process ended with {result.returncode}"


def try_fault(fault: Fault, base: Path, folder: Path) -> str:
    """What caught it: a test; nothing if it survived."""
    shutil.copytree(base, folder, symlinks=True)
    replace(folder / fault.file, fault.old, fault.new)
    if fault.file.startswith("pyx/"):
        narrow(folder / "setup.py", fault.file)
        error = build(folder)
        if error:
            raise ValueError(f"{fault.why}: does not compile\n{error}")
    caught = test(folder, Path(fault.file).name.partition("_")[0])
    shutil.rmtree(folder)
    return caught


def row(fault: Fault, base: Path, folder: Path) -> tuple[str, bool]:
    """A line of the table, and whether the fault was caught."""
    start = time.monotonic()
    caught = try_fault(fault, base, folder)
    line = table_line(fault, f"`{caught}`" if caught else "**alive**")
    print(f"{line} {time.monotonic() - start:.0f} s", flush=True)
    return line, bool(caught)


def table_line(fault: Fault, end: str) -> str:
    """A line of the table; `end` is what became of the fault."""
    return f"| `{fault.file}` | {fault.why} | {end} |"


def main(folder: Path, *words: str) -> None:
    base = folder / "base"
    shutil.rmtree(folder, ignore_errors=True)
    base.mkdir(parents=True)
    copy_sources(base)
    for fault in FAULTS:  # before anything takes time
        if (base / fault.file).read_text(encoding="utf-8").count(fault.old) != 1:
            sys.exit(f"{fault.file} does not have one place that reads {fault.old!r}")
    error = build(base) or test(base)
    if error:
        sys.exit(f"without any fault: {error}")
    chosen = [fault for fault in FAULTS if not words or any(word in fault.file for word in words)]
    elsewhere = [fault for fault in chosen if fault.isa not in ("", LEVEL)]
    chosen = [fault for fault in chosen if fault not in elsewhere]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        folders = [folder / f"faulty{i}" for i in range(len(chosen))]
        rows, caught = zip(*pool.map(row, chosen, [base] * len(chosen), folders), strict=True)
    survivors = caught.count(False)
    result = f"{len(rows) - survivors} of {len(rows)} planted faults caught"
    others = [table_line(fault, f"not run, needs {fault.isa}") for fault in elsewhere]
    print("\n".join([*others, result]))
    if not words:
        head = (
            f"# {result}\n\nWritten by `make mutations` on a CPU with {LEVEL}; {len(others)} could not run there.\n\n"
        )
        table = "| file | fault | caught by |\n|---|---|---|\n" + "\n".join([*rows, *others]) + "\n"
        (ROOT / "tests" / "mutations.md").write_text(head + table, encoding="utf-8")
    sys.exit(survivors and "some survived")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
