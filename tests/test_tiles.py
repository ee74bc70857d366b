"""The hot loop of every register tile is what it must be: all sums in registers, fused multiply-adds, no stack.

Reads the machine code of the built modules, because this is the kind of thing that rots silently with a compiler. What
is checked follows from R rows and V vectors alone: R * V multiplications in the innermost loop, nothing on the stack.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pyconv import _kernels

ROWS = {"baseline": 6, "avx2": 4, "avx512": 8}
NARROW_ROWS = {"avx2": {2: 6, 1: 8}}  # of channels and sums, by vectors, where they are others
WIDTHS = {"baseline": (2, 1), "avx2": (3, 2, 1), "avx512": (3, 2, 1)}
MULTIPLY = {"baseline": r"^mulp[sd]", "avx2": r"^vfn?m(add|sub)\d+p[sd]", "avx512": r"^vfn?m(add|sub)\d+p[sd]"}
REGISTER = {"baseline": "%xmm", "avx2": "%ymm", "avx512": "%zmm"}
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")

pytestmark = pytest.mark.skipif(
    shutil.which("objdump") is None, reason="objdump, of the compiler's binutils, is missing"
)


def functions(path):
    """Name -> [(address, instruction, operands)] of a module."""
    text = subprocess.run(
        ["objdump", "--disassemble", "--no-show-raw-insn", str(path)], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for block in text.split("\n\n"):
        head = re.match(r"[0-9a-f]+ <(\w+)>:", block.strip())
        if head:
            lines = (LINE.match(line) for line in block.splitlines()[1:])
            found[head[1]] = [(int(m[1], 16), m[2], m[3]) for m in lines if m]
    return found


def by_clang(path):
    """Whether a module was compiled by clang, which reloads a pointer here and unrolls otherwise there."""
    comment = ["objdump", "--full-contents", "--section=.comment", str(path)]
    dump = subprocess.run(comment, capture_output=True, text=True, check=True).stdout
    return b"clang" in b"".join(bytes.fromhex(line[6:41].replace(" ", "")) for line in dump.splitlines()[4:])


def only_by_gcc(path):
    """Skip what counts the instructions of straight-line code."""
    if by_clang(path):
        pytest.skip("compiled by clang, and written of gcc's code")


def hot_loop(body, multiply):
    """The loop with the most multiplications per instruction: the code between a backward jump and its target."""
    loops = []
    for end, (address, instruction, operands) in enumerate(body):
        target = re.match(r"([0-9a-f]+)", operands) if instruction.startswith("j") else None
        if target and body[0][0] <= int(target[1], 16) <= address:
            inside = [line for line in body[: end + 1] if line[0] >= int(target[1], 16)]
            loops.append((sum(bool(re.match(multiply, line[1])) for line in inside) / len(inside), inside))
    return max(loops, key=lambda loop: loop[0])[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", _kernels.built)
def test_hot_loops(isa, dtype):
    if _kernels.built == ("baseline",):
        pytest.skip("not x86-64, the only machine whose code this reads")
    (path,) = Path(_kernels.__file__).parent.glob(f"convolution_{isa}_{dtype}.*.so")
    code = functions(path)
    families = ("channels_", "sums_", "pixels_rows", "more_rows", "first_rows", "later_rows")
    tiles = [(f"{family}x{v}", v) for family in families for v in WIDTHS[isa]] + [("eager_rows", max(WIDTHS[isa]))]
    for tile, v in tiles:
        (name,) = [name for name in code if re.search(rf"tiles?_{tile}$", name)]
        loop = hot_loop(code[name], MULTIPLY[isa])
        where = f"{name} of {path.name}:\n" + "\n".join(f"{line[1]} {line[2]}" for line in loop)
        products = [line for line in loop if re.match(MULTIPLY[isa], line[1])]
        rows = NARROW_ROWS.get(isa, {}).get(v, ROWS[isa]) if tile.startswith(("channels", "sums")) else ROWS[isa]
        assert len(products) % (rows * v) == 0 and products, f"{len(products)} multiplications in {where}"
        assert all(REGISTER[isa] in line[2] for line in products), f"narrow registers in {where}"
        framed = ("mov", "%rsp,%rbp") in [line[1:] for line in code[name]]  # else rbp is a register like others
        stack = ("(%rsp", "(%rbp") if framed else ("(%rsp",)
        touched = [line[1] for line in loop if any(place in line[2] for place in stack)]
        assert not touched or (by_clang(path) and touched == ["mov"]), f"the stack in {where}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_of_leftover_rows(dtype):
    if "avx512" not in _kernels.built:
        pytest.skip("not built for AVX-512")
    (path,) = Path(_kernels.__file__).parent.glob(f"convolution_avx512_{dtype}.*.so")
    only_by_gcc(path)
    code = functions(path)
    tiles = [("pixels", *size) for size in ((6, 4), (6, 2), (4, 6), (3, 6), (2, 4), (1, 6))]
    for family, rows, v in tiles + [("channels", rows, 3) for rows in (7, 6, 5)]:
        (name,) = [name for name in code if name.endswith(f"tiles_{family}_{rows}x{v}")]
        loop = hot_loop(code[name], MULTIPLY["avx512"])
        products = [line for line in loop if re.match(MULTIPLY["avx512"], line[1])]
        assert len(products) % (rows * v) == 0 and products, f"{len(products)} multiplications in {name} of {path.name}"
        assert not any("(%rsp" in line[2] for line in loop), f"the stack in {name} of {path.name}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", sorted(set(_kernels.built) - {"baseline"}))
def test_tiles_of_paired_phases(isa, dtype):
    """Four loops, of four rows, two, two and one. (Without fused multiply-adds a product too many is in registers.)"""
    (path,) = Path(_kernels.__file__).parent.glob(f"convolution_{isa}_{dtype}.*.so")
    only_by_gcc(path)
    code = functions(path)
    for width, v in (("wide", 6 if isa == "avx512" else 3), ("x2", 2), ("x1", 1)):
        (name,) = [name for name in code if name.endswith(f"pairs_{width}")]
        products = [line for line in code[name] if re.match(MULTIPLY[isa], line[1])]
        assert len(products) == (4 + 2 + 2 + 1) * v, f"{len(products)} multiplications in {name} of {path.name}"
        assert all(REGISTER[isa] in line[2] for line in products), f"narrow registers in {name} of {path.name}"
        for i in range(len(products) - 1):
            between = [line for line in code[name] if products[i][0] < line[0] < products[i + 1][0]]
            jumps = any(line[1].startswith("j") for line in between)
            assert jumps or not any("(%rsp" in line[2] for line in between), f"the stack in {name} of {path.name}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", _kernels.built)
def test_depthwise_tiles(isa, dtype):
    """All taps of a tile of at least four rows, or those of a column of a large kernel, on whole registers."""
    if _kernels.built == ("baseline",):
        pytest.skip("not x86-64, the only machine whose code this reads")
    (path,) = Path(_kernels.__file__).parent.glob(f"convolution_{isa}_{dtype}.*.so")
    only_by_gcc(path)
    code = functions(path)
    for tiles, kernel in (("depth", 3), ("depth", 5), ("depth", 7), ("depth_dots", 3)):
        for stride in ("", "_2"):
            (name,) = [name for name in code if name.endswith(f"_{tiles}_{kernel}{stride}")]
            large = kernel == 7 or (kernel == 5 and not stride)
            body = hot_loop(code[name], MULTIPLY[isa]) if large else code[name]
            products = [line for line in body if re.match(MULTIPLY[isa], line[1])]
            least = 4 * kernel if large else 4 * kernel**2
            assert len(products) >= least, f"{len(products)} multiplications in {name} of {path.name}"
            assert all(REGISTER[isa] in line[2] for line in products), f"narrow registers in {name} of {path.name}"
            spilled = [line for line in body if large and re.match(r"vmov.p[sd]", line[1]) and "%rsp)" in line[2]]
            assert isa == "baseline" or len(spilled) <= 2, f"sums on the stack in {name} of {path.name}"
    for kernel in (3, 5):
        (name,) = [name for name in code if name.endswith(f"_spread_{kernel}")]
        products = [line for line in code[name] if re.match(MULTIPLY[isa], line[1])]
        assert len(products) == 2 * kernel**2, f"{len(products)} multiplications in {name} of {path.name}"
        assert all(REGISTER[isa] in line[2] for line in products), f"narrow registers in {name} of {path.name}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_few_tiles(dtype):
    """Six points by four tiles and the transform of the weights: where there are 32 registers, two spill at most."""
    if "avx512" not in _kernels.built:
        pytest.skip("not built for AVX-512")
    (path,) = Path(_kernels.__file__).parent.glob(f"winograd_avx512_{dtype}.*.so")
    only_by_gcc(path)
    code = functions(path)
    for line in range(6):
        (name,) = [name for name in code if name.endswith(f"_products_of_line_{line}")]
        loop = hot_loop(code[name], MULTIPLY["avx512"])
        where = f"{name} of {path.name}:\n" + "\n".join(f"{line[1]} {line[2]}" for line in loop)
        products = [line for line in loop if re.match(MULTIPLY["avx512"], line[1])]
        assert len(products) >= 24, f"{len(products)} multiplications in {where}"
        assert all("%zmm" in line[2] for line in products), f"narrow registers in {where}"
        spilled = [line for line in loop if re.match(r"vmov\w+ *$", line[1]) and "%rsp)" in line[2]]
        assert len(spilled) <= 4, f"the stack in {where}"
