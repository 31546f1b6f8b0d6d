"""Whether what is kept of tenants and API keys can be right; a part of `check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from ocrqueue.core.api_keys import is_readable
from ocrqueue.core.limits import TenantLimits

Fields = Mapping[str, str]


@dataclass(frozen=True)
class Tenants:
    """As they are read once."""

    records: Mapping[str, Fields]
    reserved: Mapping[str, Fields]
    """By tenant."""
    limits: Fields
    api_keys: Fields
    api_keys_used: Collection[str]
    usage_days: Collection[str]
    """`<day>:<tenant>`"""
    usage_tenants: Mapping[str, float]
    oldest_day: int
    """Before which a day's usage may be there, and its tenant no more among those that have used something."""
    key_rates: Mapping[str, bool]
    """Id of an API key, and whether what is kept of its rate goes by itself."""

    def faults(self) -> Iterator[str]:
        yield from self._reservations()
        for tenant, text in self.limits.items():
            try:
                TenantLimits.model_validate_json(text)
            except ValidationError:
                yield f"the limits of {tenant or 'jobs without a tenant'} cannot be read"
        for key_id, text in self.api_keys.items():
            if not is_readable(key_id, text):
                yield f"what the API key {key_id} permits cannot be read"
        for key_id in sorted(set(self.api_keys_used) - self.api_keys.keys()):
            yield f"the API key {key_id} was used, and is none"
        for key_id, goes in self.key_rates.items():
            if not goes:
                yield f"how often the API key {key_id} was used stays for good"
        for name in self.usage_days:
            day, _, tenant = name.partition(":")
            if int(day) >= self.oldest_day and self.usage_tenants.get(tenant, 0) < int(day):
                yield f"{tenant or 'jobs without a tenant'} used something on day {day}, and is not listed so"

    def _reservations(self) -> Iterator[str]:
        at_work = Counter(fields.get("tenant", "") for fields in self.records.values() if "reserved" in fields)
        for tenant in sorted({*at_work, *self.reserved}):
            counted = int(self.reserved.get(tenant, {}).get("jobs", 0))
            if counted != at_work[tenant]:
                whose = tenant or "no tenant"
                yield f"{at_work[tenant]} jobs of {whose} count towards its limits, and {counted} are counted"
