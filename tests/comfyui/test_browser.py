"""The graph in ComfyUI's own page: clicks in Pick Entities, what is sent and saved, and graphs opened again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from PIL import Image

from esg import EntityMap, PaintSettings, RecordedEdit, Segmentation, Selection, choose, edit_workflow
from esg.comfyui_graphs import edit_graph

WIDTH, HEIGHT = 320, 240
DISC, BOX, SKY = (85, 135), (230, 125), (20, 20)

READY = """() => window.app?.graph && window.app?.extensionManager && window.app?.canvas
    && window.LiteGraph?.registered_node_types?.ESGPickEntities"""
PICK = "app.graph.nodes.find(node => node.type === 'ESGPickEntities')"
CANVAS = f"{PICK}.widgets.find(widget => widget.name === 'picture').element.querySelector('canvas')"
PICKS = f"{PICK}.widgets.find(widget => widget.name === 'picks').value"

# Left, top, right and bottom of all nodes as drawn, and of the frames around them, in the graph's pixels.
BOXES = """() => {
    const {scale, offset} = app.canvas.ds;
    const from = app.canvas.canvas.getBoundingClientRect();
    const drawn = node => {
        const box = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
        if (!box) return [node.pos[0], node.pos[1] - 30, node.pos[0] + node.size[0], node.pos[1] + node.size[1]];
        const [x, y] = [box.x - from.x, box.y - from.y];
        return [x / scale - offset[0], y / scale - offset[1],
            (x + box.width) / scale - offset[0], (y + box.height) / scale - offset[1]];
    };
    return {
        nodes: app.graph.nodes.map(node => [node.title, drawn(node)]),
        frames: app.graph.groups.map(({pos: [x, y], size: [width, height]}) => [x, y, x + width, y + height]),
    };
}"""

LOOK = f"""() => {{
    const [x, y] = {PICK}.pos;
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [100 - x, 80 - y];
    app.canvas.setDirty(true, true);
}}"""

DROP = """async url => {
    const file = new File([await (await fetch(url)).blob()], 'picked.png', {type: 'image/png'});
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(file);
    const canvas = app.canvas.canvas;
    const box = canvas.getBoundingClientRect();
    const [clientX, clientY] = [box.x + box.width / 2, box.y + box.height / 2];
    for (const type of ['dragenter', 'dragover', 'drop'])
        canvas.dispatchEvent(new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer, clientX, clientY}));
}"""


@dataclass
class Opened:
    """ComfyUI's page in a tab of its own.

    Attributes:
        complaints: what scripts of the pack have complained of.
    """

    comfy: Any
    page: Any
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        def said(message: Any) -> None:
            ours = "extensions/esg/" in message.location["url"] or "extensions/esg/" in message.text
            if ours and message.type in ("error", "warning"):
                self.complaints.append(message.text)

        self.page.set_default_timeout(300_000)
        self.page.on("console", said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{error}\n{error.stack}"))
        self.page.goto(self.comfy.url, wait_until="domcontentloaded")
        self.page.wait_for_function(READY)
        self.page.wait_for_timeout(1500)  # the page opens its empty graph late, and in place of another one

    def load(self, workflow: dict[str, Any]) -> None:
        # Apart and large, so that no other node lies over the picture that is clicked.
        (pick,) = [node for node in workflow["nodes"] if node["type"] == "ESGPickEntities"]
        pick.update(pos=[4000, 0], size=[600, 620])
        self.page.evaluate("async workflow => { await app.loadGraphData(workflow); }", workflow)
        self.page.wait_for_function(f"() => {PICK}")

    def run(self) -> tuple[dict[str, Any], Any]:
        """The node Pick Entities as it was sent, and how the run ended."""
        asked = lambda answer: answer.url.endswith("/prompt") and answer.request.method == "POST"  # noqa: E731
        with self.page.expect_response(asked) as answer:
            self.page.evaluate("async () => { await app.queuePrompt(0, 1); }")
        sent = answer.value.request.post_data_json["prompt"]
        run = self.comfy.ended(answer.value.json()["prompt_id"])
        assert run.status == "success", run.messages
        self.page.wait_for_function(f"() => !{CANVAS}.hidden")
        self.page.evaluate(LOOK)
        self.page.wait_for_timeout(500)
        (pick,) = [node for node in sent.values() if node["class_type"] == "ESGPickEntities"]
        return pick["inputs"], run

    def _on_screen(self, x: int, y: int) -> tuple[float, float]:
        """Where a pixel of the photo is."""
        box = self.page.evaluate(f"() => {CANVAS}.getBoundingClientRect().toJSON()")
        scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
        left = box["x"] + (box["width"] - WIDTH * scale) / 2
        top = box["y"] + (box["height"] - HEIGHT * scale) / 2
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    def click(self, x: int, y: int) -> None:
        """Clicks a pixel of the photo."""
        self.page.mouse.click(*self._on_screen(x, y))
        self.page.wait_for_timeout(300)

    def drag(self, start: tuple[int, int], end: tuple[int, int], *keys: str) -> None:
        """Drags from one pixel of the photo to another, with keys held down."""
        for key in keys:
            self.page.keyboard.down(key)
        self.page.mouse.move(*self._on_screen(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self._on_screen(*end), steps=4)
        self.page.mouse.up()
        for key in keys:
            self.page.keyboard.up(key)
        self.page.wait_for_timeout(300)

    @property
    def picks(self) -> str:
        text: str = self.page.evaluate(f"() => {PICKS}")
        return text

    def saved(self) -> dict[str, Any]:
        """The workflow as it is saved."""
        # As a text, for Playwright makes null of what is undefined.
        text = self.page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).workflow)")
        workflow: dict[str, Any] = json.loads(text)
        return workflow

    def opens_as(self, workflow: dict[str, Any], prompt: dict[str, Any]) -> None:
        """Opens a workflow, which must be the one that is sent as this prompt, and give no cause for complaint."""
        self.page.evaluate("async workflow => { await app.loadGraphData(workflow); }", workflow)
        self.page.wait_for_timeout(500)
        shown = json.loads(self.page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)"))
        for node in shown.values():  # the page's own widgets, such as the text in Preview Any, are no inputs
            defined = self.comfy.nodes[node["class_type"]]["input"]
            known = {name for inputs in defined.values() for name in inputs}
            node["inputs"] = {name: value for name, value in node["inputs"].items() if name in known}
        assert {number: (node["class_type"], node["inputs"]) for number, node in shown.items()} == {
            number: (node["class_type"], node["inputs"]) for number, node in prompt.items()
        }
        told = self.page.inner_text("body").lower()
        assert "invalid workflow" not in told
        assert "missing node" not in told

    def lies_well(self) -> None:
        """No node of the open workflow covers another one, or sticks out of the frame in which it begins."""
        if self.page.evaluate("() => Boolean(LiteGraph.vueNodesMode)"):
            self.page.wait_for_function(
                "() => app.graph.nodes.every(node => document.querySelector(`[data-node-id='${node.id}']`))"
            )
        boxes = self.page.evaluate(BOXES)
        for k, (title, (left, top, right, bottom)) in enumerate(boxes["nodes"]):
            covered = [
                other
                for other, (x, y, to_x, to_y) in boxes["nodes"][k + 1 :]
                if max(left, x) < min(right, to_x) and max(top, y) < min(bottom, to_y)
            ]
            assert not covered, f"{title} lies over {covered}"
            (frame,) = [(a, b, c, d) for a, b, c, d in boxes["frames"] if a <= left < c and b <= top < d]
            assert right <= frame[2] and bottom <= frame[3], f"{title} sticks out of its frame"  # noqa: PT018


@pytest.fixture(params=["canvas", "vue"])
def tabs(request: pytest.FixtureRequest, comfy: Any, browser: Any) -> Iterator[Any]:
    """Opens tabs with nodes of both kinds that ComfyUI draws; none of them may have complained of the pack."""
    settings = comfy.json("/settings")
    comfy.post("/settings", {"Comfy.VueNodes.Enabled": request.param == "vue"})
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    opened: list[Opened] = []

    def another() -> Opened:
        opened.append(Opened(comfy, context.new_page()))
        return opened[-1]

    yield another
    complaints = [each for tab in opened for each in tab.complaints]
    context.close()
    comfy.post("/settings", settings)
    assert not complaints


def graph(comfy: Any) -> dict[str, Any]:
    return {
        "1": comfy.node("LoadImage", image="photo.png"),
        "2": comfy.node("ESGLoadSegmenter"),
        "3": comfy.node("ESGSegmentEntities", segmenter=["2", 0], image=["1", 0], crops="0"),
        "4": comfy.node("ESGPickEntities", image=["1", 0], entities=["3", 0]),
        "5": comfy.node("MaskToImage", mask=["4", 0]),
        "6": comfy.node("SaveImage", images=["5", 0], filename_prefix="picked"),
    }


def test_what_is_clicked_is_sent_and_saved_and_comes_back(comfy: Any, tabs: Any) -> None:
    tab = tabs()
    tab.page.evaluate("async prompt => { await app.loadApiJson(prompt, 'picking'); }", graph(comfy))
    tab.load(tab.saved())
    sent, run = tab.run()
    assert sent["picks"] == tab.picks == ""
    assert not sent.keys() - {"image", "entities", "picks", "invert"}  # the picture is no input
    (report,) = run.outputs["4"]["esg_pick"]
    labels = np.asarray(Image.open(comfy.file(report["labels"])))[..., 0]
    entities = EntityMap.from_labels(labels, np.arange(int(labels.max()), 0, -1))  # scores by which numbers stay
    disc, box, sky = (entities.at(*place) for place in (DISC, BOX, SKY))

    tab.click(*SKY)
    assert tab.picks == f"{sky}"
    tab.click(*DISC)
    tab.click(*SKY)  # lets it go again
    tab.click(*BOX)
    ids = sorted([disc, box])
    assert choose(entities, tab.picks) == ids
    sent, run = tab.run()
    assert sent["picks"] == tab.picks
    assert run.outputs["4"]["esg_pick"][0]["ids"] == ids
    (picture,) = run.outputs["6"]["images"]
    picked = np.asarray(Image.open(comfy.file(picture)).convert("L"))
    assert np.array_equal(picked, np.isin(labels, ids) * 255)

    picks, workflow = tab.picks, tab.saved()
    other = tabs()
    other.load(workflow)
    assert other.picks == picks
    other.run()
    other.click(*SKY)
    assert choose(entities, other.picks) == sorted([*ids, sky])

    third = tabs()
    url = f"/view?filename={picture['filename']}&subfolder={picture['subfolder']}&type={picture['type']}"
    third.page.evaluate(DROP, url)
    third.page.wait_for_function(f"() => {PICK}")
    third.page.wait_for_function(f"picks => {PICKS} === picks", arg=picks)
    assert sorted(node["type"] for node in third.saved()["nodes"]) == sorted(node["type"] for node in workflow["nodes"])


def test_pictures_of_a_batch_are_picked_one_by_one(comfy: Any, tabs: Any) -> None:
    prompt = graph(comfy)
    prompt["7"] = comfy.node("RepeatImageBatch", image=["1", 0], amount=2)
    for node in ("3", "4"):
        prompt[node]["inputs"]["image"] = ["7", 0]
    tab = tabs()
    tab.page.evaluate("async prompt => { await app.loadApiJson(prompt, 'picking'); }", prompt)
    tab.load(tab.saved())
    _, run = tab.run()
    labels = np.asarray(Image.open(comfy.file(run.outputs["4"]["esg_pick"][0]["labels"])))[..., 0]
    disc, box, sky = (int(labels[y, x]) for x, y in (DISC, BOX, SKY))

    tab.click(*DISC)
    assert tab.picks == f"picture 1: {disc}"
    tab.page.evaluate(f"() => {CANVAS}.closest('.esg-pick').querySelector('button:nth-of-type(2)').click()")
    tab.page.wait_for_timeout(1000)
    tab.drag((BOX[0] - 60, BOX[1] - 90), (BOX[0] + 60, BOX[1] + 90))
    assert tab.picks == f"picture 1: {disc}, picture 2: {box}"
    tab.drag(SKY, (SKY[0] + 200, SKY[1]), "Shift")
    first, _, second = tab.picks.partition(", picture 2: ")
    assert first == f"picture 1: {disc}"
    assert choose(EntityMap.from_labels(labels), second) == sorted([box, sky])
    tab.drag(SKY, (SKY[0] + 200, SKY[1]), "Shift", "Alt")
    assert tab.picks == f"picture 1: {disc}, picture 2: {box}"
    tab.drag(SKY, (SKY[0], -200))  # released elsewhere
    assert tab.picks == f"picture 1: {disc}, picture 2: {box}"
    _, run = tab.run()
    assert [page["ids"] for page in run.outputs["4"]["esg_pick"]] == [[disc], [box]]


def test_shipped_workflows_open_as_the_graphs_that_run_by_api(comfy: Any, tabs: Any) -> None:
    workflows = sorted((comfy.pack / "workflows").glob("*.json"))
    assert workflows
    tab = tabs()
    for path in workflows:
        prompt = json.loads((path.parent / "api" / path.name).read_text(encoding="utf-8"))
        if {node["class_type"] for node in prompt.values()} - comfy.nodes.keys():
            continue  # it needs another pack
        tab.opens_as(json.loads(path.read_text(encoding="utf-8")), prompt)
        tab.lies_well()


def test_a_workflow_of_edits_opens_as_the_graph_that_runs_by_api(comfy: Any, tabs: Any) -> None:
    selection = Selection(points=(DISC,), invert=True, soft=True)
    removed = RecordedEdit(Selection(mask="other.png"))
    painted = RecordedEdit(
        selection, prompt='sand (wet), 100% "dry"\nand stones', paint=PaintSettings(seed=2**53 - 1, strength=0.75)
    )
    known = Segmentation(crops=0, min_score=0.25), [removed, painted]
    tab = tabs()
    tab.opens_as(
        edit_workflow("photo.png", *known, selection=selection),
        edit_graph("photo.png", *known, selection=selection).to_api(),
    )
    tab.opens_as(edit_workflow("photo.png", Segmentation()), edit_graph("photo.png", Segmentation()).to_api())
