"""The examples run, reach the numbers that they promise, and leave a picture behind.

Each has `main(arguments)`, which takes what the command line takes and returns its number. They run in processes of
their own, with warnings as errors.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from children import printed

FOLDER = Path(__file__).parents[1] / "examples"
NEEDS = ("matplotlib", "sklearn")

pytestmark = [
    pytest.mark.skipif(not FOLDER.exists(), reason="the examples are not beside these tests"),
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, NEEDS)), reason=f"the examples need {' and '.join(NEEDS)}"
    ),
]

# Name -> (arguments, lowest and highest number that is right).
PROMISES = {
    "learn_kernel": ([], 3456, 3456),
    "filters": ([], 656.70588, 656.70589),  # the sum that is left of the coloured disc after Sobel, ReLU and pooling
    "digits": (["--seeds", "5"], 0.985, 1.0),  # mean over five seeds, on a fifth that was held out
    "autoencoder": ([], 10.0, 1e6),  # how many times smaller the loss has become
}
SLOW = ("digits", "autoencoder")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in PROMISES])
def test_an_example_keeps_its_promise(name, tmp_path):
    arguments, lowest, highest = PROMISES[name]
    picture = tmp_path / f"{name}.png"
    code = (
        "import os, runpy\n"
        f"os.chdir({str(tmp_path)!r})\n"
        f"main = runpy.run_path({str(FOLDER / name)!r} + '.py')['main']\n"
        f"print(main({[*arguments, '--output', str(picture)]!r}))"
    )
    number = float(printed(code, timeout=1800).splitlines()[-1])
    assert lowest <= number <= highest
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [picture], "an example writes nothing but its picture"


def test_every_example_is_tested():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(PROMISES)
