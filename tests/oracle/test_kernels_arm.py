"""The kernels of AArch64 on this machine: tests/kernels, built for it by zig and run by qemu, on a processor with every
instruction and on one that has the base set alone. What qemu computes is right or wrong; how long it takes means nothing."""
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import urllib.request

import pytest
from apple_build import ROOT

pytestmark = pytest.mark.linux("qemu")
ZIG = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-O2", "-std=c11", "-D_GNU_SOURCE", "-D_UINTPTR_T"]
CMOCKA = "1.1.5", "f0ccd8242d55e2fd74b16ba518359151f6f8383ff8aef4976e48393f77bba8b6"
CACHE = pathlib.Path(os.environ.get("LATHE_CACHE", pathlib.Path.home() / ".cache/lathe")) / "sources"
# Of src/: what the tests of kernels take.
PARTS = ["kernels/scalar.c", "kernels/select.c", "base/err.c", "base/str.c", "base/memory.c", "base/arena.c"]


def cmocka(folder):
    """The unit tests' library as Debian has its source."""
    version, digest = CMOCKA
    place = CACHE / f"cmocka_{version}.orig.tar.xz"
    if not place.exists():
        url = f"http://deb.debian.org/debian/pool/main/c/cmocka/{place.name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(urllib.request.urlopen(url, timeout=120).read())
    assert hashlib.sha256(place.read_bytes()).hexdigest() == digest, f"{place} is not the source that was pinned"
    with tarfile.open(place) as files:
        files.extractall(folder)
    source = folder / f"cmocka-{version}"
    (source / "config.h").write_text("")
    return source


def kernel_flags():
    """Name of a file of src/kernels/arm -> its own flags, from the build file."""
    rows = re.findall(r"'(arm/\w+\.c)': \[(.*?)\]", (ROOT / "src/kernels/meson.build").read_text())
    return {name: re.findall(r"'([^']+)'", flags) for name, flags in rows}


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def build(folder, changed=()):
    """The unit tests of kernels for AArch64; `changed`: (file of src/kernels/arm, text, its replacement)."""
    library = cmocka(folder)
    found = [f"-I{ROOT}/src", f"-I{library}/include", f"-I{library}"]
    have = [f"-DHAVE_{word}" for word in ("SIGNAL_H", "STRUCT_TIMESPEC", "CLOCK_GETTIME", "STRSIGNAL", "INTTYPES_H", "MALLOC_H", "TIME_H", "UNISTD_H")]
    run(*ZIG, "-w", *have, *found, "-c", library / "src/cmocka.c", "-o", folder / "cmocka.o")
    parts = []
    for name, flags in kernel_flags().items():
        source = ROOT / "src/kernels" / name
        if changed and changed[0] == name:
            text = source.read_text()
            assert text.count(changed[1]) == 1
            source = folder / "changed.c"
            source.write_text(text.replace(*changed[1:]))
        parts.append(folder / f"{pathlib.Path(name).stem}.o")
        run(*ZIG, "-ffp-contract=off", *flags, *found, "-c", source, "-o", parts[-1])
    run(*ZIG, "-ffp-contract=off", *found, ROOT / "tests/kernels/test_kernels.c", *(ROOT / "src" / part for part in PARTS), *parts,
        folder / "cmocka.o", "-lm", "-o", folder / "kernels")
    return folder / "kernels"


def on(processor, program, **environment):
    return subprocess.run(["qemu-aarch64-static", "-cpu", processor, program], capture_output=True, text=True,
                          env={**os.environ, "LATHE_TEST_SETS": "", **environment})


PROCESSORS = {"cortex-a72": ["neon"], "cortex-a76": ["neon", "neon_dotprod"], "max": ["neon", "neon_dotprod", "neon_i8mm"]}


def test_every_set_of_each_processor(tmp_path):
    kernels = build(tmp_path)  # once: it takes longer than all runs
    for processor, sets in PROCESSORS.items():
        done = on(processor, kernels, LATHE_TEST_SETS=" ".join(["scalar", *sets]))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "FAILED" not in done.stderr and "test_sets_of_this_processor" in done.stderr + done.stdout
    missing = on("cortex-a72", kernels, LATHE_TEST_SETS="scalar neon neon_dotprod")
    assert missing.returncode != 0 and "test_sets_of_this_processor" in missing.stderr, missing.stderr


WRONG = {
    "half of the bytes": ("arm/neon.c", "sum = vpadalq_s16(sum, vmull_high_s8(a, b));", ""),
    "a tail left out of the dot product": ("arm/neon_dotprod.c", "for (; i < n; i++) all += w[i] * x[i];", ""),
    "two of four sums exchanged": ("arm/neon_i8mm.c", "four[2 * r + c]", "four[2 * c + r]"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.full
def test_a_wrong_kernel_is_seen(name, tmp_path):
    done = on("max", build(tmp_path, WRONG[name]))
    assert done.returncode != 0 and "gemm_i8" in done.stderr, done.stderr
