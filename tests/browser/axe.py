"""axe-core on a page (WCAG 2.2 A and AA, its best practices), and what it does not see: whether everything fits."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ALL = {"runOnly": TAGS, "rules": {"target-size": {"enabled": True}}}
# What depends on colours and room, looked at again on a dark phone.
SOME = {"runOnly": {"type": "rule", "values": ["color-contrast", "target-size", "scrollable-region-focusable"]}}
WIDE, PHONE, NARROW = 1280, 390, 320
# Everything that the page scrolls to its side, by its own boxes: not what scrolls within itself.
STICKS_OUT = """() => {
    const most = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= most) return "";
    const out = [...document.body.querySelectorAll("*")].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width && (box.right > most + 1 || box.left < -1);
    });
    return out.slice(0, 3).map((one) => one.outerHTML.slice(0, 120)).join(" | ") || "something";
}"""
_axe = Axe()


def complaints_of(tab: Page, name: str) -> list[str]:
    """What is wrong with the page as it stands: wide and light, on a dark phone, at 320 pixels, and right to left."""
    tab.set_viewport_size({"width": WIDE, "height": 900})
    tab.emulate_media(color_scheme="light", reduced_motion="reduce")
    found = [f"{name}: {one}" for one in _violations(tab, ALL)]
    tab.set_viewport_size({"width": PHONE, "height": 800})
    tab.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += [f"{name} (dark, {PHONE}): {one}" for one in _violations(tab, SOME)]
    # As wide as a page of 1280 at a zoom of 400 %, which holds for 200 % too.
    tab.set_viewport_size({"width": NARROW, "height": 800})
    found += [f"{name} ({NARROW}): sticks out: {one}" for one in [tab.evaluate(STICKS_OUT)] if one]
    tab.evaluate("document.documentElement.dir = 'rtl'")
    found += [f"{name} (right to left): sticks out: {one}" for one in [tab.evaluate(STICKS_OUT)] if one]
    tab.evaluate("document.documentElement.dir = 'ltr'")
    tab.set_viewport_size({"width": WIDE, "height": 900})
    return found


def _violations(tab: Page, options: dict[str, Any]) -> list[str]:
    answer = _axe.run(tab, options=options).response
    return [
        f"{rule['id']}: {node['target']} {node['html'][:160]} {_why(node)}"
        for rule in answer["violations"]
        for node in rule["nodes"][:3]
    ]


def _why(node: dict[str, Any]) -> str:
    return " ".join(str(node.get("failureSummary", "")).split())[:200]
