"""Checkpoints: all that a training has learned and remembers, in one file, so that it can go on as if never stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from pyconv._arguments import integer, shown
from pyconv._arrays import Array
from pyconv._files import Path
from pyconv.layers.module import Module
from pyconv.saving import load, save

VERSION = 1
OUTLINE = "checkpoint"  # the array that holds, as JSON, everything that is no array


def save_checkpoint(
    model: Module, optimizer: Any, path: Path, *, rng: np.random.Generator | None = None, epoch: int = 0
) -> None:
    """Write a training to a file, from which `load_checkpoint` resumes it with the same bits.

    Kept are the parameters and buffers of the model, the settings and momentum of the optimizer, the states of all
    random generators (that of `rng`, and those that layers such as `Dropout` own), and the number of the epoch.

    Parameters
    ----------
    model : Module
        What is trained.
    optimizer : SGD
        What trains it; anything with `state_dict()` and `load_state_dict()` serves.
    path : str or path-like
        Where to, in the formats and as safely as `save` writes.
    rng : numpy.random.Generator, optional
        The source of the shuffling, the one that `fit` is given.
    epoch : int, default 0
        How many epochs are done.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it should be; nothing is written then.
    ImportError, OSError
        As `save`.

    Examples
    --------
    A training that may be stopped at any time; a crash costs an epoch at most:

    >>> import os, tempfile
    >>> import numpy as np, pyconv as pc
    >>> x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> def train(path, until):
    ...     net, rng = pc.Sequential(pc.Dropout(0.1, rng=1), pc.Linear(2, 2, rng=0)), np.random.default_rng(0)
    ...     sgd = pc.SGD(net.parameters(), lr=0.1, momentum=0.9)
    ...     done = pc.load_checkpoint(net, sgd, path, rng=rng) if os.path.exists(path) else 0
    ...     def keep(history):
    ...         pc.save_checkpoint(net, sgd, path, rng=rng, epoch=done + len(history))
    ...     pc.fit(net, pc.CrossEntropyLoss(), sgd, x, y, epochs=until - done, batch_size=20, rng=rng, callback=keep)
    ...     return net.state_dict()["1.weight"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     in_two = os.path.join(folder, "in_two.npz")
    ...     _ = train(in_two, until=3)
    ...     np.array_equal(train(in_two, until=5), train(os.path.join(folder, "in_one.npz"), until=5))
    True
    """
    _check("save_checkpoint", model, optimizer, rng)
    content = {
        "version": VERSION,
        "epoch": integer("save_checkpoint", "epoch", epoch, 0),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": None if rng is None else rng.bit_generator.state,
        "generators": {name: generator.bit_generator.state for name, generator in _generators(model).items()},
    }
    arrays: dict[str, Array] = {}
    outline = json.dumps(_pack(content, "", arrays))
    save({**arrays, OUTLINE: np.frombuffer(outline.encode(), np.uint8)}, path)


def load_checkpoint(model: Module, optimizer: Any, path: Path, *, rng: np.random.Generator | None = None) -> int:
    """Put a training back to where `save_checkpoint` found it.

    Either everything is taken over or, where anything does not fit, nothing.

    Parameters
    ----------
    model, optimizer, rng
        As in `save_checkpoint`, made in the same way; what is in them is overwritten.
    path : str or path-like
        The file.

    Returns
    -------
    int
        The number of epochs that were done.

    Raises
    ------
    ValueError
        The file is damaged or no checkpoint, or it is one of another model, optimizer or kind of generator, or of a
        training with `rng` where none is given, or the other way round.
    TypeError, ImportError, OSError
        As `load`.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, pyconv as pc
    >>> net = pc.Linear(2, 2, rng=0)
    >>> sgd = pc.SGD(net.parameters())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pc.save_checkpoint(net, sgd, os.path.join(folder, "training.npz"), epoch=7)
    ...     pc.load_checkpoint(net, sgd, os.path.join(folder, "training.npz"))
    7
    """
    op = "load_checkpoint"
    _check(op, model, optimizer, rng)
    content = _read(path)
    owned = _generators(model)
    if set(owned) != set(content["generators"]):
        raise ValueError(
            f"{op}: the model has the random generators {sorted(owned)}, but the checkpoint those of "
            f"{sorted(content['generators'])}"
        )
    if (rng is None) != (content["rng"] is None):
        with_one, without = ("the checkpoint", "rng") if rng is None else ("rng", "the checkpoint")
        raise ValueError(f"{op}: {with_one} has the state of a random generator, but {without} has none")
    states = [(generator, content["generators"][name]) for name, generator in owned.items()]
    if rng is not None:
        states.append((rng, content["rng"]))
    before = model.state_dict(), optimizer.state_dict(), [(g, g.bit_generator.state) for g, _ in states]
    try:
        _put(model, optimizer, content["model"], content["optimizer"], states)
    except BaseException:
        _put(model, optimizer, *before)
        raise
    return int(content["epoch"])


def _put(model: Module, optimizer: Any, weights: Any, settings: Any, states: list[tuple[Any, Any]]) -> None:
    model.load_state_dict(weights)
    optimizer.load_state_dict(settings)
    for generator, state in states:
        kind = type(generator.bit_generator).__name__
        if not isinstance(state, Mapping) or state.get("bit_generator") != kind:
            raise ValueError(f"load_checkpoint: the state of a {kind} generator is expected, but it is {shown(state)}")
        try:
            generator.bit_generator.state = state
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"load_checkpoint: not a state of a {kind} generator: {error}") from error


def _check(op: str, model: object, optimizer: object, rng: object) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"{op}: model must be a Module, but it is {shown(model)}")
    if not all(callable(getattr(optimizer, method, None)) for method in ("state_dict", "load_state_dict")):
        raise TypeError(
            f"{op}: optimizer must have a state_dict() and a load_state_dict(), but it is {shown(optimizer)}"
        )
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(f"{op}: rng must be a numpy.random.Generator or None, but it is {shown(rng)}")


def _generators(model: Module) -> dict[str, np.random.Generator]:
    """The random generators that the layers own, by dotted name."""
    return {
        f"{prefix}.{name}": value
        for prefix, layer in model.named_modules()
        for name, value in vars(layer).items()
        if isinstance(value, np.random.Generator)
    }


def _read(path: Path) -> Any:
    """The content of a checkpoint, all of it there."""
    arrays = load(path)
    try:
        content = _unpack(json.loads(arrays.pop(OUTLINE).tobytes()), arrays)
        if content["version"] != VERSION:
            raise ValueError(f"it is of version {content['version']}, but this pyconv reads version {VERSION}")
        integer("load_checkpoint", "epoch", content["epoch"], 0)
        for name in ("model", "optimizer", "generators"):
            if not isinstance(content[name], dict):
                raise ValueError(f"{name} is {shown(content[name])}")
        content["rng"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"load_checkpoint: {os.fspath(path)} is not a checkpoint of pyconv: {what}") from error
    return content


def _pack(value: Any, place: str, arrays: dict[str, Array]) -> Any:
    """`value`, nested dictionaries and lists, as JSON; its arrays go to `arrays` under the name of their place."""
    if isinstance(value, Mapping):
        return {"dict": [[key, _pack(v, f"{place}.{key}" if place else str(key), arrays)] for key, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_pack(v, f"{place}.{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, np.ndarray):
        while place in arrays or place == OUTLINE:
            place += "'"
        arrays[place] = value
        return {"array": place}
    return value.item() if isinstance(value, np.generic) else value


def _unpack(value: Any, arrays: Mapping[str, Array]) -> Any:
    """The inverse of `_pack`; KeyError, TypeError or ValueError if it is none."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "list":
        return [_unpack(entry, arrays) for entry in content]
    if kind == "dict":
        return {key: _unpack(entry, arrays) for key, entry in content}
    raise ValueError(f"it has an entry of the unknown kind {kind!r}")
