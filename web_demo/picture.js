// Runs once, as the body of a function of gr.HTML: `element`, `props`, `trigger` and `watch` are its parameters.
// The value comes from picture.py. Everything here answers from the label map, without the server.

const find = (name) => element.querySelector(`.esg-${name}`);
const root = element.querySelector(".esg");
const stage = find("stage"), photo = find("photo"), overlay = find("overlay"), numbers = find("numbers");
const opacity = find("opacity"), score = find("score"), numbered = find("numbered");
const rows = element.querySelector("tbody"), board = find("board");
const saveButtons = [...find("save").querySelectorAll("button")];

let entities = [];          // of the value, entities[id - 1]
let labels = null;          // Uint16Array, an id a pixel, 0 = none
let edges = null;           // Uint8Array, 1 on the contours
let [width, height] = [0, 0];
let shown = 0;              // ids 1..shown reach the minimum score
let hovered = 0;
const selected = new Set();
let version = 0;            // of the value: what arrives late is dropped

// ------------------------------------------------------------------------------------------------ the value

async function take(value) {
  const mine = ++version;
  if (!value || !value.photo) return;
  const image = new Image();
  image.src = value.photo.url;
  const [ids] = await Promise.all([value.labels ? readLabels(value.labels.url) : null, image.decode()]);
  if (mine !== version) return;
  [width, height] = value.size;
  photo.src = image.src;
  stage.style.setProperty("--ratio", width / height);
  stage.style.aspectRatio = `${width} / ${height}`;
  overlay.width = width;
  overlay.height = height;
  labels = ids;
  entities = value.entities || [];
  edges = labels && contours(labels, Math.max(1, Math.round(Math.max(width, height) / 700)));
  selected.clear();
  hovered = 0;
  score.value = value.min_score;
  root.dataset.state = labels ? "ready" : "waiting";
  fillTable();
  threshold();
  if (!labels) stage.scrollIntoView({ block: "nearest" });  // on a phone it lies below the examples
}

async function readLabels(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`The label map did not arrive (${answer.status}).`);
  const plain = answer.body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint16Array(await new Response(plain).arrayBuffer());
}

// Marks the pixels of an entity that lie within `reach` of another label, to the right or below, and their opposites.
function contours(ids, reach) {
  const found = new Uint8Array(ids.length);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (x + reach < width && ids[i] !== ids[i + reach]) found[i] = found[i + reach] = 1;
      if (y + reach < height && ids[i] !== ids[i + reach * width]) found[i] = found[i + reach * width] = 1;
    }
  }
  return found;
}

// ------------------------------------------------------------------------------------------------ drawing

let drawing = 0;
const draw = () => { drawing ||= requestAnimationFrame(() => { drawing = 0; paint(); }); };

// One colour an id for its inside and one for its contour (RGBA in one little-endian number), then one pass.
function paint() {
  if (!labels) { overlay.getContext("2d").clearRect(0, 0, overlay.width, overlay.height); return; }
  const inside = new Uint32Array(entities.length + 1), border = new Uint32Array(entities.length + 1);
  const strength = Number(opacity.value);
  entities.slice(0, shown).forEach(({ colour }, index) => {
    const id = index + 1, chosen = selected.has(id);
    const dimmed = selected.size && !chosen;
    const alpha = id === hovered ? Math.min(1, strength + 0.25) : dimmed ? strength * 0.4 : strength;
    const pale = colour.map((part) => Math.round(0.4 * part + 0.6 * 255));
    inside[id] = rgba(colour, alpha);
    border[id] = chosen || id === hovered ? rgba([255, 255, 255], 1) : rgba(pale, strength && (dimmed ? 0.35 : 0.85));
  });
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = (edges[i] ? border : inside)[labels[i]];
  overlay.getContext("2d").putImageData(image, 0, 0);
  numbers.querySelectorAll("span").forEach((span, index) => {
    span.classList.toggle("esg-on", selected.has(index + 1) || hovered === index + 1);
  });
}

const rgba = ([red, green, blue], alpha) =>
  ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;

// Numbers are text above the canvas, so that they stay sharp and of one size; where there is no room, there is none.
function writeNumbers() {
  const scale = stage.clientWidth;
  numbers.replaceChildren(...entities.slice(0, shown).map(({ x, y, radius }, index) => {
    const span = document.createElement("span");
    span.textContent = index + 1;
    span.style.left = `${100 * x}%`;
    span.style.top = `${100 * y}%`;
    span.hidden = !numbered.checked || radius * scale < 9;
    return span;
  }));
}

function cutOut() {
  const canvas = board.querySelector("canvas");
  board.dataset.filled = selected.size > 0;
  if (!selected.size) return;
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!selected.has(labels[i])) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      bottom = y;
    }
  }
  if (right < 0) { canvas.width = canvas.height = 1; return; }  // too small for the shown size
  canvas.width = right - left + 1;
  canvas.height = bottom - top + 1;
  const context = canvas.getContext("2d");
  context.drawImage(photo, left, top, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let y = 0, i = 3; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++, i += 4) {
      if (!selected.has(labels[(top + y) * width + left + x])) image.data[i] = 0;
    }
  }
  context.putImageData(image, 0, 0);
}

// ------------------------------------------------------------------------------------------------ the table

