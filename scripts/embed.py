"""Writes text files into a C file: an array of their contents, NULL after the last.

    embed.py OUT.c HEADER.h NAME FILE…
"""
import pathlib
import sys

out, header, name, *files = sys.argv[1:]
lines = [f'#include "{header}"', "", f"const char *const {name}[] = {{"]
for path in files:
    for line in pathlib.Path(path).read_text().splitlines():
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'    "{escaped}\\n"')
    lines.append("    ,")
pathlib.Path(out).write_text("\n".join(lines + ["    (void *)0,", "};", ""]))
