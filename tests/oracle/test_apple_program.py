"""scripts/dist: the whole program as a Mach-O for arm64 macOS, linked against stubs that list public names alone. What it
calls is read back from the file. It cannot run here."""
import os
import re
import subprocess
import tarfile

import pytest
from apple_bindings import bindings
from apple_build import APPLE, ROOT

pytestmark = pytest.mark.full  # it builds four libraries and lathe by another compiler

ALLOWED = re.compile(r"/usr/lib/(libSystem\.B|libobjc\.A|libedit\.3)\.dylib|/System/Library/Frameworks/(CoreML|Foundation)\.framework/.*")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "scripts/dist", folder], check=True, capture_output=True, text=True, timeout=3000)
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as files:
        names = files.getnames()
        files.extractall(folder / "unpacked")
    assert {name.split("/")[-1] for name in names} >= {"lathe", "LICENSE", "README"}
    return next((folder / "unpacked").glob("*/lathe"))


def tool(name, *arguments):
    return subprocess.run([f"llvm-{name}-14", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def test_it_is_a_signed_program_for_macos_15(program):
    headers = tool("objdump", "--macho", "--private-headers", program)
    assert "ARM64" in headers and "EXECUTE" in headers and "LC_CODE_SIGNATURE" in headers
    assert re.search(r"platform macos\n +sdk [\d.]+\n? *.*", headers) or "platform macos" in headers
    assert re.search(r"minos 15\.0", headers)
    assert os.access(program, os.X_OK)


def test_it_links_public_libraries_alone(program):
    used = re.findall(r"^ +name (\S+) \(offset", tool("objdump", "--macho", "--private-headers", program), re.M)
    used = [name for name in used if name != "/usr/lib/dyld"]
    assert len(used) >= 4 and all(ALLOWED.fullmatch(name) for name in used), used


def test_every_class_is_in_the_bindings(program):
    undefined = tool("nm", "-u", program)
    classes = set(re.findall(r"_OBJC_CLASS_\$_(\w+)", undefined))
    known = {owner for owner, _, _ in bindings()}
    assert "MLModel" in classes and not {c for c in classes if c.startswith("ML")} - known


def test_every_selector_is_declared(program, tmp_path):
    # The names of methods, as they stand in the file for the runtime.
    tool("objcopy", f"--dump-section=__TEXT,__objc_methname={tmp_path / 'names'}", program, tmp_path / "copy")
    selectors = set((tmp_path / "names").read_bytes().decode().split("\0")) - {""}
    declared = (APPLE / "include/CoreML/CoreML.h").read_text() + (APPLE / "target/Foundation/Foundation.h").read_text()
    words = set(re.findall(r"\w+", declared)) | {"set" + w[0].upper() + w[1:] for w in re.findall(r"\w+", declared)}
    assert len(selectors) > 30
    assert not {s for s in selectors if not set(s.strip(":").split(":")) <= words}


def test_a_name_that_is_not_public_does_not_link(tmp_path):
    folder = os.path.join(os.environ.get("LATHE_CACHE", os.path.expanduser("~/.cache/lathe")), "macos")
    source = tmp_path / "private.m"
    source.write_text("@interface _ANEClient\n+ (id)sharedConnection;\n@end\nint main(void) { return [_ANEClient sharedConnection] != 0; }\n")
    run = subprocess.run([f"{folder}/tools/cc", "-fobjc-runtime=macosx-15.0", "-F", f"{folder}/stubs", "-L", f"{folder}/stubs", "-lobjc",
                          "-framework", "CoreML", source, "-o", tmp_path / "private"], capture_output=True, text=True)
    assert run.returncode != 0 and "_ANEClient" in run.stderr
