"""The test tree mirrors the code tree, and every file is short enough to read."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = sorted(
    path.relative_to(ROOT / "services")
    for pattern in ("*/core/**/*.py", "signaling/sip/**/*.py", "common/pricing/*.py")
    for path in (ROOT / "services").glob(pattern)
    if path.name != "__init__.py"
)
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("services", "deploy", "tests")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("module", PURE, ids=str)
def test_pure_module_has_a_mirror(module: Path) -> None:
    assert (ROOT / "tests/unit" / module.parent / f"test_{module.name}").exists()


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_file_is_short_enough_to_read(source: Path) -> None:
    assert len((ROOT / source).read_text().splitlines()) <= 500
