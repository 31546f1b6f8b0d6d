"""Caller: on whose behalf a request is made."""

from __future__ import annotations

from dataclasses import dataclass

from ocrqueue.core.api_keys import SCOPES, Scope
from ocrqueue.errors import ErrorInfo, error_for_clients

__all__ = ["ANYBODY", "Caller", "Scope"]


@dataclass(frozen=True)
class Caller:
    """A tenant, by one of its keys."""

    tenant: str
    key_id: str | None
    scopes: frozenset[Scope]
    engines: frozenset[str] | None
    """That may be asked for; None: all."""
    has_session: bool = False
    """Whether a browser asks, which has signed in."""

    @property
    def is_operator(self) -> bool:
        """Whether it is about all tenants, and the installation itself: admin, and of no tenant."""
        return not self.tenant and "admin" in self.scopes

    def sees(self, tenant: str) -> bool:
        """Whether jobs of this tenant are the caller's to know of."""
        return self.is_operator or tenant == self.tenant

    def told(self, error: ErrorInfo | None) -> ErrorInfo | None:
        """An error as the caller is told of it: to a tenant, nothing of the installation's own buckets and hosts."""
        return error if error is None or self.is_operator else error_for_clients(error)


ANYBODY = Caller(tenant="", key_id=None, scopes=frozenset(SCOPES), engines=None)
"""Where no key is asked for."""
