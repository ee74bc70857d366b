"""The libraries of the race, one file each, all with the same few functions.

```
NAME                                              as printed
version() -> str                                  raises ImportError when the library is missing
supports(layer, pass_, dtype) -> bool             whether the library has this pass at all
prepare(layer, pass_, operands, threads) -> call  everything that a user does once; `call()` is what is timed
to_numpy(value) -> ndarray                        the result of `call()` for the check, not timed
```

The passes "forward", "input_gradient" and "weight_gradient" are one stateless call on arrays that the library sees
for the first time; "eval" is a prepared layer whose weights were packed before. No call has a bias.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, cast

from bench.data import Operands
from bench.layers import Layer

ALGORITHMS = ("direct", "winograd")  # of pyconv, which race under names of their own; no rivals of it
PEERS = ("pyconv", "torch", "onnxruntime", "openvino", "ncnn", *(f"pyconv_{name}" for name in ALGORITHMS))


def rivals(seconds: dict[str, float], subject: str = "pyconv") -> list[float]:
    """The times of the other libraries."""
    return [value for peer, value in seconds.items() if peer != subject and not peer.startswith("pyconv_")]


class Peer(Protocol):
    """What each module of this package offers."""

    NAME: str

    def version(self) -> str: ...

    def supports(self, layer: Layer, pass_: str, dtype: str) -> bool: ...

    def prepare(self, layer: Layer, pass_: str, operands: Operands, threads: int) -> Callable[[], Any]: ...

    def to_numpy(self, value: Any) -> Any: ...


def find(name: str) -> Peer:
    """The peer called `name`; ImportError when its library is not installed."""
    peer = cast(Peer, import_module(f"bench.peers.{name}"))
    peer.version()
    return peer
