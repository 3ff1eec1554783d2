// The picture in the Pick Entities node: click an entity to choose it, click again to let it go.
//
// The text widget `picks` is the one place where a choice is kept: it is saved with the workflow, sent with the prompt,
// and can be typed without a mouse. This file only draws what that text means on the photo of the last run, and writes
// ids such as `3,5-7` into it. It needs no run in between, because the node sends the id of every pixel along:
//   ui.esg_pick = [{picture, labels, count, width, height, ids}], one for each image of the batch,
// where `picture` and `labels` are files of one size for /view, a pixel of `labels` is red + 256 green + 65536 blue = its
// entity's id (0: none), and `ids` is what the node chose after all its inputs, in a language that this file need not know.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const NODE = "ESGPickEntities";
// Blue and yellow stay apart for the colour-blind; the rest is dimmed, so that a blue thing chosen shows as well.
const CHOSEN = [30, 136, 255];
const HOVER = [255, 214, 10];
const WHITE = [255, 255, 255];
const TINT = 0.4;
const DIM = 0.65;
const FIRST_RUN = "Run the graph once, then click what you want.";
const GONE = "The picture of the last run is gone. Run the graph once more, then click.";

const CSS = `
.esg-pick { display: flex; flex-direction: column; gap: 4px; box-sizing: border-box; width: 100%; height: 100%;
  min-height: 240px; font: 12px/1.3 Inter, Arial, sans-serif; color: var(--input-text, #ddd); }
.esg-pick-view { position: relative; flex: 1 1 0; min-height: 0; overflow: hidden; border-radius: 4px;
  background: var(--comfy-input-bg, #222); }
.esg-pick canvas { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; cursor: crosshair; }
.esg-pick p { position: absolute; inset: 0; margin: 0; padding: 12px; display: flex; align-items: center;
  justify-content: center; text-align: center; }
.esg-pick b { position: absolute; left: 0; top: 0; padding: 1px 6px; border-radius: 8px; background: rgb(${HOVER});
  color: #111; pointer-events: none; }
.esg-pick-bar { display: flex; gap: 4px; align-items: center; flex: none; }
.esg-pick-bar output { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.esg-pick button { font: inherit; padding: 2px 8px; border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px;
  background: var(--comfy-input-bg, #222); color: inherit; cursor: pointer; }
.esg-pick button:hover:enabled, .esg-pick button:focus-visible { border-color: rgb(${CHOSEN}); }
.esg-pick button:disabled { opacity: 0.4; cursor: default; }
.esg-pick [hidden] { display: none; }
`;

// ---- the text ---------------------------------------------------------------------------------------------------

/** `3,5-7` → Set {3, 5, 6, 7}; the empty text is the empty set; null for anything that is not ids. */
function parseIds(text) {
  const ids = new Set();
  for (const part of text.split(/[\s,]+/).filter(Boolean)) {
    const [, first, last = first] = part.match(/^(\d{1,6})(?:-(\d{1,6}))?$/) ?? [];
    if (first === undefined) return null;
    for (let id = Math.min(first, last); id <= Math.max(first, last); id++) ids.add(id);
  }
  return ids;
}

