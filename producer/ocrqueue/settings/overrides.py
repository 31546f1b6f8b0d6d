"""The settings that an app may give its client in code, as type checkers and editors know them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

from pydantic import SecretStr

from ocrqueue.settings.per_engine import PerEngine


class ClientOverrides(TypedDict, total=False):
    """Fields of ClientSettings; docs/settings.md says what each does."""

    secrets_dir: str | Path | None
    redis_url: str | SecretStr
    key_prefix: str
    redis_timeout_s: float
    redis_failover_s: float | None
    redis_max_connections: int
    submit_replicas: int
    submit_replicas_timeout_s: float
    record_ttl_s: int
    ended_ttl_s: int
    idempotency_ttl_s: int
    dead_letter_ttl_s: int
    cache_ttl_s: int
    calibration: str
    intake_url: str | SecretStr
    default_engine: str
    default_languages: Sequence[str] | str
    engines: Sequence[str] | str
    max_queue_length: int | str | PerEngine
    gateway_secret: str | SecretStr | None
    auto_engines: Sequence[str] | str
    engines_on_demand: Sequence[str] | str
    auto_policy: Literal["order", "shortest", "cheapest"]
    engine_languages: str
    engine_page_cost: int | str | PerEngine
    fallback_low_word: int | str | PerEngine
    storage: str
    s3_endpoint: str | None
    s3_region: str | None
    s3_access_key_id: str | SecretStr | None
    s3_secret_access_key: str | SecretStr | None
    s3_session_token: str | SecretStr | None
    s3_addressing: Literal["auto", "path", "virtual"]
    s3_timeout_s: float
    s3_attempts: int
    upload_threads: int
    source_max_bytes: int
    image_max_pixels: int
    pdf_page_timeout_s: float
    delivery_cap: int
    shutdown_grace_s: int
    lost_after_s: float
    reconcile_interval_s: float
    worker_heartbeat_s: float
    webhook_schemes: Sequence[str] | str
    webhook_hosts: Sequence[str] | str
    webhook_allow_private_addresses: bool
    webhook_allowed_networks: Sequence[str] | str
    webhook_timeout_s: float
    tracing: Literal["off", "otlp"]
