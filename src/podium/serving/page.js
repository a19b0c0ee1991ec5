"use strict";
const at = (id) => document.getElementById(id);
const SHOWN = 20; // labels, the likeliest first
let asked = 0; // counts pictures: an answer that comes too late is not shown
let shown = null; // the URL of the picture

fetch("openapi.json").then((response) => response.json()).then((about) => {
  at("title").textContent = document.title = about.info.title;
});

async function ask(file, heatmap) {
  const response = await fetch(heatmap ? "picture?heatmap=1" : "picture", { method: "POST", body: file });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function show(file) {
  if (!file) return;
  const own = ++asked;
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(file);
  at("picture").src = shown;
  at("stage").hidden = false;
  for (const id of ["hint", "heat", "numbers", "legend"]) at(id).hidden = true;
  at("said").className = "";
  at("said").textContent = "…";
  try {
    const answer = await ask(file, false);
    if (own !== asked) return;
    tell(answer);
    const { heatmap } = await ask(file, true);
    if (own !== asked) return;
    at("heat").src = heatmap;
    at("heat").hidden = at("legend").hidden = false;
  } catch (error) {
    if (own !== asked) return;
    at("said").className = "wrong";
    at("said").textContent = error.message;
  }
}

function tell(answer) {
  const lines = answer.columns.map((column, n) => [column, answer.values[n]]);
  const isValue = answer.label === undefined;
  at("said").textContent = isValue ? lines.map(([column, value]) => `${column} ${value}`).join(", ") : answer.label || "(none)";
  if (!isValue) lines.sort((a, b) => b[1] - a[1]);
  at("numbers").tBodies[0].replaceChildren(...(isValue ? [] : lines.slice(0, SHOWN)).map(([column, value]) => {
    const row = document.createElement("tr");
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.value = value;
    for (const text of [column, value.toFixed(4)]) row.insertCell().textContent = text;
    row.insertCell().append(bar);
    return row;
  }));
  at("numbers").hidden = isValue;
}

at("file").addEventListener("change", (event) => show(event.target.files[0]));
document.addEventListener("paste", (event) => show(event.clipboardData.files[0]));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") show(event.dataTransfer.files[0]);
  });
}
at("opacity").addEventListener("input", (event) => { at("heat").style.opacity = event.target.value / 100; });
