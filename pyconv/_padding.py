"""Padding as the user says it, and in pixels: four rules by name, or numbers."""

from __future__ import annotations

from pyconv._arguments import choice, integer, integers, is_sequence, shown
from pyconv._shapes import Pads, Shape, text

PADDINGS = ("valid", "same", "same_lower", "full")


def read_padding(op: str, padding: object, axes: int) -> str | Pads:
    """What the user said about padding: one of the rules by name, or a pair (before, after) for each axis."""
    if isinstance(padding, str):
        return choice(op, "padding", padding, PADDINGS)
    if is_sequence(padding):
        entries = tuple(padding)
        if len(entries) == axes and all(is_sequence(entry) for entry in entries):
            if all(len(entry) == 2 for entry in entries):
                return tuple(
                    (integer(op, "padding", before, 0), integer(op, "padding", after, 0)) for before, after in entries
                )
        elif len(entries) in (1, axes) and not any(is_sequence(entry) for entry in entries):
            return tuple((both, both) for both in integers(op, "padding", padding, axes, 0))
        expected = "((before, after),)" if axes == 1 else "a pair, ((top, bottom), (left, right))"
        raise ValueError(
            f"{op}: padding must be an integer, {expected} or one of {', '.join(PADDINGS)}, but it is {shown(padding)}"
        )
    return ((integer(op, "padding", padding, 0),) * 2,) * axes


def same_pads(op: str, rule: str, size: Shape, span: Shape, stride: Shape) -> Pads:
    """The padding by which ``ceil(size / stride)`` windows fit; an odd one goes behind, or before for "same_lower"."""
    totals = [max(((n + s - 1) // s - 1) * s + k - n, 0) for n, k, s in zip(size, span, stride, strict=True)]
    smaller = [(total // 2, total - total // 2) for total in totals]
    return tuple(smaller) if rule == "same" else tuple((after, before) for before, after in smaller)


def fixed_pads(op: str, padding: str | Pads, span: Shape) -> Pads | None:
    """The padding in pixels where it does not depend on the size of the picture, else None."""
    if not isinstance(padding, str):
        return padding
    if padding == "valid":
        return ((0, 0),) * len(span)
    if padding == "full":
        return tuple((k - 1, k - 1) for k in span)
    return None


def check_pooling_padding(op: str, pads: Pads, kernel: Shape, padding: object) -> None:
    """Refuse padding by which a window of pooling could lie outside of the picture."""
    if any(max(width) > k // 2 for width, k in zip(pads, kernel, strict=True)):
        raise ValueError(f"{op}: padding must be at most half the kernel of size {kernel}, but it is {shown(padding)}")


def check_output_padding(op: str, extra: Shape, stride: Shape, dilation: Shape, padding: str | Pads) -> None:
    """Refuse output padding that no picture could need."""
    if padding in ("same", "same_lower"):
        if any(extra):
            raise ValueError(f"{op}: output_padding must be 0 with padding {padding!r}, but it is {text(extra)}")
    elif any(more >= max(s, d) for more, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"{op}: output_padding must be smaller than stride or dilation, "
            f"but it is {text(extra)} with stride {text(stride)} and dilation {text(dilation)}"
        )
