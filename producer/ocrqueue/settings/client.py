"""Settings that apps, commands and workers share: OCRQUEUE_* variables, a .env file, or files of secrets.

docs/settings.md is generated from this class and from WorkerSettings.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from ocrqueue.settings.per_engine import PerEngine
from ocrqueue.settings.redis_url import sentinels_of
from ocrqueue.settings.urls import mask_password, split_url

ENV_FILE: Final = ".env"
_MIB: Final = 1024 * 1024
_LONGEST_S: Final = 1e9
"""Of a time: thirty years, which every clock can count. Sockets and threads raise OverflowError for more."""
_MOST: Final = 10**12
"""Of a whole number: Redis refuses an expiry that is much later."""
_USUAL_FAILOVER_S: Final = 60.0
"""Sentinels need their down-after-milliseconds, 30 s by default, and some seconds to agree and to promote a replica."""

Names = Annotated[tuple[str, ...], NoDecode]
"""Written as a comma-separated list in the environment."""


def split_names(value: Any) -> Any:
    """A tuple of what stands between commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def networks(value: tuple[str, ...]) -> tuple[str, ...]:
    """The same. Raises ValueError, which names what is no network."""
    for network in value:
        ip_network(network)
    return value


class ClientSettings(BaseSettings):
    """All that an app's client needs. Times are in seconds, sizes in bytes, unless the name says otherwise."""

    model_config = SettingsConfigDict(
        defer_build=True,
        env_prefix="OCRQUEUE_",
        env_file=ENV_FILE,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    # Broker and records
    secrets_dir: Path | None = Field(
        default=None,
        description="Folder of files that are named after settings, such as ocrqueue_redis_url, and hold their values; "
        "the environment has precedence. Set this one only in the environment.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Broker and job records: redis:// or, encrypted, rediss://, with user and password if any; with "
        "Sentinels sentinel://host:26379,host:26379/NAME or, encrypted, sentinels://.",
    )
    key_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_.:-]{0,64}$",
        description="Prefix of every Redis key, queues included: several installations can share one Redis.",
    )
    redis_timeout_s: float = Field(
        default=5.0, gt=0, description="If Redis has not answered after this time, the error is broker.unavailable."
    )
    redis_failover_s: float | None = Field(
        default=None,
        ge=0,
        description="A wait without a timeout goes on for this long while Redis is away; absent: 60 with Sentinels, "
        "else 0. A wait with a timeout goes on until its timeout.",
    )
    redis_max_connections: int = Field(
        default=100,
        ge=4,
        description="Connections to Redis of one client. All waits share two. Every other call needs one while it "
        "runs; if none is left, the error is broker.connections_exhausted: with asyncio after redis_timeout_s, in "
        "which one may become free.",
    )
    submit_replicas: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Replicas of Redis that must have a job before its submission returns (WAIT). If fewer have it, "
        "the job is queued all the same, and the app gets broker.not_replicated. 0: do not wait for any.",
    )
    submit_replicas_timeout_s: float = Field(default=1.0, gt=0, description="Longest wait for them, for each 500 jobs.")
    record_ttl_s: int = Field(
        default=86_400, ge=60, description="A job's record is kept this long after its end, unless it has failed."
    )
    ended_ttl_s: int = Field(
        default=604_800,
        ge=60,
        description="The id of an ended job is remembered this long, even without its record: nobody works on it "
        "again.",
    )
    idempotency_ttl_s: int = Field(default=86_400, ge=1, description="An idempotency key is remembered this long.")
    dead_letter_ttl_s: int = Field(
        default=2_592_000, ge=60, description="A failed job is kept this long. Until then it can be replayed."
    )
    cache_ttl_s: int = Field(
        default=604_800, ge=0, description="The result of an image is remembered this long; 0 turns the cache off."
    )
    intake_url: SecretStr = Field(
        default=SecretStr(""),
        description="RabbitMQ from which `ocrqueue intake` takes in jobs that were sent by name: amqp:// or, "
        "encrypted, amqps://, with user and password.",
    )

    # Jobs
    default_engine: str = Field(default="tesseract", description="Engine of jobs that name none.")
    default_languages: Names = Field(default=("eng",), description="Languages of jobs that name none.")
    engines: Names = Field(
        default=("tesseract", "keras", "rapid", "vision", "null"),
        description="Engines that accept jobs even while they have no worker.",
    )
    max_queue_length: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(100_000),
        description="Jobs that may wait for one engine, in its three lanes; more are refused: queue.full. 0: no limit.",
    )
    gateway_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Of the gateway, for API keys whose requests are signed: their secrets are made of it and stored "
        "nowhere. 32 characters or more, the same on all replicas and where keys are created.",
    )

    # Several engines for one job
    auto_engines: Names = Field(
        default=("tesseract", "rapid"),
        description="Candidates for jobs with the engine `auto`, the preferred one first.",
    )
    engines_on_demand: Names = Field(
        default=(),
        description="Engines whose workers are started when jobs wait for them: jobs with auto or fallback go to them "
        "even without a worker.",
    )
    auto_policy: Literal["order", "shortest", "cheapest"] = Field(
        default="order",
        description="Which of them has the first turn. order: the first that can read the job. shortest: the one whose "
        "queue is empty first. cheapest: by engine_page_cost. Those after it in auto_engines follow as fallback.",
    )
    engine_languages: str = Field(
        default="keras=eng",
        pattern=r"^(\s*[a-z][a-z0-9_-]*\s*=\s*[A-Za-z0-9_/]+(\s*\+\s*[A-Za-z0-9_/]+)*\s*(,|$))*$",
        description="Languages of engines without a live worker: keras=eng,other=eng+kor; an engine that is not named "
        "reads any.",
    )
    engine_page_cost: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(0, {"vision": 150}),
        description="What 1,000 pages cost, in hundredths of your currency: 150 is $1.50.",
    )

    # Confidences
    fallback_low_word: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(60), description="A word below this confidence in percent is uncertain."
    )
    calibration: str = Field(
        default="shipped",
        min_length=1,
        description="Table by which confidences are calibrated. shipped: the package's. none: confidences stay as the "
        "engines give them. Or the file of your own, for the engines in it (docs/calibration.md).",
    )

    # Storage
    storage: str = Field(
        default="s3://ocrqueue",
        description="Where results go: s3://bucket/prefix, or file:///folder (one machine or a shared mount).",
    )
    s3_endpoint: str | None = Field(
        default=None, description="URL of an S3-compatible server; absent: AWS, or AWS_ENDPOINT_URL_S3."
    )
    s3_region: str | None = Field(default=None, description="Region; absent: as the AWS SDK finds it, else us-east-1.")
    s3_access_key_id: SecretStr | None = Field(
        default=None,
        description="Access key of this installation's S3 account; absent: the AWS SDK finds the keys.",
    )
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Secret key of s3_access_key_id.")
    s3_session_token: SecretStr | None = Field(
        default=None, description="Session token, if these are temporary credentials."
    )
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="Bucket in the path or in the host name; auto: path off AWS."
    )
    s3_timeout_s: float = Field(
        default=20.0, gt=0, description="Longest silence of the S3 server; then the attempt ends."
    )
    s3_attempts: int = Field(default=4, ge=1, le=20, description="Attempts of one S3 request, with backoff.")
    upload_threads: int = Field(
        default=8, ge=1, le=64, description="Parallel uploads of one worker child, and of one submit_many."
    )

    # Images
    source_max_bytes: int = Field(default=100 * _MIB, ge=1, description="Largest file that is fetched.")
    image_max_pixels: int = Field(default=75_000_000, ge=1, description="Pixels of one page.")
    pdf_page_timeout_s: float = Field(default=60.0, gt=0, description="Drawing one page of a PDF.")

    # Delivery
    delivery_cap: int = Field(
        default=3, ge=1, le=100, description="Deliveries of a job whose worker died, before it is job.poison."
    )
    shutdown_grace_s: int = Field(
        default=10, ge=0, description="After SIGTERM, time to finish what runs; the rest goes back to the queue."
    )
    lost_after_s: float = Field(
        default=15.0,
        gt=0,
        description="A running job without a heartbeat for this long counts as lost, and is queued again. "
        "Its worker's own setting counts, whoever finds it.",
    )
    reconcile_interval_s: float = Field(
        default=5.0,
        gt=0,
        description="Pause between two rounds of `ocrqueue reconcile --loop`; a quarter of lost_after_s at most.",
    )
    worker_heartbeat_s: float = Field(default=5.0, gt=0, description="Time between two heartbeats of a worker.")

    # Webhooks
    webhook_schemes: Names = Field(default=("https", "http"), description="Schemes of URLs that are told of ends.")
    webhook_hosts: Names = Field(
        default=(), description="Hosts that are told of ends, `*.example.org` for subdomains; empty: any."
    )
    webhook_allow_private_addresses: bool = Field(
        default=False, description="Let webhooks reach private, loopback and link-local addresses."
    )
    webhook_allowed_networks: Names = Field(
        default=(), description="Networks in CIDR form (10.1.0.0/16) that webhooks may reach although they are private."
    )
    webhook_timeout_s: float = Field(
        default=15.0, gt=0, le=300, description="A receiver that has not answered by then has failed, this time."
    )

    # Monitoring
    tracing: Literal["off", "otlp"] = Field(
        default="off",
        description="otlp: OpenTelemetry spans, to the collector in OTEL_EXPORTER_OTLP_ENDPOINT (http/protobuf).",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        folder = os.environ.get("OCRQUEUE_SECRETS_DIR", "")
        # images name the folder whether or not anything is mounted there
        secrets = (SecretsSettingsSource(settings_cls, folder),) if folder and Path(folder).is_dir() else ()
        return (init_settings, env_settings, dotenv_settings, *secrets)

    @field_validator(
        "auto_engines",
        "engines_on_demand",
        "default_languages",
        "engines",
        "webhook_schemes",
        "webhook_hosts",
        "webhook_allowed_networks",
        mode="before",
    )
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return split_names(value)

    @field_validator("*")
    @classmethod
    def _countable(cls, value: Any) -> Any:
        if isinstance(value, float) and not abs(value) <= _LONGEST_S:
            raise ValueError(f"must be a number, and at most {_LONGEST_S:,.0f}")
        if isinstance(value, int) and abs(value) > _MOST:
            raise ValueError(f"must be at most {_MOST:,}")
        return value

    @field_validator("webhook_allowed_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return networks(value)

    @field_validator("storage")
    @classmethod
    def _storage_scheme(cls, value: str) -> str:
        parts = split_url(value)
        is_folder = parts.path.startswith("/") and parts.path.strip("/") != ""
        if (parts.scheme == "s3" and parts.netloc) or (parts.scheme == "file" and is_folder):
            return value.rstrip("/")
        raise ValueError("must be s3://bucket/prefix or file:///folder")

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if sentinels_of(url) is None:
            parts = split_url(url)
            if parts.scheme not in {"redis", "rediss"}:
                raise ValueError("must begin with redis://, rediss://, sentinel:// or sentinels://")
            # redis-py takes any other path for database 0
            if not re.fullmatch(r"/?|/[0-9]{1,9}/?", parts.path, re.ASCII):
                raise ValueError("must end in /NUMBER, the number of a database, or name none")
        return value

    @model_validator(mode="after")
    def _whole_credentials(self) -> Self:
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError("s3_access_key_id and s3_secret_access_key go together")
        if self.s3_session_token is not None and self.s3_access_key_id is None:
            raise ValueError("s3_session_token goes with s3_access_key_id and s3_secret_access_key")
        return self

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.record_ttl_s > self.ended_ttl_s:
            raise ValueError(
                f"record_ttl_s ({self.record_ttl_s}) must not be above ended_ttl_s ({self.ended_ttl_s}), "
                "or a record outlives the memory of its job's end"
            )
        if self.worker_heartbeat_s * 2 > self.lost_after_s:
            raise ValueError(
                f"lost_after_s ({self.lost_after_s}) must be at least twice worker_heartbeat_s "
                f"({self.worker_heartbeat_s}), or a healthy job is taken for lost"
            )
        if self.submit_replicas and self.submit_replicas_timeout_s * 4 > self.redis_timeout_s:
            raise ValueError(
                f"submit_replicas_timeout_s ({self.submit_replicas_timeout_s}) must be at most a quarter of "
                f"redis_timeout_s ({self.redis_timeout_s}), or a wait for replicas is taken for a Redis that is silent"
            )
        return self

    @property
    def longest_outage_s(self) -> float:
        """For which who waits for jobs waits on."""
        if self.redis_failover_s is not None:
            return self.redis_failover_s
        return _USUAL_FAILOVER_S if sentinels_of(self.redis_url.get_secret_value()) else 0.0

    def masked(self) -> dict[str, str]:
        """Every setting as text, passwords replaced by ***."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: _as_text(name, value) for name, value in values.items()}


def _as_text(name: str, value: object) -> str:
    if isinstance(value, SecretStr):
        return mask_password(value.get_secret_value()) if name.endswith("_url") else "***"
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else mask_password(str(value)) if name == "s3_endpoint" else str(value)
