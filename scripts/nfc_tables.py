"""Writes the tables of tokenizer/nfc.h from Python's Unicode data. What Unicode has assigned normalizes alike in all versions.

    nfc_tables.py OUT.c
"""
import pathlib
import sys
import unicodedata

rows, pairs = [], []
for code in range(0x110000):
    char = chr(code)
    mapping = unicodedata.decomposition(char)
    parts = [] if mapping.startswith("<") else [int(part, 16) for part in mapping.split()]
    if parts or unicodedata.combining(char):
        first, second = (parts + [0, 0])[:2]
        rows.append(f"    {{{code:#x}, {first:#x}, {second:#x}, {unicodedata.combining(char)}}},")
    if len(parts) == 2 and unicodedata.normalize("NFC", char) == char:
        pairs.append((*parts, code))
lines = ['#include "tokenizer/nfc.h"', "", "const NfcRow nfc_rows[] = {", *rows, "};", f"const size_t nfc_n_rows = {len(rows)};"]
lines += ["const NfcPair nfc_pairs[] = {", *(f"    {{{a:#x}, {b:#x}, {c:#x}}}," for a, b, c in sorted(pairs)), "};"]
lines += [f"const size_t nfc_n_pairs = {len(pairs)};", ""]
pathlib.Path(sys.argv[1]).write_text("\n".join(lines))
