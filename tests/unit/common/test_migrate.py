from pathlib import Path

import pytest

from services.common.migrate import Migration, MigrationRefused, find, pending


def place(root: Path, service: str, name: str, sql: str = "SELECT 1;") -> None:
    folder = root / service / "migrations" / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(sql)


def test_migrations_are_ordered_by_number_over_all_services(tmp_path: Path) -> None:
    place(tmp_path, "rating", "0002_money.sql")
    place(tmp_path, "api", "0003_more.sql")
    place(tmp_path, "api", "0001_config.sql")
    found = find("postgres", tmp_path)
    assert [migration.name for migration in found] == [
        "0001_config.sql",
        "0002_money.sql",
        "0003_more.sql",
    ]
    assert find("clickhouse", tmp_path) == []


def test_two_files_with_one_number_are_refused(tmp_path: Path) -> None:
    place(tmp_path, "rating", "0001_money.sql")
    place(tmp_path, "api", "0001_config.sql")
    with pytest.raises(MigrationRefused, match="same number"):
        find("postgres", tmp_path)


def test_a_misnamed_file_is_refused(tmp_path: Path) -> None:
    place(tmp_path, "rating", "1-money.sql")
    with pytest.raises(MigrationRefused, match="not named"):
        find("postgres", tmp_path)


def test_statements_end_where_a_semicolon_ends_a_line() -> None:
    sql = "-- first; a comment\nSELECT ';' AS a;\n\nSELECT 2; -- why\nSELECT 3;   \n-- the end\n"
    assert Migration(1, "x", sql).statements == [
        "-- first; a comment\nSELECT ';' AS a",
        "SELECT 2",
        "SELECT 3",
    ]


def test_the_last_statement_needs_no_semicolon() -> None:
    assert Migration(1, "x", "SELECT 1").statements == ["SELECT 1"]


def test_only_what_was_not_applied_is_pending() -> None:
    one, two = Migration(1, "one", "SELECT 1"), Migration(2, "two", "SELECT 2")
    assert pending([one, two], {}) == [one, two]
    assert pending([one, two], {1: one.checksum}) == [two]
    # A newer version's migrations do not concern us.
    assert pending([one], {1: one.checksum, 9: "whatever"}) == []


def test_a_file_that_changed_is_refused() -> None:
    one = Migration(1, "one", "SELECT 1")
    with pytest.raises(MigrationRefused, match="one: was changed"):
        pending([one], {1: Migration(1, "one", "SELECT 2").checksum})
