"""The embedded ClickHouse engine behind a small server that speaks its native protocol."""
