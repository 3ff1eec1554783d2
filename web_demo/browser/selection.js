// The state of the picture and its selection, which all parts of the page read and change here. In the head of the page,
// before them. The server sends its news through channels (`channel` in picture.py).

window.esg = (() => {
  const state = {
    photo: "",               // URL of the picture that is shown
    before: "",              // URL of the original one, if edits have changed it
    size: [0, 0],            // width and height of the picture that is shown
    full: [0, 0],            // width and height of the photo itself
    entities: [],            // entities[id - 1]: score, area, percent, colour, x, y, radius
    map: null,               // the label map, see painting.js
    mapNumber: 0,            // the server's number of the map that ids belong to; 0 without a map
    least: 0,                // minimum score of the entities that are shown
    shown: 0,                // the ids 1..shown reach it
    selected: new Set(),     // ids
    strokes: [],             // of the brush, in order: add (or erase), radius, points, as fractions of the picture
    tool: "select",          // the effect of dragging on the picture: select, add, take or move
    pointed: new Set(),      // ids under the pointer
    phrases: [],             // of the grounding: text, span, ids, scores
    names: null,             // a model's names: among how many entities, model, names (by id; null: it has none)
    naming: false,           // whether the model is still finding them
    mask: "",                // URL of the mask of an edit, laid over the picture
    editing: false,          // whether the mask is shown
    detail: null,            // a part of the photo at full resolution: box, photo, map
    busy: null,              // the work of the server: text, part (0..1, or null)
  };
  const listeners = new Set();
  const versions = {};       // by channel: how many values it has sent, so that values that are decoded late are dropped
  let pictures = 0;          // how many pictures have arrived; answers about earlier ones are dropped, too

  const wanted = {};         // by channel: the function that asks the server for a new value
  let asking = 0, askingNames = 0;

  const hasMask = () => state.selected.size > 0 || state.strokes.some(({ add }) => add);

  function tell(...what) {
    if (!hasMask()) state.mask = "";
    listeners.forEach((listener) => listener(new Set(what)));
    if (what.includes("selected") && state.mapNumber) keep("selection", { mapNumber: state.mapNumber, ids: [...state.selected] });
    if (what.includes("shown")) askForNames();
    if (["selected", "strokes", "shown", "editing"].some((one) => what.includes(one))) askForMask();
  }

  function askForMask() {
    clearTimeout(asking);
    if (state.editing && state.map && hasMask()) asking = setTimeout(() => wanted.mask?.(), 80);
  }

  function askForNames() {
    clearTimeout(askingNames);
    if (!state.map || state.shown <= (state.names?.among || 0)) return;
    askingNames = setTimeout(() => {
      if (!wanted.names) return;
      state.naming = true;
      wanted.names();
      tell("names");
    }, 300);
  }

  const wants = (name, ask) => { wanted[name] = ask; };

  const url = (file) => (file ? file.url : "");

  async function arrived(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    return address;
  }

  // A tab keeps these over a reload: the key of its visit, and the selection.
  const keep = (name, value) => { try { sessionStorage.setItem(`esg-${name}`, JSON.stringify(value)); } catch { /* none */ } };
  const recall = (name) => { try { return JSON.parse(sessionStorage.getItem(`esg-${name}`)); } catch { return null; } };

  const channels = {
    // The key of this visit.
    async visit(value) {
      keep("visit", value.key);
    },

    // A photo, with or without its entities.
    async picture(value, current) {
      const [photo, map] = await Promise.all([
        arrived(url(value.photo)),
        value.labels ? esg.painting.readMap(url(value.labels), value.size) : null,
      ]);
      if (!current()) return;
      const { size, full, map_number: mapNumber, min_score: least } = value;
      const entities = value.entities || [];
      const before = url(value.before);
      Object.assign(state, { photo, map, mapNumber, size, full, entities, before, mask: "", detail: null });
      Object.assign(state, { names: null, naming: false });
      state.selected.clear();
      state.pointed.clear();
      state.strokes = [];
      state.phrases = [];
      const kept = recall("selection");  // from before a reload
      threshold(least);
      if (mapNumber && kept?.mapNumber === mapNumber) state.selected = new Set(kept.ids.filter((id) => id <= state.shown));
      tell("picture", "phrases", "selected");
    },

    // The same picture after an edit.
    async edited(value, current) {
      const photo = await arrived(url(value.photo));
      if (!current()) return;
      Object.assign(state, { photo, before: url(value.before), detail: null, mask: "" });
      tell("edited");
      if (value.masked) askForMask();
    },

    async mask(value, current) {
      if (value.picture !== pictures) return;
      const mask = value.photo ? await arrived(url(value.photo)) : "";
      if (!current() || !hasMask()) return;
      state.mask = mask;
      tell("mask");
    },

    async detail(value, current) {
      const [photo, map] = await Promise.all([
        arrived(url(value.photo)),
        value.labels ? esg.painting.readMap(url(value.labels), value.size) : null,
      ]);
      if (!current() || value.map_number !== state.mapNumber) return;
      state.detail = { photo, map, box: value.box };
      tell("detail");
    },

    async names(value) {
      if (value.map_number !== state.mapNumber) return;
      Object.assign(state, { names: value, naming: false });
      tell("names");
    },

    async busy(value) {
      if ("over" in value) return;
      state.busy = value.text ? value : null;
      tell("busy");
    },
  };

  // For each channel, the channels whose pending values are about the earlier picture and are dropped.
  const outdated = { picture: ["edited", "mask", "detail"], edited: ["mask", "detail"] };

  function receive(name, value) {
    if (!value) return;
    if (name in outdated) pictures += 1;
    for (const other of [name, ...(outdated[name] || [])]) versions[other] = (versions[other] || 0) + 1;
    const version = versions[name];
    channels[name](value, () => versions[name] === version).catch((problem) => console.error(problem));
  }

  // Shows a text while something runs, if it takes longer than half a second; with a function that stops it, also a button.
  const begun = {};

  function begin(text, stop) {
    if (!text) return;
    clearTimeout(begun[text]);
    begun[text] = setTimeout(() => { if (!state.busy) receive("busy", { text, part: null, whole: true, stop }); }, 500);
  }

  const progress = (text, part) => { if (state.busy?.text === text) receive("busy", { ...state.busy, part }); };

  function end(text) {
    clearTimeout(begun[text]);
    if (state.busy?.text === text) receive("busy", { text: "" });
  }

  function threshold(least) {
    state.least = least;
    state.shown = state.entities.filter((entity) => entity.score >= least).length;  // they are sorted by score
    for (const set of [state.selected, state.pointed]) for (const id of set) if (id > state.shown) set.delete(id);
    tell("shown", "selected", "pointed");
  }

  function select(ids) {
    state.selected = new Set([...ids].filter((id) => id >= 1 && id <= state.shown));
    state.strokes = [];
    tell("selected", "strokes");
  }

  // Clicks work the same on picture, table and phrases: a click replaces the selection, with Shift it adds, with Alt it
  // removes, with Ctrl it toggles. Clicking the only thing that is selected clears the selection, but the second half of
  // a double click does not.
  function pick(ids, { shiftKey, altKey, ctrlKey, metaKey, detail } = {}) {
    const meant = [...ids].filter((id) => id >= 1 && id <= state.shown), before = state.selected;
    const all = meant.length > 0 && meant.every((id) => before.has(id));
    if (altKey || ((ctrlKey || metaKey) && all)) state.selected = new Set([...before].filter((id) => !meant.includes(id)));
    else if (shiftKey || ctrlKey || metaKey) state.selected = new Set([...before, ...meant]);
    else if (all && before.size === meant.length) return detail > 1 ? undefined : select([]);
    else return select(meant);
    tell("selected");
  }

  const toggle = (id) => pick([id], { ctrlKey: true });

  // Adds a stroke of the brush; without a stroke, undoes the last one.
  function brush(stroke) {
    state.strokes = stroke ? [...state.strokes, stroke] : state.strokes.slice(0, -1);
    tell("strokes");
  }

  function take(tool) {
    state.tool = tool;
    tell("tool");
  }

  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest?.("input:not([type=checkbox], [type=radio], [type=range]), textarea, [contenteditable=true]");
    if (writing || !state.map || event.altKey || event.defaultPrevented) return;
    const command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (command && key === "a") select(state.entities.map((_, index) => index + 1));
    else if (command && key === "z" && state.strokes.length) brush();
    else if (key === "escape" && !command) select([]);
    else return;
    event.preventDefault();
  });

  function point(ids) {
    const now = [...ids];
    if (now.length === state.pointed.size && now.every((id) => state.pointed.has(id))) return;
    state.pointed = new Set(now);
    tell("pointed");
  }

  function edit(editing) {
    state.editing = editing;
    if (state.tool === "add" || state.tool === "take") state.tool = "select";
    tell("mask", "editing", "tool");
  }

  function say(phrases) {
    state.phrases = phrases;
    tell("phrases");
  }

  // The selection, which is sent with every event.
  const chosen = () => {
    const selected = [...state.selected].sort((a, b) => a - b);
    const { strokes, shown, mapNumber } = state;
    return { selected, strokes, shown, map_number: mapNumber, picture: pictures };
  };

  function subscribe(listener) {
    listeners.add(listener);
    listener(new Set(["picture", "shown", "selected", "pointed", "phrases", "mask", "detail", "names", "busy", "editing", "strokes", "tool"]));
  }

  return { state, receive, threshold, select, pick, toggle, brush, take, hasMask, point, edit, say, chosen, recall, wants, begin, progress, end, subscribe };
})();
