"""Every Redis key of ocrqueue. All begin with the setting `key_prefix` (empty by default).

A job has one part, or, once it was split, an opening part, page parts and a closing part. A part is named `<job>`, a
page part `<job>:<number>`. Every part is in exactly one place: waiting in a lane, in a worker's hand, delayed until it
is due, or done. `ocrqueue check` holds the keys to that.

| key | type | holds | kept |
| --- | --- | --- | --- |
| `ocrqueue:job:<id>` | hash | the job's record, fields below | its end, then `record_ttl_s` or `dead_letter_ttl_s` |
| `ocrqueue:part:<id>:<number>` | hash | a page part: the fields of its place and attempts | until it is done |
| `ocrqueue:lane:<lane>` | sorted set | tenant, unless paused -> its virtual tag: who is next | while somebody waits |
| `ocrqueue:queue:<lane>:<tenant>` | sorted set | part -> its sequence number | while one waits |
| `ocrqueue:waiting` | hash | lane -> parts that wait in it | for good |
| `ocrqueue:turns` | hash | lane -> its virtual time; `<kind>:<name>` paused -> since when, and why | for good |
| `ocrqueue:side_lanes` | set | lanes `<lane>/<who may take from it>`: `side_lanes` | while one waits there |
| `ocrqueue:departed:<lane>` | sorted set | tenant that left the lane ahead of its time -> its tag | until then |
| `ocrqueue:weights` | hash | tenant -> its share of a lane; 1 where none is given | for good |
| `ocrqueue:sequence` | string | the last sequence number given | for good |
| `ocrqueue:bell:<lane>` | list | one entry at most: somebody who listens is to look | until heard |
| `ocrqueue:leases` | sorted set | part in a worker's hand -> when its lease runs out | until it is let go |
| `ocrqueue:hand:<holder>` | hash | token of a TAKE -> lane and parts, for its answer may be lost | until one is begun |
| `ocrqueue:delayed` | sorted set | part -> when its pause before the next attempt is over | until then |
| `ocrqueue:open:<id>` | set | the page parts of a split job that are not done and have a place | until the job's end |
| `ocrqueue:parts:<id>` | hash | number of a page part that is done -> its error, empty for none | until the job's end |
| `ocrqueue:ended_ids:<day>` | set | ids that ended then; `<id> deleted`, `<id> @<tenant>` | `ended_ttl_s` + a day |
| `ocrqueue:ended_days` | set | the days that have such a set | for good |
| `ocrqueue:leftovers` | set | ids that had begun and ended without a result: what is stored is to go | until then |
| `ocrqueue:by_state:<state>` | sorted set | `<id>` or `<id> <tenant>/<batch> <code> <tag>` -> when | as its record |
| `ocrqueue:by_tag:<tag>` | sorted set | id of a job -> when it was submitted, and then when it ended | as its record |
| `ocrqueue:by_tenant:<tenant>` | sorted set | the same | as its record |
| `ocrqueue:batch:<tenant>:<name>` | hash | how many of its jobs have become what: `batches` | as its last record |
| `ocrqueue:by_batch:<tenant>:<name>` | sorted set | id of a job -> its sequence when it was submitted | as its record |
| `ocrqueue:split` | sorted set | id of a job that was split -> when | until the job's end |
| `ocrqueue:audit` | hash | `<run>` -> an action on many jobs, `<run>:jobs`, `<run>:ended`: `audit` | the last 1000 |
| `ocrqueue:actions` | sorted set | id of an action that is not done -> when its lease runs out | until done |
| `ocrqueue:action:<id>` | hash | an action that nobody waits for: `actions` | its end, then `record_ttl_s` |
| `ocrqueue:deleted` | sorted set | `<id> <image's name>` of a deleted job, in storage still -> when | until then |
| `ocrqueue:dead` | sorted set | id -> when it failed: the dead letters | `dead_letter_ttl_s` |
| `ocrqueue:reclaim` | hash | `last` round or heartbeat, `grace_until`: no lease is overdue before | for good |
| `ocrqueue:duty` | string | holder whose worker reclaims for all | a few heartbeats |
| `ocrqueue:replication` | string | which life of Redis's data it is: 8 digits of the id that INFO tells | for good |
| `ocrqueue:once:<sha256>` | string | of an idempotency key: `<id> <fingerprint>` of its job | `idempotency_ttl_s` |
| `ocrqueue:claim:<sha256>` | string | of a request by HTTP: what was made, or `pending` | `idempotency_ttl_s` |
| `ocrqueue:operation:<sha256>` | string | JSON of a cloud client's request that is answered later | `record_ttl_s` |
| `ocrqueue:session:<sha256>` | string | of a browser's token: id of the key that it signed in with | hours |
| `ocrqueue:read:<cache key>` | string | URI of the result.json of an image read before | `cache_ttl_s` |
| `ocrqueue:input:<half a sum>` | sorted set | job that refers to an uploaded image -> until when | until the latest |
| `ocrqueue:removal:<name>` | string | of an image, or a job's results: who removes them from storage | until done |
| `ocrqueue:ended:<engine>` | hash | number of a 10 s period -> jobs that ended in it, for the rate | 5 minutes |
| `ocrqueue:pages:<engine>` | hash | the same for pages that the engine read | 5 minutes |
| `ocrqueue:waits:<engine>` | hash | `<period>:<bucket>` -> jobs by how long they waited: `recent_counts` | 5 minutes |
| `ocrqueue:errors:<engine>` | hash | `<period>:<code>` -> jobs that failed with it | 5 minutes |
| `ocrqueue:minute:<minute>` | hash | `<engine>:ended`, `:pages`, `:failed` -> how many in it | 25 hours |
| `ocrqueue:usage:<day>:<tenant>` | hash | jobs, pages, cpu_s, bytes, cost of that day since 1970 | 400 days |
| `ocrqueue:month:<tenant>` | hash | `pages`, `cost` of the days of this month before `day` | a day |
| `ocrqueue:usage_tenants` | sorted set | tenant -> the last day on which it has used something | 400 days |
| `ocrqueue:limits` | hash | tenant -> JSON of its TenantLimits: `limits` | for good |
| `ocrqueue:reserved:<tenant>` | hash | `jobs` at work that count for its month, their `cost` | while one is |
| `ocrqueue:rate:<tenant>` | hash | `tokens`: jobs that it may submit now; `at`: counted when | until it is full |
| `ocrqueue:api_keys` | hash | id -> JSON of an ApiKey, with a sum of what was shown: `api_keys` | until revoked |
| `ocrqueue:api_keys_used` | hash | id -> ms when last used, to the minute | as its key |
| `ocrqueue:key_rate:<id>` | hash | `tokens`: requests that the API key may make now; `at` | until it is full |
| `ocrqueue:bucket:<engine>` | hash | `tokens`: requests that its service may get; `at`: counted when | a day idle |
| `ocrqueue:billed:<engine>` | hash | month such as 2026-02 -> images that the engine's service was given | for good |
| `ocrqueue:admitted:<id>` | string | `<month>:<images>` of one request to the service, to be taken back | 10 minutes |
| `ocrqueue:workers` | hash | holder -> `<ms when last seen> <JSON of WorkerInfo>` | pruned when read |
| `ocrqueue:drain:<holder>` | string | 1: this worker must end when its parts in hand have ended | `record_ttl_s` |
| `ocrqueue:secret:<id>` | string | the password of the job's PDF | until the job's end |
| `ocrqueue:revoked:<id>` | string | 1: revoked while nobody knew it; its message ends as cancelled | a day |
| `ocrqueue:children` | hash | lane -> children of live workers that take from it: a batch's share | while there are |
| `ocrqueue:webhooks` | hash | tenant -> the URL that is told of ends of its jobs and batches | for good |
| `ocrqueue:webhook_secrets` | hash | tenant -> its secrets as JSON, the newest first; two at most | for good |
| `ocrqueue:webhooks_off` | sorted set | `<tenant> <sha1 of URL>` that answered 410 -> when | the newest 10,000 |
| `ocrqueue:notice:<notice>` | hash | what is to be told of an end, fields below | until told, then a while |
| `ocrqueue:notices:<tenant> <host>` | sorted set | notice -> when it is due, or its lease ends | while one waits |
| `ocrqueue:notices_in_hand:<tenant> <host>` | sorted set | notice -> when its sender's lease ends | until settled |
| `ocrqueue:notices_taken:<token>` | list | what a sender claimed, for its answer may be lost | a lease |
| `ocrqueue:notice_lanes` | sorted set | `<tenant> <host>` -> when to look there | while a notice waits |
| `ocrqueue:notice_lanes_failing` | sorted set | the same, of those whose last attempt failed | while one waits |
| `ocrqueue:notices_failed` | sorted set | notice that nobody took -> when it was given up | `dead_letter_ttl_s` |
| `ocrqueue:notices_of:<id>` | sorted set | notice of a job -> until when it is kept | as its last notice |
| `ocrqueue:bucket_events` | hash | submitted, known, ignored -> how many events of buckets became that | for good |
| `ocrqueue:events:<0-15>` | channel | `<id> <state> <pages done>/<pages>` when a job moves on | - |
| `ocrqueue:cancel` | channel | `<part> <token>` of a part under way that is to stop | - |
| `ocr.<engine>`, `.high`, `.low` | list | messages of foreign Celery apps, until they are taken in | until then |
| `ocrqueue:aside:<list>` | list | messages that came to that list, and that Redis did not take in | for good |
| `_kombu.*` | | Celery's own: broadcasts of its remote control | - |
| `celery-task-meta-<task id>` | string | the end of a job sent by name, as Celery stores results | `record_ttl_s` |

Fields of a record. Times are milliseconds since 1970 by Redis's own clock, so that no machine's clock counts.

| field | holds | present |
| --- | --- | --- |
| `state` | queued, running, succeeded, partial, failed or cancelled | always |
| `job` | the Job as JSON | always |
| `queued_at` | time of submission | always |
| `tenant`, `tag`, `batch`, `reply_to`, `webhook` | the job's, to be found without reading its JSON | where it has one |
| `by_name` | the task id by which a foreign Celery app sent it, and may hold an AsyncResult | always, for such a job |
| `reserved` | what a page costs at most; it counts towards its tenant's limits a month | until the end, if so |
| `routed` | 1: more than one engine may read it | always, for such a job |
| `input` | 1: its image was uploaded, and it is among those that refer to it | always, for such a job |
| `secret` | 1: its password is at a key of its own | until the end, for such a job |
| `trace` | the traceparent of the span that submitted it | always, for such a job |
| `started_at` | time of the first start; once started after a replay, of that | once started |
| `restarted_at` | time of the newest start of a part or an attempt | if later |
| `finished_at` | time of the end | after the end |
| `queue_wait_ms` | from submission to the first start | once started |
| `worker` | name of the newest worker | once started |
| `progress` | `<pages done>/<pages>` | while running, and of a job that was cancelled |
| `cancel` | 1: stop at the next step | while running, if asked for |
| `outcome` | JSON of Outcome | after the end |
| `ended_by` | token of the part whose worker ended it | after such an end |
| `read` | cache keys under which readings of its are remembered | once one is |
| `code` | the error's, of a job that failed | after such an end |
| `history` | JSON of the Outcomes before each replay, a line each, the newest 20 | once replayed |
| `log` | JSON of the attempts before the last one, and of replays, a line each, the newest 32 | once there is one |
| `pages_log` | the same of pages that were read, the newest 32 | once one was, of a split job |
| `replayed` | 1 | once replayed |
| `replication` | as `ocrqueue:replication` was at its submission, before which no result was stored | for a new id |
| `parts`, `open` | page parts, and how many of them are not done | once split |
| `next_part`, `pin` | the next to get a place; what the source was when it was split | once split |
| `idle` | page parts that wait or pause | once split |
| `closing` | 1: the part of this name gathers the pages | once all page parts are done |

Fields of a part, in the record of a job of one part, else in the part's own hash.

| field | holds | present |
| --- | --- | --- |
| `place` | waiting, hand, delayed, split or done | always |
| `lane`, `sequence` | where it belongs, and its place there | until it is done |
| `kind` | what parts have in common that one call of an engine can read | always |
| `token`, `holder` | of the TAKE that it was taken by: the fence, and the worker's instance | in a hand |
| `takes` | how often it was taken without having been begun | until it is begun |
| `begun` | when the attempt began | while it is under way |
| `attempts` | starts so far | once started |
| `deliveries` | starts since the last orderly end of an attempt: what the cap counts | from a start on |
| `retries` | attempts that ended with a retryable error | once one has |
| `error` | JSON of the error that the next attempt is for | while waiting for it |
| `together` | 1: taken with others of its kind, in a batch | in a hand |
| `worker` | of a page part: name of the worker of its newest attempt | once started |
| `alone` | 1: not to be read together with others | once a batch was lost with it |
| `sidesteps` | how often it was moved to a side lane | once it was |
| `poison` | 1: not to be read; the next engine of the route has its turn | once it has taken its workers down |
| `job` | of a page part: the Job as JSON, as it goes on with this page | once it was sent on |
| `step` | how many engines of the route have had their turn | once one has |
| `denied` | 1: a worker whose own access is as it should be was denied access for it | once it was |

Fields of a notice.

| field | holds | present |
| --- | --- | --- |
| `tenant`, `url` | whose it is, and who is told | always |
| `made_at`, `attempts` | when, or when replayed; how often it was tried since | always |
| `job`, `outcome` | of the end of a job: its id, and JSON of its Outcome | of a job |
| `tag`, `batch`, `queued_at`, `started_at`, `finished_at` | as in its record at its end | where it has them |
| `batch`, `jobs`, `succeeded`, `partial`, `failed`, `cancelled`, `finished_at` | its counts at its end | of a batch |
| `token` | of the claim that a sender has it by | in a hand |
| `log` | JSON of the attempts, a line each, the newest 32 | once there was one |
| `state`, `ended_at` | delivered or failed; since when | once it is |

Fields of a batch.

| field | holds | present |
| --- | --- | --- |
| `jobs` | all jobs that were ever in it | always |
| `succeeded`, `partial`, `failed`, `cancelled` | those that have ended so | once one has |
| `running` | those that are in that state now | once one was |
| `created_at`, `closed_at`, `ended_at` | times; ended: closed, and its last job has ended | always; once it is |
| `until` | when the last of the records of ended jobs goes | once one has ended |
| `reply_to`, `reply` | the queue that is told of its end, and the message | where one is |
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

EVENT_CHANNELS: Final = 16


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one installation."""

    prefix: str = ""

    @property
    def root(self) -> str:
        """What stands before every key of ocrqueue's own."""
        return f"{self.prefix}ocrqueue:"

    def record(self, job_id: str) -> str:
        return f"{self.root}job:{job_id}"

    def part(self, part: str) -> str:
        """The hash that has the part's place: a page part's own, or the job's record."""
        return f"{self.root}part:{part}" if ":" in part else self.record(part)

    def lane(self, lane: str) -> str:
        return f"{self.root}lane:{lane}"

    def queue(self, lane: str, tenant: str) -> str:
        return f"{self.root}queue:{lane}:{tenant}"

    def waiting(self) -> str:
        return f"{self.root}waiting"

    def turns(self) -> str:
        return f"{self.root}turns"

    def weights(self) -> str:
        return f"{self.root}weights"

    def bell(self, lane: str) -> str:
        return f"{self.root}bell:{lane}"

    def side_lanes(self) -> str:
        return f"{self.root}side_lanes"

    def leases(self) -> str:
        return f"{self.root}leases"

    def hand(self, holder: str) -> str:
        return f"{self.root}hand:{holder}"

    def delayed(self) -> str:
        return f"{self.root}delayed"

    def open_parts(self, job_id: str) -> str:
        return f"{self.root}open:{job_id}"

    def parts_done(self, job_id: str) -> str:
        return f"{self.root}parts:{job_id}"

    def ended_ids(self, day: str) -> str:
        return f"{self.root}ended_ids:{day}"

    def ended_days(self) -> str:
        return f"{self.root}ended_days"

    def leftovers(self) -> str:
        return f"{self.root}leftovers"

    def by_state(self, state: str) -> str:
        return f"{self.root}by_state:{state}"

    def by_tag(self, tag: str) -> str:
        return f"{self.root}by_tag:{tag}"

    def by_tenant(self, tenant: str) -> str:
        return f"{self.root}by_tenant:{tenant}"

    def batch(self, tenant: str, name: str) -> str:
        return f"{self.root}batch:{tenant}:{name}"

    def by_batch(self, tenant: str, name: str) -> str:
        return f"{self.root}by_batch:{tenant}:{name}"

    def split(self) -> str:
        return f"{self.root}split"

    def audit(self) -> str:
        return f"{self.root}audit"

    def action(self, action_id: str) -> str:
        return f"{self.root}action:{action_id}"

    def deleted(self) -> str:
        return f"{self.root}deleted"

    def dead(self) -> str:
        return f"{self.root}dead"

    def replication(self) -> str:
        return f"{self.root}replication"

    def once(self, tenant: str, idempotency_key: str) -> str:
        return f"{self.root}once:{once_hash(tenant, idempotency_key)}"

    def claim(self, tenant: str, kind: str, idempotency_key: str) -> str:
        return f"{self.root}claim:{once_hash(tenant, f'{kind} {idempotency_key}')}"

    def operation(self, tenant: str, name: str) -> str:
        return f"{self.root}operation:{once_hash(tenant, name)}"

    def session(self, summed: str) -> str:
        return f"{self.root}session:{summed}"

    def read(self, cache_key: str) -> str:
        return f"{self.root}read:{cache_key}"

    def ended(self, engine: str) -> str:
        return f"{self.root}ended:{engine}"

    def pages(self, engine: str) -> str:
        return f"{self.root}pages:{engine}"

    def waits(self, engine: str) -> str:
        return f"{self.root}waits:{engine}"

    def errors(self, engine: str) -> str:
        return f"{self.root}errors:{engine}"

    def usage(self, day: int, tenant: str) -> str:
        return f"{self.root}usage:{day}:{tenant}"

    def usage_tenants(self) -> str:
        return f"{self.root}usage_tenants"

    def limits(self) -> str:
        return f"{self.root}limits"

    def reserved(self, tenant: str) -> str:
        return f"{self.root}reserved:{tenant}"

    def rate(self, tenant: str) -> str:
        return f"{self.root}rate:{tenant}"

    def api_keys(self) -> str:
        return f"{self.root}api_keys"

    def api_keys_used(self) -> str:
        return f"{self.root}api_keys_used"

    def key_rate(self, key_id: str) -> str:
        return f"{self.root}key_rate:{key_id}"

    def minute(self, minute: int) -> str:
        return f"{self.root}minute:{minute}"

    def bucket(self, engine: str) -> str:
        return f"{self.root}bucket:{engine}"

    def billed(self, engine: str) -> str:
        return f"{self.root}billed:{engine}"

    def admitted(self, admission: str) -> str:
        return f"{self.root}admitted:{admission}"

    def workers(self) -> str:
        return f"{self.root}workers"

    def revoked(self, job_id: str) -> str:
        return f"{self.root}revoked:{job_id}"

    def secret(self, job_id: str) -> str:
        return f"{self.root}secret:{job_id}"

    def drain(self, holder: str) -> str:
        return f"{self.root}drain:{holder}"

    def input(self, name: str) -> str:
        """The first half of the sum that the name is made of tells images apart, and takes half the memory."""
        return f"{self.root}input:{name[:32]}"

    def removal(self, name: str) -> str:
        return f"{self.root}removal:{name}"

    def departed(self, lane: str) -> str:
        return f"{self.root}departed:{lane}"

    def children(self) -> str:
        return f"{self.root}children"

    def webhooks(self) -> str:
        return f"{self.root}webhooks"

    def webhook_secrets(self) -> str:
        return f"{self.root}webhook_secrets"

    def webhooks_off(self) -> str:
        return f"{self.root}webhooks_off"

    def bucket_events(self) -> str:
        return f"{self.root}bucket_events"

    def notice(self, notice: str) -> str:
        return f"{self.root}notice:{notice}"

    def notices(self, lane: str) -> str:
        return f"{self.root}notices:{lane}"

    def notices_in_hand(self, lane: str) -> str:
        return f"{self.root}notices_in_hand:{lane}"

    def notice_lanes(self, *, failing: bool) -> str:
        return f"{self.root}notice_lanes{'_failing' if failing else ''}"

    def notices_failed(self) -> str:
        return f"{self.root}notices_failed"

    def notices_of(self, job_id: str) -> str:
        return f"{self.root}notices_of:{job_id}"

    def events(self, job_id: str) -> str:
        """The channel that tells of this job: a few shared ones, so that nobody subscribes once a job."""
        return f"{self.root}events:{sum(job_id.encode()[-4:]) % 16}"

    def cancel(self) -> str:
        return f"{self.root}cancel"

    def foreign(self, queue: str) -> str:
        """The list that a foreign Celery app pushes messages for this queue to."""
        return f"{self.prefix}{queue}"

    def aside(self, queue: str) -> str:
        """The list for what came to that one and can be made no job of."""
        return f"{self.root}aside:{queue}"


def once_hash(tenant: str, idempotency_key: str) -> str:
    """Two tenants' keys never meet: a tenant's name holds no line break."""
    return hashlib.sha256(f"{tenant}\n{idempotency_key}".encode()).hexdigest()
