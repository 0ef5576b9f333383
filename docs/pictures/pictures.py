"""Shows the status page to a browser, and takes pictures: see run.sh beside this."""

import fcntl
import html
import json
import os
import pathlib
import pty
import select
import struct
import subprocess
import sys
import termios
import time

import pyte
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

HERE = pathlib.Path(__file__).parent
ADDRESS = "https://mayfly.test/"
SCENES = ["empty", "busy", "failing", "token"]
SCHEMES = ["light", "dark"]
# By name: a desktop's window, a phone's.
WIDTHS = {"wide": (1100, 800), "narrow": (390, 844)}
# The smallest width that a page must be readable at without a sideways scroll (WCAG 1.4.10).
SMALLEST = 320
PICTURE_LARGEST = 150_000
# So much of the page, in pixels from its top.
README_SHOWS = 1425

# What a demo is seen in: columns, lines, and when it is most lively, in seconds.
TERMINAL = (104, 34)
LIVELY = 8.5
# A terminal's plain colors, in the shades of a picture.
COLORS = {
    "ff0000": "#ff8f87", "00ff00": "#86d993", "ffff00": "#e8c171", "00ffff": "#6fd3d8",
    "black": "#8b93a1", "red": "#ff8f87", "green": "#86d993", "brown": "#e8c171", "yellow": "#e8c171", "blue": "#8ab4f8",
    "magenta": "#d3a4f5", "cyan": "#6fd3d8", "white": "#e6e8eb", "default": "#e6e8eb", "brightblack": "#8b93a1",
}


def main():
    chromium, target = sys.argv[1], pathlib.Path(sys.argv[2])
    write = "--write" in sys.argv
    out = target / "pictures"
    out.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        # Root, as in most CI, may not have a sandbox.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        print(f"Chromium {browser.version}")
        faults = []
        for scene in SCENES:
            kept = json.loads((target / "tmp/pages" / f"{scene}.json").read_text())
            for scheme in SCHEMES:
                for width in WIDTHS:
                    faults += look(browser, scene, kept, scheme, width, out)
        if write:
            picture_of_demo(browser, target, HERE / "demo.png")
            for scheme in SCHEMES:
                picture_of_page(browser, target, scheme, HERE / f"page-{scheme}.png")
        browser.close()
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(SCENES)} pages, light and dark, wide and narrow: axe-core finds nothing; pictures in {out}")


def look(browser, scene, kept, scheme, width, out):
    """One page in one window: a picture, and what is wrong with it."""
    name = f"{scene}-{scheme}-{width}"
    columns, lines = WIDTHS[width]
    context = browser.new_context(viewport={"width": columns, "height": lines}, color_scheme=scheme)
    page = context.new_page()
    faults, asked = [], []
    page.on("console", lambda said: faults.append(f"{name}: {said.text}") if said.type in ("error", "warning") and str(kept["status"]) not in said.text else None)
    page.on("request", lambda request: asked.append(request.url))
    # With its own headers: what the policy forbids does not happen, and is said.
    page.route("**/*", lambda route: route.fulfill(status=kept["status"], headers=kept["headers"], body=kept["body"]))
    page.goto(ADDRESS)
    foreign = [url for url in asked if url != ADDRESS and not url.startswith("data:")]
    if foreign:
        faults.append(f"{name}: asks for {foreign}")
    if page.evaluate("getComputedStyle(document.body).maxWidth") == "none":
        faults.append(f"{name}: its own style sheet does not apply")
    page.screenshot(path=out / f"{name}.png", full_page=True)
    page.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)")
    for violation in Axe().run(page).response["violations"]:
        places = [node["target"] for node in violation["nodes"]]
        faults.append(f"{name}: {violation['id']} ({violation['impact']}): {violation['help']}: {places[:4]}")
    for narrow in {columns, SMALLEST}:
        page.set_viewport_size({"width": narrow, "height": lines})
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if beyond > 0:
            faults.append(f"{name}: {beyond} pixels too wide at {narrow}")
    context.close()
    return faults


def picture_of_demo(browser, target, file):
    """The live view of a real demo, in its liveliest moment."""
    program = next(path for path in (target / "release/mayfly", target / "debug/mayfly") if path.exists())
    columns, lines = TERMINAL
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    demo = subprocess.Popen([program, "demo", "--seed", "7"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True)
    os.close(theirs)
    screen = pyte.Screen(columns, lines)
    stream, begun = pyte.ByteStream(screen), time.monotonic()
    # Until a picture is whole: they come some time apart, in pieces.
    while select.select([ours], [], [], 0.03)[0] or time.monotonic() - begun < LIVELY:
        if select.select([ours], [], [], 0.03)[0]:
            stream.feed(os.read(ours, 65536))
    shown = [[screen.buffer[line][column] for column in range(columns)] for line in range(lines)]
    # To its end, so that what it leaves is nothing.
    while demo.poll() is None:
        try:
            if select.select([ours], [], [], 0.05)[0]:
                os.read(ours, 65536)
        except OSError:
            break
    if demo.wait(60) != 0:
        sys.exit("the demo failed")
    rows = []
    for line in shown:
        spans = []
        for sign in line:
            style = f"color:{COLORS.get(sign.fg, '#' + sign.fg)}" + (";font-weight:700" if sign.bold else "")
            if spans and spans[-1][0] == style:
                spans[-1][1].append(sign.data)
            else:
                spans.append((style, [sign.data]))
        rows.append("".join(f'<span style="{style}">{html.escape("".join(text))}</span>' for style, text in spans))
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.set_content(
        '<body style="margin:0;background:#14171c"><pre style="margin:0;padding:16px 18px;display:inline-block;'
        'font:13px/1.38 ui-monospace,\'DejaVu Sans Mono\',\'Liberation Mono\',monospace">' + "\n".join(rows) + "</pre></body>"
    )
    page.locator("pre").screenshot(path=file)
    check_size(file)


def picture_of_page(browser, target, scheme, file):
    """The busy page down to its chart, as large as the README shows it."""
    kept = json.loads((target / "tmp/pages/busy.json").read_text())
    page = browser.new_page(viewport={"width": WIDTHS["wide"][0], "height": README_SHOWS}, color_scheme=scheme, device_scale_factor=0.75)
    page.route("**/*", lambda route: route.fulfill(status=kept["status"], headers=kept["headers"], body=kept["body"]))
    page.goto(ADDRESS)
    page.screenshot(path=file)
    check_size(file)


def check_size(file):
    size = file.stat().st_size
    print(f"{file.name}: {size:,} bytes")
    if size > PICTURE_LARGEST:
        sys.exit(f"{file.name} is larger than {PICTURE_LARGEST:,} bytes")


main()
