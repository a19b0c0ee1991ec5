"""The examples' index, and what an example is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "examples").glob("*.py"))


def test_every_example_is_in_the_index_and_among_the_founding_systems():
    """With the command that runs it."""
    index = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    page = (ROOT / "docs/founding-systems.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\((\w+\.py)\)", index)) == [file.name for file in FILES]
    assert sorted(set(re.findall(r"python examples/(\w+\.py)", page))) == [file.name for file in FILES]


def test_an_example_fits_in_150_lines_and_opens_with_its_command():
    """One idea, one file."""
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 150, file.name
        assert f"python examples/{file.name} [PICTURE.png]" in text, file.name
