"""Writes the identity of this build into a C file: a digest of all that decides what the program computes.

    build_id.py OUT.c ROOT WORD…

WORDs are what the build adds to the sources: compiler, its version, its options. Sources are taken by content and by path within
ROOT, so the same sources give the same identity wherever they lie. OUT.c is left alone when it would not change.
"""
import hashlib
import pathlib
import sys

SUFFIXES = {".c", ".h", ".m", ".def", ".inc", ".py", ".json"}


def sources(root):
    """What is compiled, what is embedded, and what says how."""
    files = [root / "meson.build", *(p for d in ("src", "scripts", "contracts") for p in sorted((root / d).rglob("*")))]
    return [p for p in files if p.is_file() and (p.suffix in SUFFIXES or p.name == "meson.build")]


def identity(root, words):
    digest = hashlib.sha256()
    for part in [w.encode() for w in words]:
        digest.update(b"word %d\n" % len(part) + part)
    for path in sources(root):
        name, data = path.relative_to(root).as_posix().encode(), path.read_bytes()
        digest.update(b"file %d %d\n" % (len(name), len(data)) + name + data)
    return digest.hexdigest()


if __name__ == "__main__":
    out, root, *words = sys.argv[1:]
    text = f'#include "base/build.h"\n\nconst char build_id[] = "{identity(pathlib.Path(root), words)}";\n'
    out = pathlib.Path(out)
    if not out.exists() or out.read_text() != text:
        out.write_text(text)
