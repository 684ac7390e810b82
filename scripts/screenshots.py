#!/usr/bin/env python3
"""The screenshot tour of the README: the demo is started, used in a real browser, and stopped again.

Run it with .venv-test/bin/python after scripts/test has made that environment.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _bench
from playwright.sync_api import Page, expect, sync_playwright

TARGET = _bench.ROOT / ".github" / "screenshots"
PICTURE = _bench.ROOT / "generation" / "static" / "generation" / "example.jpg"
PASSWORD = "a-password-for-one-tour"  # noqa: S105 (of a throw-away database)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or sys.exit("Chromium is needed.")
UP_WITHIN_S = 120
PROMPTS = ["The camera pushes in slowly", "Slow orbit to the left, handheld", "Tilt up, fast"]


def tour(page: Page, site: str) -> None:
    page.goto(f"{site}/account/login/")
    page.get_by_label("Login").or_(page.locator("input[name=login]")).first.fill("admin")
    page.locator("input[name=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Choose a picture").set_input_files(PICTURE)
    expect(page.get_by_alt_text("The picture you chose")).to_be_visible()
    page.get_by_label("What should happen?").fill("The camera pushes in slowly over the lake at sunset")
    page.get_by_role("checkbox", name="I have the rights").check()
    expect(page.locator("#estimate")).to_contain_text("to make")
    shoot(page, "create")
    # The GPU has to be rented first, and every model says its price.
    page.get_by_text("In the cloud, paid per video").click()
    page.locator("fieldset.models").screenshot(path=TARGET / "choosing.png")
    page.get_by_role("button", name="Create the video").click()
    page.wait_for_url("**/jobs/**")
    expect(page.get_by_text("Rendering").first).to_be_visible(timeout=60_000)
    # A preview frame comes with the third step.
    page.wait_for_timeout(6_000)
    shoot(page, "rendering")
    expect(page.locator("video").first).to_be_visible(timeout=120_000)
    page.wait_for_timeout(1_500)
    shoot(page, "result")
    # The pretend machine is still there: it is given back a minute after its last video.
    made = [finished(page, {"prompt": prompt}) for prompt in PROMPTS]
    frame = ask(page, f"/api/jobs/{made[0]}/frame", {})["id"]
    going_on = finished(page, {"prompt": "The camera pans to the right", "image_id": frame, "continues": made[0]})
    pages = {"fleet": "/staff/fleet", "library": "/library", "gpu": "/staff/gpu"}
    pages |= {"compare": f"/compare?ids={','.join(made)}", "storyline": f"/jobs/{going_on}/storyline"}
    pages |= {"spend": "/spend", "money": "/staff/spend", "admin": "/admin/generation/videojob/"}
    page.goto(f"{site}/notices")  # seen, they lie on no other page
    for name, path in pages.items():
        page.goto(f"{site}{path}")
        page.wait_for_timeout(1_000)
        shoot(page, name)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site}/library")
    page.wait_for_timeout(1_000)
    shoot(page, "phone")


def ask(page: Page, path: str, body: dict[str, Any]) -> Any:
    """A call of the API as the person who is signed in."""
    token = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken")
    answer = page.request.post(f"{origin(page)}{path}", data=body, headers={"X-CSRFToken": token})
    if not answer.ok:
        raise RuntimeError(f"{path}: {answer.status} {answer.text()}")
    return answer.json()


def finished(page: Page, wish: dict[str, Any]) -> str:
    """A motion preview of the same picture, when it is done; its id."""
    image = page.request.get(f"{origin(page)}/api/images").json()["results"][-1]["id"]
    job = ask(page, "/api/jobs", {"model": "motion-preview", "image_id": image} | wish)["id"]

    def done() -> bool:
        return bool(page.request.get(f"{origin(page)}/api/jobs/{job}").json()["status"] == "succeeded")

    _bench.wait_until(done, seconds=120, what="a motion preview")
    return str(job)


def origin(page: Page) -> str:
    return "/".join(page.url.split("/")[:3])


def shoot(page: Page, name: str) -> None:
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=TARGET / f"{name}.png", full_page=name in ("result", "fleet", "storyline"))
    _bench.console.print(f"{name}.png")


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    port = _bench.free_port()
    site = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="i2v-tour-", ignore_cleanup_errors=True) as folder:
        env = os.environ | {"I2V_DATA_DIR": folder, "ADMIN_PASSWORD": PASSWORD}
        command = [sys.executable, "manage.py", "serve", "--demo", "--port", str(port)]
        with (Path(folder) / "serve.log").open("wb") as log:
            platform = subprocess.Popen(command, cwd=_bench.ROOT, env=env, stdout=log, stderr=log)
        try:
            ready = f"{site}/ready"
            _bench.wait_until(lambda: _bench.answers(ready), seconds=UP_WITHIN_S, what="the demo")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                tour(browser.new_page(viewport={"width": 1280, "height": 860}), site)
                browser.close()
        finally:
            platform.terminate()
            platform.wait()


if __name__ == "__main__":
    main()
