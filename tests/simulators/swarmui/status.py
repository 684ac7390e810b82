"""Session and status routes: GetNewSession, GetCurrentStatus, InterruptAll and the like."""

from typing import Any

from tests.simulators.swarmui.calls import Call, Routes
from tests.simulators.swarmui.errors import ApplicationError
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.world import VERSION, Session, World

routes = Routes()
PERMISSIONS = ["*", "install", "basic_image_generation", "view_image_history", "fundamental_generate_tab_access"]


def status_message(world: World, session: Session) -> JsonObject:
    """The status object of one session, as GetCurrentStatus and the sockets send it."""
    return _status(world, session.counts())


def _status(world: World, counts: dict[str, int]) -> JsonObject:
    return {
        "status": counts,
        "backend_status": world.backends.status(),
        "supported_features": list(world.script.features),
    }


@routes.post("GetNewSession", "", needs_session=False)
async def get_new_session(call: Call) -> JsonObject:
    if call.world.script.authorization_required:
        raise ApplicationError("Invalid or unauthorized.")
    session = call.world.new_session(call.user_name)
    return {
        "session_id": session.id,
        "user_id": session.user.name,
        "output_append_user": True,
        "version": VERSION,
        "server_id": call.world.server_id,
        "permissions": PERMISSIONS,
    }


@routes.post("Login", "", needs_session=False)
async def login(call: Call) -> JsonObject:
    raise ApplicationError("Invalid username or password.", "invalid_login")


@routes.post("GetCurrentStatus", "fundamental_generate_tab_access")
async def get_current_status(call: Call) -> JsonObject:
    return status_message(call.world, call.who)


@routes.post("GetGlobalStatus", "read_server_info_panels")
async def get_global_status(call: Call) -> JsonObject:
    counts = [session.counts() for session in call.world.sessions.values()]
    return _status(call.world, {name: sum(each[name] for each in counts) for name in call.who.counts()})


@routes.post("InterruptAll", "basic_image_generation")
async def interrupt_all(call: Call) -> JsonObject:
    call.world.interrupt(call.who, other_sessions=call.flag("other_sessions", False))
    return {"success": True}


@routes.post("AdminInterruptUser", "interrupt_others")
async def admin_interrupt_user(call: Call) -> JsonObject:
    name = call.text("name")
    for session in list(call.world.sessions.values()):
        if session.user.name == name:
            session.interrupt()
    return {"success": True}


@routes.post("GetServerResourceInfo", "read_server_info_panels")
async def get_server_resource_info(call: Call) -> JsonObject:
    gib = 1024**3
    answer: dict[str, Any] = {
        "cpu": {"usage": 0.07, "cores": 16},
        "system_ram": {"total": 128 * gib, "used": 40 * gib, "free": 88 * gib},
    }
    if call.world.script.gpus_visible:
        answer["gpus"] = {
            str(each.id): _gpu(each.id, each.gpu_use()["rendering"]) for each in call.world.backends.backends
        }
    return answer


def _gpu(number: int, rendering: bool) -> dict[str, Any]:
    total, used = 24 * 1024**3, (21 if rendering else 2) * 1024**3
    return {
        "id": number,
        "name": "NVIDIA GeForce RTX 4090",
        "temperature": 74 if rendering else 41,
        "utilization_gpu": 99 if rendering else 0,
        "utilization_memory": 60 if rendering else 0,
        "total_memory": total,
        "free_memory": total - used,
        "used_memory": used,
    }
