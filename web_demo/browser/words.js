// A text in which every phrase has the colours of its entities. Clicking a phrase selects them; entities that are pointed
// at or selected in the picture highlight their phrases. `props.value` has the caption and its phrases.

const { state } = window.esg;
const root = element.querySelector(".esg-words"), text = element.querySelector(".esg-caption");
const hint = element.querySelector(".esg-hint");
const said = element.querySelector(".esg-said"), touchy = matchMedia("(hover: none)").matches;
let phrases = [];

function fill() {
  const value = props.value;
  phrases = value?.phrases || [];
  root.dataset.filled = Boolean(value?.caption);
  const letters = [...(value?.caption || "")];  // spans count code points, as Python does
  const pieces = [];
  let end = 0;
  phrases.map((phrase, index) => ({ ...phrase, index })).sort((a, b) => a.span[0] - b.span[0]).forEach((phrase) => {
    const [from, to] = phrase.span;
    if (from < end) return;  // within another phrase
    pieces.push(letters.slice(end, from).join(""), button(phrase, letters.slice(from, to).join("")));
    end = to;
  });
  text.replaceChildren(...pieces, letters.slice(end).join(""));
  hint.textContent = (touchy && value?.touch_hint) || value?.hint || "";
  said.hidden = !value?.said;
  said.querySelector("pre").textContent = value?.said || "";
  esg.say(value?.grounded ? phrases.filter(({ guess }) => !guess) : []);
  mark();
}

function button({ ids, scores, index, guess }, words) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words;
  made.dataset.index = index;
  made.dataset.grounded = ids.length > 0 && !guess;
  made.dataset.guess = Boolean(guess);
  const colours = ids.slice(0, 4).map((id) => state.entities[id - 1]?.colour).filter(Boolean);
  const stops = colours.map((colour, k) => `rgba(${colour}, 0.45) ${100 * k / colours.length}% ${100 * (k + 1) / colours.length}%`);
  made.style.backgroundImage = colours.length ? `linear-gradient(90deg, ${stops})` : "";
  made.title = guess ? `a guess: entity ${ids[0]} (${scores[0].toFixed(2)})` : ids.length
    ? ids.slice(0, 8).map((id, k) => `entity ${id} (${scores[k].toFixed(2)})`).join(", ")
    : phrases.some((one) => one.ids.length) ? "no matching entity" : "a noun, not grounded yet";
  return made;
}

function mark() {
  for (const made of text.querySelectorAll("button")) {
    const { ids } = phrases[made.dataset.index];
    made.classList.toggle("esg-on", ids.some((id) => state.pointed.has(id)));
    made.setAttribute("aria-pressed", ids.length > 0 && ids.every((id) => state.selected.has(id)));
  }
}

const idsOf = (event) => phrases[event.target.closest("button")?.dataset.index]?.ids || [];
text.addEventListener("click", (event) => {
  const ids = idsOf(event);
  if (!ids.length) return;
  if (ids.every((id) => id > state.shown)) hint.textContent = "Its entities are below the minimum score and therefore hidden.";
  esg.pick(ids, event);
});
text.addEventListener("pointerover", (event) => esg.point(idsOf(event)));
text.addEventListener("pointerleave", () => esg.point([]));
text.addEventListener("focusin", (event) => esg.point(idsOf(event)));
text.addEventListener("focusout", () => esg.point([]));

esg.subscribe((news) => {
  if (news.has("pointed") || news.has("selected")) mark();
});
watch("value", fill);
fill();
