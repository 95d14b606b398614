"""Decides whether a call may go, where, and in which order."""
