"""Saved weights come back bit for bit, a file is whole or not there, what does not fit is refused first."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

import pyconv as pc
from children import printed, python
from tolerance import assert_same_bits

STATE = {
    "layer.0.weight": np.float32([[1.5, np.nan, -0.0], [np.inf, 1e-45, -3]]),
    "double": np.float64([np.pi, 5e-324]),
    "half": np.float16([0.1, 65504]),
    "whole": np.array([-(2**63), 2**63 - 1]),
    "bytes": np.arange(256, dtype=np.uint8),
    "flags": np.array([True, False]),
    "scalar": np.array(7),
    "empty": np.zeros((0, 3)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "backwards": np.arange(10.0)[::-2],
    "foreign": np.arange(5, dtype=">f4" if np.little_endian else "<f4"),
    "file": np.ones(1),  # the names that numpy.savez would trip over
    "x.npy": np.ones(2),
    "a/b c": np.ones(3),
    "größe": np.ones(4),
}


def _net(seed=0):
    return pc.Sequential(
        pc.Conv2d(1, 4, 3, rng=seed),
        pc.BatchNorm2d(4),
        pc.ReLU(),
        pc.MaxPool2d(2),
        pc.Flatten(),
        pc.Linear(36, 3, rng=seed, dtype=np.float64),
    )


def _same_states(a, b):
    assert list(a) == list(b)
    for name in a:
        assert_same_bits(a[name], b[name], name)


def test_every_kind_of_array_comes_back_bit_for_bit(file):
    before = {name: array.copy() for name, array in STATE.items()}
    pc.save(STATE, file)
    found = pc.load(str(file))
    assert set(found) == set(STATE)
    for name, array in STATE.items():
        assert_same_bits(found[name], np.asarray(array, array.dtype.newbyteorder("=")), name)
        assert found[name].flags.c_contiguous and found[name].flags.writeable
        assert_same_bits(array, before[name])


def test_a_model_comes_back_bit_for_bit(file):
    net, twin = _net(), _net(1)
    net(np.random.default_rng(0).normal(size=(5, 1, 8, 8)))  # so that the running statistics are somewhere
    pc.save(net, file)
    twin.load_state_dict(pc.load(file))
    _same_states(net.state_dict(), twin.state_dict())
    pc.save(net.state_dict(), file)
    _same_states(dict(sorted(net.state_dict().items())), dict(sorted(pc.load(file).items())))


def test_nothing_is_a_state_too(file):
    pc.save({}, file)
    assert pc.load(file) == {}


def test_the_same_state_makes_the_same_file(file):
    pc.save(STATE, file)
    first = file.read_bytes()
    pc.save(STATE, file)
    assert file.read_bytes() == first


def test_numpy_reads_what_was_saved_and_the_other_way_round(tmp_path):
    plain = {name: array for name, array in STATE.items() if name != "file"}
    pc.save(plain, tmp_path / "ours.npz")
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as found:
        assert all(np.array_equal(found[name], array, equal_nan=True) for name, array in plain.items())
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "theirs.npz", **plain)
        found = pc.load(tmp_path / "theirs.npz")
        assert all(np.array_equal(found[name], array, equal_nan=True) for name, array in plain.items())


def test_the_safetensors_library_reads_what_was_saved_and_the_other_way_round(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    pc.save(STATE, tmp_path / "ours.safetensors")
    found = safetensors.load_file(tmp_path / "ours.safetensors")
    assert all(np.array_equal(found[name], array, equal_nan=True) for name, array in STATE.items())
    safetensors.save_file({"w": np.arange(6.0).reshape(2, 3)}, tmp_path / "theirs.safetensors")
    assert_same_bits(pc.load(tmp_path / "theirs.safetensors")["w"], np.arange(6.0).reshape(2, 3))


# -------------------------------------------------------------------------------------------------- whole or not at all


CRASH = """
import os, signal, sys
import numpy as np, pyconv as pc
how, path = {how!r}, {path!r}
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if how == "in the middle of the bytes":
    written = []
    class Dying:
        def __init__(self, file): self.file = file
        def write(self, data):
            self.file.write(data)
            self.file.flush()
            written.append(data)
            if sum(map(len, written)) > 20_000: kill()
        def __getattr__(self, name): return getattr(self.file, name)
    from pyconv import _npz, _safetensors
    whole = _npz.write
    _npz.write = lambda file, arrays: whole(Dying(file), arrays)
    _safetensors.write = lambda file, arrays: (file.write(b"x" * 20_000), file.flush(), kill())
if how == "before the flush": os.fsync = kill
if how == "before the move": os.replace = kill
pc.save({{"w": np.full(10_000, 2.0)}}, path)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills itself by a signal")
@pytest.mark.parametrize("how", ["in the middle of the bytes", "before the flush", "before the move"])
def test_a_crash_leaves_the_old_file(file, how):
    old = {"w": np.full(10_000, 1.0)}
    pc.save(old, file)
    result = python(CRASH.format(how=how, path=str(file)))
    assert result.returncode == -9, result.stderr
    _same_states(pc.load(file), old)
    pc.save({"w": np.full(10_000, 3.0)}, file)  # what the dead process left behind is in nobody's way
    assert pc.load(file)["w"][0] == 3


