"""The own declarations of Core ML and Foundation (tests/apple) against bindings that others generated from Apple's SDK:
the crates objc2-core-ml and objc2-foundation, fetched when the test runs. Every class, selector, argument and result that
src/coreml/device.m may use is in them with the same number and kind. And src/coreml/device.m itself: it compiles for
Apple's target without a warning, uses nothing newer than macOS 15, and the analyzer that counts references finds nothing."""
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import urllib.request

import pytest
from apple_build import ADAPTER, APPLE, MUSL, ROOT

CRATES = {"objc2-core-ml": ("0.3.2", "201b055e6acfa0f9f15568255d3f03ce2b54bc86d1814442dc69138e36813e18"),
          "objc2-foundation": ("0.3.2", "e3e0adef53c21f888deb4fa59fc59f7eb17404926ee8a6f59f5df0fd7f9f3272")}
CACHE = pathlib.Path(os.environ.get("LATHE_CACHE", pathlib.Path.home() / ".cache/lathe")) / "crates"
# The root class's own belong to the runtime (crate objc2, written by hand), not to the generated bindings.
RUNTIME = {"alloc", "new", "init", "dealloc", "class", "retain", "release", "autorelease", "isKindOfClass:"}
TARGET = ["clang", "-target", "arm64-apple-macos15", "-nostdlibinc", "-isystem", MUSL, "-std=gnu11", "-fblocks",
          "-fobjc-exceptions", "-fno-objc-arc", f"-I{APPLE}/include", f"-I{APPLE}/target", f"-I{ROOT}/src"]
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wunguarded-availability", "-Werror=objc-method-access", "-Werror"]


# ---- the bindings

def crate(name):
    version, digest = CRATES[name]
    place = CACHE / f"{name}-{version}.crate"
    if not place.exists():
        url = f"https://static.crates.io/crates/{name}/{name}-{version}.crate"
        data = urllib.request.urlopen(url, timeout=120).read()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    data = place.read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest, f"{place} is not the crate that was pinned"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return "\n".join(archive.extractfile(m).read().decode() for m in archive if "/src/generated/" in m.name and m.name.endswith(".rs"))


def kind_in_rust(text):
    text = text.strip()
    if "Block<" in text:
        return "block"
    if text.startswith(("&", "Retained<", "Option<&", "Option<Retained<", "Allocated<")):
        return "object"
    if text.startswith(("NonNull<", "*mut", "*const")):
        return "pointer"
    return {"bool": "bool", "c_double": "double", "NSInteger": "integer", "NSUInteger": "integer", "c_ulong": "integer",
            "": "nothing"}.get(text, "integer" if re.fullmatch(r"ML\w+", text) else text)


def arguments(text):
    """Splits at the commas outside of brackets."""
    depth, parts, at = 0, [""], 0
    for char in text:
        depth += char in "<([" or -(char in ">)]")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    del at
    return [part.strip() for part in parts if part.strip()]


@functools.cache
def bindings():
    """(class, selector, is class method) -> (kinds of the arguments, kind of the result)"""
    text = "\n".join(crate(name) for name in CRATES).replace("->", "→")
    text = re.sub(r"^\s*///.*$", "", text, flags=re.M)
    found = {}
    for block in re.finditer(r"^(?:impl(?:<[^{]*?>)? (\w+)(?:<[^{]*>)? \{|extern_protocol!\()(.*?)^[})]", text, re.M | re.S):
        trait = re.search(r"pub unsafe trait (\w+)", block[2])
        owner = block[1] or (trait and trait[1])
        for m in re.finditer(r"#\[unsafe\(method\(([\w:]+)\)\)\].*?fn [\w#]+(?:<[^(]*>)?\((.*?)\)\s*(?:→\s*(.*?))?;", block[2], re.S):
            selector, given, result = m[1], arguments(m[2]), m[3] or ""
            is_class = not given or not re.match(r"(&self|this:)", given[0])
            kinds = [kind_in_rust(g.split(":", 1)[1]) for g in given if g not in ("&self",) and not g.startswith("this:")]
            if selector.endswith(":_"):
                selector = selector[:-1]
                kinds.append("error")
                result = re.sub(r"^Result<(.*), Retained<NSError>>$", r"\1", result.strip())
            found[owner, selector, is_class] = (kinds, kind_in_rust(result))
    assert len(found) > 2000
    return found


@functools.cache
def constants():
    """Name of a constant -> its number."""
    text = crate("objc2-core-ml")
    rows = re.findall(r'#\[doc\(alias = "(\w+)"\)\]\s*pub const \w+: Self = Self\(([\dxa-fA-F| ]+)\)', text)
    return {name: eval(number) for name, number in rows}  # noqa: S307 - digits and bars alone


# ---- the own declarations

def kind_in_c(qualified):
    text = qualified.replace("_Nullable", "").replace("_Nonnull", "").strip()
    if "(^" in text:
        return "block"
    if re.fullmatch(r"NSError \*\*|NSError \*(__autoreleasing )?\*", text):
        return "error"
    if text in ("id", "instancetype", "Class") or text.startswith("id<") or re.fullmatch(r"(NS|ML)\w+ \*", text):
        return "object"
    if text == "BOOL":
        return "bool"
    return {"void": "nothing", "double": "double", "NSInteger": "integer", "NSUInteger": "integer", "unsigned long": "integer",
            "void *": "pointer", "const char *": "pointer"}.get(text, "integer" if re.fullmatch(r"(enum )?ML\w+", text) else text)


