// The panel with a point and its neighbors or the groups, the search, pointers and keys.

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function dot(i) {
  const made = element("span", i < 0 ? "dot away" : "dot");
  if (i >= 0) made.style.background = ink[group[i] % ink.length];
  return made;
}
function button(className, text, act, label) {
  const made = element("button", className, text);
  made.type = "button";
  made.onclick = act;
  if (label) made.setAttribute("aria-label", label);
  return made;
}
function neighborRows(places, values) {
  return places.slice(0, SHOWN).map((j, rank) => {
    const row = button("row", undefined, () => choose(j, true)), bar = element("span", "bar"), part = element("i");
    part.style.width = `${Math.min(100, Math.max(0, values[rank] / 10))}%`;
    part.style.background = ink[group[j] % ink.length];
    bar.append(part);
    row.append(dot(j), element("span", "", words[j]), bar, element("span", "number", (values[rank] / 1000).toFixed(2)));
    row.title = words[j];
    return row;
  });
}
function showPanel() {
  const at = focus(), parts = [];
  if (at >= 0) {
    const head = element("div", "word"), name = element("b", "", words[at]);
    name.style.color = ink[group[at] % ink.length];
    head.append(name, element("span", "", count ? `${number.format(count[at])} ${data.kind === "item" ? "event" : "time"}${count[at] === 1 ? "" : "s"}` : `number ${at + 1}`));
    parts.push(head);
    if (data.ids && ids[at] !== words[at]) head.title = `Id ${ids[at]}`;
    if (at === pinned && explorer) parts.push(explorer.acts(at));
    if (near[at].length) parts.push(element("p", "caption", explorer && explorer.two ? `Nearest by ${explorer.first}` : "Nearest on this map"), ...neighborRows(near[at], similarity[at]));
    if (explorer && explorer.two) parts.push(...explorer.besideOf(at));
    parts.push(element("p", "hint", pinned >= 0 && at === pinned ? `Esc lets go of the ${data.kind}.` : "Click to keep it in sight."));
  } else {
    const box = element("div", "groups");
    box.append(element("p", "caption", "Groups"));
    data.names.forEach((telling, g) => {
      if (!sizeOf[g]) return;
      const row = button("row group", undefined, () => { group_on = g === group_on ? -1 : g; showPanel(); redraw(); });
      row.append(dot(telling[0]), element("span", "", telling.map(i => words[i]).join(", ")), element("span", "number", number.format(sizeOf[g])));
      row.setAttribute("aria-pressed", String(g === group_on));
      box.append(row);
    });
    box.append(element("p", "hint", `Point at ${data.kind === "item" ? "an item" : "a word"} to see its neighbors. Scroll to zoom, drag to move.`));
    parts.push(box);
  }
  const had = panel.contains(document.activeElement) ? [...panel.querySelectorAll("button")].indexOf(document.activeElement) : -1;
  panel.replaceChildren(...parts);
  if (had >= 0) panel.querySelectorAll("button")[had]?.focus();
}
function hover(i) {
  if (i === hovered) return;
  hovered = i;
  canvas.classList.toggle("pointing", i >= 0);
  if (!narrow() || i < 0) showPanel();
  wake();
}
function choose(i, fly) {
  const letGo = group_on >= 0;
  pinned = i;
  hovered = -1;
  mouse = null;
  group_on = -1;
  showPanel();
  panel.scrollTop = 0;
  if (i >= 0) {
    if (narrow()) openTab("side");
    if (fly) flyTo(i);
    said(`${words[i]}. Nearest: ${nearest(i).map(j => words[j]).join(", ") || "none"}`);
  }
  try { history.replaceState(null, "", i >= 0 ? "#" + encodeURIComponent(ids[i]) : location.pathname + location.search); } catch { /* no history here */ }
  if (letGo) redraw(); else wake();
}
function openTab(name) {
  byId("sheet").dataset.tab = name;
  for (const one of ["side", "asking"]) {
    byId(`tab-${one}`).setAttribute("aria-selected", String(one === name));
    byId(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
}

// ---- pointer ---------------------------------------------------------------------------------------------------------
const fingers = new Map();
let moved = 0, mouse = null;
canvas.addEventListener("pointerdown", event => {
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  try { canvas.setPointerCapture(event.pointerId); } catch { /* the pointer has already gone */ }
  if (fingers.size === 1) moved = 0;
  closeMatches();
});
canvas.addEventListener("pointermove", event => {
  const was = fingers.get(event.pointerId);
  if (!was) { if (event.pointerType !== "touch") { mouse = [event.clientX, event.clientY]; hover(pointAt(...mouse, 9)); } return; }
  const now = [event.clientX, event.clientY];
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const before = Math.hypot(was[0] - other[0], was[1] - other[1]), after = Math.hypot(now[0] - other[0], now[1] - other[1]);
    pan((now[0] - was[0]) / 2, (now[1] - was[1]) / 2, true);
    if (before > 0) zoom(after / before, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2, true);
    moved = 99;
  } else {
    moved += Math.hypot(now[0] - was[0], now[1] - was[1]);
    if (moved > 4) { canvas.classList.add("dragging"); hover(-1); pan(now[0] - was[0], now[1] - was[1], true); }
  }
  fingers.set(event.pointerId, now);
});
const release = event => {
  if (fingers.delete(event.pointerId) && event.type === "pointerup" && moved <= 4 && event.button === 0) {
    choose(pointAt(event.clientX, event.clientY, event.pointerType === "touch" ? 22 : 9), false);
  }
  canvas.classList.remove("dragging");
};
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", () => { mouse = null; hover(-1); });
canvas.addEventListener("dblclick", event => zoom(2, event.clientX, event.clientY));
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 30 : event.deltaMode === 2 ? 300 : 1;
  zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.0018)), event.clientX, event.clientY);
}, { passive: false });