/** Set {3, 5, 6, 7} → `3,5-7`. */
function formatIds(ids) {
  const runs = [];
  for (const id of [...ids].sort((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run && run[1] === id - 1) run[1] = id;
    else runs.push([id, id]);
  }
  return runs.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(",");
}

// ---- the picture ------------------------------------------------------------------------------------------------

/** The pixels of a file in ComfyUI's temp folder, `zoom` times enlarged. Throws when the file is gone. */
async function readPixels(file, zoom, smooth) {
  const answer = await fetch(api.apiURL(`/view?${new URLSearchParams(file)}`));
  if (!answer.ok) throw new Error(`/view answered ${answer.status}`);
  // Ids are read from the colours, so neither a colour profile nor the screen's gamut may change them.
  const exact = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(await answer.blob(), exact);
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width * zoom;
  canvas.height = bitmap.height * zoom;
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.imageSmoothingEnabled = smooth;
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** The photo, the id of every pixel, and the pixels and box of each entity's outline. */
async function readPicture(report) {
  // A small picture is enlarged, so that an outline of one pixel stays a thin line in the node.
  const zoom = Math.max(1, Math.round(1024 / Math.max(report.width, report.height)));
  const [photo, colours] = await Promise.all([
    readPixels(report.picture, zoom, true),
    readPixels(report.labels, zoom, false),
  ]);
  const { width, height } = colours;
  if (photo.width !== width || photo.height !== height) throw new Error("the picture and its labels differ in size");
  const labels = new Uint32Array(width * height);
  for (let i = 0; i < labels.length; i++) {
    const id = colours.data[4 * i] + 256 * colours.data[4 * i + 1] + 65536 * colours.data[4 * i + 2];
    labels[i] = id <= report.count ? id : 0;
  }
  return { photo, labels, outlines: findOutlines(labels, width, height, report.count), width, height };
}

/** outlines[id]: the pixels of entity `id` within a line's width of something else, and the box around them. */
function findOutlines(labels, width, height, count) {
  const none = () => ({ pixels: [], left: width, top: height, right: 0, bottom: 0 });
  const outlines = Array.from({ length: count + 1 }, none);
  const line = Math.max(1, Math.round(Math.max(width, height) / 256));
  const down = line * width;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const id = labels[i];
      if (id === 0) continue;
      const framed = x >= line && y >= line && x < width - line && y < height - line; // or the neighbours are outside
      if (framed && [i - line, i + line, i - down, i + down].every((n) => labels[n] === id)) continue;
      const outline = outlines[id];
      outline.pixels.push(i);
      outline.left = Math.min(outline.left, x);
      outline.right = Math.max(outline.right, x + 1);
      outline.top = Math.min(outline.top, y);
      outline.bottom = Math.max(outline.bottom, y + 1);
    }
  }
  return outlines;
}

/** A colour as one pixel of a Uint32Array over ImageData, whose bytes are R, G, B, A. */
const pixel = ([r, g, b]) => new Uint32Array(new Uint8Array([r, g, b, 255]).buffer)[0];

/** The photo with the chosen entities tinted and outlined, and the rest dimmed. */
function paintChosen({ photo, labels, outlines, width, height }, chosen) {
  const image = new ImageData(new Uint8ClampedArray(photo.data), width, height);
  if (chosen.size === 0) return image;
  const tinted = Uint8Array.from(outlines, (_, id) => chosen.has(id));
  for (let i = 0, at = 0; i < labels.length; i++, at += 4) {
    for (let c = 0; c < 3; c++) {
      const value = image.data[at + c];
      image.data[at + c] = tinted[labels[i]] ? value + TINT * (CHOSEN[c] - value) : DIM * value;
    }
  }
  const pixels = new Uint32Array(image.data.buffer);
  const white = pixel(WHITE);
  for (const id of chosen) for (const i of outlines[id]?.pixels ?? []) pixels[i] = white;
  return image;
}

// ---- the widget -------------------------------------------------------------------------------------------------

function element(tag, parent, properties = {}) {
  const made = Object.assign(document.createElement(tag), properties);
  parent?.append(made);
  return made;
}

