"""Every wrong call raises the right exception, says what is wrong, and leaves all its arguments as they were.

The calls are the tables in `bad_calls.py`, `bad_layer_calls.py` and `bad_arguments.py`. "Right" is ValueError or
TypeError exactly, raised in Python before a kernel runs; the message begins with the name of the function and holds
each word of the row.
"""

from __future__ import annotations

import ast
import inspect
import warnings

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
from bad_arguments import KINDS, MEANINGS, RIGHT
from bad_calls import ARRAY_PLACES, ARRAYS, NUMBERS, PLACES, PLAIN, names
from bad_layer_calls import LAYERS


def _rows():
    yield from PLAIN
    yield from LAYERS
    for call, place in PLACES:
        for value, exception, word in NUMBERS:
            if not (value == "None" and place == "avg_pool2d stride"):
                yield call.format(value), exception, f"{place} {word}"
    for call, good, place in ARRAY_PLACES:
        for value, exception, word in ARRAYS:
            yield call.format(value.format(good)), exception, f"{place} {word}"
    for function, arguments in map(_split, RIGHT):
        for name in arguments:
            for value, exception, word in MEANINGS.get((function, name), KINDS[name]):
                wrong = ", ".join(f"{k}={value if k == name else v}" for k, v in arguments.items())
                yield f"{function}({wrong})", exception, f"{function.split('.')[1]} {name} {word}"


def _split(call):
    """A right call as the name of its function and its arguments, as text."""
    tree = ast.parse(call, mode="eval").body
    return ast.unparse(tree.func), {k.arg: ast.get_source_segment(call, k.value) for k in tree.keywords}


ROWS = list(_rows())


def _words(text):
    """Split at blanks that are outside brackets and quotes."""
    found, depth, quoted, word = [], 0, False, ""
    for letter in text + " ":
        quoted ^= letter == "'"
        depth += (letter in "([") - (letter in ")]")
        if letter == " " and not depth and not quoted:
            found.append(word)
            word = ""
        else:
            word += letter
    return found


@pytest.mark.parametrize("row", ROWS, ids=[call for call, _, _ in ROWS])
def test_a_wrong_call(row):
    call, exception, words = row
    things = names()
    before = {name: thing.copy() for name, thing in things.items() if isinstance(thing, np.ndarray)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # np.matrix has been on its way out for years
        with pytest.raises((TypeError, ValueError)) as caught:
            eval(call, things)
    message = str(caught.value)
    assert exception in (None, type(caught.value)), f"{type(caught.value).__name__}: {message}"
    function, *rest = _words(words)
    assert message.startswith(f"{function}: "), message
    missing = [word for word in rest if word not in message]
    assert not missing, f"{missing} not in: {message}"
    for name, array in before.items():
        assert np.array_equal(things[name], array), f"{name} was changed"


@pytest.mark.parametrize("call", RIGHT)
def test_the_right_calls_of_the_rules_are_right(call):
    things = names()
    before = {name: thing.copy() for name, thing in things.items() if isinstance(thing, np.ndarray)}
    eval(call, things)
    for name, array in before.items():
        assert np.array_equal(things[name], array), f"{name} was changed"


# Whose wrong calls are elsewhere, or who take anything or nothing.
ELSEWHERE = {
    "save": "test_saving.py", "load": "test_loading.py", "save_checkpoint": "test_checkpoint.py",
    "load_checkpoint": "test_checkpoint.py", "MaxPool2d": "most show when the layer is called: LAYERS",
    "AvgPool2d": "most show when the layer is called: LAYERS", "set_num_threads": "PLAIN", "show_config": "a file",
}  # fmt: skip


def test_every_argument_of_every_public_function_is_in_the_rules():
    covered = {function.split(".")[1]: set(arguments) for function, arguments in map(_split, RIGHT)}
    for name in sorted((set(F.__all__) | set(pc.__all__)) - set(ELSEWHERE)):
        thing = getattr(F, name, None) or getattr(pc, name)
        if callable(thing):
            kinds = inspect.signature(thing).parameters.values()
            arguments = {p.name for p in kinds if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
            assert arguments == covered.get(name, set()), name


def test_the_table_is_large_and_every_row_is_there_once():
    assert len(ROWS) >= 2500 and len({call for call, _, _ in ROWS}) == len(ROWS)


def test_the_table_calls_work_when_they_are_right():
    """The names of the table fit together; otherwise its rows would fail for another reason than the one they name."""
    things = names()
    for call in (
        "F.conv2d(x, w, b, out=dy)",
        "F.conv2d_backward(dy, x, w)",
        "F.conv_transpose2d(x, wt, bt)",
        "F.conv_transpose2d_backward(dyt, x, wt)",
        "F.conv1d(s, v, b)",
        "F.conv1d_backward(ds, s, v)",
        "F.conv_transpose1d(s, vt, bt)",
        "F.conv_transpose1d_backward(dst, s, vt)",
        "F.col2im(cols, (8, 9), 3)",
        "F.max_pool2d_backward(pooled, x, 2, indices=where)",
        "F.linear(x, m)",
        "F.cross_entropy(scores, classes)",
        "F.batch_norm(x, one, one)",
    ):
        eval(call, things)


def test_a_plan_kept_from_a_right_call_lets_no_wrong_one_through():
    """1 == True == 1.0, and plans are kept by their settings: the wrong ones are still refused after the right one, and
    the right one works again.
    """
    things = names()
    for wrong in ("True", "1.0", "(1, True)", "np.True_", "1+0j"):
        eval("F.conv2d(x, w, stride=1)", things)
        eval("F.conv2d(x, w, stride=(1, 1))", things)
        with pytest.raises(TypeError, match="stride"):
            eval(f"F.conv2d(x, w, stride={wrong})", things)
        eval("F.conv2d(x, w, stride=1)", things)


def test_an_argument_is_checked_before_out_is_written():
    things = names()
    out = np.full((2, 4, 6, 8), 7.0)
    for wrong in ("b[:3]", "b.astype(complex)"):
        with pytest.raises((TypeError, ValueError)):
            eval(f"F.conv2d(x, w, {wrong}, out=out)", {**things, "out": out})
    assert (out == 7).all()
