"""A file of weights that is not sound, or lies about itself, is refused whole, and nothing in it is unpickled."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

import pyconv as pc
from tolerance import assert_same_bits

SMALL = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(2)}


def _refused(file, *words):
    with pytest.raises(ValueError, match="not a sound") as caught:
        pc.load(file)
    assert str(file) in str(caught.value), caught.value
    for word in words:
        assert word in str(caught.value), caught.value


def test_every_truncation_is_refused(file):
    pc.save(SMALL, file)
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        _refused(file)
    file.write_bytes(b"")
    _refused(file)


def test_no_changed_byte_gives_another_state(file):
    """Each byte in turn: the file is refused, or the change was in what carries no meaning."""
    pc.save(SMALL, file)
    whole, refused = bytearray(file.read_bytes()), 0
    for at in range(len(whole)):
        damaged = whole.copy()
        damaged[at] ^= (0x01, 0xFF, 0x80)[at % 3]
        file.write_bytes(damaged)
        try:
            found = pc.load(file)
        except ValueError:
            refused += 1
            continue
        assert set(found) == set(SMALL), f"byte {at}"
        for name, array in SMALL.items():
            assert_same_bits(found[name], array, f"byte {at} of {name}")
    assert refused > len(whole) // 2


def test_random_bytes_are_refused(file):
    rng = np.random.default_rng(0)
    for size in (1, 8, 100, 10_000):
        file.write_bytes(rng.bytes(size))
        _refused(file)


def _archive(path, **entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name.replace("__", "."), data)


def _npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def _header(text, data=b""):
    return np.lib.format.magic(1, 0) + struct.pack("<H", len(text)) + text.encode() + data


class Evil:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def test_pickles_are_refused_unopened(tmp_path):
    file = tmp_path / "evil.npz"
    _archive(file, w__npy=_npy(np.array([Evil()], object)))
    _refused(file, "'w'", "pickled")
    _archive(file, w__npy=pickle.dumps(Evil()))
    _refused(file)
    file.write_bytes(pickle.dumps(Evil()))
    _refused(file)


MALICIOUS = {
    "more than there is": _header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,)}", b"12345678"
    ),
    "less than there is": _header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", b"1" * 16),
    "a negative size": _header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}", b"1" * 8),
    "code in the header": _header(
        "{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (1,)}", b"1" * 8
    ),
    "a deep header": _header("(" * 9000, b""),
    "no magic": b"12345678" * 10,
    "nothing": b"",
    "text": _npy(np.array(["abc"])),
    "complex numbers": _npy(np.ones(2, complex)),
    "a structure": _npy(np.zeros(2, [("a", "f4"), ("b", "i8")])),
    "times": _npy(np.zeros(2, "M8[s]")),
    "long doubles": _npy(np.zeros(2, np.longdouble)),
    "version 3": _npy(np.zeros(2), version=(3, 0)),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_an_array_that_lies_is_refused(name, tmp_path):
    _archive(tmp_path / "liar.npz", w__npy=MALICIOUS[name])
    _refused(tmp_path / "liar.npz")


def test_an_array_that_lies_of_its_size_is_told_so(tmp_path):
    _archive(tmp_path / "liar.npz", w__npy=MALICIOUS["more than there is"])
    _refused(tmp_path / "liar.npz", "'w'", "8000000000000000 bytes", "not 8")
    _archive(tmp_path / "liar.npz", w__npy=MALICIOUS["less than there is"])
    _refused(tmp_path / "liar.npz", "'w'", "8 bytes", "not 16")


def test_an_archive_of_something_else_is_refused(tmp_path):
    file = tmp_path / "other.npz"
    _archive(file, readme__txt=b"hello")
    _refused(file, "'readme.txt'")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w.npy", _npy(np.ones(2)))
        archive.writestr("w.npy", _npy(np.zeros(2)))
    _refused(file, "twice")
    np.save(tmp_path / "single.npy", np.ones(3))
    file.write_bytes((tmp_path / "single.npy").read_bytes())
    _refused(file)


def test_safetensors_that_lie_are_refused(tmp_path):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    file = tmp_path / "liar.safetensors"
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    wrong = [
        {"w": {**entry, "shape": [3]}},
        {"w": {**entry, "data_offsets": [0, 800]}},
        {"w": {**entry, "dtype": "F33"}},
        {"w": {**entry, "dtype": "BF16", "shape": [4]}},
        {"w": entry, "v": entry},
        {"w": {**entry, "shape": [2**62, 4]}},
        {"w": entry, "__metadata__": {"pyconv.crc32": "00000000"}},
    ]
    for header in wrong:
        text = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 8)
        _refused(file)
    file.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    _refused(file)
