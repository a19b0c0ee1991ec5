"use strict";
const form = document.querySelector(".filters");
const tiles = [...document.querySelectorAll(".tile")];
const dialog = document.querySelector("dialog");

function filter() {
  const wanted = new FormData(form);
  const reasons = wanted.getAll("reason");
  const text = wanted.get("id").trim();
  let shown = 0;
  for (const tile of tiles) {
    const own = tile.dataset.reasons.split(" ");
    tile.hidden = !(
      (!reasons.length || reasons.some((reason) => own.includes(reason))) &&
      (!wanted.get("label") || tile.dataset.label === wanted.get("label")) &&
      (!wanted.get("split") || tile.dataset.split === wanted.get("split")) &&
      tile.dataset.id.includes(text)
    );
    shown += !tile.hidden;
  }
  form.querySelector("output").textContent = `${shown} of ${tiles.length} images`;
}

form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
for (const tile of tiles) {
  tile.addEventListener("click", () => {
    dialog.querySelector("div").replaceChildren(...[...tile.children].map((part) => part.cloneNode(true)));
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
filter();
