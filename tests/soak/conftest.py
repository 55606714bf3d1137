"""Proofs in process share one server of PostgreSQL; those that kill theirs have one of their own."""

from tests.broker.conftest import server

__all__ = ["server"]
