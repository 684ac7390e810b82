"""Routes of an operator: backends, memory, settings, logs, restart."""

import time
from typing import Any

from tests.simulators.swarmui.backends import DISABLED, ERRORED, RUNNING, Backend
from tests.simulators.swarmui.calls import Call, Routes
from tests.simulators.swarmui.errors import ApplicationError
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.outputs import DEFAULT_FORMAT

routes = Routes()
NO_SUCH_BACKEND = "Invalid backend ID."


@routes.post("ListBackends", "view_backends_list")
async def list_backends(call: Call) -> JsonObject:
    full = call.flag("full_data", False)
    return {str(backend.id): _described(backend, full) for backend in call.world.backends.backends}


@routes.post("ListBackendTypes", "view_backends_list")
async def list_backend_types(call: Call) -> JsonObject:
    names = ("comfyui_selfstart", "comfyui_api", "swarmswarmbackend", "autoscalingbackend")
    listed = [{"id": name, "name": name, "description": "", "settings": [], "is_standard": True} for name in names]
    return {"list": listed}


@routes.post("AddNewBackend", "add_remove_backends")
async def add_new_backend(call: Call) -> JsonObject:
    call.text("type_id")
    return _described(call.world.backends.add(), full=False)


@routes.post("EditBackend", "edit_backends")
async def edit_backend(call: Call) -> JsonObject:
    backend = _backend(call, "backend_id")
    backend.title = call.text("title")
    settings = call.data.get("settings", {})
    backend.over_queue = int(settings.get("OverQueue", backend.over_queue))
    call.world.backends.restart(backend, after=0.0)
    return _described(backend, full=False)


@routes.post("DeleteBackend", "add_remove_backends")
async def delete_backend(call: Call) -> JsonObject:
    call.world.backends.remove(_backend(call, "backend_id"))
    return {"result": "Deleted."}


@routes.post("ToggleBackend", "toggle_backends")
async def toggle_backend(call: Call) -> JsonObject:
    backend, enabled = _backend(call, "backend_id"), call.flag("enabled")
    if enabled == (backend.status != DISABLED):
        return {"result": "No change."}
    if enabled:
        call.world.backends.restart(backend, after=0.0)
    else:
        call.world.backends.set_status(backend, DISABLED)
    return {"result": "Success."}


@routes.post("RestartBackends", "restart_backends")
async def restart_backends(call: Call) -> JsonObject:
    wanted = call.text("backend", "all")
    chosen = [each for each in call.world.backends.backends if wanted in ("all", str(each.id))]
    restarted = [each for each in chosen if each.status in (RUNNING, ERRORED)]
    for backend in restarted:
        call.world.backends.restart(backend, after=0.0)
    return {"result": "Success.", "count": len(restarted)}


@routes.post("FreeBackendMemory", "control_mem_clean")
async def free_backend_memory(call: Call) -> JsonObject:
    if call.flag("system_ram", False):
        call.world.outputs.forget_names()
    backends = call.world.backends.backends
    for backend in backends:
        if not backend.in_use and not backend.busy_loading:
            backend.current_model = ""
    return {"result": True, "count": len(backends)}


@routes.post("ListServerSettings", "read_server_settings")
async def list_server_settings(call: Call) -> JsonObject:
    return {"settings": call.world.settings}


@routes.post("ChangeServerSettings", "edit_server_settings")
async def change_server_settings(call: Call) -> JsonObject:
    settings = call.data.get("settings")
    if isinstance(settings, dict):
        call.world.settings |= {key.lower(): value for key, value in settings.items()}
    return {"success": True}


@routes.post("ListRecentLogMessages", "view_logs")
async def list_recent_log_messages(call: Call) -> JsonObject:
    types = call.data.get("types")
    if not isinstance(types, list) or "last_sequence_ids" not in call.data:
        raise ApplicationError("Missing required parameter 'types'")
    entry = {"sequence_id": 1, "time": time.strftime("%Y-%m-%d %H:%M:%S"), "message": "SwarmUI is now running."}
    return {"last_sequence_id": 1, "data": {str(name): [entry] for name in types}}


@routes.post("GetUserSettings", "edit_user_settings")
async def get_user_settings(call: Call) -> JsonObject:
    return {"settings": {"outpathbuilder.format": DEFAULT_FORMAT, "savefiles": True}, "themes": {}}


@routes.post("ComfyInstallFeatures", "install_features")
async def comfy_install_features(call: Call) -> JsonObject:
    names = {"gguf": "gguf", "frame_interpolation": "frameinterps"}
    for wanted in call.text("features").split(","):
        if names.get(wanted.strip(), "") not in ("", *call.world.script.features):
            call.world.script.features.append(names[wanted.strip()])
    for backend in call.world.backends.backends:
        call.world.backends.restart(backend, after=0.0)
    return {"success": True}


@routes.post("UpdateAndRestart", "restart")
async def update_and_restart(call: Call) -> JsonObject:
    return {"success": False, "result": "No changes found."}


def _backend(call: Call, name: str) -> Backend:
    backend = call.world.backends.by_id(call.text(name))
    if backend is None:
        raise ApplicationError(NO_SUCH_BACKEND)
    return backend


def _described(backend: Backend, full: bool) -> dict[str, Any]:
    unused_s = int(time.monotonic() - backend.last_used)
    data: dict[str, Any] = {
        "type": "comfyui_selfstart",
        "status": backend.status,
        "id": backend.id,
        "settings": {"StartScript": "dlbackend/ComfyUI/main.py", "GPU_ID": str(backend.id), "OverQueue": 1},
        "modcount": 0,
        "features": ["comfyui", "text2image", "video"],
        "enabled": backend.status != DISABLED,
        "title": backend.title,
        "max_usages": backend.max_usages,
        "seconds_since_used": unused_s,
        "time_since_used": f"{unused_s} seconds ago",
        "can_load_models": True,
    }
    return data | ({"current_model": backend.current_model or None} if full else {})
