"""Whole training steps beside PyTorch: zero_grad, forward, loss, backward, update; and the loop that learns a kernel.

    python -m bench.training_step --threads 1 2

Two small networks, LeNet on 64 pictures of 28x28 and three 3x3 convolutions on 32 of 3x32x32, both with cross-entropy
and SGD with momentum, and `examples/learn_kernel.py`'s loop. The libraries take turns as in the race (`bench/race.py`),
each in a process of its own, start from the same weights, and must come to the same losses.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.race import Pace, Runner
from bench.worker import burst

LIBRARIES = ("pyconv", "torch")
CHECKED_STEPS = 5
LR, MOMENTUM = 0.01, 0.9

Step = Callable[[], float]
Network = tuple[tuple[Any, ...], ...]

# Layers by name and arguments, the same for both libraries.
NETWORKS: dict[str, tuple[tuple[int, ...], Network]] = {
    "lenet": (
        (64, 1, 28, 28),
        (
            ("Conv2d", 1, 6, 5, 1, 2), ("ReLU",), ("MaxPool2d", 2), ("Conv2d", 6, 16, 5), ("ReLU",), ("MaxPool2d", 2),
            ("Flatten",), ("Linear", 400, 120), ("ReLU",), ("Linear", 120, 84), ("ReLU",), ("Linear", 84, 10),
        ),
    ),
    "three 3x3": (
        (32, 3, 32, 32),
        (
            ("Conv2d", 3, 32, 3, 1, 1), ("ReLU",), ("Conv2d", 32, 64, 3, 1, 1), ("ReLU",), ("MaxPool2d", 2),
            ("Conv2d", 64, 128, 3, 1, 1), ("ReLU",), ("MaxPool2d", 2), ("Flatten",), ("Linear", 8192, 10),
        ),
    ),
    "with batch norm": (
        (32, 3, 32, 32),
        (
            ("Conv2d", 3, 32, 3, 1, 1), ("BatchNorm2d", 32), ("ReLU",), ("MaxPool2d", 2), ("Conv2d", 32, 64, 3, 1, 1),
            ("BatchNorm2d", 64), ("ReLU",), ("MaxPool2d", 2), ("Flatten",), ("Linear", 4096, 10),
        ),
    ),
}  # fmt: skip
TASKS = (*NETWORKS, "learn a kernel")


def pyconv_network(shape: tuple[int, ...], network: Network) -> Step:
    import pyconv as pc

    x, target, model = _batch(shape), _classes(shape[0]), _pyconv_model(network)
    criterion, optimizer = pc.CrossEntropyLoss(), pc.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def step() -> float:
        optimizer.zero_grad()
        loss: float = criterion(model(x), target)
        model.backward_parameters(criterion.backward())
        optimizer.step()
        return loss

    return step


def torch_network(shape: tuple[int, ...], network: Network) -> Step:
    import torch

    x, target = torch.from_numpy(_batch(shape)), torch.from_numpy(_classes(shape[0]))
    model = torch.nn.Sequential(*(getattr(torch.nn, name)(*arguments) for name, *arguments in network))
    start = _pyconv_model(network).state_dict()
    model.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in start.items()})
    criterion, optimizer = torch.nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(model(x), target)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def pyconv_kernel() -> Step:
    import pyconv as pc

    x, y, conv = *_pictures(), pc.Conv2d(1, 1, 3, bias=False)
    conv.weight.data.fill(0)
    criterion, sgd = pc.MSELoss(), pc.SGD(conv.parameters(), lr=0.05)

    def step() -> float:
        sgd.zero_grad()
        loss: float = criterion(conv(x), y)
        conv.backward_parameters(criterion.backward())
        sgd.step()
        return loss

    return step


def torch_kernel() -> Step:
    import torch

    x, y = (torch.from_numpy(picture) for picture in _pictures())
    conv = torch.nn.Conv2d(1, 1, 3, bias=False)
    torch.nn.init.zeros_(conv.weight)
    criterion, sgd = torch.nn.MSELoss(), torch.optim.SGD(conv.parameters(), lr=0.05)

    def step() -> float:
        sgd.zero_grad()
        loss = criterion(conv(x), y)
        loss.backward()
        sgd.step()
        return float(loss.detach())

    return step


def _pyconv_model(network: Network) -> Any:
    import pyconv as pc

    rng = np.random.default_rng(0)
    drawn = {"Conv2d": {"rng": rng}, "Linear": {"rng": rng}}
    return pc.Sequential(*(getattr(pc, name)(*arguments, **drawn.get(name, {})) for name, *arguments in network))


def _batch(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def _classes(n: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(2).integers(0, 10, n)


def _pictures() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    import pyconv.functional as F

    x = np.random.default_rng(3).random((1, 1, 80, 80), np.float32)
    kernel = np.array([[[[0, -1, 0], [0, 2, 0], [0, -1, 0]]]], np.float32)
    return x, F.conv2d(x, kernel)


def serve(library: str, threads: int) -> None:
    """Answer requests, a line of JSON each: which task to prepare, or for how long to run it."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    if library == "torch":
        import torch

        torch.set_num_threads(threads)
        version = torch.__version__
    else:
        import pyconv

        pyconv.set_num_threads(threads)
        version = pyconv.__version__
    print(json.dumps({"name": library, "version": version}), file=answers)
    step: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "prepare":
            if request["what"] == TASKS[-1]:
                step = pyconv_kernel() if library == "pyconv" else torch_kernel()
            else:
                make = pyconv_network if library == "pyconv" else torch_network
                step = make(*NETWORKS[request["what"]])
            answer: dict[str, Any] = {"losses": [step() for _ in range(CHECKED_STEPS)]}
        else:
            answer = {"times": burst(step, request["seconds"], request["least"])}
        print(json.dumps(answer), file=answers)


class Stepper(Runner):
    """A library in a process that runs `serve`."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "bench.training_step", "--serve", self.peer, "--threads", str(self.threads)]


def compare(threads: int, tasks: list[str], pace: Pace) -> list[dict[str, Any]]:
    """Median seconds of a step of each task in each library; losses that differ raise."""
    steppers = [Stepper(library, threads) for library in LIBRARIES]
    rows = []
    for task in tasks:
        losses = [stepper.ask("prepare", what=task)["losses"] for stepper in steppers]
        np.testing.assert_allclose(*losses, rtol=1e-4)
        medians: dict[str, list[float]] = {library: [] for library in LIBRARIES}
        for turn in range(pace.rounds):
            for stepper in steppers if turn % 2 else steppers[::-1]:
                time.sleep(pace.pause)
                times = stepper.ask("burst", seconds=pace.seconds, least=pace.least)["times"]
                medians[stepper.peer].append(statistics.median(times))
        seconds = {library: statistics.median(times) for library, times in medians.items()}
        rows.append({"task": task, "threads": threads, "seconds": seconds})
        ours, theirs = seconds["pyconv"], seconds["torch"]
        print(f"{task:16} {threads}t  pyconv {ours * 1e3:8.3f} ms  torch {theirs * 1e3:8.3f} ms {theirs / ours:6.2f}x")
    for stepper in steppers:
        stepper.stop()
    return rows


def main() -> None:
    """Measure and print; with --output also write the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--serve", choices=LIBRARIES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.threads[0])
        return
    pace = Pace(given.rounds, given.seconds)
    rows = [row for threads in given.threads for row in compare(threads, given.tasks, pace)]
    if given.output:
        given.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
