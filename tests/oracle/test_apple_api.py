"""The own declarations of Core ML and Foundation (tests/apple) against bindings that others generated from Apple's SDK
(apple_bindings.py): every class, selector, argument, result and error convention that src/coreml/device.m may use. And
src/coreml/device.m itself: it compiles for Apple's target without a warning, uses nothing newer than macOS 15 without asking,
as an object it names public classes and selectors alone, and the analyzer that counts references finds nothing. What each of
these would catch is planted."""
import re
import subprocess

import pytest
from apple_bindings import APPLE, ROOT, RUNTIME, TARGET, declared, differences
from apple_build import ADAPTER

pytestmark = pytest.mark.linux("headers of musl in place of Apple's SDK")
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wunguarded-availability", "-Werror=objc-method-access", "-Werror"]


def test_declarations_are_apples():
    table, numbers = declared()
    assert len(table) > 60 and len(numbers) > 6
    assert not differences(table, numbers)


# What is planted: a text of CoreML.h, what it becomes, and what the comparison has to name.
PLANTED = {
    "a selector that is not there": ("- (MLState *)newState", "- (MLState *)makeState", "makeState] is not in"),
    "a class that is not there": ("MLPredictionOptions", "MLPredictionChoices", "MLPredictionChoices"),
    "an argument of another kind": ("dataType:(MLMultiArrayDataType)dataType\n", "dataType:(NSString *)dataType\n", "initWithDataPointer"),
    "an argument of another class": ("compileModelAtURL:(NSURL *)", "compileModelAtURL:(NSString *)", "compileModelAtURL"),
    "an argument too few": ("strides:(NSArray *)strides\n", "\n", "initWithDataPointer:shape:dataType:deallocator:error:] is not in"),
    "a result of another class": ("- (MLState *)newState", "- (MLModel *)newState", "newState"),
    "an error that is not the last argument's address": ("configuration:(MLModelConfiguration *)configuration\n                                 error:(NSError **)",
                                                         "configuration:(MLModelConfiguration *)configuration\n                                 error:(NSError *)",
                                                         "modelWithContentsOfURL"),
    "an error as a flag": ("options:(MLPredictionOptions *)options\n                                          error:(NSError **)error;",
                           "options:(MLPredictionOptions *)options\n                                          error:(BOOL)error;",
                           "predictionFromFeatures"),
    "a handler that gets the error first": ("(void (^)(NSURL *compiledModelURL, NSError *error))handler",
                                            "(void (^)(NSError *error, NSURL *compiledModelURL))handler", "compileModelAtURL"),
    "a class method on instances": ("+ (instancetype)featureValueWithMultiArray", "- (instancetype)featureValueWithMultiArray",
                                    "featureValueWithMultiArray"),
    "a constant with another number": ("MLComputeUnitsCPUAndNeuralEngine = 3", "MLComputeUnitsCPUAndNeuralEngine = 2",
                                       "MLComputeUnitsCPUAndNeuralEngine = 2, Apple's is 3"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_declaration_is_seen(name, tmp_path):
    old, new, where = PLANTED[name]
    text = (APPLE / "include/CoreML/CoreML.h").read_text()
    assert old in text
    (tmp_path / "CoreML").mkdir()
    (tmp_path / "CoreML/CoreML.h").write_text(text.replace(old, new))
    wrong = differences(*declared(tmp_path))
    assert any(where in line for line in wrong), wrong


# ---- the adapter for Apple's target

def compile_for_mac(source, *flags):
    return subprocess.run([*TARGET, *STRICT, *flags, "-fsyntax-only", source], capture_output=True, text=True)


def test_the_adapter_compiles_for_macos_15():
    done = compile_for_mac(ADAPTER)
    assert done.returncode == 0, done.stderr


# A slip in the adapter, and what the compiler says of it.
SLIPS = {
    "a mistyped selector": ("[m->model newState]", "[m->model newStates]", "newStates"),
    "a path where a URL is asked for": ("compileModelAtURL:url_of(package)", "compileModelAtURL:string_of(package)", "incompatible pointer"),
    "an argument left out": ("predictionFromFeatures:inputs options:m->options error:&error]",
                             "predictionFromFeatures:inputs error:&error]", "predictionFromFeatures:error:"),
    "an error that is not an address": ("initWithDictionary:values error:&error]", "initWithDictionary:values error:error]",
                                        "incompatible pointer"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_an_error(name, tmp_path):
    old, new, text = SLIPS[name]
    assert old in ADAPTER.read_text()
    source = tmp_path / "device.m"
    source.write_text(ADAPTER.read_text().replace(old, new))
    done = compile_for_mac(source)
    assert done.returncode != 0 and text in done.stderr, done.stderr


# A data type that came with macOS 26 (Apple's documentation), used with and without asking for the system.
NEWER = "MLMultiArrayDataTypeInt32 = 0x20000 | 32,", "MLMultiArrayDataTypeInt32 = 0x20000 | 32,\n    MLMultiArrayDataTypeInt8 SINCE(26.0) = 0x20000 | 8,"
GUARD = "static bool read_type(CoremlType *out, MLMultiArrayDataType type) {\n"


@pytest.mark.parametrize("guard, is_refused", [("", True), ("if (@available(macOS 26, *)) ", False)], ids=["without", "with"])
def test_what_is_newer_needs_a_guard(guard, is_refused, tmp_path):
    header = (APPLE / "include/CoreML/CoreML.h").read_text()
    assert header.count(NEWER[0]) == 1 and ADAPTER.read_text().count(GUARD) == 1
    (tmp_path / "CoreML").mkdir()
    (tmp_path / "CoreML/CoreML.h").write_text(header.replace(*NEWER))
    source = tmp_path / "device.m"
    source.write_text(ADAPTER.read_text().replace(GUARD, GUARD + f"    {guard}if (type == MLMultiArrayDataTypeInt8) return false;\n"))
    done = subprocess.run([*TARGET[:1], f"-I{tmp_path}", *TARGET[1:], *STRICT, "-fsyntax-only", source], capture_output=True, text=True)
    assert (done.returncode != 0) == is_refused, done.stderr
    assert not is_refused or "only available on macOS 26" in done.stderr, done.stderr


def test_macos_15_is_needed_for_states(tmp_path):
    done = compile_for_mac(ADAPTER, "-target", "arm64-apple-macos14")
    assert done.returncode != 0 and "only available on macOS 15" in done.stderr, done.stderr


# ---- references counted

def analyze(source, *flags):
    arguments = [part for flag in ("-analyzer-output=text", *flags) for part in ("-Xclang", flag)]
    return subprocess.run([*TARGET, "--analyze", *arguments, source], capture_output=True, text=True).stderr


def test_references_are_counted_right():
    assert not analyze(ADAPTER)


# The function that is changed (the analyzer looks at it alone: seconds instead of a minute), the change, what is said.
COUNTS = {
    "a leak": ("array_of", "NSMutableArray *strides = [NSMutableArray arrayWithCapacity:p->n_dims]",
               "NSMutableArray *strides = [[NSMutableArray arrayWithCapacity:p->n_dims] retain]", "leak"),
    "a release too many": ("configuration_of", "    if (function) [c setFunctionName", "    [c release];\n    if (function) [c setFunctionName",
                           "released"),
    "a release of what is not owned": ("open_model", "    MLModelDescription *d = [m->model modelDescription];\n",
                                       "    MLModelDescription *d = [m->model modelDescription];\n    [d release];\n",
                                       "not owned"),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_wrong_count_is_found_by_the_analyzer(name, tmp_path):
    function, old, new, text = COUNTS[name]
    assert ADAPTER.read_text().count(old) == 1
    source = tmp_path / "device.m"
    source.write_text(ADAPTER.read_text().replace(old, new))
    found = analyze(source, "-analyze-function", function)
    assert text in found.lower(), found
