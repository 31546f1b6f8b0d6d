"""Whether the notices of webhooks are where their fields say; a part of `check`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Fields = Mapping[str, str]
Scores = Mapping[str, float]


@dataclass(frozen=True)
class Notices:
    """As they are read once. `lives`: whether a notice is kept for a while only."""

    notices: Mapping[str, Fields]
    lives: Mapping[str, bool]
    lanes: Mapping[str, Scores]
    in_hand: Mapping[str, Scores]
    going_well: Scores
    failing: Scores
    of_jobs: Mapping[str, Scores]
    failed: Scores

    def faults(self) -> Iterator[str]:
        where: dict[str, list[str]] = {}
        for lane, waiting in self.lanes.items():
            for notice in waiting:
                where.setdefault(notice, []).append(lane)
        for notice, fields in self.notices.items():
            expected = [] if "state" in fields else [notice_lane(fields)]
            if (found := where.pop(notice, [])) != expected:
                yield f"the notice {notice} is expected in {expected}, and waits in {found}"
            yield from self._fields_fit(notice, fields)
        for notice, found in where.items():
            yield f"{notice} waits in {found}, and is no notice"
        yield from self._lists_fit()
        yield from self._lanes_are_looked_at()

    def _fields_fit(self, notice: str, fields: Fields) -> Iterator[str]:
        state = fields.get("state", "pending")
        if (state == "pending") == self.lives.get(notice, False):
            yield f"the notice {notice} is {state}, and {'expires' if state == 'pending' else 'stays for good'}"
        if state == "pending" and "job" in fields and notice not in self.of_jobs.get(fields["job"], {}):
            yield f"the notice {notice} is not among those of its job"
        if state != "pending" and "token" in fields:
            yield f"the notice {notice} is {state}, and in hand"

    def _lists_fit(self) -> Iterator[str]:
        for lane, taken in self.in_hand.items():
            for notice in taken.keys() - self.lanes.get(lane, {}).keys():
                yield f"the notice {notice} is in hand, and not in {lane}"
        for notice in self.failed:
            if self.notices.get(notice, {}).get("state", "failed") != "failed":
                yield f"the notice {notice} has not failed, and is listed so"

    def _lanes_are_looked_at(self) -> Iterator[str]:
        for lane in sorted({*self.lanes, *self.going_well, *self.failing}):
            found = (lane in self.going_well) + (lane in self.failing)
            if found != (lane in self.lanes):
                waits = "notices wait" if lane in self.lanes else "no notice waits"
                yield f"in {lane} {waits}, and it is looked at {found} times"


def notice_lane(fields: Fields) -> str:
    """See scripts/shared/webhooks.lua."""
    scheme, _, rest = fields.get("url", "").partition("://")
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    place = f"{scheme}://{host}".lower() if scheme and host else ""
    return f"{fields.get('tenant', '')} {place}"
