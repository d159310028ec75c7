"""Reads a Mach-O file for arm64: what it asks of which library, the selectors it can send, the system it is built for, and its
signature, whose hashes are computed again.

    python3 macho.py PROGRAM              what docs/apple.md says of it
    python3 macho.py PROGRAM --docs FILE  writes that into FILE, between the lines that mark it

Layouts: Apple's public headers mach-o/loader.h, mach-o/nlist.h; the signature's from the open xnu, osfmk/kern/cs_blobs.h.
"""
import hashlib
import pathlib
import re
import struct
import sys
import textwrap

MAGIC, ARM64 = 0xFEEDFACF, 0x0100000C
KINDS = {1: "object", 2: "program"}
SEGMENT, SYMTAB, DYLIB, SIGNATURE, BUILD_VERSION = 0x19, 0x2, (0xC, 0x80000018, 0x8000001F), 0x1D, 0x32
STAB, TYPE, EXTERNAL, UNDEFINED = 0xE0, 0x0E, 0x01, 0x00
SUPERBLOB, CODE_DIRECTORY, ADHOC, SHA256 = 0xFADE0CC0, 0xFADE0C02, 0x2, 2
MARKS = "<!-- scripts/dist --docs writes from here -->", "<!-- to here -->"


class MachO:
    def __init__(self, path):
        self.data = pathlib.Path(path).read_bytes()
        magic, cpu, _, kind, n_commands, _, _, _ = struct.unpack_from("<8I", self.data)
        if magic != MAGIC or cpu != ARM64:
            raise ValueError(f"{path}: no Mach-O for arm64")
        self.kind = KINDS.get(kind, kind)
        self.libraries, self.sections, self.minimum, self.signature = [], {}, None, None
        self.symbols = []  # (name, number of its library or 0, is undefined)
        at = 32
        for _ in range(n_commands):
            command, size = struct.unpack_from("<2I", self.data, at)
            self.read(command, at)
            at += size

    def text(self, at):
        return self.data[at:self.data.index(b"\0", at)].decode()

    def read(self, command, at):
        if command == SEGMENT:
            n_sections = struct.unpack_from("<I", self.data, at + 64)[0]
            for i in range(n_sections):
                name, _, _, size, offset = struct.unpack_from("<16s16sQQI", self.data, at + 72 + 80 * i)
                self.sections[name.rstrip(b"\0").decode()] = self.data[offset:offset + size]
        elif command == SYMTAB:
            offset, count, strings, _ = struct.unpack_from("<4I", self.data, at + 8)
            for i in range(count):
                name, kind, _, description, _ = struct.unpack_from("<IBBHQ", self.data, offset + 16 * i)
                if not kind & STAB and kind & EXTERNAL:
                    self.symbols.append((self.text(strings + name), description >> 8, kind & TYPE == UNDEFINED))
        elif command in DYLIB:
            self.libraries.append(self.text(at + struct.unpack_from("<I", self.data, at + 8)[0]))
        elif command == BUILD_VERSION:
            version = struct.unpack_from("<I", self.data, at + 12)[0]
            self.minimum = f"{version >> 16}.{version >> 8 & 255}"
        elif command == SIGNATURE:
            self.signature = struct.unpack_from("<2I", self.data, at + 8)

    def undefined(self):
        return sorted(name for name, _, is_undefined in self.symbols if is_undefined)

    def imports(self):
        """Library -> the names that are taken from it."""
        found = {library: [] for library in self.libraries}
        for name, number, is_undefined in self.symbols:
            if is_undefined:
                found[self.libraries[number - 1]].append(name)
        return {library: sorted(names) for library, names in found.items()}

    def selectors(self):
        return sorted(set(self.sections.get("__objc_methname", b"").decode().split("\0")) - {""})

    def signed(self):
        """What is wrong with the ad hoc signature; None when every hash is that of its page."""
        if not self.signature:
            return "no signature: arm64 Macs refuse the program"
        start, size = self.signature
        magic, _, n_blobs = struct.unpack_from(">3I", self.data, start)
        if magic != SUPERBLOB or start + size > len(self.data):
            return "the signature is no list of blobs"
        for i in range(n_blobs):
            at = start + struct.unpack_from(">2I", self.data, start + 12 + 8 * i)[1]
            if struct.unpack_from(">I", self.data, at)[0] == CODE_DIRECTORY:
                return self.directory(at, start)
        return "the signature has no code directory"

    def directory(self, at, start):
        _, _, _, flags, hashes, name, _, n_pages, limit = struct.unpack_from(">9I", self.data, at)
        n_bytes, kind, _, page_bits = struct.unpack_from("4B", self.data, at + 36)
        if not flags & ADHOC or kind != SHA256 or n_bytes != 32:
            return f"flags 0x{flags:x}, hash type {kind}: expected ad hoc, SHA-256"
        if limit != start or not self.text(at + name):
            return f"it covers {limit} bytes of the {start} before it"
        page = 1 << page_bits
        if n_pages != -(-limit // page):
            return f"{n_pages} pages, expected {-(-limit // page)}"
        for i in range(n_pages):
            kept = self.data[at + hashes + 32 * i:at + hashes + 32 * i + 32]
            if hashlib.sha256(self.data[i * page:min((i + 1) * page, limit)]).digest() != kept:
                return f"page {i} is not what was signed"
        return None


def short(name):
    """_printf -> printf, _OBJC_CLASS_$_MLModel -> MLModel."""
    return re.sub(r"^_?(OBJC_CLASS_\$_|OBJC_EHTYPE_\$_)?", "", name)


def report(program):
    """The section of docs/apple.md."""
    lines = [f"The program has {len(program.data) / 1e6:.1f} MB, needs macOS {program.minimum}, is signed ad hoc, and takes these names from the",
             "system and no others:", ""]
    for library, names in program.imports().items():
        words = " ".join(sorted({short(name) for name in names}))
        lines += [*textwrap.wrap(f"- `{library}`: {words}", 132, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)]
    selectors = " ".join(program.selectors())
    lines += ["", *textwrap.wrap(f"Selectors it can send: {selectors}", 132, break_on_hyphens=False, break_long_words=False)]
    return "\n".join(lines)


def section(text):
    before, rest = text.split(MARKS[0])
    inside, after = rest.split(MARKS[1])
    return before, inside.strip("\n"), after


if __name__ == "__main__":
    program = MachO(sys.argv[1])
    if program.signed():
        sys.exit(f"{sys.argv[1]}: {program.signed()}")
    if sys.argv[2:3] == ["--docs"]:
        place = pathlib.Path(sys.argv[3])
        before, _, after = section(place.read_text())
        place.write_text(f"{before}{MARKS[0]}\n\n{report(program)}\n\n{MARKS[1]}{after}")
    else:
        print(report(program))
