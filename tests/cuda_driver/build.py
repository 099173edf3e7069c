"""Builds pycuda and a CUDA driver that runs on the processor, so that the CUDA layer is tested without a GPU.

    python tests/cuda_driver/build.py FOLDER

Takes a few minutes the first time and nothing after: what is built lies in FOLDER until its sources change.  Where a
C++ compiler or cuda.h is missing it says so and ends with status 0; the tests that need it are skipped then.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

PYCUDA = "2026.1"
HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "edge" / "backends" / "cuda" / "decide.cu"
STUB = ("gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1")
# What pycuda and cuda-bindings are installed with; none of them needs a GPU.
PACKAGES = ("cuda-bindings>=12.9", "pytools", "mako", "platformdirs", "siphash24")


def main(folder: Path) -> int:
    toolkit = toolkit_folder()
    if toolkit is None or not all(shutil.which(tool) for tool in ("gcc", "g++")):
        print("cuda-driver: no C++ compiler, or no cuda.h; the tests on the CUDA double are skipped")
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    build_driver(folder, toolkit)
    build_pycuda(folder, toolkit)
    return 0


def toolkit_folder() -> Path | None:
    """The CUDA toolkit whose headers are there; a compiler-only one will do."""
    nvcc = shutil.which("nvcc")
    candidates = [os.environ.get("CUDA_HOME"), "/usr/local/cuda", nvcc and str(Path(nvcc).resolve().parents[1])]
    return next((Path(each) for each in candidates if each and Path(each, "include", "cuda.h").is_file()), None)


def build_driver(folder: Path, toolkit: Path) -> None:
    """libcuda.so.1, in a second or two; every time, since the kernels are part of it."""
    include = f"-I{toolkit / 'include'}"
    kernels = folder / "kernels.o"
    run("g++", "-O1", "-fPIC", "-DON_HOST", "-x", "c++", "-c", str(KERNELS), "-o", str(kernels), include)
    sources = [str(HERE / f"fake_driver{part}.c") for part in ("", "_graphs", "_lookup", "_missing")]
    run(
        *STUB,
        "-O1",
        "-w",
        "-o",
        str(folder / "libcuda.so.1"),
        include,
        *sources,
        str(kernels),
        "-ldl",
        "-lm",
        "-lstdc++",
    )


def build_pycuda(folder: Path, toolkit: Path) -> None:
    recipe = hashlib.sha256(f"{PYCUDA} {sys.version} {Path(__file__).read_text()}".encode()).hexdigest()
    stamp = folder / "pycuda.stamp"
    if stamp.is_file() and stamp.read_text() == recipe:
        return
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    run(*STUB, "-o", str(work / "libcuda.so"), str(HERE / "link_stub.c"))
    pip("install", *PACKAGES)
    pip("download", "--no-deps", "--no-binary", "pycuda", "--no-build-isolation", "-d", str(work), f"pycuda=={PYCUDA}")
    with tarfile.open(work / f"pycuda-{PYCUDA}.tar.gz") as archive:
        # A release from the registry, and the filter is not in every Python.
        archive.extractall(work)
    source = work / f"pycuda-{PYCUDA}"
    (source / "siteconf.py").write_text(
        f"CUDA_ROOT = {str(toolkit)!r}\nCUDA_ENABLE_CURAND = False\n"
        f"CUDADRV_LIB_DIR = [{str(work)!r}]\nCUDADRV_LIBNAME = ['cuda']\n"
        # Nothing is timed on it, and without optimisation it is built in half the time.
        "CXXFLAGS = ['-O0', '-g0']\nLDFLAGS = ['-s']\n"
    )
    pip("install", "--no-deps", "--no-build-isolation", str(source))
    shutil.rmtree(work)
    stamp.write_text(recipe)


def pip(*words: str) -> None:
    run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words)


def run(*words: str) -> None:
    subprocess.run(words, check=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
