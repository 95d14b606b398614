"""Adapters of the media service."""
