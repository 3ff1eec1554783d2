// The picture: hovering, selecting, zooming, opacity and the minimum score, all from the label map and without the
// server. gr.HTML runs this once, as the body of a function with the parameters `element` and `trigger`.

const { state, painting } = window.esg;
const find = (name) => element.querySelector(`.esg-${name}`);
const root = element.querySelector(".esg");
const stage = find("stage"), world = find("world"), photo = find("photo"), overlay = find("overlay");
const detail = find("detail"), mask = find("mask"), numbers = find("numbers"), busy = find("busy");
const strokes = find("strokes"), boxed = find("box"), tip = find("tip"), brushSize = find("size");
const compare = find("compare"), opacity = find("opacity"), score = find("score"), numbered = find("numbered");

// ------------------------------------------------------------------------------------------------ drawing

let drawing = 0;
const draw = () => { drawing ||= requestAnimationFrame(() => { drawing = 0; paint(); }); };

function paint() {
  if (!state.map) { overlay.getContext("2d").clearRect(0, 0, overlay.width, overlay.height); return; }
  const strength = Number(opacity.value) * (state.editing ? 0.4 : 1);  // while editing, the photo itself matters
  const paints = painting.paints(state, strength);
  painting.paint(overlay, state.map, paints);
  if (state.detail?.map) painting.paint(detail.querySelector("canvas"), state.detail.map, paints);
  numbers.querySelectorAll("span").forEach((span, index) => {
    span.classList.toggle("esg-on", state.selected.has(index + 1) || state.pointed.has(index + 1));
  });
}

const maskShown = () => state.editing && Boolean(state.mask);
const touchy = matchMedia("(hover: none)").matches;

// Numbers are text above the canvas, so that they stay sharp and keep their size; small entities do not get one.
function writeNumbers() {
  const scale = stage.clientWidth * view.zoom;
  numbers.replaceChildren(...state.entities.slice(0, state.shown).map(({ x, y, radius }, index) => {
    const span = document.createElement("span");
    span.textContent = index + 1;
    span.style.left = `${100 * x}%`;
    span.style.top = `${100 * y}%`;
    span.hidden = !numbered.checked || radius * scale < 9;
    return span;
  }));
  draw();
}

// ------------------------------------------------------------------------------------------------ status line

const share = (percent) => `${percent < 0.1 ? "< 0.1" : percent.toFixed(1)} %`;

function describe() {
  if (!state.map) return "";
  if (!state.shown) return state.entities.length ? "No entity reaches the minimum score; lower it." : "No entities were found in this photo.";
  if (state.pointed.size === 1) {
    const [id] = state.pointed;
    const { score, percent } = state.entities[id - 1];
    const [name] = state.names?.names?.[id] || [];
    const phrases = state.phrases.filter(({ ids }) => ids.includes(id)).map(({ text }) => `“${text}”`);
    const words = [...(name ? [name] : []), ...new Set(phrases)];
    return `Entity ${id}${words.length ? `, ${words.join(", ")}` : ""}: score ${score.toFixed(2)}, ${share(percent)} of the picture`;
  }
  const chosen = state.selected.size;
  if (state.tool === "add" || state.tool === "take") return "Paint on the picture to change the mask.";
  if (!chosen) return touchy ? "Tap entities to select them." : "Click an entity to select it. Shift-click adds, Alt-click removes, dragging selects with a box.";
  return chosen === 1 ? "1 entity selected" : `${chosen} entities selected`;
}

// ------------------------------------------------------------------------------------------------ zoom
// The world is `zoom` times as large as the stage; its top left corner is at x, y (pixels of the stage).

const view = { zoom: 1, x: 0, y: 0 };
let looking = 0, waiting = 0;
let told = "", since = 0, ticking = 0;  // the text about the server's work, since when, and the timer that updates it

const mostZoom = () => Math.max(4, 8 * state.full[0] / Math.max(1, stage.clientWidth));

