// The export buttons: each asks the server for a file, and sends what the picture shows and what is selected.

const { state } = window.esg;
const buttons = [...element.querySelectorAll("button")];

esg.subscribe(() => {
  const has = {
    photo: Boolean(state.photo),
    map: Boolean(state.map),
    selection: Boolean(state.map) && esg.hasMask(),
    phrases: state.phrases.length > 0,
  };
  for (const button of buttons) button.disabled = !has[button.dataset.needs];
  const missing = [["photo", "Choose a photo first."], ["map", "Wait until the photo is segmented."],
    ["selection", "Select entities to export a cut-out."], ["phrases", "Ground some words to export a grounding."]];
  element.querySelector(".esg-hint").textContent = (missing.find(([what]) => !has[what]) || ["", ""])[1];
});

buttons.forEach((button) => button.addEventListener("click", () => {
  button.setAttribute("aria-busy", "true");
  if (!state.busy) esg.receive("busy", { text: `Writing ${button.textContent}`, part: null, whole: true });
  const tools = document.querySelector("#picture");
  trigger("save", {
    what: button.dataset.what,
    opacity: Number(tools.querySelector(".esg-opacity").value),
    numbers: tools.querySelector(".esg-numbered").checked,
    ...esg.chosen(),
  });
}));
