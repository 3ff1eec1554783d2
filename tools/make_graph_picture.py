"""Photographs a graph in a running ComfyUI that has the pack: `python tools/make_graph_picture.py http://127.0.0.1:8188`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from urllib.request import Request, urlopen

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "web_demo/examples/rocket.jpg"
PICTURE = ROOT / "docs/pictures/graph.jpg"
FLAGS = ["--no-sandbox", "--disable-background-networking"]
ON_THE_TOWERS = '[{"x": 196, "y": 200}, {"x": 450, "y": 220}]'


def main(url: str) -> None:
    graph = json.loads((ROOT / "workflows/Click and remove.json").read_text(encoding="utf-8"))
    for node in graph["nodes"]:
        if node["type"] == "LoadImage":
            node["widgets_values"][0] = upload(url)
        if node["type"] == "ESGPickEntities":
            node["widgets_values"][0] = ON_THE_TOWERS
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 2760, "height": 1200})
        page.goto(url)
        page.wait_for_function("() => window.app?.graph && window.app.canvas", timeout=120_000)
        page.wait_for_timeout(3000)
        page.keyboard.press("Escape")
        page.evaluate("graph => window.app.loadGraphData(graph)", graph)
        page.wait_for_timeout(2000)
        done = "() => window.app.graph.nodes.filter(n => n.imgs?.length).length >= 2"
        page.evaluate("() => window.app.queuePrompt(0)")
        page.wait_for_function(done, timeout=300_000)
        page.wait_for_timeout(2000)
        # At its own size, with the leftmost group a little below the menu.
        page.evaluate(
            """() => {
                const ds = window.app.canvas.ds, groups = window.app.graph.groups ?? window.app.graph._groups;
                ds.scale = 1;
                ds.offset[0] = 90 - Math.min(...groups.map(g => g.pos[0]));
                ds.offset[1] = 110 - Math.min(...groups.map(g => g.pos[1]));
                window.app.canvas.setDirty(true, true);
            }"""
        )
        page.wait_for_timeout(2000)
        box = page.evaluate(
            """() => {
                const all = window.app.graph.groups ?? window.app.graph._groups;
                const sides = i => all.map(g => g.pos[i] + g.size[i]);
                const {offset} = window.app.canvas.ds;
                return [Math.max(...sides(0)) + offset[0], Math.max(...sides(1)) + offset[1]];
            }"""
        )
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    shot = shot.crop((75, 95, min(round(box[0]) + 15, shot.width), min(round(box[1]) + 15, shot.height)))
    shot.resize((1600, round(shot.height * 1600 / shot.width)), Image.Resampling.LANCZOS).save(PICTURE, quality=85)


def upload(url: str) -> str:
    """Uploads the photo into ComfyUI's input folder; returns its name there."""
    head = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{PHOTO.name}"\r\n\r\n'
    body = head.encode() + PHOTO.read_bytes() + b"\r\n--x--\r\n"
    request = Request(f"{url}/upload/image", body, {"Content-Type": "multipart/form-data; boundary=x"})
    with urlopen(request) as answer:
        return json.load(answer)["name"]


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
