"""Programs for Macs, made on Linux and read back: what they ask of which library, the selectors they can send, the system they
need, their signature. They cannot run here. The adapter alone is built and linked at once; scripts/dist, the whole program
(full), builds four libraries besides."""
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest
from apple_bindings import RUNTIME, TARGET, bindings, declared
from apple_build import ADAPTER, APPLE, ROOT

sys.path.insert(0, str(APPLE))
import macho  # noqa: E402
import stubs  # noqa: E402

pytestmark = pytest.mark.linux("headers of musl in place of Apple's SDK")
ZIG = [sys.executable, "-m", "ziglang"]
MAC = [*ZIG, "cc", "-target", "aarch64-macos.15.0", "-fobjc-runtime=macosx-15.0"]
SYSTEM = "/usr/lib/libSystem.B.dylib"
PLACES = set(stubs.NAMES.values()) | {SYSTEM}
# What no header declares. Compilers call it: their own library, blocks, exceptions, calls that look at bounds in place of
# others. Or, by POSIX, the program itself declares it: environ.
UNDECLARED = {"__NSConcreteGlobalBlock", "__NSConcreteStackBlock", "__Unwind_Resume", "___divti3", "___sincos_stret",
             "_memset_pattern16", "dyld_stub_binder", "_environ"}


def selectors_known():
    return {selector for _, selector, _ in declared()[0]} | RUNTIME


# ---- the allow-list

def test_the_stubs_list_public_classes_alone():
    known = {owner for owner, _, _ in bindings()} | {"NSObject", "NSException"}
    assert not {name for names in stubs.CLASSES.values() for name in names} - known


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    place = tmp_path_factory.mktemp("object") / "device.o"
    subprocess.run([*TARGET, "-c", ADAPTER, "-o", place], check=True)
    return macho.MachO(place)


def strangers(program):
    """Classes and names of Apple's frameworks that the stubs do not list, and selectors that are not declared."""
    listed = {f"_OBJC_CLASS_$_{c}" for names in stubs.CLASSES.values() for c in names}
    listed |= {f"_OBJC_EHTYPE_$_{c}" for c in stubs.CLASSES["Foundation"]} | {s for names in stubs.SYMBOLS.values() for s in names}
    apples = {n for n in program.undefined() if re.match(r"_OBJC_|_objc_|_(ML|NS|CF|CV|IOSurface|_ANE)[A-Z]", n)}
    return (apples - listed) | (set(program.selectors()) - selectors_known() - {"block"})  # "block": a name of the compiler's


def test_the_adapter_names_public_classes_and_selectors_alone(adapter):
    assert adapter.kind == "object" and len(adapter.selectors()) > 30 and not strangers(adapter)


