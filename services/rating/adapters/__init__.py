"""Postgres, ClickHouse and the bus, behind the ports of rating."""
