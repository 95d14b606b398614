"""Postgres, ClickHouse, the bus, the other services and webhook endpoints."""
