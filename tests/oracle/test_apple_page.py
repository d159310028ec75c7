"""docs/apple.md against the program: the errors it explains, the files it names, its commands; and README, which claims no
more than it."""
import re

import pytest
from command import ROOT, table

PAGE = (ROOT / "docs/apple.md").read_text()
README = (ROOT / "README.md").read_text()


def rows(heading):
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in section.splitlines() if line.startswith("| ")]


def test_every_text_that_misleads_is_explained():
    said = set(rows("Errors and cures"))
    assert len(table("coreml_errors")) > 6
    assert not [row for row in table("coreml_errors") if tuple(row[:3]) not in said]


# Pieces of lathe's own messages that the page has in its table: each stands in the program's source.
@pytest.mark.parametrize("text", ["Core ML is not on this system", "slot %u changed when slot %u was written", "this machine has no Neural Engine",
                                  "slot %u is all zeros after it was written", "planned for the Neural Engine",
                                  "was ended by signal", "took longer than", "took more than"])
def test_own_messages_are_the_programs(text):
    sources = " ".join(p.read_text() for room in ("coreml", "runtime") for p in (ROOT / "src" / room).glob("*.[cm]"))
    assert text in sources
    pattern = re.escape(text).replace("%u", r"\d")
    assert any(re.search(pattern, row[0]) for row in rows("Errors and cures"))


def test_files_that_it_names_are_there():
    named = set(re.findall(r"`((?:src|tests|scripts|examples|include|\.github)/[\w./-]+)`", PAGE))
    named |= {f"tests/oracle/{name}" for name in re.findall(r"`(test_apple_\w+\.py|test_\w+_arm\.py|test_host_example\.py)`", PAGE)}
    named |= {f"docs/{name}" for name in re.findall(r"\]\((\w[\w-]*\.md)\)", PAGE)}
    assert len(named) > 12
    assert not [name for name in named if not (ROOT / name).exists()]


def test_neither_page_claims_a_measurement_of_a_device():
    assert "Nothing here has run on Apple hardware" in PAGE and "Nothing here has run on Apple hardware" in README
    # Figures of speed or energy stand in the section of other people's, each row with its source, and nowhere else.
    speed = re.compile(r"tokens? a second|tok/s|\bmJ\b|\d W\b|writes \d|GB/s")
    chips = PAGE.split("\n## What to expect, by chip\n")[1].split("\n## ")[0]
    assert not speed.search(PAGE.replace(chips, "")) and not speed.search(README)
    figures = [row for row in rows("What to expect, by chip") if speed.search(" ".join(row)) or " ms" in " ".join(row)]
    assert len(figures) > 4 and all(row[-1] == "same" or "/" in row[-1] for row in figures)


def test_readme_sends_readers_to_the_page():
    assert "docs/apple.md" in README
