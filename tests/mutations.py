"""Faults planted by hand, one at a time, each of which the suite has to notice: `make mutations`.

A fault is a line of the sources changed as a slip of the keyboard, or of thought, would change it (`faults.py` lists
them). Each is built in a copy of the project, for one instruction set, and a part of the suite runs on it: the fault is
caught if a test fails, crashes or does not end. One that survives fails the run, and so does one whose line is no
longer in the sources. A run of all of them writes its result to `tests/mutations.md`.

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
from pathlib import Path

from faults import FAULTS, Fault

ROOT = Path(__file__).parents[1]
TESTS = (
    "test_smoke", "test_exact_integers", "test_zero_sizes", "test_functional", "test_random_geometry", "test_bounds",
    "test_nonfinite", "test_threads", "test_batches", "test_layers", "test_optim", "test_errors", "test_saving",
    "test_properties",
)  # fmt: skip
LIMIT = 600  # seconds for the tests of one fault
LEVEL = "avx512"


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
        sys.exit(f"{file.name} has {text.count(old)} places that read {old!r}; tests/faults.py has to follow it")
    file.write_text(text.replace(old, new), encoding="utf-8")


def build(folder: Path) -> str:
    """Compile the copy; what the compiler said if it failed."""
    result = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
        cwd=folder, env={**os.environ, "PYCONV_BUILD": LEVEL}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if result.returncode == 0 else result.stderr[-1000:]


def test(folder: Path) -> str:
    """The first test that fails in the copy, or nothing if all pass."""
    files = [f"tests/{name}.py" for name in TESTS]
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
    """What caught it: a test, or the compiler; nothing if it survived."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder, symlinks=True)
    replace(folder / fault.file, fault.old, fault.new)
    if fault.file.startswith("pyx/"):
        # The tests use both dtypes; one with the fault will do.
        replace(
            folder / "setup.py", 'DTYPES = {"float32": "float", "float64": "double"}', 'DTYPES = {"float32": "float"}'
        )
        error = build(folder)
        if error:
            sys.exit(f"{fault.why}: does not compile\n{error}")
    return test(folder)


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
    rows, survivors = [], 0
    for fault in FAULTS:
        if words and not any(word in fault.file for word in words):
            continue
        start = time.monotonic()
        caught = try_fault(fault, base, folder / "faulty")
        survivors += not caught
        rows.append(f"| `{fault.file}` | {fault.why} | {f'`{caught}`' if caught else '**alive**'} |")
        print(f"{rows[-1]} {time.monotonic() - start:.0f} s", flush=True)
    print(f"{len(rows) - survivors} of {len(rows)} faults caught")
    if not words:
        head = f"# {len(rows) - survivors} of {len(rows)} planted faults caught\n\nWritten by `make mutations`.\n\n"
        table = "| file | fault | caught by |\n|---|---|---|\n" + "\n".join(rows) + "\n"
        (ROOT / "tests" / "mutations.md").write_text(head + table, encoding="utf-8")
    sys.exit(survivors and "some survived")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