// ---- search ----------------------------------------------------------------------------------------------------------
let found = [], current = 0;
const lower = words.map(word => word.toLowerCase());
function closeMatches() { matches.hidden = true; query.setAttribute("aria-expanded", "false"); query.removeAttribute("aria-activedescendant"); }
function lookFor(text, most = 8) {
  const wanted = text.trim().toLowerCase(), best = [[], [], []];
  if (!wanted) return [];
  for (let i = 0; i < n; i++) {
    const at = lower[i].indexOf(wanted);
    if (at >= 0 || ids[i] === text.trim()) best[lower[i] === wanted || at < 0 ? 0 : at ? 2 : 1].push(i);
  }
  return best.flat().slice(0, most);
}
function search() {
  if (!query.value.trim()) { found = []; closeMatches(); return; }
  found = lookFor(query.value);
  current = 0;
  matches.replaceChildren(...found.map((i, at) => {
    const item = element("li");
    item.id = `match-${at}`;
    item.setAttribute("role", "option");
    item.append(dot(i), element("span", "", words[i]));
    item.onpointerdown = event => { event.preventDefault(); take(at); };
    return item;
  }));
  if (!found.length) matches.append(element("li", "none", `Not among these ${number.format(n)} ${data.kind}s`));
  said(found.length ? `${found.length} found` : `Not among these ${number.format(n)} ${data.kind}s`);
  matches.hidden = false;
  query.setAttribute("aria-expanded", "true");
  mark();
}
function mark() {
  [...matches.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === current && found.length > 0)));
  if (found.length) query.setAttribute("aria-activedescendant", `match-${current}`);
}
function take(at) {
  if (at >= found.length) return;
  const i = found[at];
  query.value = "";
  closeMatches();
  query.blur();
  choose(i, true);
}
query.addEventListener("input", search);
query.addEventListener("focus", search);
query.addEventListener("blur", closeMatches);
query.addEventListener("keydown", event => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (found.length) { current = (current + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length; mark(); }
  } else if (event.key === "Enter") take(current);
  else if (event.key === "Escape") { query.value = ""; closeMatches(); query.blur(); }
  event.stopPropagation();
});

// ---- keys and buttons ------------------------------------------------------------------------------------------------
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
  const step = 90, act = {
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": () => showAll(), "/": () => query.focus(), t: switchTheme, s: savePicture,
    ArrowLeft: () => pan(step, 0), ArrowRight: () => pan(-step, 0), ArrowUp: () => pan(0, step), ArrowDown: () => pan(0, -step),
    Escape: () => { if (pinned >= 0 || hovered >= 0) choose(-1); else if (group_on >= 0) { group_on = -1; showPanel(); redraw(); } else showAll(); },
    ...(explorer && pinned >= 0 ? { a: () => explorer.add(pinned, 1) } : {}),
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});
byId("closer").onclick = () => zoom(1.6);
byId("farther").onclick = () => zoom(1 / 1.6);
byId("all").onclick = () => showAll();
byId("theme").onclick = switchTheme;
byId("save").onclick = savePicture;
byId("tabs").addEventListener("keydown", event => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  event.stopPropagation();
  const other = byId("sheet").dataset.tab === "side" ? "asking" : "side";
  openTab(other);
  byId(`tab-${other}`).focus();
});