function zoomTo(zoom, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const next = Math.min(Math.max(zoom, 1), mostZoom());
  const factor = next / view.zoom;
  Object.assign(view, { zoom: next, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor });
  place();
  writeNumbers();
}

function place() {
  const within = (value, size) => Math.min(0, Math.max(value, size * (1 - view.zoom)));
  view.x = within(view.x, stage.clientWidth);
  view.y = within(view.y, stage.clientHeight);
  world.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
  world.style.setProperty("--zoom", view.zoom);
  if (stage.classList.contains("esg-zoomed") !== view.zoom > 1) {
    stage.classList.toggle("esg-zoomed", view.zoom > 1);
    if (view.zoom === 1 && state.tool === "move") esg.take("select");
    else showTools();
  }
  clearTimeout(looking);
  looking = setTimeout(look, 250);
}

// Asks for the photo at full resolution if the picture here has become too coarse.
function look() {
  if (!state.map && !state.photo) return;
  const coarse = view.zoom * stage.clientWidth * devicePixelRatio > 1.2 * state.size[0] && state.full[0] > state.size[0];
  if (!coarse || view.zoom === 1) { detail.hidden = true; return; }
  const left = -view.x / view.zoom / stage.clientWidth, top = -view.y / view.zoom / stage.clientHeight;
  trigger("look", { box: [left, top, left + 1 / view.zoom, top + 1 / view.zoom] });
}

stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;  // the wheel alone scrolls the page; a pinch on a touchpad is the wheel with Ctrl
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoomTo(view.zoom * Math.exp(-event.deltaY / 240), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

find("zoom").addEventListener("click", (event) => {
  const to = { in: view.zoom * 1.6, out: view.zoom / 1.6, fit: 1 }[event.target.dataset.zoom];
  if (to) zoomTo(to);
});

// ------------------------------------------------------------------------------------------------ pointers and keys

const touches = new Map();   // positions of the pointers that are down
let moved = 0;               // distance since the first pointer went down, to tell a drag from a click
let spread = 0;              // distance of two fingers
let drag = "";               // the effect of the pointer that is down: box, brush or move
let from = [0, 0];           // where it went down, as fractions of the picture
let stroke = null;           // the stroke of the brush that is being made
let spaced = false;          // whether the space bar is held

// The position of a pointer, as fractions of the picture's width and height.
function placeOf({ clientX, clientY }) {
  const box = overlay.getBoundingClientRect();
  return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
}

const brushRadius = () => Number(brushSize.value) / 100 / view.zoom;

function begin(event) {
  const finger = event.pointerType === "touch";
  if (event.button === 1 || spaced || state.tool === "move" || (finger && state.tool === "select")) return "move";
  if (!state.map) return "";
  return state.tool === "select" ? "box" : "brush";
}

stage.addEventListener("pointerdown", (event) => {
  if (event.button > 1) return;
  if (event.button === 1) event.preventDefault();  // the middle button must not scroll
  if (!touches.size) {
    [moved, drag, from] = [0, begin(event), placeOf(event)];
    if (drag === "brush") stroke = { add: state.tool === "add", radius: brushRadius(), points: [from] };
    if (drag === "brush") drawStroke();
  } else {
    giveUp();  // a second finger: two fingers zoom
  }
  touches.set(event.pointerId, [event.clientX, event.clientY]);
  if (drag !== "move" || view.zoom > 1) stage.setPointerCapture(event.pointerId);
});

stage.addEventListener("pointermove", (event) => {
  const before = touches.get(event.pointerId);
  if (before) {
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    touches.set(event.pointerId, [event.clientX, event.clientY]);
    if (touches.size === 2) pinch();
    else if (drag === "move" && view.zoom > 1) { view.x += dx; view.y += dy; place(); }
    else if (drag === "brush") lengthen(event);
    else if (drag === "box" && moved > 6) showBox(event);
  }
  showTip(event);
  if (event.pointerType === "mouse" && !(before && moved > 6)) esg.point(state.tool === "select" ? idsAt(event) : []);
});

function pinch() {
  const [[ax, ay], [bx, by]] = touches.values();
  const box = stage.getBoundingClientRect(), now = Math.hypot(ax - bx, ay - by);
  if (spread) zoomTo(view.zoom * now / spread, (ax + bx) / 2 - box.left, (ay + by) / 2 - box.top);
  spread = now;
  moved += 10;
}

// The box from where the pointer went down to where it is, within the picture: left, top, right, bottom.
function boxTo(event) {
  const within = (part) => Math.min(1, Math.max(0, part));
  const [[x0, y0], [x1, y1]] = [from.map(within), placeOf(event).map(within)];
  return [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
}

function showBox(event) {
  const [left, top, right, bottom] = boxTo(event), [width, height] = [stage.clientWidth, stage.clientHeight];
  boxed.hidden = false;
  Object.assign(boxed.style, {
    left: `${view.x + left * width * view.zoom}px`, top: `${view.y + top * height * view.zoom}px`,
    width: `${(right - left) * width * view.zoom}px`, height: `${(bottom - top) * height * view.zoom}px`,
  });
  esg.point(painting.idsIn(state.map, [left, top, right, bottom], state.shown));
}

function lengthen(event) {
  const [x, y] = placeOf(event), [lastX, lastY] = stroke.points.at(-1);
  if (Math.hypot(x - lastX, y - lastY) < stroke.radius / 4) return;
  stroke.points.push([x, y]);
  drawStroke();
}

function drawStroke() {
  [strokes.width, strokes.height] = state.size;  // which also clears it
  if (stroke) painting.stroke(strokes, stroke);
}

function giveUp() {
  [drag, stroke, boxed.hidden] = ["", null, true];
  drawStroke();
}

// A click counts where the pointer is released, at the same exact position as for hovering; `click` has a rounded one.
stage.addEventListener("pointerup", (event) => {
  if (!touches.has(event.pointerId)) return;
  const alone = touches.size === 1;
  touches.delete(event.pointerId);
  spread = 0;
  if (!alone) return;
  if (drag === "brush") esg.brush({ ...stroke, points: stroke.points.map((at) => at.map((part) => Number(part.toFixed(5)))) });
  else if (drag === "box" && moved > 6) esg.pick(painting.idsIn(state.map, boxTo(event), state.shown), { ...keysOf(event), detail: 2 });
  else if (drag && moved <= 6 && state.tool === "select" && event.button === 0 && state.map) {
    // Fingers do not have a Shift key, so a tap toggles.
    const finger = event.pointerType === "touch" ? { ctrlKey: true } : {};
    const [now, again] = [performance.now(), idsAt(event)];
    esg.pick(again, { ...keysOf(event), ...finger, detail: now - clicked < 400 ? 2 : 1 });
    clicked = now;
  }
  [drag, stroke, boxed.hidden] = ["", null, true];  // a stroke stays visible until the mask arrives
  if (event.pointerType === "mouse" && state.tool === "select") esg.point(idsAt(event));
});
let clicked = -1000;         // the time of the last click, in ms

const keysOf = ({ shiftKey, altKey, ctrlKey, metaKey }) => ({ shiftKey, altKey, ctrlKey, metaKey });

stage.addEventListener("pointercancel", (event) => { touches.delete(event.pointerId); spread = 0; giveUp(); });
stage.addEventListener("pointerleave", () => { tip.hidden = true; esg.point([]); });
stage.addEventListener("auxclick", (event) => event.preventDefault());

// A ring of the brush's size follows the pointer.
function showTip(event) {
  tip.hidden = !(state.tool === "add" || state.tool === "take") || event.pointerType === "touch" || !state.map;
  if (tip.hidden) return;
  const box = stage.getBoundingClientRect(), size = 2 * brushRadius() * stage.clientWidth * view.zoom;
  Object.assign(tip.style, {
    left: `${event.clientX - box.left}px`, top: `${event.clientY - box.top}px`, width: `${size}px`, height: `${size}px`,
  });
}

find("unpaint").addEventListener("click", () => esg.brush());
find("drag").addEventListener("click", (event) => event.target.dataset.tool && esg.take(event.target.dataset.tool));

// The id at a pointer, as a list of one or none.
function idsAt(event) {
  if (!state.map) return [];
  let [x, y] = placeOf(event);
  let map = state.map;
  if (state.detail?.map && !detail.hidden) {
    const [left, top, right, bottom] = state.detail.box;
    if (x >= left && x < right && y >= top && y < bottom) {
      [x, y, map] = [(x - left) / (right - left), (y - top) / (bottom - top), state.detail.map];
    }
  }
  const [column, row] = [Math.floor(x * map.width), Math.floor(y * map.height)];
  const id = column >= 0 && column < map.width && row >= 0 && row < map.height ? map.ids[row * map.width + column] : 0;
  return id && id <= state.shown ? [id] : [];
}

stage.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const zoom = { "+": view.zoom * 1.6, "=": view.zoom * 1.6, "-": view.zoom / 1.6, 0: 1 }[event.key];
  const [at] = state.pointed, { shown } = state;
  if (event.target !== stage || event.ctrlKey || event.metaKey) return;
  if (step && shown) esg.point([at ? (at - 1 + step + shown) % shown + 1 : step > 0 ? 1 : shown]);
  else if (zoom) zoomTo(zoom);
  else if (event.key === "Enter" && at) esg.pick(state.pointed, keysOf(event));
  else if (event.key === " ") { spaced = stage.matches(":hover") && view.zoom > 1; if (!spaced) state.pointed.forEach(esg.toggle); }
  else return;
  event.preventDefault();
});
document.addEventListener("keyup", (event) => { if (event.key === " ") spaced = false; });
stage.addEventListener("blur", () => esg.point([]));

