"""Builds what tests/apple holds: the adapter of Core ML with its double on GNUstep, and lathe itself with both."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
APPLE = ROOT / "tests" / "apple"
BUILD = pathlib.Path(os.environ.get("LATHE_BUILD", ROOT / "build-gcc"))
ADAPTER = ROOT / "src" / "coreml" / "device.m"
MUSL = "/usr/include/x86_64-linux-musl"  # plain C headers that parse for Apple's target: package musl-dev

GCC_INCLUDE = subprocess.run(["gcc", "-print-file-name=include"], capture_output=True, text=True).stdout.strip()
# GNUstep's runtime has neither ARC nor ivars outside interfaces; its headers want gcc's objc/.
GNUSTEP = ["-std=gnu11", "-fblocks", "-fobjc-runtime=gcc", "-fobjc-exceptions", "-fexceptions",
           "-fconstant-string-class=NSConstantString", "-DGNUSTEP", "-DGNUSTEP_BASE_LIBRARY=1", "-DGNU_RUNTIME=1",
           "-D_NATIVE_OBJC_EXCEPTIONS", "-D_GNU_SOURCE", f"-I{APPLE}/gnustep", f"-I{APPLE}/double", f"-I{APPLE}/include",
           f"-I{ROOT}/src", "-isystem", "/usr/include/GNUstep", "-idirafter", GCC_INCLUDE, "-Werror=objc-method-access", "-g", "-O1"]
PLAIN = ["-std=gnu11", "-D_GNU_SOURCE", f"-I{ROOT}/src", f"-I{APPLE}/double", "-g", "-O1"]
LIBRARIES = ["-lgnustep-base", "-lobjc", "-lBlocksRuntime", "-lpthread", "-lcmocka", "-lm", "-lnettle", "-lxxhash", "-ljansson",
             "-lpcre2-8", "-lcurl", "-ledit"]
# What GNUstep and its runtime keep for ever, or share without a lock that ThreadSanitizer sees.
ENVIRONMENT = {"LSAN_OPTIONS": f"suppressions={APPLE}/leaks.txt:print_suppressions=0",
               "TSAN_OPTIONS": f"suppressions={APPLE}/races.txt:halt_on_error=1",
               "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(str(c) for c in command)}\n{done.stdout}{done.stderr}"
    return done


def flags_of(sanitizers, extra=()):
    return [*([f"-fsanitize={','.join(sanitizers)}"] if sanitizers else []), *extra]


def objects(folder, flags=(), adapter=ADAPTER):
    """The adapter and the double as objects in `folder`."""
    run("clang", *GNUSTEP, *flags, "-Wall", "-Wextra", "-Werror", "-include", APPLE / "double/ivars.h", "-c", adapter,
        "-o", folder / "device.o")
    for name in ("double", "plan"):
        run("clang", *GNUSTEP, *flags, "-c", APPLE / f"double/{name}.m", "-o", folder / f"{name}.o")
    run("clang", *PLAIN, *flags, "-c", APPLE / "double/backend.c", "-o", folder / "backend.o")
    return [folder / name for name in ("device.o", "double.o", "plan.o", "backend.o")]


def link_test(folder, source, sanitizers=(), adapter=ADAPTER, extra=()):
    """A test program over adapter and double."""
    flags = flags_of(sanitizers, extra)
    parts = objects(folder, flags, adapter)
    run("clang", *PLAIN, *flags, "-c", source, "-o", folder / "test.o")
    run("clang", *flags, "-o", folder / "test", folder / "test.o", *parts, BUILD / "liblathe.a", *LIBRARIES)
    return folder / "test"


def caller(program, cache):
    """Calls lathe linked with the double."""
    def call(*arguments, double="", ok=True, **options):
        environment = {**os.environ, "LATHE_DOUBLE": double, "LATHE_CACHE_DIR": str(cache)}
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=600, **options)
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    return call


def device_side(folder, flags):
    """What lathe has on the way to a device, as objects with these flags: its rooms coreml and runtime, and the gates of devices."""
    src = ROOT / "src"
    sources = [p for p in sorted((src / "coreml").glob("*.c")) if p.name != "absent.c"]
    sources += [*sorted((src / "runtime").glob("*.c")), *sorted((src / "gates").glob("device_*.c")), *sorted((src / "bundle").glob("device_*.c")),
                src / "verify/device.c", src / "verify/open.c"]
    (folder / "side").mkdir()
    run("clang", *PLAIN, *flags, "-c", *sources, cwd=folder / "side")
    return sorted((folder / "side").glob("*.o"))


def link_lathe(folder, sanitizers=()):
    """The whole program, whose Core ML is the double. Objects come before the library, whose own are then not taken: its
    absent.c, and with sanitizers all that is on the way to a device."""
    flags = flags_of(sanitizers)
    program = sorted((BUILD / "src/cli/lathe.p").glob("*.o"))
    archs = sorted(BUILD.glob("libkernels_*.a"))
    side = device_side(folder, flags) if sanitizers else []
    run("clang", *flags, "-o", folder / "lathe", *program, *side, *objects(folder, flags), BUILD / "liblathe.a", *archs, *LIBRARIES)
    return folder / "lathe"
