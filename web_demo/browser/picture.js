// The picture: hovering, selecting, zooming, opacity and the score threshold, all from the label map and without the
// server. Runs once, as the body of a function of gr.HTML: `element` and `trigger` are its parameters.

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
  const strength = Number(opacity.value) * (state.editing ? 0.4 : 1);  // the photo itself is what is worked on
  const paints = painting.paints(state, strength);
  painting.paint(overlay, state.map, paints);
  if (state.detail?.map) painting.paint(detail.querySelector("canvas"), state.detail.map, paints);
  numbers.querySelectorAll("span").forEach((span, index) => {
    span.classList.toggle("esg-on", state.selected.has(index + 1) || state.pointed.has(index + 1));
  });
}

const maskShown = () => state.editing && Boolean(state.mask);
const touchy = matchMedia("(hover: none)").matches;

// Numbers are text above the canvas, so that they stay sharp and of one size; where there is no room, there is none.
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

// ------------------------------------------------------------------------------------------------ words about it

const share = (percent) => `${percent < 0.1 ? "< 0.1" : percent.toFixed(1)} %`;

function describe() {
  if (!state.map) return "";
  if (!state.shown) return state.entities.length ? "No entity reaches this score; lower it." : "No entity was found in this photo.";
  if (state.pointed.size === 1) {
    const [id] = state.pointed;
    const { score, percent } = state.entities[id - 1];
    const [name] = state.names?.names?.[id] || [];
    const phrases = state.phrases.filter(({ ids }) => ids.includes(id)).map(({ text }) => `“${text}”`);
    const words = [...(name ? [name] : []), ...new Set(phrases)];
    return `Entity ${id}${words.length ? `, ${words.join(", ")}` : ""}: score ${score.toFixed(2)}, ${share(percent)} of the picture`;
  }
  const chosen = state.selected.size;
  if (state.tool === "add" || state.tool === "take") return "Paint over the picture.";
  if (!chosen) return touchy ? "Tap entities to select them." : "Click an entity to select it: Shift adds, Alt removes, dragging selects with a box.";
  return chosen === 1 ? "1 entity selected" : `${chosen} entities selected`;
}

// ------------------------------------------------------------------------------------------------ zoom
// The world lies on the stage with its left upper corner at x, y (pixels of the stage), `zoom` times as large.

const view = { zoom: 1, x: 0, y: 0 };
let looking = 0, waiting = 0;
let told = "", since = 0, ticking = 0;  // what is said to be going on, since when, and the clock that counts

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

// Asks for the photo's own pixels where those that are here have become too coarse.
function look() {
  if (!state.map && !state.photo) return;
  const coarse = view.zoom * stage.clientWidth * devicePixelRatio > 1.2 * state.size[0] && state.full[0] > state.size[0];
  if (!coarse || view.zoom === 1) { detail.hidden = true; return; }
  const left = -view.x / view.zoom / stage.clientWidth, top = -view.y / view.zoom / stage.clientHeight;
  trigger("look", { box: [left, top, left + 1 / view.zoom, top + 1 / view.zoom] });
}

stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !event.metaKey) return;  // the page keeps the wheel; a pinch on a touchpad is wheel and Ctrl
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoomTo(view.zoom * Math.exp(-event.deltaY / 240), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

find("zoom").addEventListener("click", (event) => {
  const to = { in: view.zoom * 1.6, out: view.zoom / 1.6, fit: 1 }[event.target.dataset.zoom];
  if (to) zoomTo(to);
});

// ------------------------------------------------------------------------------------------------ pointers and keys

const touches = new Map();   // pointers that are down: where they are
let moved = 0;               // distance since the first pointer came down, to tell a drag from a click
let spread = 0;              // distance of two fingers
let drag = "";               // what the pointer that is down does: box, brush or move
let from = [0, 0];           // where it came down, as parts of the picture
let stroke = null;           // of the brush, as long as it is being made
let spaced = false;          // whether the space bar is held

// The fractions of the picture's width and height where a pointer is.
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
  if (event.button === 1) event.preventDefault();  // no scrolling by the middle button
  if (!touches.size) {
    [moved, drag, from] = [0, begin(event), placeOf(event)];
    if (drag === "brush") stroke = { add: state.tool === "add", radius: brushRadius(), points: [from] };
    if (drag === "brush") drawStroke();
  } else {
    giveUp();  // a second finger: the two of them zoom
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

// From where the pointer came down to where it is, within the picture: left, top, right, bottom.
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

// A click is judged where the pointer was let go, by the same numbers as hovering: `click` itself has rounded ones.
stage.addEventListener("pointerup", (event) => {
  if (!touches.has(event.pointerId)) return;
  const alone = touches.size === 1;
  touches.delete(event.pointerId);
  spread = 0;
  if (!alone) return;
  if (drag === "brush") esg.brush({ ...stroke, points: stroke.points.map((at) => at.map((part) => Number(part.toFixed(5)))) });
  else if (drag === "box" && moved > 6) esg.pick(painting.idsIn(state.map, boxTo(event), state.shown), { ...keysOf(event), detail: 2 });
  else if (drag && moved <= 6 && state.tool === "select" && event.button === 0 && state.map) {
    // Fingers have no Shift: a tap adds, and another one takes away.
    const finger = event.pointerType === "touch" ? { ctrlKey: true } : {};
    const [now, again] = [performance.now(), idsAt(event)];
    esg.pick(again, { ...keysOf(event), ...finger, detail: now - clicked < 400 ? 2 : 1 });
    clicked = now;
  }
  [drag, stroke, boxed.hidden] = ["", null, true];  // what was painted stays until the mask comes
  if (event.pointerType === "mouse" && state.tool === "select") esg.point(idsAt(event));
});
let clicked = -1000;         // when

const keysOf = ({ shiftKey, altKey, ctrlKey, metaKey }) => ({ shiftKey, altKey, ctrlKey, metaKey });

stage.addEventListener("pointercancel", (event) => { touches.delete(event.pointerId); spread = 0; giveUp(); });
stage.addEventListener("pointerleave", () => { tip.hidden = true; esg.point([]); });
stage.addEventListener("auxclick", (event) => event.preventDefault());

// A ring of the brush's size goes with the pointer.
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

// None, or one.
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
  // The same part of the photo stays in sight.
  if (stageWidth && stageHeight) {
    view.x *= stage.clientWidth / stageWidth;
    view.y *= stage.clientHeight / stageHeight;
  }
  [stageWidth, stageHeight] = [stage.clientWidth, stage.clientHeight];
  place();
  writeNumbers();
}).observe(stage);

// As long as it is held, by pointer or key, the photo is shown as it came.
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

find("cancel").addEventListener("click", () => { esg.receive("busy", { text: "" }); trigger("cancel"); });

// ------------------------------------------------------------------------------------------------ what is new

esg.subscribe((news) => {
  if (news.has("picture") && state.photo) {
    const [width, height] = state.size;
    stage.style.setProperty("--ratio", width / height);
    stage.style.aspectRatio = `${width} / ${height}`;
    root.dataset.state = state.map ? "ready" : "waiting";
    score.value = state.least;
    zoomTo(1);
    if (!state.map) stage.scrollIntoView({ block: "nearest" });  // on a phone it lies below the examples
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

// Brushes where there is a mask to see, and Move where the picture is larger than its place.
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

// After a stop, or an error, there is a way to go on; not in the moment before the work begins.
function showAgain() {
  clearTimeout(waiting);
  find("again").hidden = true;
  if (state.photo && !state.map && !state.busy) waiting = setTimeout(() => { find("again").hidden = false; }, 700);
}

find("again").addEventListener("click", () => trigger("again"));

// Says what is going on, and after some seconds of the same also for how long.
function tick() {
  const seconds = Math.floor((performance.now() - since) / 1000);
  busy.querySelector("span").textContent = seconds < 3 ? told : `${told} · ${seconds} s`;
}

function showBusy() {
  busy.hidden = !state.busy;
  const far = state.busy?.part == null ? "" : `: ${Math.round(100 * state.busy.part)} %`;
  find("reading").textContent = state.busy ? `${state.busy.text}${far} …` : "";  // where there is no picture yet
  if (!state.busy) {
    clearInterval(ticking);
    [told, ticking] = ["", 0];
    return;
  }
  if (state.busy.text !== told) [told, since] = [state.busy.text, performance.now()];
  ticking ||= setInterval(tick, 1000);
  tick();
  find("cancel").hidden = Boolean(state.busy.whole);  // what is read or written cannot be stopped
  const bar = busy.querySelector("progress");
  if (state.busy.part == null) bar.removeAttribute("value");
  else bar.value = state.busy.part;
}

// ------------------------------------------------------------------------------------------------ a new photo
// Dropped or pasted files go the way of the upload buttons, so that Gradio takes them in and checks them: a picture as
// a photo, but files of annotations, or several beside a photo that is there, as its masks.

const uploadInput = () => document.querySelector("#start input[type=file]");  // it may come later than this view

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
// Anywhere on the page: a browser would otherwise leave it and open the file.
document.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("esg-dragged"); });
document.addEventListener("dragleave", (event) => event.relatedTarget || root.classList.remove("esg-dragged"));
document.addEventListener("drop", (event) => {
  root.classList.remove("esg-dragged");
  if (event.defaultPrevented) return;  // by an upload of its own
  event.preventDefault();
  if (event.dataTransfer.files.length) give(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) give(event.clipboardData.files);
});