function fillTable() {
  rows.replaceChildren(...entities.map(({ score: points, area, percent, colour }, index) => {
    const id = index + 1;
    const row = document.createElement("tr");
    row.dataset.id = id;
    row.innerHTML = `<th scope="row"><label><input type="checkbox" aria-label="Entity ${id}"><i></i>${id}</label></th>
      <td>${points.toFixed(2)}</td><td>${share(percent)}</td><td>${area.toLocaleString("en")}</td>`;
    row.querySelector("i").style.background = `rgb(${colour})`;
    return row;
  }));
}

const share = (percent) => `${percent < 0.1 ? "< 0.1" : percent.toFixed(1)} %`;

function describe() {
  const id = hovered;
  if (root.dataset.state !== "ready") return "";
  if (!shown) return entities.length ? "No entity reaches this score; lower it." : "No entity was found in this photo.";
  if (id) return `Entity ${id}: score ${entities[id - 1].score.toFixed(2)}, ${share(entities[id - 1].percent)} of the picture`;
  if (!selected.size) return "Point at an entity to see it, click to select it.";
  return selected.size === 1 ? "1 entity selected" : `${selected.size} entities selected`;
}

// ------------------------------------------------------------------------------------------------ changes of state

function refresh() {
  find("status").textContent = describe();
  find("clear").disabled = !selected.size;
  saveButtons.forEach((button) => {
    button.disabled = !labels || (button.dataset.what === "cutout" && !selected.size);
  });
  for (const row of rows.children) {
    const id = Number(row.dataset.id);
    row.classList.toggle("esg-hover", id === hovered);
    row.classList.toggle("esg-chosen", selected.has(id));
    row.querySelector("input").checked = selected.has(id);
  }
  draw();
}

function threshold() {
  const least = Number(score.value);
  shown = entities.filter((entity) => entity.score >= least).length;  // they are in order of their scores
  find("score-value").textContent = least.toFixed(2);
  find("count").textContent = labels ? shown : "";
  for (const row of rows.children) row.hidden = row.dataset.id > shown;
  for (const id of selected) if (id > shown) selected.delete(id);
  if (hovered > shown) hovered = 0;
  writeNumbers();
  cutOut();
  refresh();
}

function hover(id) {
  if (id === hovered) return;
  hovered = id;
  refresh();
}

function toggle(id) {
  if (!id) return;
  if (!selected.delete(id)) selected.add(id);
  cutOut();
  refresh();
}

function clear() {
  selected.clear();
  cutOut();
  refresh();
}

// ------------------------------------------------------------------------------------------------ pointer and keys

function idAt(event) {
  if (!labels) return 0;
  const box = overlay.getBoundingClientRect();
  const x = Math.floor((event.clientX - box.left) / box.width * width);
  const y = Math.floor((event.clientY - box.top) / box.height * height);
  const id = x >= 0 && x < width && y >= 0 && y < height ? labels[y * width + x] : 0;
  return id <= shown ? id : 0;
}

stage.addEventListener("pointermove", (event) => event.pointerType === "mouse" && hover(idAt(event)));
stage.addEventListener("pointerleave", () => hover(0));
stage.addEventListener("click", (event) => toggle(idAt(event)));
stage.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step && shown) hover(hovered ? (hovered - 1 + step + shown) % shown + 1 : step > 0 ? 1 : shown);
  else if (event.key === "Enter" || event.key === " ") toggle(hovered);
  else if (event.key === "Escape") clear();
  else return;
  event.preventDefault();
  rows.querySelector(`[data-id="${hovered}"]`)?.scrollIntoView({ block: "nearest" });
});
stage.addEventListener("blur", () => hover(0));

rows.addEventListener("pointerover", (event) => hover(Number(event.target.closest("tr").dataset.id)));
rows.addEventListener("pointerleave", () => hover(0));
rows.addEventListener("focusin", (event) => hover(Number(event.target.closest("tr").dataset.id)));
rows.addEventListener("focusout", () => hover(0));
rows.addEventListener("change", (event) => toggle(Number(event.target.closest("tr").dataset.id)));
rows.addEventListener("click", (event) => {
  if (!event.target.closest("label")) toggle(Number(event.target.closest("tr").dataset.id));
});

opacity.addEventListener("input", draw);
score.addEventListener("input", threshold);
numbered.addEventListener("change", writeNumbers);
find("clear").addEventListener("click", clear);
new ResizeObserver(writeNumbers).observe(stage);

saveButtons.forEach((button) => button.addEventListener("click", () => {
  button.setAttribute("aria-busy", "true");
  trigger("save", {
    what: button.dataset.what,
    shown,
    selected: [...selected],
    opacity: Number(opacity.value),
    numbers: numbered.checked,
  });
}));

// ------------------------------------------------------------------------------------------------ a new photo
// A dropped or pasted file goes the way of the upload button, so that Gradio takes it in and checks it.

const uploadInput = () => document.querySelector("#start input[type=file]");  // it may come later than this component

function give(file) {
  const input = uploadInput();
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

find("drop").addEventListener("click", () => uploadInput().click());
root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("esg-dragged"); });
root.addEventListener("dragleave", (event) => root.contains(event.relatedTarget) || root.classList.remove("esg-dragged"));
root.addEventListener("drop", (event) => {
  event.preventDefault();
  root.classList.remove("esg-dragged");
  if (event.dataTransfer.files.length) give(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) give(event.clipboardData.files[0]);
});

watch("value", () => take(props.value));
take(props.value);