PRIVATE = {
    "a private class": ("return NULL != [_ANEClient class];", "@class _ANEClient; @interface _ANEClient + (Class)class; @end", "_ANEClient"),
    "a private selector": ("return [(id)0 sharedConnection] != 0;", "@interface NSObject (P) + (id)sharedConnection; - (id)sharedConnection; @end",
                           "sharedConnection"),
    "a private function": ("return MLSecret();", "int MLSecret(void);", "_MLSecret"),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_what_is_private_is_seen_in_the_object(name, tmp_path):
    body, head, word = PRIVATE[name]
    source = tmp_path / "private.m"
    source.write_text(f"#include <stddef.h>\n#import <CoreML/CoreML.h>\n{head}\nint main(void) {{ {body} }}\n")
    subprocess.run([*TARGET, "-c", source, "-o", tmp_path / "private.o"], check=True)
    assert any(word in stranger for stranger in strangers(macho.MachO(tmp_path / "private.o")))


# ---- linking

@pytest.fixture(scope="module")
def linker(tmp_path_factory):
    """Links a source against the stubs: (the process, the place of the program)."""
    folder = tmp_path_factory.mktemp("mac")
    stubs.write(folder / "stubs")

    def link(*sources, name="program"):
        flags = [f"-I{APPLE}/include", f"-I{APPLE}/target", f"-I{ROOT}/src", "-F", folder / "stubs", "-L", folder / "stubs", "-lobjc",
                 "-framework", "CoreML", "-framework", "Foundation"]
        run = subprocess.run([str(part) for part in (*MAC, *flags, *sources, "-o", folder / name)], capture_output=True, text=True)
        return run, folder / name

    return link


@pytest.fixture(scope="module")
def small(linker, tmp_path_factory):
    """The adapter and what it needs of lathe, as a program that asks which machine this is."""
    source = tmp_path_factory.mktemp("source") / "main.c"
    source.write_text("#include <stdio.h>\n#include \"coreml/device.h\"\n"
                      "int main(void) { printf(\"%zu\\n\", coreml_n_ane_cores()); return !coreml_is_present(); }\n")
    rooms = [ROOT / "src" / name for name in ("coreml/errors.c", "base/err.c", "base/memory.c", "base/arena.c", "base/str.c")]
    run, place = linker(source, ADAPTER, *rooms)
    assert run.returncode == 0, run.stderr
    return place


def test_a_program_with_the_adapter_links_and_asks_only_for_what_is_listed(small):
    program = macho.MachO(small)
    assert program.kind == "program" and program.minimum == "15.0" and not strangers(program)
    assert set(program.libraries) <= PLACES and program.imports()[stubs.NAMES["CoreML"]]


def test_a_name_that_is_not_listed_does_not_link(linker, tmp_path):
    source = tmp_path / "private.m"
    source.write_text("@interface _ANEClient\n+ (id)sharedConnection;\n@end\nint main(void) { return [_ANEClient sharedConnection] != 0; }\n")
    run, _ = linker(source, name="private")
    assert run.returncode != 0 and "_ANEClient" in run.stderr


def test_the_ad_hoc_signature_is_that_of_the_bytes(small, tmp_path):
    assert macho.MachO(small).signed() is None
    data = small.read_bytes()
    for at in (len(data) // 3, 40):
        (tmp_path / "changed").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        assert "is not what was signed" in macho.MachO(tmp_path / "changed").signed()
    unsigned = macho.MachO(small)
    unsigned.signature = None
    assert "no signature" in unsigned.signed()


# ---- the whole program

@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "scripts/dist", folder], check=True, capture_output=True, text=True, timeout=3000)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as files:
        files.extractall(folder / "unpacked")
    return next((folder / "unpacked").iterdir())


@pytest.fixture(scope="module")
def program(archive):
    return macho.MachO(archive / "lathe")


def public_headers():
    """All that the C headers of macOS say, as they come with zig."""
    here = subprocess.run([*ZIG, "env"], capture_output=True, text=True, check=True).stdout
    folder = re.search(r'lib_dir"?\s*[=:]\s*"([^"]+)"', here)[1]
    headers = pathlib.Path(folder, "libc/include/any-darwin-any").rglob("*.h")
    return set(re.findall(r"\w+", " ".join(p.read_text(errors="replace") for p in headers)))


@pytest.mark.full
def test_the_archive_can_be_used_alone(archive):
    assert {p.name for p in archive.iterdir()} == {"lathe", "LICENSE", "README"}
    assert (archive / "lathe").stat().st_mode & 0o111
    readme = (archive / "README").read_text()
    for word in ("macOS 15", "has not run on a Mac", "com.apple.quarantine", "LGPL"):
        assert word in readme


@pytest.mark.full
def test_the_program_is_signed_for_macos_15_and_uses_what_is_public(program):
    assert program.kind == "program" and program.minimum == "15.0" and program.signed() is None
    assert set(program.libraries) <= PLACES and not strangers(program)


@pytest.mark.full
def test_every_c_function_is_in_a_public_header(program):
    words = public_headers()
    taken = [name for name in program.imports()[SYSTEM] if name not in UNDECLARED and not re.fullmatch(r"___\w+_chk", name)]
    assert len(taken) > 100
    assert not [name for name in taken if name.split("$")[0].removeprefix("_") not in words]


@pytest.mark.full
def test_the_page_says_what_the_program_takes(program):
    said = macho.section((ROOT / "docs/apple.md").read_text())[1]
    now = macho.report(program)
    megabytes = [float(re.search(r"has ([\d.]+) MB", text)[1]) for text in (said, now)]
    assert abs(megabytes[0] - megabytes[1]) < 0.2 * megabytes[1], megabytes
    names = [set(text.split()[8:]) for text in (said, now)]
    assert names[0] == names[1], f"scripts/dist --docs writes the page: {names[0] ^ names[1]}"