opacity.addEventListener("input", draw);
score.addEventListener("input", () => esg.threshold(Number(score.value)));
numbered.addEventListener("change", writeNumbers);
let [stageWidth, stageHeight] = [0, 0];
new ResizeObserver(() => {
  // The same part of the photo stays in view.
  if (stageWidth && stageHeight) {
    view.x *= stage.clientWidth / stageWidth;
    view.y *= stage.clientHeight / stageHeight;
  }
  [stageWidth, stageHeight] = [stage.clientWidth, stage.clientHeight];
  place();
  writeNumbers();
}).observe(stage);

// Shows the original photo while the button is held, by pointer or key.
function before(shown) {
  root.classList.toggle("esg-before", shown);
  photo.src = shown ? state.before : state.photo;
}
compare.addEventListener("pointerdown", () => before(true));
for (const end of ["pointerup", "pointerleave", "pointercancel", "blur", "keyup"]) {
  compare.addEventListener(end, () => root.classList.contains("esg-before") && before(false));
}
compare.addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") before(true); });
compare.addEventListener("contextmenu", (event) => event.preventDefault());  // of a long press

find("cancel").addEventListener("click", () => {
  const { stop } = state.busy || {};
  esg.receive("busy", { text: "" });
  if (stop) stop();
  else trigger("cancel");
});

// ------------------------------------------------------------------------------------------------ changes of state

esg.subscribe((news) => {
  if (news.has("picture") && state.photo) {
    const [width, height] = state.size;
    stage.style.setProperty("--ratio", width / height);
    stage.style.aspectRatio = `${width} / ${height}`;
    root.dataset.state = state.map ? "ready" : "waiting";
    score.value = state.least;
    zoomTo(1);
    if (!state.map) stage.scrollIntoView({ block: "nearest" });  // on a phone it is below the examples
  }
  if (news.has("picture") || news.has("edited")) photo.src = state.photo || photo.src;
  if (news.has("picture") || news.has("edited")) compare.hidden = !state.before;
  if (news.has("edited")) place();
  if (news.has("picture") || news.has("edited") || news.has("detail")) showDetail();
  if (["tool", "picture", "editing", "strokes"].some((one) => news.has(one))) showTools();
  if (news.has("mask") || news.has("picture") || (news.has("strokes") && !state.strokes.length)) drawStroke();
  if (["mask", "selected", "strokes", "edited", "picture"].some((one) => news.has(one))) {
    mask.hidden = !maskShown();
    if (maskShown()) mask.src = state.mask;
  }
  if (news.has("busy")) showBusy();
  if (news.has("busy") || news.has("picture")) showAgain();
  if (news.has("shown")) {
    find("score-value").textContent = state.least.toFixed(2);
    writeNumbers();
  }
  find("status").textContent = describe();
  draw();
});

