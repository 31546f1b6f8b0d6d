"""What one replica of the gateway is set to, by OCRQUEUE_GATEWAY_* variables or the program's options."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from ocrqueue.errors import SettingsInvalid
from ocrqueue.job import describe_validation_error

_MIB: Final = 1024 * 1024
_FORM_BYTES: Final = 256 * 1024

Names = Annotated[tuple[str, ...], NoDecode]
"""Written as a comma-separated list in the environment."""


class GatewaySettings(BaseSettings):
    """Where it listens, and what it takes. Redis and storage are set as for every app: `ocrqueue.settings`."""

    model_config = SettingsConfigDict(
        env_prefix="OCRQUEUE_GATEWAY_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # Where it listens
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8787, ge=0, le=65535, description="Port to listen on; 0: any that is free.")
    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file with the certificate, and those between it and the authority: it then speaks HTTPS. "
        "Empty: it does not, or a proxy before it does.",
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the certificate's key, if it is another one.")
    allow_no_keys: bool = Field(
        default=False,
        description="Answer requests without an API key although others than this machine reach it. Then whoever "
        "reaches it may do everything.",
    )
    require_keys: bool = Field(
        default=False,
        description="Ask for an API key on this machine, too: behind a proxy on it, which could be taken for a program "
        "here.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Names under which it is reached, such as ocr.example.org,*.example.org; other Host headers are "
        "refused. Empty: any.",
    )
    cors_origins: Names = Field(
        default=(), description="Origins whose pages may call it from a browser; empty: none, and * stands for all."
    )

    session_ttl_s: int = Field(
        default=43_200,
        ge=60,
        le=2_592_000,
        description="Seconds after which a browser has to sign in again. A session ends with its key, too.",
    )

    # What it takes
    max_body_bytes: int = Field(
        default=100 * _MIB,
        ge=1,
        description="Largest file that can be sent in a request; larger ones are answered 413.",
    )
    max_json_bytes: int = Field(default=1 * _MIB, ge=1024, description="Largest JSON body, which is held in memory.")
    max_batch_bytes: int = Field(default=256 * _MIB, ge=1024, description="Largest body of a batch, in JSON Lines.")
    max_batch_jobs: int = Field(default=50_000, ge=1, description="Most lines of a batch.")
    max_header_bytes: int = Field(
        default=32_768, ge=4096, description="Request line and headers together; more are answered 431 or cut off."
    )
    body_timeout_s: float = Field(
        default=30.0, gt=0, description="A request whose body does not go on for so long is answered 408, and cut off."
    )
    body_min_rate_bytes: int = Field(
        default=1024,
        ge=0,
        description="A body that comes with fewer bytes a second, after body_timeout_s, is cut off. 0: no limit.",
    )
    max_wait_s: float = Field(
        default=60.0, ge=0, description="Longest wait of one request; who asks for a longer one waits so long."
    )
    upload_ttl_s: int = Field(
        default=900,
        ge=1,
        le=604_800,
        description="A presigned URL to upload to, or to download from, is good for so long.",
    )

    # Events of buckets
    bucket_rules: Path | None = Field(
        default=None, description="File of the rules by which what is stored in buckets is submitted, in TOML or JSON."
    )
    sns_topics: Names = Field(default=(), description="ARNs of the topics of Amazon SNS whose messages are taken.")
    sns_confirm: bool = Field(
        default=False, description="Confirm subscriptions of these topics; else they are named in the log only."
    )

    # Clients of the clouds
    grpc_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port to listen on for gRPC, which Google's clients speak; 0: any that is free. Empty: none.",
    )
    grpc_max_message_bytes: int = Field(
        default=41_943_040,
        ge=1024,
        description="Largest message by gRPC: it is held in memory. Google's own limit is the default.",
    )
    cloud_rules: Path | None = Field(
        default=None,
        description="File of the rules for clients of Google Cloud Vision, Azure and AWS Textract, in TOML: engines, "
        "buckets, topics.",
    )
    cloud_wait_s: float = Field(
        default=50.0,
        ge=0,
        description="Longest wait of a call that is answered with what was read; after that the client is told to ask "
        "again, and then finds the same job.",
    )

    # What it answers
    pictures_bytes: int = Field(
        default=128 * _MIB,
        ge=1024,
        description="Disk for the pictures of pages that browsers look at and the files that they are made of, in the "
        "folder for temporary files. Those that were not looked at for long go.",
    )
    presigned_results: bool = Field(
        default=False,
        description="Where storage is S3: answer with a redirect (307) to a presigned URL instead of the bytes.",
    )
    errors_url: str = Field(
        default="https://ocrqueue.readthedocs.io/en/stable/errors.html",
        description="The page of the error codes; the `type` of a problem is this and the code as its anchor.",
    )

    @field_validator("allowed_hosts", "cors_origins", "sns_topics", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @property
    def largest_body_bytes(self) -> int:
        """Of any route; beside a file a form has some fields, and in JSON it is a third larger."""
        in_base64 = -(-self.max_body_bytes // 3) * 4
        return max(self.max_body_bytes + _FORM_BYTES, in_base64 + self.max_json_bytes, self.max_batch_bytes)

    @model_validator(mode="after")
    def _tls_is_there(self) -> Self:
        if self.tls_key is not None and self.tls_certificate is None:
            raise ValueError("OCRQUEUE_GATEWAY_TLS_KEY is of no use without OCRQUEUE_GATEWAY_TLS_CERTIFICATE")
        for name, path in (("CERTIFICATE", self.tls_certificate), ("KEY", self.tls_key)):
            if path is not None and not path.is_file():
                raise ValueError(f"OCRQUEUE_GATEWAY_TLS_{name}: there is no file {path}")
        return self

    @model_validator(mode="after")
    def _keys_or_none(self) -> Self:
        if self.require_keys and self.allow_no_keys:
            raise ValueError("OCRQUEUE_GATEWAY_REQUIRE_KEYS and OCRQUEUE_GATEWAY_ALLOW_NO_KEYS contradict each other")
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def load_gateway_settings(**given: Any) -> GatewaySettings:
    """From the environment, with what is `given`. Raises SettingsInvalid."""
    try:
        return GatewaySettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        complaints = describe_validation_error(error)
    except SettingsError as error:
        complaints = str(error)
    raise SettingsInvalid(
        complaints, remedy="Correct the OCRQUEUE_GATEWAY_* variable that the message names; docs/gateway.md lists them."
    )
