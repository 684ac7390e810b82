"""Model routes: listing, describing, loading, and the parameter list."""

import asyncio
from typing import Any

from tests.simulators.swarmui.backends import Demand
from tests.simulators.swarmui.calls import Call, Routes
from tests.simulators.swarmui.catalogue import SUBTYPES, Model
from tests.simulators.swarmui.errors import ApplicationError, GenerationError
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.params import PARAMS, Param
from tests.simulators.swarmui.sinks import SocketSink
from tests.simulators.swarmui.status import status_message

routes = Routes()
MAIN = "Stable-Diffusion"


@routes.post("ListModels", "fundamental_model_access")
async def list_models(call: Call) -> JsonObject:
    path, depth = call.text("path").strip("/"), call.integer("depth")
    models = [model for model in call.world.catalogue.of(_subtype(call)) if _below(model.name, path)]
    relative = {model.name: model.name[len(path) + 1 :] if path else model.name for model in models}
    folders = {name.rpartition("/")[0] for name in relative.values()} - {""}
    shown = [model for model in models if relative[model.name].count("/") < max(1, depth)]
    return {"folders": sorted(folders), "files": [_described(call, model) for model in shown]}


@routes.post("DescribeModel", "fundamental_model_access")
async def describe_model(call: Call) -> JsonObject:
    return {"model": _described(call, _exact(call, call.text("modelName"), _subtype(call)))}


@routes.post("ListLoadedModels", "fundamental_model_access")
async def list_loaded_models(call: Call) -> JsonObject:
    names = {backend.current_model for backend in call.world.backends.backends if not backend.busy_loading}
    return {"models": [_described(call, model) for model in call.world.catalogue.of(MAIN) if model.name in names]}


@routes.post("SelectModel", "load_models_now")
async def select_model(call: Call) -> JsonObject:
    """Blocks until the model is loaded."""
    await _load(call, call.text("model"), call.text("backendId", ""))
    return {"success": True}


@routes.socket("SelectModelWS", "load_models_now")
async def select_model_on_socket(call: Call) -> None:
    assert call.websocket is not None
    sink = SocketSink(call.websocket, lambda: status_message(call.world, call.who))
    sink.status()
    try:
        await _load(call, call.text("model"), "")
    except ApplicationError as exc:
        sink.send({"error": exc.text})
    else:
        sink.send({"success": True})
    sink.status()
    sink.finish()
    await sink.run()


@routes.post("EditModelMetadata", "edit_model_metadata")
async def edit_model_metadata(call: Call) -> JsonObject:
    old = _exact(call, call.text("model"), _subtype(call))
    for name in ("author", "description", "standard_width", "standard_height", "usage_hint", "date", "license"):
        call.text(name)
    call.world.catalogue.replace(old, title=call.text("title"), architecture=call.text("type"))
    return {"success": True}


@routes.socket("DoModelDownloadWS", "download_models")
async def do_model_download(call: Call) -> None:
    assert call.websocket is not None
    name, subtype = call.text("name").replace(".", ""), call.text("type")
    call.text("url")
    sink = SocketSink(call.websocket, dict)
    if call.world.catalogue.exact(name, subtype):
        sink.send({"error": "Model at that save path already exists."})
    else:
        for step in range(1, 5):
            await call.world.sleep(call.world.script.load_seconds / 4)
            sink.send({"current_percent": step / 4, "overall_percent": 0.2 + step / 5, "per_second": 50_000_000})
        call.world.catalogue.add(f"{name}.safetensors", subtype=subtype)
        sink.send({"success": True})
    sink.finish()
    await sink.run()


@routes.post("ListT2IParams", "fundamental_generate_tab_access")
async def list_t2i_params(call: Call) -> JsonObject:
    return params_object(call)


@routes.post("TriggerRefresh", "fundamental_generate_tab_access")
async def trigger_refresh(call: Call) -> JsonObject:
    call.flag("strong", True)
    return params_object(call)


def params_object(call: Call) -> JsonObject:
    catalogue = call.world.catalogue
    models = {name: [[each.name, each.architecture or None] for each in catalogue.of(name)] for name in SUBTYPES}
    return {
        "list": [_param(param, call) for param in PARAMS.values()],
        "groups": [{"id": "imagetovideo", "name": "Image To Video", "toggles": True, "open": False}],
        "models": models,
        "model_compat_classes": {},
        "model_classes": {},
        "wildcards": [],
        "param_edits": None,
    }


def _param(param: Param, call: Call) -> dict[str, Any]:
    values = list(param.values) or None
    if param.kind == "list":
        values = [lora.short_name for lora in call.world.catalogue.of("LoRA")]
    return {
        "name": param.name,
        "id": param.id,
        "description": "",
        "type": param.kind,
        "subtype": param.subtype or None,
        "default": param.default,
        "min": param.minimum,
        "max": param.maximum,
        "values": values,
        "permission": param.permission or None,
        "feature_flag": "video" if param.permission == "param_video" else None,
    }


def _subtype(call: Call) -> str:
    return call.text("subtype", MAIN)


def _below(name: str, path: str) -> bool:
    return not path or name.startswith(f"{path}/")


def _described(call: Call, model: Model) -> dict[str, Any]:
    loaded = any(
        backend.current_model == model.name and not backend.busy_loading for backend in call.world.backends.backends
    )
    return model.described(loaded=loaded)


def _exact(call: Call, name: str, subtype: str) -> Model:
    model = call.world.catalogue.exact(name, subtype)
    if model is None:
        raise ApplicationError("Model not found.")
    return model


async def _load(call: Call, name: str, backend_id: str) -> None:
    pool, session = call.world.backends, call.who

    def loading(started: bool) -> None:
        session.loading_models += 1 if started else -1

    demand = Demand(model=_exact(call, name, MAIN), backend_id=backend_id, loading=loading)
    try:
        pool.release(await asyncio.shield(call.world.spawn(pool.acquire(demand))))
    except GenerationError:
        raise ApplicationError("Model failed to load.") from None
