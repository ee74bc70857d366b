"""Our own speed on a dozen layers: forward, both gradients, transposed. For comparing one version with the next.

    make bench ARGS="--benchmark-save=before"
    make bench ARGS="--benchmark-compare=before --benchmark-compare-fail=median:10%"

How it compares with other libraries is the business of `bench/race.py`.
"""

from __future__ import annotations

import pytest

from bench import data
from bench.layers import named
from bench.peers import pyconv as ours

LAYERS = named(
    "resnet50/conv1",
    "resnet50/res2a_branch2a",
    "resnet50/res2a_branch2b",
    "resnet50/res3a_branch2b",
    "resnet50/res5b_branch2b",
    "mobilenet/conv3_1_dw",
    "mobilenet/conv4_2_dw",
    "resnext50/stage3",
    "context/d4",
    "waveglow/WN_in_dil8",
    "dcgan/G2",
    "unet/up3_convT",
    "fsrcnn/deconv9x9",
)
DOUBLE = named("resnet50/res2a_branch2b", "mobilenet/conv3_1_dw")
CASES = [(layer, "float32") for layer in LAYERS] + [(layer, "float64") for layer in DOUBLE]


@pytest.mark.parametrize(("layer", "dtype"), CASES, ids=[f"{layer.name}-{dtype}" for layer, dtype in CASES])
@pytest.mark.parametrize("pass_", data.PASSES)
def test_layer(benchmark, note, pass_, layer, dtype):
    benchmark.group = pass_
    given = data.operands(layer, dtype)
    call = ours.prepare(layer, pass_, given, ours.threads())
    result = benchmark.pedantic(call, rounds=7, iterations=_iterations(layer), warmup_rounds=1)
    assert data.check(layer, pass_, given, result).worst <= 1
    note(layer, dtype)


def _iterations(layer):
    """So many calls that a round takes a few milliseconds, if the layer runs at some 50 GFLOP/s."""
    return max(1, int(0.004 * 50e9 / layer.flops))
