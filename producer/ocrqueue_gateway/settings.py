"""What one replica of the gateway is set to, by OCRQUEUE_GATEWAY_* variables or the program's options."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """Where it listens. Redis and storage are set as for every app: `ocrqueue.settings`."""

    model_config = SettingsConfigDict(env_prefix="OCRQUEUE_GATEWAY_", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8787, ge=0, le=65535)
