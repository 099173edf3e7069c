from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Two numbers: the pages that come in when 8 tensors of 16 MiB are made and freed again and again, without and with it.
PROGRAM = """
import resource
import torch
from export.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        [torch.zeros(4 << 20) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
faults()
handed_back = faults()
assert keep_freed_memory()
faults()
print(handed_back, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tells glibc, and this is another C library")
def test_freed_memory_is_there_for_the_next_step() -> None:
    # Otherwise the threshold follows what was freed, and whether anything is handed back depends on the heap's layout.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment)
    handed_back, kept = map(int, ended.stdout.split())
    assert handed_back > 1000
    assert kept < handed_back / 10
