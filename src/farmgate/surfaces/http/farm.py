"""Farmgate's own typed API: its addresses, and what its OpenAPI document says of them.

Importing FastAPI takes a quarter of a second: whoever imports this module does so when the first request for it comes.

FastAPI finds the route and documents it, and no more. A route gives back a response that is plain ASGI and works
through an Exchange: identity, limits, deadlines, disconnects and errors are those of every other surface, no body is
read and no error written by the framework, and what is documented is what is called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi import Request as HttpRequest
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from farmgate import __version__
from farmgate.core.errors import BadRequest, FarmError, InternalError, MethodNotAllowed, UnknownUrl
from farmgate.core.identity import Principal
from farmgate.core.ports import Target
from farmgate.surfaces.http.admin import Administration, Admins, Explain
from farmgate.surfaces.http.admin_models import (
    ConfigAnswer,
    ConfigRefused,
    FeaturesAnswer,
    FeaturesRequest,
    ReloadAnswer,
)
from farmgate.surfaces.http.care import Care, Cares
from farmgate.surfaces.http.care_models import DevicesAnswer, ProcessesAnswer, ReloadModelRequest
from farmgate.surfaces.http.desk import Desk
from farmgate.surfaces.http.door import Receive, Scope, Send
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.farm_answers import (
    EmbedAnswer,
    ErrorAnswer,
    HealthAnswer,
    JobAnswer,
    LoadAnswer,
    ModelsAnswer,
    Piece,
    TextAnswer,
)
from farmgate.surfaces.http.farm_asks import Asks
from farmgate.surfaces.http.farm_fetching import Fetch, Fetches
from farmgate.surfaces.http.farm_house import HealthCheck, House, Load
from farmgate.surfaces.http.farm_requests import ChatRequest, EmbedRequest, GenerateRequest, LoadRequest
from farmgate.surfaces.http.front import refuse
from farmgate.surfaces.http.listing import Models
from farmgate.surfaces.http.route_models import RouteAnswer, RouteRequest
from farmgate.wire.openai.errors import encode_error, error_frame
from farmgate.wire.strictjson import encode
from farmgate.work.jobs import Jobs

__all__ = ["farm_app"]

Work: TypeAlias = Callable[[Exchange, Principal], Awaitable[None]]


def farm_app(
    desk: Desk,
    *,
    target: Target,
    models: Models,
    health: HealthCheck,
    load: Load,
    jobs: Jobs,
    care: Care,
    streaming: bool,
    administration: Administration | None = None,
    explain: Explain | None = None,
    fetch: Fetch | None = None,
) -> FastAPI:
    """What answers under /api/. `streaming`: whether streams are answered at all (`ai.features.streaming`)."""
    app = FastAPI(
        title="Farmgate",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # FastAPI's own route for it asks for no key
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )

    async def refused(request: HttpRequest, error: Exception) -> Response:
        return Refusing(desk, translated(request.url.path, error))

    for kind in (HTTPException, Exception):
        app.add_exception_handler(kind, refused)
    asks = Asks(target, streaming=streaming)
    house = House(models=models, health=health, load=load, jobs=jobs)
    fetches = Fetches(house, fetch, jobs)
    add_routes(app, Routes(desk, app, asks, house, fetches, Cares(care, jobs), Admins(administration, explain)))
    return app


class Answering(Response):
    """A response that does its work on plain ASGI, for callers who have shown who they are."""

    def __init__(self, desk: Desk, work: Work) -> None:
        super().__init__()
        self._desk = desk
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self._desk, scope, receive, send)

        async def admitted() -> None:
            await self._work(exchange, exchange.principal())

        await exchange.run(admitted, shape=encode_error, frame=error_frame)


class Refusing(Response):
    """An error of the framework, told as every other."""

    def __init__(self, desk: Desk, error: FarmError) -> None:
        super().__init__()
        self._desk = desk
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(Exchange(self._desk, scope, receive, send), self._error)


def translated(path: str, error: Exception) -> FarmError:
    """What the framework says, in our words."""
    if not isinstance(error, HTTPException):
        return InternalError()
    if error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(f"{path[:200]} answers {allow}.", allow=allow)
    if error.status_code == 404:
        return UnknownUrl(f"There is nothing at {path[:200]}.")
    return BadRequest()


# ------------------------------------------------------------------------------------------------------- the routes


class Routes:
    """One function per address, as FastAPI wants them; names are the operations' ids in clients made from the document.

    A parameter that is not used is there to be documented: it is read, with the key checked first, by who answers.
    """

    def __init__(
        self, desk: Desk, app: FastAPI, asks: Asks, house: House, fetches: Fetches, cares: Cares, admins: Admins
    ) -> None:
        self._desk = desk
        self._app = app
        self._asks = asks
        self._house = house
        self._fetches = fetches
        self._cares = cares
        self._admins = admins
        self._document = b""

    def _answering(self, work: Work) -> Response:
        return Answering(self._desk, work)

    async def chat(self) -> Response:
        """Continue a conversation. With `stream: true` the answer is that of `/api/ai/chat/stream`."""
        return self._answering(self._asks.chat)

    async def chat_stream(self) -> Response:
        """Continue a conversation, piece by piece. `[DONE]` ends a whole answer; an error ends one that broke."""
        return self._answering(self._asks.chat_stream)

    async def generate(self) -> Response:
        """Answer a prompt. With `stream: true` the answer is that of `/api/ai/generate/stream`."""
        return self._answering(self._asks.generate)

    async def generate_stream(self) -> Response:
        """Answer a prompt, piece by piece. `[DONE]` ends a whole answer; an error ends one that broke."""
        return self._answering(self._asks.generate_stream)

    async def embed(self) -> Response:
        """Turn texts into vectors."""
        return self._answering(self._asks.embed)

    async def list_models(self, request: HttpRequest, provider: str | None = None) -> Response:
        """Every model, or those of one provider."""
        return self._answering(partial(self._house.models, query=request.query_params))

    async def load_model(self, request: HttpRequest, name: str, provider: str | None = None) -> Response:
        """Make a model ready, getting it first where the provider can. The name may hold slashes.

        For admins a name may say where a model comes from: `hf:owner/name`, `https://host/model.gguf`.
        """
        return self._answering(partial(self._fetches.load, name=name, query=request.query_params))

    async def unload_model(self, name: str) -> Response:
        """Take a model out of memory, once those who are at it are done. Admins only."""
        return self._answering(partial(self._cares.unload, name=name))

    async def reload_model(self, name: str) -> Response:
        """Let another version of a model answer: it comes up beside, and takes over when it answers. Admins only."""
        return self._answering(partial(self._cares.reload, name=name))

    async def rollback_model(self, name: str) -> Response:
        """Go back to the version before, at once while it is kept. Admins only."""
        return self._answering(partial(self._cares.rollback, name=name))

    async def list_processes(self) -> Response:
        """What runs of the models of this machine, and how busy it is. Admins only."""
        return self._answering(self._cares.processes)

    async def list_devices(self) -> Response:
        """What models can be loaded on: every GPU, and the memory of this machine."""
        return self._answering(self._cares.devices)

    async def get_job(self, id: str) -> Response:
        """How far a job is."""
        return self._answering(partial(self._house.job, id=id))

    async def watch_job(self, id: str) -> Response:
        """How far a job is, now and after every change. The job goes on when its watcher leaves."""
        return self._answering(partial(self._house.watch, id=id))

    async def health(self) -> Response:
        """How every provider is."""
        return self._answering(self._house.health)

    async def get_config(self) -> Response:
        """The configuration in effect, how the last reload ended, and who said what. Admins only."""
        return self._answering(self._admins.config)

    async def reload_config(self) -> Response:
        """Read the configuration anew and put it in place whole, or tell every problem and change nothing."""
        return self._answering(self._admins.reload)

    async def get_features(self) -> Response:
        """What is switched on, and who said so. Admins only."""
        return self._answering(self._admins.features)

    async def switch_features(self) -> Response:
        """Switch features until the next start; null takes a switch back. Admins only."""
        return self._answering(self._admins.switch)

    async def explain_route(self) -> Response:
        """Who would be asked for a model now, in which order and why. Nothing is sent to a provider. Admins only."""
        return self._answering(self._admins.route)

    async def openapi(self) -> Response:
        return self._answering(self._tell_openapi)

    async def _tell_openapi(self, exchange: Exchange, _: Principal) -> None:
        if not self._document:
            self._document = encode(document(self._app, needs_key=self._desk.doorman.needs_key))
        await exchange.answer(200, self._document)


def add_routes(app: FastAPI, routes: Routes) -> None:
    """Every address, with what is asked and answered there."""
    post(app, "/api/ai/chat", routes.chat, ChatRequest, TextAnswer)
    post(app, "/api/ai/chat/stream", routes.chat_stream, ChatRequest, stream_of=Piece)
    post(app, "/api/ai/generate", routes.generate, GenerateRequest, TextAnswer)
    post(app, "/api/ai/generate/stream", routes.generate_stream, GenerateRequest, stream_of=Piece)
    post(app, "/api/ai/embed", routes.embed, EmbedRequest, EmbedAnswer)
    post(app, "/api/ai/models/{name:path}/load", routes.load_model, LoadRequest, LoadAnswer, status=202)
    begin(app, "/api/ai/models/{name:path}/unload", routes.unload_model)
    post(app, "/api/ai/models/{name:path}/reload", routes.reload_model, ReloadModelRequest, LoadAnswer, status=202)
    begin(app, "/api/ai/models/{name:path}/rollback", routes.rollback_model)
    get(app, "/api/ai/processes", routes.list_processes, ProcessesAnswer)
    get(app, "/api/ai/gpus", routes.list_devices, DevicesAnswer)
    get(app, "/api/ai/models", routes.list_models, ModelsAnswer)
    get(app, "/api/ai/jobs/{id}", routes.get_job, JobAnswer)
    get(app, "/api/ai/jobs/{id}/stream", routes.watch_job, stream_of=JobAnswer)
    get(app, "/api/ai/health", routes.health, HealthAnswer)
    get(app, "/api/admin/config", routes.get_config, ConfigAnswer)
    add(app, "POST", "/api/admin/config/reload", routes.reload_config, ReloadAnswer, refused=ConfigRefused)
    get(app, "/api/admin/features", routes.get_features, FeaturesAnswer)
    asking(app, "PATCH", "/api/admin/features", routes.switch_features, FeaturesRequest, FeaturesAnswer)
    post(app, "/api/admin/route", routes.explain_route, RouteRequest, RouteAnswer)
    app.add_api_route("/api/openapi.json", routes.openapi, methods=["GET"], include_in_schema=False)


AnyRoute: TypeAlias = Callable[..., Awaitable[Response]]
Model: TypeAlias = type[BaseModel]


def get(
    app: FastAPI, path: str, route: AnyRoute, answer: Model | None = None, *, stream_of: Model | None = None
) -> None:
    add(app, "GET", path, route, answer, stream_of)


def begin(app: FastAPI, path: str, route: AnyRoute) -> None:
    """A job is begun; nothing but its address is said."""
    add(app, "POST", path, route, LoadAnswer, status=202)


def post(
    app: FastAPI,
    path: str,
    route: AnyRoute,
    asked: Model,
    answer: Model | None = None,
    *,
    stream_of: Model | None = None,
    status: int = 200,
) -> None:
    asking(app, "POST", path, route, asked, answer, stream_of=stream_of, status=status)


def asking(
    app: FastAPI,
    method: str,
    path: str,
    route: AnyRoute,
    asked: Model,
    answer: Model | None,
    *,
    stream_of: Model | None = None,
    status: int = 200,
) -> None:
    required = any(field.is_required() for field in asked.model_fields.values())
    body = {"required": required, "content": {"application/json": {"schema": reference(asked)}}}
    add(app, method, path, route, answer, stream_of, status=status, extra={"requestBody": body})


def add(
    app: FastAPI,
    method: str,
    path: str,
    route: AnyRoute,
    answer: Model | None,
    stream_of: Model | None = None,
    *,
    status: int = 200,
    refused: Model | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    responses: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorAnswer, "description": "What went wrong."}}
    if refused is not None:
        responses[422] = {"model": refused, "description": "Nothing was changed."}
    if stream_of is not None:
        # The schema is that of one event's data.
        responses[200] = {"content": {"text/event-stream": {"schema": reference(stream_of)}}}
    app.add_api_route(
        path,
        route,
        methods=[method],
        status_code=status,
        response_model=answer,
        # A response without a type of its own adds none to what a stream's description says.
        response_class=JSONResponse if stream_of is None else Response,
        responses=responses,
        openapi_extra=extra,
    )


# -------------------------------------------------------------------------------------------------------- the document

ASKED: tuple[Model, ...] = (
    ChatRequest,
    GenerateRequest,
    EmbedRequest,
    LoadRequest,
    ReloadModelRequest,
    FeaturesRequest,
    RouteRequest,
)
STREAMED: tuple[Model, ...] = (Piece, JobAnswer)


def reference(model: Model) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def document(app: FastAPI, *, needs_key: bool) -> dict[str, Any]:
    """The OpenAPI document. FastAPI knows the models it answers with; bodies and events are added here."""
    told = get_openapi(title=app.title, version=app.version, routes=app.routes)
    _, definitions = models_json_schema(
        [*((model, "validation") for model in ASKED), *((model, "serialization") for model in STREAMED)],
        ref_template="#/components/schemas/{model}",
    )
    components = told.setdefault("components", {})
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **definitions["$defs"]}.items()))
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    told["security"] = [{"bearer": []}, {"apiKey": []}, *([] if needs_key else [{}])]
    return told
