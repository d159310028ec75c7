"""Writes text stubs (.tbd) of the Apple libraries that lathe links with: they list the public names that lathe uses, and
nothing else, so that the linker refuses every other. Names: Apple's documentation, checked by test_apple_api.py.

    python3 stubs.py FOLDER
"""
import pathlib
import sys

CLASSES = {
    "CoreML": ["MLModel", "MLModelConfiguration", "MLPredictionOptions", "MLMultiArray", "MLFeatureValue",
               "MLDictionaryFeatureProvider", "MLComputePlan", "MLCPUComputeDevice", "MLGPUComputeDevice",
               "MLNeuralEngineComputeDevice"],
    "Foundation": ["NSObject", "NSBundle", "NSURL", "NSString", "NSNumber", "NSMutableArray", "NSMutableDictionary", "NSException"],
}
SYMBOLS = {
    "CoreML": ["_MLAllComputeDevices"],
    "Foundation": [],
    "objc": ["_objc_msgSend", "_objc_msgSend_stret", "_objc_alloc", "_objc_alloc_init", "_objc_opt_class", "_objc_opt_new",
             "_objc_opt_isKindOfClass", "_objc_release", "_objc_retain", "_objc_autorelease", "_objc_retainAutorelease",
             "_objc_autoreleasePoolPush", "_objc_autoreleasePoolPop", "_objc_begin_catch", "_objc_end_catch",
             "_objc_exception_rethrow", "_objc_enumerationMutation", "_objc_terminate", "___objc_personality_v0",
             "_objc_ehtype_vtable", "__objc_empty_cache"],
    "curl": [f"_curl_{name}" for name in (
        "easy_cleanup", "easy_getinfo", "easy_init", "easy_perform", "easy_reset", "easy_setopt", "easy_strerror", "free", "global_cleanup",
        "global_init", "slist_append", "slist_free_all", "url", "url_cleanup", "url_get", "url_set")],
    "edit": ["_readline", "_add_history", "_rl_outstream", "_rl_getc_function", "_rl_inhibit_completion"],
}
NAMES = {
    "CoreML": "/System/Library/Frameworks/CoreML.framework/Versions/A/CoreML",
    "Foundation": "/System/Library/Frameworks/Foundation.framework/Versions/C/Foundation",
    "objc": "/usr/lib/libobjc.A.dylib",
    "curl": "/usr/lib/libcurl.4.dylib",
    "edit": "/usr/lib/libedit.3.dylib",
}


def stub(library):
    lines = ["--- !tapi-tbd", "tbd-version: 4", "targets: [ arm64-macos ]", f"install-name: {NAMES[library]}",
             "current-version: 1", "exports:", "  - targets: [ arm64-macos ]"]
    symbols = [f"'{name}'" for name in SYMBOLS.get(library, [])]
    classes = CLASSES.get(library, [])
    if symbols:
        lines.append(f"    symbols: [ {', '.join(symbols)} ]")
    if classes:
        lines.append(f"    objc-classes: [ {', '.join(classes)} ]")
        if "NSException" in classes:
            lines.append("    objc-eh-types: [ NSException ]")
    return "\n".join(lines + ["...", ""])


def write(folder):
    for library in NAMES:
        is_framework = library in CLASSES
        place = folder / f"{library}.framework" if is_framework else folder
        place.mkdir(parents=True, exist_ok=True)
        (place / (f"{library}.tbd" if is_framework else f"lib{library}.tbd")).write_text(stub(library))


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
