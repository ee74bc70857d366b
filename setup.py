"""Builds the kernels: each Cython source once per instruction set and dtype, each as an extension module of its own.

Python picks the best set that the CPU runs, at import (pyconv/_kernels/__init__.py). A new instruction set is one row
in LEVELS here, one in its check in pyx/machine.pyx, and one set of tile constants in pyx/vector.pxd.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = "pyconv._kernels"
KERNELS = ("convolution", "winograd", "windows", "network", "peak")
DTYPES = {"float32": "float", "float64": "double"}
LEVELS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    LEVELS = {
        "baseline": ["-march=x86-64"],
        "avx2": ["-march=x86-64-v3"],
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }
BASELINE = LEVELS["baseline"]
if os.environ.get("PYCONV_BUILD"):  # only these, as "baseline avx2": for builds with instruments, which take long
    LEVELS = {level: LEVELS[level] for level in os.environ["PYCONV_BUILD"].split()}

# Fused multiply-adds are asked for by name (clang needs it); nothing here changes what IEEE arithmetic means.
FLAGS = [
    "-O3",
    "-fwrapv",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-g0",
    "-fno-asynchronous-unwind-tables",
]
# What gcc alone knows, and is asked for if the compiler is gcc: of all modules ...
GCC_FLAGS = ["--param=max-completely-peeled-insns=2000", "--param=max-completely-peel-times=16"]
# ... and of these, in which vectors are written out, and other loops are short: vectors that gcc makes of them, with
# their remainders, and calls of memset and memcpy took an eighth of a wheel, and more time than they saved.
SHORT_LOOPS = ["-fno-tree-loop-vectorize", "-fno-tree-loop-distribute-patterns"]
KERNELS_OF_SHORT_LOOPS = ("convolution", "winograd")
MACROS = [
    ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
    # Tiles become loops of their own only when every leaf function is really inlined (pyx/tile.pxd).
    ("CYTHON_INLINE", "inline __attribute__((always_inline))"),
]
DIRECTIVES = {
    "language_level": "3",
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
    "auto_pickle": False,  # nothing compiled is ever pickled
    "freethreading_compatible": True,  # what is shared between calls is read only, or a list or dict, which have locks
    "binding": False,  # plain C functions: half the size of a small module
}


class BuildKernels(build_ext):
    """build_ext that probes for OpenMP, compiles on all cores, and puts the type stubs beside the modules."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        # A wheel goes without symbols, which tests/test_tiles.py reads in a clone, and without the yardstick of bench/.
        self.strip = not (self.editable_mode or self.inplace)
        if self.strip:
            self.extensions = [module for module in self.extensions if not module.name.startswith(f"{PACKAGE}.peak_")]

    def build_extensions(self) -> None:
        flags = ["-fopenmp"]
        if self.runs("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }", flags):
            pause = self.runs(
                "#include <omp.h>\nint main(void) { return omp_pause_resource_all(omp_pause_hard); }", flags
            )
            for extension in self.extensions:
                extension.extra_compile_args += flags
                extension.extra_link_args += flags
                if pause:
                    extension.define_macros.append(("PYCONV_OPENMP_PAUSE", "1"))
        else:
            print("pyconv: OpenMP was not found, so this build runs on one thread", file=sys.stderr)
        if self.runs("int main(void) { return 0; }", ["-Werror", *GCC_FLAGS, *SHORT_LOOPS]):
            for extension in self.extensions:
                short = Path(extension.sources[0]).stem in KERNELS_OF_SHORT_LOOPS
                extension.extra_compile_args += GCC_FLAGS + SHORT_LOOPS if short else GCC_FLAGS
        if self.strip:
            for extension in self.extensions:
                extension.extra_link_args.append("-s")
        super().build_extensions()
        self.place_stubs()

    def copy_extensions_to_source(self) -> None:  # editable: the modules move once more
        super().copy_extensions_to_source()
        self.place_stubs()

    def runs(self, program: str, flags: list[str]) -> bool:
        """Whether `program` compiles, links and exits with 0."""
        with tempfile.TemporaryDirectory() as folder:
            source, binary = Path(folder, "probe.c"), Path(folder, "probe")
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                # What users ask the linker for is not put into executables by itself, and a sanitizer needs it.
                asked = shlex.split(os.environ.get("LDFLAGS", ""))
                self.compiler.link_executable(objects, str(binary), extra_postargs=asked + flags)
                return subprocess.run([str(binary)], timeout=60, check=False).returncode == 0
            except Exception:
                return False

    def place_stubs(self) -> None:
        """pyx/NAME.pyi describes every build of NAME."""
        for extension in self.extensions:
            stub = Path(extension.sources[0]).stem + ".pyi"
            target = Path(self.get_ext_fullpath(extension.name)).parent / (extension.name.rpartition(".")[2] + ".pyi")
            shutil.copyfile(Path("pyx", stub), target)


def extension(kernel: str, name: str, flags: list[str], macros: list[tuple[str, str]]) -> list[Extension]:
    """One module, translated into a folder of its own: the C source carries the module's name."""
    modules = cythonize(
        [Extension(f"{PACKAGE}.{name}", [f"pyx/{kernel}.pyx"])],
        build_dir=f"build/cython/{name}",
        include_path=["pyx"],
        compiler_directives=DIRECTIVES,
        emit_linenums="PYCONV_LINES" in os.environ,  # for debuggers and gcov: the lines of pyx/, not of the C source
        quiet=True,
    )
    # Set afterwards: cythonize() remembers such lists by source file and would share them between the builds of one.
    for module in modules:
        module.include_dirs = [numpy.get_include(), "pyx"]
        module.extra_compile_args = FLAGS + flags
        module.extra_link_args = []
        module.define_macros = MACROS + macros
    return modules


def all_extensions() -> list[Extension]:
    modules = extension("machine", "machine", BASELINE, [])
    for level, flags in LEVELS.items():
        for dtype, ctype in DTYPES.items():
            for kernel in KERNELS:
                modules += extension(
                    kernel,
                    f"{kernel}_{level}_{dtype}",
                    flags,
                    [("PYCONV_REAL", ctype), ("PYCONV_BITS", dtype.removeprefix("float"))],
                )
    return modules


setup(ext_modules=all_extensions(), cmdclass={"build_ext": BuildKernels})
