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

PEERS = ("pyconv", "torch", "onnxruntime", "openvino", "ncnn")


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
