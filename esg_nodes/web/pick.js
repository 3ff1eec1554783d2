// The picture in the Pick Entities node: click an entity to choose it, click again to undo. Dragging chooses everything in
// a box, or with Shift everything that the pointer passes over; Alt removes instead.
//
// The text widget `picks` is the only place where a choice is stored: it is saved with the workflow, sent with the prompt,
// and can be typed without a mouse. This file draws the entities that the text names on the photo of the last run, and
// writes ids such as `3,5-7` into the text; with several pictures, `picture 2: 3,5-7` is for the second one only. Clicking
// does not need another run, because the node sends the id of every pixel:
//   ui.esg_pick = [{picture, labels, count, width, height, numbers, clip, ids}], one for each picture,
// where `picture` and `labels` are files of one size for /view, a pixel of `labels` is red + 256 green + 65536 blue = its
// entity's id (0: none), `numbers` are all ids in it, `clip` says that ids are the same in all pictures, and `ids` are the
// entities that the node chose by all its inputs, so that this file need not understand every text.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const NODE = "ESGPickEntities";
// Colour-blind people can tell blue and yellow apart; the rest is dimmed, so that a chosen blue thing stands out, too.
const CHOSEN = [30, 136, 255];
const HOVER = [255, 214, 10];
const WHITE = [255, 255, 255];
const TINT = 0.4;
const DIM = 0.65;
const LINE = 0.45; // whiteness of the outlines of entities that are not chosen
const STILL = 4; // screen pixels that the pointer may move during a click

const TEXTS = {
  en: {
    first: "Run the workflow once, then click the things you want.",
    gone: "The picture of the last run has been deleted. Run the workflow again, then click.",
    nothing: "No entities were found in this picture.",
    back: "Previous picture",
    next: "Next picture",
    clear: "Clear",
    clearHelp: "Choose nothing in this picture",
    invert: "Invert",
    invertHelp: "Invert the choice",
    all: "All",
    allHelp: "Choose every entity of this picture",
    help: "Click: choose or undo. Drag: everything in a box. Shift and drag: everything you pass over. Alt: remove.",
    linked: "The choice comes from another node (input picks), so clicking is off.",
    status: (known, count, named) => `${known} of ${count}${named && `: ${named}`}`,
    label: (count, named) => `Photo with ${count} entities, chosen: ${named || "none"}`,
  },
  zh: {
    first: "先运行一次，再点击想要的内容。",
    gone: "上次运行的图像已不存在。请再运行一次，然后点击。",
    nothing: "这张图像中没有找到实体。",
    back: "上一张图像",
    next: "下一张图像",
    clear: "清除",
    clearHelp: "这张图像中什么都不选",
    invert: "反选",
    invertHelp: "选中当前未选的",
    all: "全选",
    allHelp: "选中这张图像的全部实体",
    help: "单击：选中或取消。拖动：框内全部。按住 Shift 拖动：经过的全部。按住 Alt：去除。",
    linked: "选择来自连线，因此不能点击。",
    status: (known, count, named) => `${count} 个中选中 ${known} 个${named && `：${named}`}`,
    label: (count, named) => `含 ${count} 个实体的照片，已选：${named || "无"}`,
  },
};

/** The picker's texts in the language of the page, or else in English. */
function texts() {
  const locale = String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en");
  return TEXTS[locale.split("-")[0]] ?? TEXTS.en;
}

