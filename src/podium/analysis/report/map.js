{
  const canvas = document.querySelector("#map canvas");
  if (canvas) drawMap(canvas);
}

function drawMap(canvas) {
  const SIDE = 1000; // of the map, as its coordinates have it
  const MARGIN = 0.03; // of it on every side
  const MOST = 64; // times as large as the whole map
  const REACH = 14; // px from the pointer to a point that it means
  const OTHERS = 8; // the colour of the groups beyond the eighth
  const points = JSON.parse(canvas.dataset.points);
  const form = document.querySelector("#map form");
  const output = document.querySelector("#map .named");
  const pen = canvas.getContext("2d");
  // Mistakes come last, over all others.
  const order = points.ids.map((_, n) => n).sort((a, b) => points.wrong[a] - points.wrong[b]);
  let zoom = 1;
  let middle = [0.5, 0.5]; // of the part that is seen, in shares of the map from its left and top
  let chosen = null; // the number of the point that is named below the map

  // Where a point lies on the canvas, in CSS pixels.
  function place(n) {
    const share = (value) => MARGIN + (1 - 2 * MARGIN) * (value / SIDE);
    return [
      canvas.clientWidth * (0.5 + zoom * (share(points.x[n]) - middle[0])),
      canvas.clientHeight * (0.5 + zoom * (share(SIDE - points.y[n]) - middle[1])),
    ];
  }

  function isWanted(n) {
    const label = form.elements.group.value;
    return (!label || points.groups[points.group[n]] === label) && (!form.elements.wrong.checked || points.wrong[n]);
  }

  function draw() {
    const style = getComputedStyle(canvas);
    const colours = Array.from({ length: OTHERS + 1 }, (_, n) => style.getPropertyValue(`--c${n}`));
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    pen.scale(ratio, ratio);
    pen.lineWidth = 1.5;
    const radius = Math.min(5, 2 + Math.log2(zoom) / 2);
    let n_drawn = 0;
    for (const n of order) {
      const [x, y] = place(n);
      if (!isWanted(n) || x < -REACH || y < -REACH || x > canvas.clientWidth + REACH || y > canvas.clientHeight + REACH) continue;
      n_drawn += 1;
      pen.globalAlpha = points.wrong[n] ? 1 : 0.6;
      pen.fillStyle = pen.strokeStyle = colours[points.colours[points.group[n]]];
      pen.beginPath();
      if (points.wrong[n]) {
        const arm = radius + 1.5;
        pen.moveTo(x - arm, y - arm);
        pen.lineTo(x + arm, y + arm);
        pen.moveTo(x + arm, y - arm);
        pen.lineTo(x - arm, y + arm);
        pen.stroke();
      } else {
        pen.arc(x, y, radius, 0, 2 * Math.PI);
        pen.fill();
      }
    }
    if (chosen !== null) {
      pen.globalAlpha = 1;
      pen.strokeStyle = style.getPropertyValue("--ink");
      pen.beginPath();
      pen.arc(...place(chosen), radius + 5, 0, 2 * Math.PI);
      pen.stroke();
    }
    canvas.dataset.zoom = zoom.toFixed(2);
    canvas.dataset.drawn = n_drawn;
    canvas.style.touchAction = zoom > 1 ? "none" : "pan-y"; // a finger moves the page until there is a part to move
  }

  // Zoom by a factor, leaving what lies at a place of the canvas (in shares of it) where it is.
  function zoomBy(factor, [across, down] = [0.5, 0.5]) {
    const next = Math.min(MOST, Math.max(1, zoom * factor));
    const moved = 1 / zoom - 1 / next;
    move((across - 0.5) * moved, (down - 0.5) * moved, next);
  }

  function move(right, down, next = zoom) {
    zoom = next;
    const edge = 0.5 / zoom;
    middle = [middle[0] + right, middle[1] + down].map((share) => Math.min(1 - edge, Math.max(edge, share)));
    draw();
  }

  function nearest(x, y, reach) {
    let found = null;
    let least = reach;
    for (const n of order) {
      if (!isWanted(n)) continue;
      const [left, top] = place(n);
      const distance = Math.hypot(left - x, top - y);
      if (distance < least) [found, least] = [n, distance];
    }
    return found;
  }

  function name(n) {
    chosen = n;
    const wrong = n !== null && points.wrong[n] ? ", a mistake" : "";
    output.textContent =
      n === null ? "" : `${points.ids[n]}: ${points.groups[points.group[n]]}, predicted ${points.predicted[n]}${wrong}`;
    draw();
  }

  // Show the image, where the gallery has it.
  function open(n) {
    const tile = n !== null && tiles.find((one) => one.dataset.id === points.ids[n]);
    if (tile) show(tile);
  }

  function recall() {
    const wanted = remembered("map");
    if (!wanted) return;
    restore(form.elements.group, wanted.get("group"));
    form.elements.wrong.checked = wanted.has("wrong");
    document.getElementById("map").scrollIntoView();
    draw();
  }

  const keys = {
    "+": () => zoomBy(1.5),
    "=": () => zoomBy(1.5), // plus without shift
    "-": () => zoomBy(1 / 1.5),
    0: () => zoomBy(1 / MOST),
    ArrowLeft: () => move(-0.2 / zoom, 0),
    ArrowRight: () => move(0.2 / zoom, 0),
    ArrowUp: () => move(0, -0.2 / zoom),
    ArrowDown: () => move(0, 0.2 / zoom),
    Enter: () => name(nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity)),
  };
  canvas.addEventListener("keydown", (event) => {
    const act = !event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  for (const button of form.querySelectorAll("button")) {
    button.addEventListener("click", () => keys[button.value]());
  }
  canvas.addEventListener(
    "wheel",
    (event) => {
      const factor = event.deltaY < 0 ? 1.25 : 0.8;
      if (factor < 1 && zoom === 1) return; // the whole map is seen: the wheel moves the page
      event.preventDefault();
      zoomBy(factor, [event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight]);
    },
    { passive: false },
  );
  let held = null; // where the pointer went down, and whether it moved since
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return name(nearest(event.offsetX, event.offsetY, REACH));
    const [right, down] = [event.clientX - held.x, event.clientY - held.y];
    if (!held.moved && Math.hypot(right, down) < 4) return; // a click with an unsteady hand
    held = { x: event.clientX, y: event.clientY, moved: true };
    move(-right / canvas.clientWidth / zoom, -down / canvas.clientHeight / zoom);
  });
  canvas.addEventListener("pointerup", (event) => {
    const isClick = held && !held.moved;
    held = null;
    if (!isClick) return;
    name(nearest(event.offsetX, event.offsetY, REACH));
    open(chosen);
  });
  canvas.addEventListener("pointercancel", () => (held = null));
  form.addEventListener("input", () => {
    name(null);
    remember("map", form);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", recall);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
  draw();
  recall();
}
