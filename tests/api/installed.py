"""The library as others use it: installed into an empty prefix, found by pkg-config, linked by the example program.

    installed.py BUILD COMPILER…
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HELLO = ROOT / "models" / "hello-phi3-q8_0.gguf"
BUILD, COMPILER = None, None


def run(*args, **how):
    return subprocess.run([*map(str, args)], capture_output=True, text=True, **how)


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name)
        done = run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", cls.root)
        assert done.returncode == 0, done.stderr + done.stdout
        cls.library = next(cls.root.rglob("liblathe.*"))
        config = next(cls.root.rglob("lathe.pc"))
        environment = os.environ | {"PKG_CONFIG_PATH": str(config.parent), "PKG_CONFIG_SYSROOT_DIR": str(cls.root)}
        asked = run("pkg-config", "--cflags", "--libs", "--print-errors", "lathe", env=environment)
        assert asked.returncode == 0, asked.stderr
        cls.flags = asked.stdout.split()
        # What the machine itself has installed must not stand in for what is missing here.
        assert any(flag.startswith("-I") and pathlib.Path(flag[2:], "lathe.h").is_relative_to(cls.root)
                   and pathlib.Path(flag[2:], "lathe.h").exists() for flag in cls.flags), cls.flags
        cls.version = run("pkg-config", "--modversion", "lathe", env=environment).stdout.strip()
        cls.environment = os.environ | {name: str(cls.library.parent) for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")}
        cls.chat = cls.root / "chat"
        strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror"]
        built = run(*COMPILER, *strict, ROOT / "examples" / "chat.c", *cls.flags, "-o", cls.chat)
        assert built.returncode == 0, built.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_example_answers_as_lathe_chat_does(self):
        given = "Show me hello world in Erlang.\n\nAnd again.\n"
        example = run(self.chat, HELLO, input=given, env=self.environment)
        self.assertEqual(example.returncode, 0, example.stderr)
        lathe = run(BUILD / "src" / "cli" / "lathe", "chat", HELLO, "--quiet", "--lines", input=given)
        answers = re.sub(r"^\[\d+ tokens read, \d+ written\]\n", "", example.stdout, flags=re.M)
        self.assertEqual(answers, lathe.stdout)
        self.assertIn("hello", answers)
        self.assertEqual(len(re.findall(r"^\[\d+ tokens read", example.stdout, re.M)), 2)

    def test_example_says_what_is_wrong(self):
        wrong = run(self.chat, self.root / "nowhere.gguf", env=self.environment)
        self.assertEqual((wrong.returncode, wrong.stdout), (1, ""))
        self.assertIn("nowhere.gguf: No such file or directory", wrong.stderr)

    def test_it_states_the_version_that_the_program_has(self):
        program = next(p for p in self.root.rglob("lathe") if p.parent.name == "bin")
        self.assertEqual(run(program, "version").stdout, f"lathe {self.version}\n")

    def test_manual_and_completions_are_installed(self):
        there = {p.name: p for p in self.root.rglob("*") if p.is_file()}
        for name in ("lathe.1", "lathe.bash", "_lathe", "lathe.fish"):
            self.assertIn("convert", there[name].read_text() if name in there else f"no {name}")

    def test_only_what_the_header_declares_is_exported(self):
        header = next(self.root.rglob("lathe.h")).read_text()
        declared = set(re.findall(r"^LATHE_API [^;]*?\b(lathe_\w+)\(", header, re.M))
        symbols = run("nm", "-D" if sys.platform == "linux" else "-gU", "--defined-only", self.library).stdout
        exported = {line.split()[-1].lstrip("_") for line in symbols.splitlines() if line.split()[1:2] == ["T"]}
        self.assertGreater(len(declared), 30)
        self.assertEqual(exported, declared)

    def test_header_is_cpp_too(self):
        if not shutil.which("c++"):
            self.skipTest("no C++ compiler")
        source = self.root / "use.cpp"
        source.write_text("#include <lathe.h>\nint main() { return lathe_version()[0] == 0; }\n")
        built = run("c++", "-Wall", "-Wextra", "-Werror", source, *self.flags, "-o", self.root / "use")
        self.assertEqual(built.returncode, 0, built.stderr)
        self.assertEqual(run(self.root / "use", env=self.environment).returncode, 0)


if __name__ == "__main__":
    BUILD, COMPILER = pathlib.Path(sys.argv[1]), sys.argv[2:]
    unittest.main(argv=sys.argv[:1])