const CSS = `
.esg-pick { display: flex; flex-direction: column; gap: 4px; box-sizing: border-box; width: 100%; height: 100%;
  min-height: 240px; font: 12px/1.3 Inter, Arial, sans-serif; color: var(--input-text, #ddd); }
.esg-pick-view { position: relative; flex: 1 1 0; min-height: 0; overflow: hidden; border-radius: 4px;
  background: var(--comfy-input-bg, #222); }
.esg-pick canvas { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; cursor: crosshair;
  touch-action: none; }
.esg-pick i { position: absolute; border: 1px dashed rgb(${HOVER}); background: rgba(${HOVER}, 0.15); pointer-events: none; }
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

/** `3,5-7` → Set {3, 5, 6, 7}; `none` and the empty text are the empty set; null for anything that is not ids. */
function parseIds(text) {
  const ids = new Set();
  for (const part of text.split(/[\s,，、]+/).filter(Boolean)) {
    if (part.toLowerCase() === "none") continue;
    const [, first, last = first] = part.match(/^(\d{1,6})(?:[-–](\d{1,6}))?$/) ?? [];
    if (first === undefined) return null;
    for (let id = Math.min(first, last); id <= Math.max(first, last); id++) ids.add(id);
  }
  return ids;
}

/** `largest, picture 2: 3,5` → {general: "largest", own: Map {2 → "3,5"}}; `own` has pictures 1..count only. */
function parsePictures(text, count) {
  const [general, ...rest] = text.split(/(?:^|[,，、\n])\s*pictures?\s*(\d+(?:\s*[-–]\s*\d+)?)\s*[:：]/i);
  const own = new Map();
  for (let k = 0; k < rest.length; k += 2) {
    const [first, last = first] = rest[k].split(/[-–]/).map(Number);
    for (let n = first; n <= Math.min(last, count); n++) own.set(n, [own.get(n), rest[k + 1].trim()].filter(Boolean).join(","));
  }
  return { general: general.trim(), own };
}

/** The inverse of parsePictures. */
function formatPictures({ general, own }) {
  const marked = [...own].sort(([a], [b]) => a - b).map(([n, text]) => `picture ${n}: ${text || "none"}`);
  return [general, ...marked].filter(Boolean).join(", ");
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
  // Ids are read from the colours, so neither a colour profile nor the screen's gamut must change them.
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

/** The ids in a picture; workflows opened with the output of an earlier release have only their count. */
const numbersOf = (report) => report.numbers ?? Array.from({ length: report.count }, (_, i) => i + 1);

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
    labels[i] = id;
  }
  const highest = Math.max(0, ...numbersOf(report));
  return { photo, labels, outlines: findOutlines(labels, width, height, highest), width, height };
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

/** The photo with all entities outlined and the chosen ones tinted; if any is chosen, the rest is dimmed. */
function paintChosen({ photo, labels, outlines, width, height }, chosen) {
  const image = new ImageData(new Uint8ClampedArray(photo.data), width, height);
  for (const { pixels } of outlines) {
    for (const i of pixels) for (let c = 4 * i; c < 4 * i + 3; c++) image.data[c] += LINE * (255 - image.data[c]);
  }
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
  const message = element("p", view, { textContent: texts().first });
  const badge = element("b", view, { hidden: true });
  const band = element("i", view, { hidden: true });
  const bar = element("div", root, { className: "esg-pick-bar" });
  const status = element("output", bar);
  const button = (textContent, title, onclick) =>
    element("button", bar, { type: "button", textContent, title, onclick });
  const back = button("‹", texts().back, () => turn(-1));
  const pages = element("span", bar);
  const next = button("›", texts().next, () => turn(1));
  const clear = button(texts().clear, texts().clearHelp, () => write(new Set()));
  const invert = button(texts().invert, texts().invertHelp, () => write(toggled(everything())));
  const all = button(texts().all, texts().allHelp, () => write(new Set(everything())));
  const context = canvas.getContext("2d", { colorSpace: "srgb" });

  let reports; // the data of the last run: one object for each image of the batch
  let page = 0;
  let picture; // the picture of the page that is shown, once its files are read
  let image; // its pixels with the chosen entities painted, and the outline of the hovered one
  let hovered = 0;
  let covered = []; // the pixels that the hovered outline hides
  let ran; // the text at the time of the last run
  let shown; // the state that is drawn; it is drawn again only if it has changed

  const text = () => String(picks.value ?? "");
  const wired = (...names) => Boolean(node.inputs?.some((input) => names.includes(input.name) && input.link != null));
  const inverted = () => Boolean(node.widgets.find((widget) => widget.name === "invert")?.value);
  /** All ids that can be chosen: those of a page, or in a clip those of all pages. */
  const everything = (of = page) => [...new Set(reports[of].clip ? reports.flatMap(numbersOf) : numbersOf(reports[of]))];
  const othersIf = (condition, ids, of = page) =>
    condition ? new Set(everything(of).filter((id) => !ids.has(id))) : ids;
  const single = () => reports.length === 1 || reports[page].clip; // one choice for all pictures

  /** The ids that the text names for a page; null if the text is not a list of ids. */
  function named(of) {
    const { general, own } = parsePictures(text(), reports.length);
    if (reports[of].clip && own.size) return null;
    return parseIds(own.has(of + 1) ? own.get(of + 1) : general);
  }

  /** The current choice if the text alone determines it; otherwise the choice of the last run. */
  function chosen(of = page) {
    const ids = wired("picks") ? null : named(of);
    const added = wired("more", "boxes") && text() === ran;
    return ids === null || added ? new Set(reports[of].ids) : othersIf(inverted(), ids, of);
  }

  /** The choice after toggling each of these ids. */
  const toggled = (ids) => {
    const result = chosen();
    for (const id of ids) if (!result.delete(id)) result.add(id);
    return result;
  };

  function write(ids) {
    if (!picture || wired("picks")) return;
    app.canvas.emitBeforeChange?.(); // one step for undo, and the workflow counts as changed
    const kept = formatIds(othersIf(inverted(), ids));
    const pictures = parsePictures(text(), reports.length);
    pictures.own.set(page + 1, kept);
    if (!kept && !pictures.general) pictures.own.delete(page + 1);
    picks.value = single() ? kept : formatPictures(pictures);
    picks.callback?.(picks.value, app.canvas, node);
    app.canvas.emitAfterChange?.();
    node.graph?.setDirtyCanvas(true, true);
    refresh();
  }

  /** Draws the text's choice on the picture of the last run; quick if nothing has changed. */
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
    const here = new Set(numbersOf(reports[page]));
    const known = [...ids].filter((id) => here.has(id)).length;
    const written = formatIds(ids);
    status.textContent = texts().status(known, reports[page].count, written);
    status.title = wired("picks") ? texts().linked : written;
    canvas.title = wired("picks") ? texts().linked : texts().help;
    canvas.setAttribute("aria-label", texts().label(reports[page].count, written));
    if (!picture) return;
    image = paintChosen(picture, ids);
    context.putImageData(image, 0, 0);
    const id = hovered;
    hovered = 0;
    highlight(id);
  }

  /** Moves the hovered outline to entity `id` (0: nowhere); draws only within the boxes of the two outlines. */
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
      message.hidden = report.count > 0;
      message.textContent = texts().nothing;
    } catch (error) {
      if (report !== reports[page]) return;
      console.warn("Pick Entities:", error);
      message.textContent = texts().gone;
      message.hidden = false;
      canvas.hidden = true;
    }
    refresh();
  }

  const turn = (by) => show(reports, (page + by + reports.length) % reports.length);

  /** Shows the last output, which the frontend keeps, after undo or another workflow tab has recreated the node. */
  function recall() {
    const own = !app.rootGraph || node.graph === app.rootGraph ? node.id : `${node.graph?.id}:${node.id}`;
    const kept = app.nodeOutputs?.[own]?.esg_pick;
    if (kept?.length) show(kept, 0);
  }

  /** The position of a pointer in the picture, which is centred in the canvas element and keeps its proportions. */
  function place(event) {
    const box = canvas.getBoundingClientRect(); // in screen pixels, so the graph's zoom is in it
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
    const x = (event.clientX - box.left - (box.width - canvas.width * scale) / 2) / scale;
    const y = (event.clientY - box.top - (box.height - canvas.height * scale) / 2) / scale;
    return [Math.floor(x), Math.floor(y)];
  }

  function idAt([x, y]) {
    const inside = picture && x >= 0 && y >= 0 && x < canvas.width && y < canvas.height;
    return inside ? picture.labels[y * picture.width + x] : 0;
  }

  const locate = (event) => idAt(place(event));

  /** The ids of entities that have at least half of their pixels in the box between two positions. */
  function idsBetween([ax, ay], [bx, by]) {
    const [left, right] = [Math.max(0, Math.min(ax, bx)), Math.min(picture.width - 1, Math.max(ax, bx))];
    const [top, bottom] = [Math.max(0, Math.min(ay, by)), Math.min(picture.height - 1, Math.max(ay, by))];
    const [inside, whole] = [new Map(), new Map()];
    picture.labels.forEach((id, i) => {
      if (!id) return;
      whole.set(id, (whole.get(id) ?? 0) + 1);
      const [x, y] = [i % picture.width, Math.floor(i / picture.width)];
      if (x >= left && x <= right && y >= top && y <= bottom) inside.set(id, (inside.get(id) ?? 0) + 1);
    });
    return [...inside.keys()].filter((id) => 2 * inside.get(id) >= whole.get(id));
  }

  /** The ids on the line from one position to another. */
  function idsAlong([ax, ay], [bx, by]) {
    const steps = Math.max(1, Math.abs(bx - ax), Math.abs(by - ay));
    const ids = new Set();
    for (let k = 0; k <= steps; k++)
      ids.add(idAt([Math.round(ax + ((bx - ax) * k) / steps), Math.round(ay + ((by - ay) * k) / steps)]));
    ids.delete(0);
    return ids;
  }

  function hover(event) {
    const id = event ? locate(event) : 0;
    if (id) {
      // Only a transform, so that the page does not need a new layout at every move.
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

  let press; // where the button went down, and the ids that the pointer has passed over since

  const within = (event) => {
    const box = view.getBoundingClientRect();
    return event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
  };

  function drawBand(event) {
    const box = view.getBoundingClientRect();
    const zoom = box.width / view.offsetWidth;
    const [left, right] = [press.x, event.clientX].sort((a, b) => a - b);
    const [top, bottom] = [press.y, event.clientY].sort((a, b) => a - b);
    const pixels = { left: left - box.left, top: top - box.top, width: right - left, height: bottom - top };
    for (const [side, value] of Object.entries(pixels)) band.style[side] = `${value / zoom}px`;
    band.hidden = false;
  }

  function letGo() {
    press = undefined;
    band.hidden = true;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !picture || wired("picks")) return;
    event.stopPropagation(); // or Vue nodes would be dragged
    canvas.setPointerCapture(event.pointerId);
    press = { x: event.clientX, y: event.clientY, from: place(event), at: place(event), passed: new Set([locate(event)]) };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (press) {
      event.stopPropagation();
      press.moved ||= Math.hypot(event.clientX - press.x, event.clientY - press.y) > STILL;
      if (press.moved && event.shiftKey) for (const id of idsAlong(press.at, place(event))) press.passed.add(id);
      if (press.moved && !event.shiftKey) drawBand(event);
      press.at = place(event);
    }
    hover(event);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!press) return;
    const { from, moved, passed } = press;
    letGo();
    if (!picture || !within(event)) return; // released outside: not a click
    if (!moved && !event.altKey) {
      const id = locate(event);
      if (id) write(toggled([id]));
      return;
    }
    const ids = moved && !event.shiftKey ? idsBetween(from, place(event)) : [...passed];
    const result = chosen();
    for (const id of ids.filter(Boolean)) event.altKey ? result.delete(id) : result.add(id);
    if (ids.some(Boolean)) write(result);
  });
  canvas.addEventListener("pointercancel", letGo);
  canvas.addEventListener("pointerleave", () => hover());
  root.addEventListener("pointerenter", refresh);
  // In classic nodes, this element covers the graph's canvas and would block zooming and panning; Vue nodes pass these
  // events on themselves.
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
    hideOnZoom: false, // a picture is useful from afar, too
    getMinHeight: () => 260,
    onDraw: refresh,
  });
  widget.serialize = false; // not saved either, since the text is

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
      // Undo recreates the node, but Vue nodes keep showing the old one's element.
      if (!root.isConnected) document.querySelector(`[data-node-id="${node.id}"] .esg-pick`)?.replaceWith(root);
      refresh();
    }, 300); // the outputs of a workflow tab are restored after its nodes
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
