"""The application that uvicorn serves."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from fastapi import FastAPI

from ocrqueue.settings import ClientSettings
from ocrqueue_gateway.access.routes import router as usage
from ocrqueue_gateway.batches.routes import router as batches
from ocrqueue_gateway.bucket_events.routes import router as bucket_events
from ocrqueue_gateway.bucket_events.rules import load_rules
from ocrqueue_gateway.bucket_events.sns import Topics
from ocrqueue_gateway.clouds.azure_read.routes import mount_azure_read
from ocrqueue_gateway.clouds.google_vision.routes import add_google_vision
from ocrqueue_gateway.clouds.mounting import prepare_clouds
from ocrqueue_gateway.clouds.textract.routes import add_textract
from ocrqueue_gateway.ending import prepare_ending
from ocrqueue_gateway.hardening.limits import harden
from ocrqueue_gateway.jobs.routes import router as jobs
from ocrqueue_gateway.jobs.uploads import router as uploads
from ocrqueue_gateway.lifespan import lifespan_of
from ocrqueue_gateway.openapi import describe, operation_id
from ocrqueue_gateway.operating.actions import router as actions
from ocrqueue_gateway.operating.probes import add_probes
from ocrqueue_gateway.operating.routes import router as operating
from ocrqueue_gateway.pages.errors import is_of_a_person, tell_a_person
from ocrqueue_gateway.pages.operate import router as operate_pages
from ocrqueue_gateway.pages.routes import router as pages
from ocrqueue_gateway.pages.security_policy import Reports
from ocrqueue_gateway.problems import add_problem_handlers, answer_errors
from ocrqueue_gateway.settings import GatewaySettings, load_gateway_settings

PREFIX: Final = "/v1"
_ABOUT: Final = """Jobs that read images and documents: submit, wait, fetch text, words and searchable PDFs.

Errors are `application/problem+json` (RFC 9457), with a `code` for programs and a `remedy` for people.
"""


def create_app(settings: GatewaySettings | None = None, client_settings: ClientSettings | None = None) -> FastAPI:
    """A gateway of its own; any number may run in one process. `client_settings`: of ocrqueue, else the environment's.

    Raises SettingsInvalid.
    """
    settings = settings or load_gateway_settings()
    app = FastAPI(
        title="ocrqueue",
        version=version("ocrqueue-gateway"),
        description=_ABOUT,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        lifespan=lifespan_of(client_settings),
    )
    app.state.settings = settings
    prepare_ending(app)
    harden(app, settings)
    add_problem_handlers(app, settings)
    app.state.bucket_rules, app.state.sns_topics = load_rules(settings.bucket_rules), Topics(settings)
    prepare_clouds(app, settings)
    mount_azure_read(app)
    app.include_router(jobs, prefix=PREFIX)
    app.include_router(usage, prefix=PREFIX)
    app.include_router(bucket_events, prefix=PREFIX)
    app.include_router(uploads, prefix=PREFIX)
    app.include_router(batches, prefix=PREFIX)
    app.include_router(operating, prefix=PREFIX)
    app.include_router(actions, prefix=PREFIX)
    add_google_vision(app)
    add_textract(app)
    app.include_router(pages)
    app.include_router(operate_pages)
    answer_errors(app, is_of_a_person, tell_a_person)
    app.state.csp_reports = Reports()
    add_probes(app, PREFIX)
    describe(app)
    return app
