"use strict";
const form = document.querySelector("#gallery .filters");
const tiles = [...document.querySelectorAll(".tile")];
const dialog = document.querySelector("dialog");
let current = null; // the tile in the dialog

function shown() {
  return tiles.filter((tile) => !tile.hidden);
}

function filter() {
  const wanted = new FormData(form);
  const reasons = wanted.getAll("reason");
  const text = wanted.get("id").trim();
  for (const tile of tiles) {
    const own = tile.dataset.reasons.split(" ");
    tile.hidden = !(
      (!reasons.length || reasons.some((reason) => own.includes(reason))) &&
      (!wanted.get("label") || tile.dataset.label === wanted.get("label")) &&
      (!wanted.get("split") || tile.dataset.split === wanted.get("split")) &&
      tile.dataset.id.includes(text)
    );
  }
  form.querySelector("output").textContent = `${shown().length} of ${tiles.length} images`;
  const quoted = shown().map((tile) => `"${tile.dataset.id.replaceAll('"', '""')}"`);
  const csv = ["image_id", ...quoted, ""].join("\n");
  form.querySelector(".export").href = `data:text/csv;charset=utf-8,${encodeURIComponent(csv)}`;
}

// A section's filters live in the address: #gallery&reason=label&label=cat
function remember(section, filters) {
  const kept = new URLSearchParams();
  for (const [key, value] of new FormData(filters)) {
    if (value) kept.append(key, value);
  }
  history.replaceState(null, "", kept.size ? `#${section}&${kept}` : `#${section}`);
}

// What the address says of a section's filters, or null.
function remembered(section) {
  const start = `#${section}&`;
  return location.hash.startsWith(start) ? new URLSearchParams(location.hash.slice(start.length)) : null;
}

// Set a field that may have lost the value since.
function restore(field, value) {
  field.value = value ?? "";
  if (field.selectedIndex < 0) field.value = "";
}

function recall() {
  const wanted = remembered("gallery");
  if (!wanted) return;
  for (const box of form.querySelectorAll("[name=reason]")) {
    box.checked = wanted.getAll("reason").includes(box.value);
  }
  for (const name of ["label", "split", "id"]) {
    restore(form.elements[name], wanted.get(name));
  }
  filter();
  document.getElementById("gallery").scrollIntoView();
}

function show(tile) {
  current = tile;
  dialog.querySelector("div").replaceChildren(...[...tile.children].map((part) => part.cloneNode(true)));
  if (!dialog.open) dialog.showModal();
}

if (form) {
  form.addEventListener("input", () => {
    filter();
    remember("gallery", form);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const tile of tiles) {
    tile.addEventListener("click", () => show(tile));
  }
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = step && shown()[shown().indexOf(current) + step];
    if (next) show(next);
  });
  window.addEventListener("hashchange", recall);
  filter();
  recall();
}

const slider = document.getElementById("threshold");
if (slider) {
  const { positive, negative } = JSON.parse(slider.dataset.counts);
  const percent = (value) => (Number.isFinite(value) ? `${(100 * value).toFixed(1)} %` : "none");
  const update = () => {
    const at = slider.querySelector("input").valueAsNumber;
    const [hits, alarms] = [positive[at], negative[at]];
    const right = hits + negative[0] - alarms;
    slider.querySelector("b").textContent = (at / 100).toFixed(2);
    slider.querySelector("p").textContent =
      `accuracy ${percent(right / (positive[0] + negative[0]))}, precision ${percent(hits / (hits + alarms))}, ` +
      `recall ${percent(hits / positive[0])}, F1 ${percent((2 * hits) / (positive[0] + hits + alarms))}`;
  };
  slider.addEventListener("input", update);
  slider.addEventListener("submit", (event) => event.preventDefault());
  update();
}
