// The table of entities with the names that a model gives them, and the cut-out of the selected ones.

const { state, painting } = window.esg;
const rows = element.querySelector("tbody"), board = element.querySelector(".esg-board");
const clear = element.querySelector(".esg-clear");
const root = element.querySelector(".esg-list"), naming = element.querySelector(".esg-naming");
const photo = new Image();
const touchy = matchMedia("(hover: none)").matches;

const share = (percent) => `${percent < 0.1 ? "< 0.1" : percent.toFixed(1)} %`;

function fill() {
  rows.replaceChildren(...state.entities.map(({ score, area, percent, colour }, index) => {
    const id = index + 1;
    const row = document.createElement("tr");
    row.dataset.id = id;
    row.innerHTML = `<th scope="row"><label><input type="checkbox" aria-label="Entity ${id}"><i></i>${id}</label></th><td class="esg-name"></td>
      <td>${score.toFixed(2)}</td><td>${share(percent)}</td><td class="esg-pixels">${area.toLocaleString("en")}</td>`;
    row.querySelector("i").style.background = `rgb(${colour})`;
    return row;
  }));
}

function writeNames() {
  const { names: found, shown } = state;
  root.dataset.named = Boolean(found?.names);
  for (const row of rows.children) {
    const cell = row.querySelector(".esg-name"), [name, score] = found?.names?.[row.dataset.id] || [];
    const asked = row.dataset.id <= (found?.among || 0);
    cell.textContent = name || (asked ? "no name" : "");
    cell.title = name ? `${name} (${score.toFixed(2)})` : "";
    cell.classList.toggle("esg-nameless", !name);
  }
  const asked = Math.min(found?.names ? found.among : 0, shown);
  const without = Array.from({ length: asked }, (_, index) => index + 1).filter((id) => !found.names[id]).length;
  const those = without === asked ? "any of these" : `${without} of these`;
  naming.hidden = !state.naming && !without;
  naming.textContent = state.naming ? "Finding names …" : without
    ? `${found.model} could not name ${asked === 1 ? "this entity" : `${those} ${asked} entities`}.` : "";
}

async function cutOut() {
  const filled = () => Boolean(state.map) && esg.hasMask();
  board.dataset.filled = filled();
  if (!filled()) return;
  if (photo.src !== state.photo) photo.src = state.photo;
  try {
    await photo.decode();
  } catch {
    return; // another picture has arrived in the meantime and will be drawn instead
  }
  if (filled()) painting.cutOut(board.querySelector("canvas"), photo, state.map, state.selected, state.strokes);
}

esg.subscribe((news) => {
  if (news.has("picture")) fill();
  if (["picture", "shown", "names"].some((one) => news.has(one))) writeNames();
  if (news.has("picture") || news.has("shown")) {
    board.querySelector("p").textContent = !state.map ? "The entities will appear here."
      : !state.shown ? "Lower the minimum score to see weaker entities."
      : `${touchy ? "Tap" : "Click"} entities on the picture or in the table to cut them out.`;
    element.querySelector(".esg-count").textContent = state.map ? state.shown : "";
    for (const row of rows.children) row.hidden = row.dataset.id > state.shown;
  }
  if (["selected", "strokes", "edited", "picture"].some((one) => news.has(one))) cutOut();
  clear.disabled = !state.selected.size && !state.strokes.length;
  for (const row of rows.children) {
    const id = Number(row.dataset.id);
    row.classList.toggle("esg-hover", state.pointed.has(id));
    row.classList.toggle("esg-chosen", state.selected.has(id));
    row.querySelector("input").checked = state.selected.has(id);
  }
  // Scrolls the row that the arrow keys point at into view, within the table only.
  if (news.has("pointed") && state.pointed.size === 1 && !element.matches(":hover")) {
    const [id] = state.pointed, row = rows.children[id - 1], box = element.querySelector(".esg-scroll");
    const [above, below] = [row.offsetTop - 34, row.offsetTop + row.offsetHeight - box.clientHeight];
    if (box.scrollTop > above) box.scrollTop = above;
    else if (box.scrollTop < below) box.scrollTop = below;
  }
});

const idOf = (event) => Number(event.target.closest("tr").dataset.id);
rows.addEventListener("pointerover", (event) => esg.point([idOf(event)]));
rows.addEventListener("pointerleave", () => esg.point([]));
rows.addEventListener("focusin", (event) => esg.point([idOf(event)]));
rows.addEventListener("focusout", () => esg.point([]));
rows.addEventListener("change", (event) => esg.toggle(idOf(event)));
rows.addEventListener("click", (event) => { if (!event.target.closest("label")) esg.pick([idOf(event)], event); });
clear.addEventListener("click", () => esg.select([]));
