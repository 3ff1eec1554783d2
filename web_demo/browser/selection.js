// What the page knows of the picture and what is selected in it: the one place that all its parts ask and change.
// It comes before them, in the head of the page. Channels (channels.py) bring what the server has to say.

window.esg = (() => {
  const state = {
    photo: "",               // URL of the picture as it is shown
    before: "",              // and of how it came, if edits have changed it
    size: [0, 0],            // width and height of what is shown
    full: [0, 0],            // and of the photo itself
    entities: [],            // entities[id - 1]: score, area, percent, colour, x, y, radius
    map: null,               // the label map, see painting.js
    mapNumber: 0,            // by which the server knows what map it is that ids are of; 0 without one
    least: 0,                // score from which on entities are shown
    shown: 0,                // so ids 1..shown are
    selected: new Set(),
    pointed: new Set(),      // under the pointer
    phrases: [],             // of the grounding: text, span, ids, scores
    mask: "",                // URL of the mask of an edit, laid over the picture
    editing: false,          // whether that is wanted
    detail: null,            // a part of the photo in its own pixels: box, photo, map
    busy: null,              // what the server is at: text, part (0..1, or null)
  };
  const listeners = new Set();
  const versions = {};       // of what a channel brought: what arrives late is dropped
  let pictures = 0;          // that came so far: what was asked for of an earlier one is dropped, too

  const wanted = {};         // by channel: how to ask the server for news of it
  let asking = 0;

  function tell(...what) {
    if (!state.selected.size) state.mask = "";
    listeners.forEach((listener) => listener(new Set(what)));
    if (["selected", "shown", "editing"].some((one) => what.includes(one))) askForMask();
  }

  function askForMask() {
    clearTimeout(asking);
    if (state.editing && state.map && state.selected.size) asking = setTimeout(() => wanted.mask?.(), 80);
  }

  const wants = (name, ask) => { wanted[name] = ask; };

  const url = (file) => (file ? file.url : "");

  async function arrived(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    return address;
  }

  const channels = {
    // A photo, with or without its entities.
    async picture(value, current) {
      const [photo, map] = await Promise.all([
        arrived(url(value.photo)),
        value.labels ? esg.painting.readMap(url(value.labels), value.size) : null,
      ]);
      if (!current()) return;
      const { size, full, map_number: mapNumber, min_score: least } = value;
      const entities = value.entities || [];
      Object.assign(state, { photo, map, mapNumber, size, full, entities, before: "", mask: "", detail: null });
      state.selected.clear();
      state.pointed.clear();
      state.phrases = [];
      threshold(least);
      tell("picture", "phrases");
    },

    // The same picture after an edit.
    async edited(value, current) {
      const photo = await arrived(url(value.photo));
      if (!current()) return;
      Object.assign(state, { photo, before: url(value.before), detail: null, mask: "" });
      tell("edited");
    },

    async mask(value, current) {
      if (value.picture !== pictures) return;
      const mask = value.photo ? await arrived(url(value.photo)) : "";
      if (!current() || !state.selected.size) return;
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

    async busy(value) {
      state.busy = value.text ? value : null;
      tell("busy");
    },
  };

  // Channels whose news are about the picture that was there before do not outlive it.
  const outdated = { picture: ["edited", "mask", "detail"], edited: ["mask", "detail"] };

  function receive(name, value) {
    if (!value) return;
    if (name in outdated) pictures += 1;
    for (const other of [name, ...(outdated[name] || [])]) versions[other] = (versions[other] || 0) + 1;
    const version = versions[name];
    channels[name](value, () => versions[name] === version).catch((problem) => console.error(problem));
  }

  function threshold(least) {
    state.least = least;
    state.shown = state.entities.filter((entity) => entity.score >= least).length;  // they are in order of their scores
    for (const set of [state.selected, state.pointed]) for (const id of set) if (id > state.shown) set.delete(id);
    tell("shown", "selected", "pointed");
  }

  function select(ids) {
    state.selected = new Set([...ids].filter((id) => id >= 1 && id <= state.shown));
    tell("selected");
  }

  function toggle(id) {
    if (id < 1 || id > state.shown) return;
    if (!state.selected.delete(id)) state.selected.add(id);
    tell("selected");
  }

  function point(ids) {
    const now = [...ids];
    if (now.length === state.pointed.size && now.every((id) => state.pointed.has(id))) return;
    state.pointed = new Set(now);
    tell("pointed");
  }

  function edit(editing) {
    state.editing = editing;
    tell("mask", "editing");
  }

  function say(phrases) {
    state.phrases = phrases;
    tell("phrases");
  }

  // What the server gets to know with every wish.
  const chosen = () => {
    const selected = [...state.selected].sort((a, b) => a - b);
    return { selected, shown: state.shown, map_number: state.mapNumber, picture: pictures };
  };

  function subscribe(listener) {
    listeners.add(listener);
    listener(new Set(["picture", "shown", "selected", "pointed", "phrases", "mask", "detail", "busy", "editing"]));
  }

  return { state, receive, threshold, select, toggle, point, edit, say, chosen, wants, subscribe };
})();
