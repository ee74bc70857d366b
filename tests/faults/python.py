"""Faults of what is Python: layers, training, files, threads."""

from faults.fault import Fault

FAULTS = [
    Fault(
        "pyconv/_im2col.py",
        "            total += one\n",
        "            total[...] = one\n",
        "weight gradient of the last image only",
    ),
    Fault(
        "pyconv/functional/_passes.py",
        "    if plan.transposed:\n        a, b = b, a",
        "    if not plan.transposed:\n        a, b = b, a",
        "input and output gradient swapped in the weight gradient",
    ),
    Fault(
        "pyconv/_blocks.py",
        "if holders > _ALONE:",
        "if holders > _ALONE + 1:",
        "memory of a result that somebody has given to the next one",
    ),
    Fault(
        "pyconv/_plans.py",
        "    if type(a) is not type(b):\n        return False",
        "    if type(a) is not type(b):\n        return True",
        "True taken for 1 once a plan is kept",
    ),
    Fault(
        "pyconv/layers/module.py",
        'wrong = [f"{name} is missing" for name in targets if name not in state_dict]',
        "wrong = []",
        "missing names let through",
    ),
    Fault(
        "pyconv/_npz.py",
        "if min(shape, default=0) < 0 or expected != there:",
        "if min(shape, default=0) < 0:",
        "sizes in a file believed",
    ),
    Fault(
        "pyconv/_files.py",
        "            os.fsync(file.fileno())\n",
        "            pass\n",
        "file moved before it is on the disk",
    ),
]