// Shows the brushes while a mask can be edited, and Move while the picture is enlarged.
function showTools() {
  const zoomed = view.zoom > 1, brush = state.tool === "add" || state.tool === "take";
  for (const button of find("drag").querySelectorAll("button")) {
    const { tool } = button.dataset;
    button.hidden = tool === "move" ? !zoomed : tool !== "select" && !state.editing;
    button.setAttribute("aria-pressed", tool === state.tool);
  }
  find("drag").hidden = !zoomed && !state.editing;
  find("sized").hidden = !brush;
  find("unpaint").hidden = !state.editing || !state.strokes.length;
  stage.dataset.tool = state.tool;
}

function showDetail() {
  detail.hidden = !state.detail;
  if (!state.detail) return;
  const [left, top, right, bottom] = state.detail.box.map((part) => 100 * part);
  Object.assign(detail.style, {
    left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%`,
  });
  detail.querySelector("img").src = state.detail.photo;
}

// After a stop or an error, offers to segment the photo; but not in the moment before the work begins.
function showAgain() {
  clearTimeout(waiting);
  find("again").hidden = true;
  if (state.photo && !state.map && !state.busy) waiting = setTimeout(() => { find("again").hidden = false; }, 700);
}

find("again").addEventListener("click", () => trigger("again"));

// Shows the text about the server's work, and after three seconds how long it has been going on.
function tick() {
  const seconds = Math.floor((performance.now() - since) / 1000);
  busy.querySelector("span").textContent = seconds < 3 ? told : `${told} · ${seconds} s`;
}

function showBusy() {
  busy.hidden = !state.busy;
  if (!state.busy) {
    clearInterval(ticking);
    [told, ticking] = ["", 0];
    return;
  }
  if (state.busy.text !== told) [told, since] = [state.busy.text, performance.now()];
  ticking ||= setInterval(tick, 1000);
  tick();
  find("cancel").hidden = Boolean(state.busy.whole && !state.busy.stop);  // reading and writing cannot be stopped
  const bar = busy.querySelector("progress");
  if (state.busy.part == null) bar.removeAttribute("value");
  else bar.value = state.busy.part;
}

// ------------------------------------------------------------------------------------------------ a new photo
// Dropped or pasted files are given to the upload buttons, so that Gradio receives and checks them: a picture becomes the
// photo; annotation files, or several files while there is a photo, become its masks.

const uploadInput = () => document.querySelector("#start input[type=file]");  // it may appear later than this view

function give(given) {
  const noPicture = [...given].some(({ name }) => /\.(json|xml|txt|csv|np[yz])$/i.test(name));
  const masks = noPicture || (given.length > 1 && Boolean(state.photo));
  const input = masks ? document.querySelector("#settings input[type=file]") : uploadInput();
  const files = new DataTransfer();
  for (const file of masks ? given : [given[0]]) files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

find("drop").addEventListener("click", () => uploadInput().click());
// Files can be dropped anywhere on the page; otherwise the browser would leave the page and open the file.
document.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("esg-dragged"); });
document.addEventListener("dragleave", (event) => event.relatedTarget || root.classList.remove("esg-dragged"));
document.addEventListener("drop", (event) => {
  root.classList.remove("esg-dragged");
  if (event.defaultPrevented) return;  // an upload button has taken it
  event.preventDefault();
  if (event.dataTransfer.files.length) give(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) give(event.clipboardData.files);
});