def value_of(node):
    return int(node["value"]) if "value" in node else value_of(node["inner"][0])


def declared(include=APPLE / "include"):
    """The same table of the own headers, and the constants, by clang's syntax tree."""
    flags = [f"-I{include}" if flag == f"-I{APPLE}/include" else flag for flag in TARGET]
    done = subprocess.run([*flags, "-fsyntax-only", "-Xclang", "-ast-dump=json", "-x", "objective-c", "-"],
                          input="#import <CoreML/CoreML.h>\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table, numbers = {}, {}
    for node in json.loads(done.stdout)["inner"]:
        if node["kind"] in ("ObjCInterfaceDecl", "ObjCProtocolDecl"):
            for method in node.get("inner", []):
                if method["kind"] != "ObjCMethodDecl" or method["name"] in RUNTIME:
                    continue
                kinds = [kind_in_c(p["type"]["qualType"]) for p in method.get("inner", []) if p["kind"] == "ParmVarDecl"]
                table[node["name"], method["name"], not method["instance"]] = (kinds, kind_in_c(method["returnType"]["qualType"]))
        if node["kind"] == "EnumDecl" and node.get("name", "").startswith("ML"):
            for constant in node.get("inner", []):
                if constant["kind"] == "EnumConstantDecl":
                    numbers[constant["name"]] = value_of(constant)
    return table, numbers


# Where the bindings have a method under another class: inherited, or of a protocol.
OWNERS = {"NSMutableArray": ["NSArray"], "NSMutableDictionary": ["NSDictionary"], "NSConstantString": ["NSString"],
          "MLDictionaryFeatureProvider": ["MLFeatureProvider"],
          **{name: ["NSFastEnumeration"] for name in ("NSArray", "NSSet", "NSDictionary")}}


def differences(table):
    wrong = []
    for (owner, selector, is_class), kinds in table.items():
        if owner == "NSObject":
            continue
        rows = [bindings().get((name, selector, is_class)) for name in (owner, *OWNERS.get(owner, []))]
        rows = [row for row in rows if row]
        if not rows:
            wrong.append(f"{'+' if is_class else '-'}[{owner} {selector}] is not in Apple's API")
        elif kinds not in rows:
            wrong.append(f"{'+' if is_class else '-'}[{owner} {selector}]: {kinds}, Apple's is {rows[0]}")
    return wrong


def test_declarations_are_apples():
    table, numbers = declared()
    assert len(table) > 60
    # What `for … in` calls; the bindings spell its arguments as raw pointers.
    table = {key: row for key, row in table.items() if key[1] != "countByEnumeratingWithState:objects:count:"}
    assert not differences(table)
    assert {name: constants()[name] for name in numbers} == numbers


PLANTED = {
    "a selector that is not there": ("- (MLState *)newState", "- (MLState *)makeState", "makeState"),
    "a class that is not there": ("@interface MLPredictionOptions", "@interface MLPredictionChoices", "MLPredictionChoices"),
    "an argument of another kind": ("dataType:(MLMultiArrayDataType)dataType\n", "dataType:(NSString *)dataType\n", "initWithDataPointer"),
    "an error left out": ("                                          error:(NSError **)error;\n- (MLState *)newState",
                          "                                          error:(BOOL)error;\n- (MLState *)newState", "predictionFromFeatures"),
    "a class method on instances": ("+ (instancetype)featureValueWithMultiArray", "- (instancetype)featureValueWithMultiArray",
                                    "featureValueWithMultiArray"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_declaration_is_seen(name, tmp_path):
    old, new, where = PLANTED[name]
    text = (APPLE / "include/CoreML/CoreML.h").read_text()
    assert old in text
    (tmp_path / "CoreML").mkdir()
    (tmp_path / "CoreML/CoreML.h").write_text(text.replace(old, new).replace("MLPredictionOptions *", "MLPredictionChoices *"
                                                                            if "Choices" in new else "MLPredictionOptions *"))
    wrong = differences(declared(tmp_path)[0])
    assert any(where in line for line in wrong), wrong


# ---- the adapter for Apple's target

def compile_for_mac(source, *flags):
    return subprocess.run([*TARGET, *STRICT, *flags, "-fsyntax-only", source], capture_output=True, text=True)


def test_the_adapter_compiles_for_macos_15():
    done = compile_for_mac(ADAPTER)
    assert done.returncode == 0, done.stderr


def test_it_counts_references_right():
    done = subprocess.run([*TARGET, "--analyze", "-Xclang", "-analyzer-output=text", ADAPTER], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


SLIPS = {
    "a mistyped selector": ("[m->model newState]", "[m->model newStates]", []),
    "a call newer than macOS 15": ("[m->model newState]", "[m->model newState]", ["-target", "arm64-apple-macos14"]),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_an_error(name, tmp_path):
    old, new, flags = SLIPS[name]
    source = tmp_path / "device.m"
    source.write_text(ADAPTER.read_text().replace(old, new))
    assert compile_for_mac(source, *flags).returncode != 0


@pytest.mark.full
def test_a_leak_is_found_by_the_analyzer(tmp_path):
    source = tmp_path / "device.m"
    source.write_text(ADAPTER.read_text().replace("[array_of(&m->in[i], err) autorelease]", "[[MLMultiArray alloc] init]"))
    done = subprocess.run([*TARGET, "--analyze", "-Xclang", "-analyzer-output=text", source], capture_output=True, text=True)
    assert "leak" in done.stderr.lower(), done.stderr
