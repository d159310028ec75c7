"""Apple's classes as others read them from the SDK's headers: the generated bindings of the Rust crates objc2-core-ml and
objc2-foundation, fetched when a test asks, pinned by SHA-256. And the own declarations (tests/apple) as clang reads them.
Both as one table: (class, selector, is class method) -> (kinds of the arguments, kind of the result).

Kinds are C's words without what the runtime does not see: 'NSURL *' whatever it holds, 'id<MLFeatureProvider>', 'Self',
'block(NSURL *, NSError *)', 'error' for the last argument of the NSError convention, names of enumerations."""
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

from apple_build import APPLE, MUSL, ROOT

CRATES = {"objc2-core-ml": ("0.3.2", "201b055e6acfa0f9f15568255d3f03ce2b54bc86d1814442dc69138e36813e18"),
          "objc2-foundation": ("0.3.2", "e3e0adef53c21f888deb4fa59fc59f7eb17404926ee8a6f59f5df0fd7f9f3272")}
CACHE = pathlib.Path(os.environ.get("LATHE_CACHE", pathlib.Path.home() / ".cache/lathe")) / "crates"
# The root class's own belong to the runtime (crate objc2, written by hand), not to the generated bindings.
RUNTIME = {"alloc", "new", "init", "dealloc", "class", "retain", "release", "autorelease", "retainCount", "isKindOfClass:"}
TARGET = ["clang", "-target", "arm64-apple-macos15", "-nostdlibinc", "-isystem", MUSL, "-std=gnu11", "-fblocks",
          "-fobjc-exceptions", "-fno-objc-arc", f"-I{APPLE}/include", f"-I{APPLE}/target", f"-I{ROOT}/src"]


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


def arguments(text):
    """Splits at the commas outside of brackets."""
    depth, parts = 0, [""]
    for char in text:
        depth += char in "<([" or -(char in ">)]")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


SCALARS = {"bool": "BOOL", "c_double": "double", "NSInteger": "NSInteger", "NSUInteger": "NSUInteger", "c_ulong": "unsigned long",
           "": "void"}


@functools.cache
def aliases():
    """Names of strings, as NSErrorDomain: a type of its own in Swift alone."""
    return dict(re.findall(r"^pub type (NS\w+) = (NS\w+);", crate("objc2-foundation"), re.M))


def kind_in_rust(text):
    """Option<&NSURL> -> 'NSURL *' and so on; what has no word stays as it is, and will match nothing."""
    text = " ".join(text.split())
    block = re.fullmatch(r"(?:Option<)?&block2::DynBlock<\s*dyn Fn\((.*)\)(?: \+ '_)?,?\s*>+", text)
    if block:
        return f"block({', '.join(kind_in_rust(part) for part in arguments(block[1]))})"
    bare = re.fullmatch(r"(?:Option<)?(&|Retained<|Allocated<|NonNull<|\*mut |\*const )(.*?)>*", text)
    if not bare:
        return SCALARS.get(text, text)
    name = bare[2].split("<")[0].strip()
    if name in ("c_void", "c_char"):
        return "pointer"
    if name == "ProtocolObject":
        return "id<" + re.search(r"dyn (\w+)", text)[1] + ">"
    if name == "AnyClass":
        return "Class"
    if name in ("AnyObject", "ObjectType", "KeyType"):
        return "id"
    return "Self" if name == "Self" else f"{aliases().get(name, name)} *"


@functools.cache
def bindings():
    text = "\n".join(crate(name) for name in CRATES).replace("->", "→")
    text = re.sub(r"^\s*///.*$", "", text, flags=re.M)
    found = {}
    for block in re.finditer(r"^(?:impl(?:<[^{]*?>)? (\w+)(?:<[^{]*>)? \{|extern_protocol!\()(.*?)^[})]", text, re.M | re.S):
        trait = re.search(r"pub unsafe trait (\w+)", block[2])
        owner = block[1] or (trait and trait[1])
        for m in re.finditer(r"#\[unsafe\(method\(([\w:]+)\)\)\].*?fn [\w#]+(?:<[^(]*>)?\((.*?)\)\s*(?:→\s*([^;]*?))?;", block[2], re.S):
            selector, given, result = m[1], arguments(m[2]), m[3] or ""
            is_class = not given or not re.match(r"(&self|this:)", given[0])
            kinds = [kind_in_rust(g.split(":", 1)[1]) for g in given if g != "&self" and not g.startswith("this:")]
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
    text = re.sub(r"_Nullable|_Nonnull|\benum ", "", qualified).strip()
    block = re.fullmatch(r"void \(\^\)\((.*)\)", text)
    if block:
        return f"block({', '.join(kind_in_c(part) for part in arguments(block[1]))})"
    if re.fullmatch(r"NSError \*(__autoreleasing )?\*", text):
        return "error"
    return {"instancetype": "Self", "void *": "pointer", "const void *": "pointer", "const char *": "pointer"}.get(text, text)


def value_of(node):
    return int(node["value"]) if "value" in node else value_of(node["inner"][0])


def declared(include=APPLE / "include"):
    """The own headers: the table, and the constants."""
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


# ---- the two compared

# Where the bindings have a method under another class: inherited, or of a protocol.
OWNERS = {"NSMutableArray": ["NSArray"], "NSMutableDictionary": ["NSDictionary"], "NSConstantString": ["NSString"],
          "MLDictionaryFeatureProvider": ["MLFeatureProvider"],
          **{name: ["NSFastEnumeration"] for name in ("NSArray", "NSSet", "NSDictionary")}}
# What `for … in` calls; the bindings spell its arguments as raw pointers.
ENUMERATION = "countByEnumeratingWithState:objects:count:"


def is_kind(own, apples):
    # A plain id may be declared where Apple names a protocol (NSCopying of keys): the caller is free, not the callee.
    return own == apples or (own == "id" and apples.startswith("id<"))


def agrees(own, apples):
    (arguments_own, result_own), (arguments_theirs, result_theirs) = own, apples
    return (len(arguments_own) == len(arguments_theirs) and is_kind(result_own, result_theirs) and
            all(is_kind(a, b) for a, b in zip(arguments_own, arguments_theirs)))


def differences(table, numbers):
    wrong = []
    for (owner, selector, is_class), kinds in table.items():
        if owner == "NSObject" or selector == ENUMERATION:
            continue
        rows = [bindings().get((name, selector, is_class)) for name in (owner, *OWNERS.get(owner, []))]
        rows = [row for row in rows if row]
        if not rows:
            wrong.append(f"{'+' if is_class else '-'}[{owner} {selector}] is not in Apple's API")
        elif not any(agrees(kinds, row) for row in rows):
            wrong.append(f"{'+' if is_class else '-'}[{owner} {selector}]: {kinds}, Apple's is {rows[0]}")
    wrong += [f"{name} = {number}, Apple's is {constants().get(name)}" for name, number in numbers.items()
              if constants().get(name) != number]
    return wrong
