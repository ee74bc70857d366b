"""The house itself: public names and signatures, docstrings and their examples, stubs of the compiled modules, what an
import brings with it.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
from children import printed, python
from pyconv import _kernels
from pyconv._geometry import Geometry, pack

ROOT = Path(__file__).parents[1]
FIELDS = re.findall(
    r"\w+",
    """n ic ih iw oc oh ow kh kw stride_h stride_w dilation_h dilation_w
    pad_top pad_bottom pad_left pad_right groups""",
)
WINDOW = "stride=1 padding=0 dilation=1 groups=1"
BACK = "stride=1 padding=0 output_padding=0 groups=1 dilation=1"  # groups before dilation
NEEDS = "needs=(True, True, True) algorithm='auto'"
POOL = "kernel_size stride=None padding=0"

# Name -> parameters in order with their defaults; after a `*` by keyword only. A function may have more, by keyword.
SIGNATURES = {
    "F.conv2d": f"input weight bias=None {WINDOW} * algorithm='auto' out=None",
    "F.conv2d_backward": f"grad_output input weight {WINDOW} * {NEEDS}",
    "F.conv2d_input": f"input_size weight grad_output {WINDOW}",
    "F.conv2d_weight": f"input weight_size grad_output {WINDOW}",
    "F.conv_transpose2d": f"input weight bias=None {BACK} * output_size=None algorithm='auto' out=None",
    "F.conv_transpose2d_backward": f"grad_output input weight {BACK} * {NEEDS}",
    "F.conv1d": f"input weight bias=None {WINDOW} *",
    "F.conv1d_backward": f"grad_output input weight {WINDOW} *",
    "F.conv_transpose1d": f"input weight bias=None {BACK} *",
    "F.conv_transpose1d_backward": f"grad_output input weight {BACK} *",
    "F.im2col": "input kernel_size * dilation=1 padding=0 stride=1",
    "F.col2im": "cols output_size kernel_size * dilation=1 padding=0 stride=1",
    "F.unfold": "input kernel_size dilation=1 padding=0 stride=1",
    "F.fold": "input output_size kernel_size dilation=1 padding=0 stride=1",
    "F.max_pool2d": f"input {POOL} dilation=1 ceil_mode=False return_indices=False",
    "F.avg_pool2d": f"input {POOL} ceil_mode=False count_include_pad=True divisor_override=None",
    "F.conv_output_size": "input_size kernel_size stride=1 padding=0 dilation=1",
    "F.conv_transpose_output_size": "input_size kernel_size stride=1 padding=0 dilation=1 output_padding=0",
    "F.conv_matrix": f"weight input_size {WINDOW}",
    "F.dilate": "x stride",
    "F.erode": "x stride",
    "F.rotate180": "weight",
    "F.linear": "input weight bias=None",
    "F.pad": "input pad mode='constant' value=None",
    "pc.Conv2d": f"in_channels out_channels kernel_size {WINDOW} bias=True padding_mode='zeros'"
    " * dtype=float32 rng=None",
    "pc.ConvTranspose2d": "in_channels out_channels kernel_size stride=1 padding=0 output_padding=0 groups=1 bias=True"
    " dilation=1 * dtype=float32 rng=None",
    "pc.SGD": "params lr=0.001 momentum=0 dampening=0 weight_decay=0 nesterov=False * maximize=False",
    "pc.fit": "model criterion optimizer x y"
    " * epochs batch_size rng=None validation=None progress='auto' callback=None",
    "pc.save": "state_dict path",
    "pc.load": "path",
    "pc.save_checkpoint": "model optimizer path * rng=None epoch=0",
    "pc.load_checkpoint": "model optimizer path * rng=None",
    "pc.set_num_threads": "n",
    "pc.num_threads": "n",
}
PUBLIC = re.findall(
    r"\w+",
    """AvgPool2d BatchNorm2d Conv1d Conv2d ConvTranspose1d ConvTranspose2d CrossEntropyLoss Dropout Flatten History
    Linear MSELoss MaxPool2d Parameter ReLU SGD Sequential Sigmoid Tanh fit get_num_threads load load_checkpoint
    num_threads save save_checkpoint set_num_threads show_config""",
)
FUNCTIONAL = re.findall(
    r"\w+",
    """avg_pool2d avg_pool2d_backward batch_norm col2im conv1d conv1d_backward conv2d conv2d_backward conv2d_input
    conv2d_weight conv_matrix conv_output_size conv_transpose1d conv_transpose1d_backward conv_transpose2d
    conv_transpose2d_backward conv_transpose_output_size cross_entropy dilate erode fold im2col linear log_softmax
    max_pool2d max_pool2d_backward mse_loss pad relu rotate180 softmax unfold""",
)


def _written(function) -> list[str]:
    """The parameters of a function in the notation of the table."""
    words, by_keyword = [], False
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not by_keyword:
            words.append("*")
            by_keyword = True
        default = getattr(p.default, "__name__", None) or repr(p.default)
        words.append(p.name if p.default is p.empty else f"{p.name}={default}")
    return words


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_the_documented_ones(name):
    module, attribute = name.split(".")
    written = _written(getattr({"F": F, "pc": pc}[module], attribute))
    wanted = re.findall(r"\S+=\([^)]*\)|\S+", SIGNATURES[name])
    positional = written[: written.index("*")] if "*" in written else written
    assert positional == [w for w in wanted[: wanted.index("*") if "*" in wanted else None]]
    assert not set(wanted) - set(written) - {"*"}, "by keyword"


def test_public_names():
    assert not [name for name in PUBLIC if not hasattr(pc, name)]
    assert not [name for name in FUNCTIONAL if not hasattr(F, name)]
    for module in (pc, F):
        assert not [name for name in module.__all__ if not hasattr(module, name)]
        assert not [name for name in module.__all__ if name.startswith("_") and name != "__version__"]
    assert set(PUBLIC) <= set(pc.__all__) and set(FUNCTIONAL) <= set(F.__all__)


def _public_things():
    for module in (pc, F):
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing):
                yield pytest.param(thing, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("thing", list(_public_things()))
def test_every_public_thing_is_documented_with_types_and_an_example(thing):
    text = inspect.getdoc(thing) or ""
    assert ">>> " in text, "a docstring with an example"
    function = thing.__init__ if inspect.isclass(thing) else thing
    if function is not object.__init__:
        bare = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.annotation is p.empty and p.name not in ("self", "args", "kwargs")
        ]
        assert not bare, f"without a type: {bare}"
    name = thing.__name__.lower()
    if re.fullmatch(r"conv(_?transpose)?[12]d(_backward|_input|_weight)?|conv_matrix", name):
        assert "not flipped" in text.splitlines()[0] or "not flipped" in " ".join(text.split("\n\n")[0].split())


def _modules():
    """Every Python module of the package (compiled ones have no doctests)."""
    yield "pyconv"
    for found in pkgutil.walk_packages(pc.__path__, "pyconv."):
        if not (found.name.startswith("pyconv._kernels.") or found.name.endswith("__main__")):
            yield found.name


@pytest.mark.parametrize("name", list(_modules()))
def test_the_examples_of_the_docstrings_run(name):
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for example in finder.find(importlib.import_module(name), name):
        runner.run(example, out=report.append)
    assert not runner.failures, "".join(report)


def test_there_are_enough_examples():
    finder = doctest.DocTestFinder()
    found = sum(bool(t.examples) for name in _modules() for t in finder.find(importlib.import_module(name), name))
    assert found >= len(F.__all__)


def test_python_m_pyconv_prints_the_configuration():
    shown = printed("import pyconv; pyconv.show_config()")
    module = python("import runpy; runpy.run_module('pyconv', run_name='__main__')")
    assert module.returncode == 0 and module.stdout.strip() == shown
    for word in (pc.__version__, "baseline", np.__version__, "thread", "OpenMP"):
        assert word in shown, word
    line = {row.split("  ")[0]: row for row in shown.splitlines()}
    assert all(isa in line["ISA built"] for isa in _kernels.built)
    assert all(isa in line["ISA supported"] for isa in _kernels.supported)


def test_an_import_brings_numpy_and_nothing_else():
    loaded = printed("import sys, pyconv, pyconv.functional; print(*{name.split('.')[0] for name in sys.modules})")
    others = {"torch", "scipy", "matplotlib", "tqdm", "sklearn", "threadpoolctl", "Cython"}
    assert "numpy" in loaded.split() and not others & set(loaded.split())


def test_the_geometry_record_has_the_order_of_the_struct():
    assert list(Geometry._fields) == FIELDS
    packed = pack(Geometry(*range(1, 19)))
    assert packed.dtype == np.intp and packed.flags.c_contiguous and packed.tolist() == list(range(1, 19))
    source = ROOT / "pyx" / "geometry.pxd"
    if source.exists():  # the tests may run beside an installed package, without the sources
        struct = re.search(r"cdef struct Geometry:\n(.*?)\n\n", source.read_text(), re.DOTALL).group(1)
        lines = [line for line in struct.splitlines() if not line.strip().startswith("#")]
        assert re.findall(r"\w+", " ".join(line.replace("Py_ssize_t", "") for line in lines)) == FIELDS


def _stubs():
    return sorted(Path(_kernels.__file__).parent.glob("*.pyi")) or sorted((ROOT / "pyx").glob("*.pyi"))


def _compiled_parameters(function) -> list[str]:
    """The parameters of a C function: in the first line of its docstring, each behind its type."""
    inside = re.match(rf"{function.__name__}\((.*)\)", function.__doc__.splitlines()[0]).group(1)
    return [p.split("=")[0].split()[-1] for p in inside.split(", ") if p]


@pytest.mark.parametrize("stub", _stubs(), ids=lambda path: path.stem)
def test_the_stubs_describe_the_compiled_modules(stub):
    """Same functions, same parameters in the same order, nothing left out."""
    kind = stub.stem.split("_")[0]
    module = _kernels.machine if kind == "machine" else _kernels.load(kind, np.float32)
    described = {
        node.name: [a.arg for a in node.args.args]
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    functions = {
        n: f
        for n, f in vars(module).items()
        if callable(f) and not n.startswith("_") and not inspect.isclass(f) and f.__module__ == module.__name__
    }
    assert set(described) == set(functions)
    for name, arguments in described.items():
        assert _compiled_parameters(functions[name]) == arguments, name


def test_the_package_says_that_it_is_typed():
    assert (Path(pc.__file__).parent / "py.typed").exists()


def _promised() -> set[str]:
    return set(re.findall(r"`(test_\w+\.py::[\w:]+)`", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")))


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="the guide is not beside these tests")
def test_every_promise_has_its_test():
    """The page names tests, and each of them exists; every line of its tables names a test or a make target."""
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert len(_promised()) >= 50
    for name in sorted(_promised()):
        file, *path = name.split("::")
        scope = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        for part in path:
            found = [node for node in scope.body if getattr(node, "name", None) == part]
            assert found, f"{name} does not exist"
            (scope,) = found
    assert set(re.findall(r"`make ([\w-]+)`", text)) <= targets
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| | |"))]
    assert rows and not [row for row in rows if "test_" not in row and "`make " not in row]