function addPicture(node, picks) {
  const root = element("div", null, { className: "esg-pick" });
  const view = element("div", root, { className: "esg-pick-view" });
  const canvas = element("canvas", view, { hidden: true });
  canvas.setAttribute("role", "img");
  const message = element("p", view, { textContent: FIRST_RUN });
  const badge = element("b", view, { hidden: true });
  const bar = element("div", root, { className: "esg-pick-bar" });
  const status = element("output", bar);
  const button = (textContent, title, onclick) =>
    element("button", bar, { type: "button", textContent, title, onclick });
  const back = button("‹", "Previous picture of the batch", () => turn(-1));
  const pages = element("span", bar);
  const next = button("›", "Next picture of the batch", () => turn(1));
  const clear = button("Clear", "Choose nothing", () => write(new Set()));
  const invert = button("Invert", "Choose what is not chosen now", () => write(toggled(everything())));
  const all = button("All", "Choose every entity", () => write(new Set(everything())));
  const context = canvas.getContext("2d", { colorSpace: "srgb" });

  let reports; // what the last run sent: one object an image of the batch
  let page = 0;
  let picture; // of the shown page, once its files are read
  let image; // its pixels with the chosen entities painted, and the outline of the hovered one
  let hovered = 0;
  let covered = []; // the pixels that the hovered outline hides
  let ran; // the text when the last run reported
  let shown; // the state that is drawn, to draw again only when it has changed

  const text = () => String(picks.value ?? "");
  const wired = (...names) => Boolean(node.inputs?.some((input) => names.includes(input.name) && input.link != null));
  const inverted = () => Boolean(node.widgets.find((widget) => widget.name === "invert")?.value);
  const everything = () => Array.from({ length: Math.max(...reports.map((r) => r.count)) }, (_, i) => i + 1);
  const othersIf = (condition, ids) => (condition ? new Set(everything().filter((id) => !ids.has(id))) : ids);

  /** What the node chooses now, as far as the text alone tells; otherwise what it chose in the last run. */
  function chosen() {
    const ids = wired("picks") ? null : parseIds(text());
    const added = wired("more", "boxes") && text() === ran;
    return ids === null || added ? new Set(reports[page].ids) : othersIf(inverted(), ids);
  }

  /** The choice with each of these ids let go where it was chosen and chosen where it was not. */
  const toggled = (ids) => {
    const result = chosen();
    for (const id of ids) if (!result.delete(id)) result.add(id);
    return result;
  };

  function write(ids) {
    if (!picture || wired("picks")) return;
    app.canvas.emitBeforeChange?.(); // one step for undo, and the workflow counts as changed
    picks.value = formatIds(othersIf(inverted(), ids));
    picks.callback?.(picks.value, app.canvas, node);
    app.canvas.emitAfterChange?.();
    node.graph?.setDirtyCanvas(true, true);
    refresh();
  }

  /** Bring what is drawn in line with the text and the last run; costs next to nothing when nothing has changed. */
  function refresh() {
    if (!reports) recall();
    const state = [text(), ran, inverted(), wired("picks"), wired("more", "boxes"), page].join("\n");
    if (state === shown?.state && picture === shown.picture && reports === shown.reports) return;
    shown = { state, picture, reports };
    for (const b of [clear, invert, all]) b.disabled = !picture || wired("picks");
    for (const e of [back, pages, next]) e.hidden = !(reports?.length > 1);
    if (!reports) return;
    pages.textContent = `${page + 1}/${reports.length}`;
    const ids = chosen();
    const known = [...ids].filter((id) => id <= reports[page].count).length;
    const named = formatIds(ids);
    status.textContent = `${known} of ${reports[page].count}${named && `: ${named}`}`;
    status.title = wired("picks") ? "The choice comes through a link, so clicking is off." : named;
    canvas.setAttribute("aria-label", `Photo with ${reports[page].count} entities, chosen: ${named || "none"}`);
    if (!picture) return;
    image = paintChosen(picture, ids);
    context.putImageData(image, 0, 0);
    const id = hovered;
    hovered = 0;
    highlight(id);
  }

  /** Move the hovered outline to entity `id` (0: nowhere), touching no pixel outside the two outlines' boxes. */
  function highlight(id) {
    const pixels = new Uint32Array(image.data.buffer);
    const put = ({ left, top, right, bottom }) =>
      context.putImageData(image, 0, 0, left, top, right - left, bottom - top);
    if (hovered) {
      const old = picture.outlines[hovered];
      old.pixels.forEach((i, n) => (pixels[i] = covered[n]));
      put(old);
    }
    hovered = id;
    if (!id) return;
    const now = picture.outlines[id];
    covered = now.pixels.map((i) => pixels[i]);
    const yellow = pixel(HOVER);
    for (const i of now.pixels) pixels[i] = yellow;
    put(now);
  }

  async function show(newReports, newPage) {
    hover();
    if (reports !== newReports) ran = text();
    [reports, page, picture] = [newReports, newPage, undefined];
    const report = reports[page];
    try {
      const read = await readPicture(report);
      if (report !== reports[page]) return; // another run or page came in the meantime
      picture = read;
      [canvas.width, canvas.height] = [picture.width, picture.height];
      canvas.hidden = false;
      message.hidden = true;
    } catch (error) {
      if (report !== reports[page]) return;
      console.warn("Pick Entities:", error);
      message.textContent = GONE;
      message.hidden = false;
      canvas.hidden = true;
    }
    refresh();
  }

  const turn = (by) => show(reports, (page + by + reports.length) % reports.length);

  /** Undo and a switch of workflow tabs make the node anew; the frontend keeps its last output under this name. */
  function recall() {
    const own = !app.rootGraph || node.graph === app.rootGraph ? node.id : `${node.graph?.id}:${node.id}`;
    const kept = app.nodeOutputs?.[own]?.esg_pick;
    if (kept?.length) show(kept, 0);
  }

  /** The place of a pointer in the picture, which lies centred in the canvas element at its own proportions. */
  function locate(event) {
    const box = canvas.getBoundingClientRect(); // in screen pixels, so the graph's zoom is in it
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
    const x = Math.floor((event.clientX - box.left - (box.width - canvas.width * scale) / 2) / scale);
    const y = Math.floor((event.clientY - box.top - (box.height - canvas.height * scale) / 2) / scale);
    const inside = picture && x >= 0 && y >= 0 && x < canvas.width && y < canvas.height;
    return inside ? picture.labels[y * picture.width + x] : 0;
  }

  function hover(event) {
    const id = event ? locate(event) : 0;
    if (id) {
      // A transform alone, for it asks for no new layout of the page at every move.
      const box = view.getBoundingClientRect();
      const zoom = box.width / view.offsetWidth;
      const [x, y] = [(event.clientX - box.left) / zoom, (event.clientY - box.top) / zoom];
      const side = x > view.offsetWidth / 2 ? "calc(-100% - 8px)" : "14px";
      badge.style.transform = `translate(${x}px, ${Math.max(0, y - 24)}px) translateX(${side})`;
    }
    if (id === hovered) return;
    badge.hidden = !id;
    badge.textContent = id;
    if (picture) highlight(id);
  }

  canvas.addEventListener("pointermove", hover);
  canvas.addEventListener("pointerleave", () => hover());
  canvas.addEventListener("click", (event) => {
    const id = locate(event);
    if (id) write(toggled([id]));
  });
  root.addEventListener("pointerenter", refresh);
  // On classic nodes this element lies over the graph's canvas and would keep zooming and panning from it; Vue nodes
  // pass these on by themselves.
  const over = { wheel: "Wheel", pointerdown: "Down", pointermove: "Move", pointerup: "Up" };
  for (const [type, name] of Object.entries(over)) {
    const forward = (event) => {
      const middle = event.button === 1 || event.buttons & 4;
      if (window.LiteGraph?.vueNodesMode || (type !== "wheel" && !middle)) return;
      event.preventDefault();
      app.canvas[`processMouse${name}`](event);
    };
    root.addEventListener(type, forward, { passive: false });
  }

  const widget = node.addDOMWidget("picture", "esg_pick", root, {
    serialize: false, // not sent with the prompt
    hideOnZoom: false, // a picture says most from afar
    getMinHeight: () => 260,
    onDraw: refresh,
  });
  widget.serialize = false; // nor saved: the text is

  for (const input of node.widgets.filter((one) => one === picks || one.name === "invert")) {
    const changed = input.callback;
    input.callback = function (...given) {
      const answer = changed?.apply(this, given);
      refresh();
      return answer;
    };
  }
  const executed = node.onExecuted;
  node.onExecuted = function (output) {
    executed?.apply(this, arguments);
    if (output?.esg_pick?.length) show(output.esg_pick, Math.min(page, output.esg_pick.length - 1));
  };
  const configured = node.onConfigure;
  node.onConfigure = function () {
    configured?.apply(this, arguments);
    setTimeout(() => {
      // Undo makes the node anew, but Vue nodes go on showing the old one's element.
      if (!root.isConnected) document.querySelector(`[data-node-id="${node.id}"] .esg-pick`)?.replaceWith(root);
      refresh();
    }, 300); // outputs of a workflow tab, too, come back after its nodes
  };
  node.setSize([Math.max(node.size[0], 360), Math.max(node.size[1], 460)]);
  refresh();
}

app.registerExtension({
  name: "ESG.PickEntities",
  setup() {
    element("style", document.head, { textContent: CSS });
  },
  nodeCreated(node) {
    const picks = node.comfyClass === NODE && node.widgets?.find((widget) => widget.name === "picks");
    if (picks) addPicture(node, picks);
  },
});