@pytest.mark.parametrize("error", [OSError(28, "no space left on device"), KeyboardInterrupt(), MemoryError()])
def test_an_error_leaves_the_old_file_and_nothing_beside_it(file, error, monkeypatch):
    pc.save({"w": np.ones(3)}, file)

    def fail(*arguments):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(type(error)):
            pc.save({"w": np.zeros(3)}, file)
    assert os.listdir(file.parent) == [file.name] and pc.load(file)["w"].tolist() == [1, 1, 1]


def test_a_full_disk_leaves_the_old_file(file):
    code = f"""
import resource, signal, numpy as np, os, pyconv as pc
pc.save({{"w": np.ones(3)}}, {str(file)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    pc.save({{"w": np.zeros(10_000)}}, {str(file)!r})
except OSError as error:
    print(pc.load({str(file)!r})["w"].tolist(), os.listdir({str(file.parent)!r}) == [{file.name!r}])
"""
    assert printed(code) == "[1.0, 1.0, 1.0] True"


@pytest.mark.skipif(os.name != "posix", reason="about permissions and links as POSIX has them")
def test_the_file_is_as_readable_as_others_and_a_link_stays_one(file):
    link = file.with_name("link" + file.suffix)
    link.symlink_to(file)
    pc.save({"w": np.ones(3)}, link)
    (file.parent / "plain").touch()
    assert link.is_symlink() and not file.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((file.parent / "plain").stat().st_mode)


# ------------------------------------------------------------------------------------------------------------- refused


def test_a_state_that_does_not_fit_leaves_the_model_as_it_was(file):
    """Names that are missing or not expected, and a wrong shape at the very end: the first arrays would have fitted."""
    net = _net()
    before = net.state_dict()
    whole = _net(1).state_dict()
    last = list(whole)[-1]
    wrong = {
        "missing": {name: array for name, array in whole.items() if name != last},
        "not expected": {**whole, "extra": np.ones(1)},
        "shape": {**whole, last: np.ones((1, 3))},
        "dtype": {**whole, "0.weight": whole["0.weight"] * 300, last: np.ones(3, np.uint8)},
        "cannot be stored": {**whole, "1.num_batches_tracked": np.array(0.5)},
    }
    for words, state in wrong.items():
        pc.save(state, file)
        if words == "dtype":  # integers are numbers too
            net.load_state_dict(pc.load(file))
            net.load_state_dict(before)
            continue
        with pytest.raises((TypeError, ValueError), match=words):
            net.load_state_dict(pc.load(file))
        _same_states(net.state_dict(), before)


def test_a_missing_file_is_missing(file):
    with pytest.raises(FileNotFoundError):
        pc.load(file)
    with pytest.raises(FileNotFoundError):
        pc.save(STATE, file.parent / "no folder" / file.name)
    assert os.listdir(file.parent) == []


def test_what_cannot_be_saved_is_refused_before_the_file_is_touched(file):
    small = {"bias": np.ones(2), "weight": np.zeros((2, 3))}
    pc.save(small, file)
    wrong = [
        ([1, 2], TypeError, "state_dict"),
        ({1: np.ones(2)}, TypeError, "names"),
        ({"": np.ones(2)}, ValueError, "name"),
        ({"a\0b": np.ones(2)}, ValueError, "name"),
        ({"__metadata__": np.ones(2)}, ValueError, "__metadata__"),
        ({"w": [1, 2]}, TypeError, "'w'.*list"),
        ({"w": None}, TypeError, "'w'.*None"),
        ({"w": np.ones(2, complex)}, TypeError, "'w'.*complex128"),
        ({"w": np.array([None])}, TypeError, "'w'.*object"),
        ({"w": np.ones(2, np.longdouble)}, TypeError, "'w'"),
        ({"good": np.zeros(2), "w": np.array(["x"])}, TypeError, "'w'"),
    ]
    for state, exception, words in wrong:
        with pytest.raises(exception, match=f"^save: .*{words}"):
            pc.save(state, file)
    for path in ("state", "state.pt", "state.npz.gz", ""):
        for call in (lambda path: pc.save(small, path), pc.load):
            with pytest.raises(ValueError, match=r"\.npz or \.safetensors"):
                call(path)
    for call in (lambda path: pc.save(small, path), pc.load):
        with pytest.raises(TypeError, match="path"):
            call(7)
    _same_states(dict(sorted(pc.load(file).items())), small)
    assert os.listdir(file.parent) == [file.name]


def test_without_the_library_safetensors_says_what_to_install():
    code = (
        "import sys; sys.modules['safetensors'] = None; sys.modules['safetensors.numpy'] = None\n"
        "import numpy as np, pyconv as pc\n"
        "for call in (lambda: pc.save({'w': np.ones(1)}, 'x.safetensors'), lambda: pc.load('x.safetensors')):\n"
        "    try:\n"
        "        call()\n"
        "    except ImportError as error:\n"
        "        print(error)"
    )
    lines = printed(code).splitlines()
    assert len(lines) == 2 and all("pyconv[safetensors]" in line for line in lines)
