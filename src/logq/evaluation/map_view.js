// The picture: colors, ground, points, names, and what part of the map is seen. Points are pixels that are written
// directly into one image, so that 100,000 of them take a few milliseconds with any graphics card, or none.

const data = JSON.parse(document.getElementById("data").textContent);
const { words, group, near, similarity } = data;
const n = words.length;
const ids = data.ids || words, indexOf = new Map(ids.map((id, i) => [id, i]));
const x = Float32Array.from(data.x), y = Float32Array.from(data.y), count = data.count;
const WORLD = 9999;
const byId = id => document.getElementById(id);
const canvas = byId("map"), pen = canvas.getContext("2d"), ground = byId("land"), dots = byId("dots").getContext("2d");
const side = byId("side"), panel = byId("panel"), query = byId("query"), matches = byId("matches"), asking = byId("asking");
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const narrow = () => width <= 820;
const INK = {
  light: ["#1b66ab", "#a04613", "#22693b", "#81379a", "#ad2b48", "#0a6a70", "#6c5a09", "#4650b4", "#9a3076", "#56616b"],
  dark: ["#79bdff", "#ffad75", "#82d8a0", "#d6a1f1", "#ff97a6", "#67d4dc", "#e2cf66", "#a9b3ff", "#f49cd4", "#b9c5cf"],
};
const SHOWN = 8, nearest = i => near[i].slice(0, SHOWN);  // a page that asks nobody knows more of them
const number = new Intl.NumberFormat("en");
const groups = data.names.length;
const sizeOf = new Int32Array(groups);
for (const g of group) sizeOf[g]++;
const said = text => { byId("said").textContent = text; };
const rgbOf = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));

// ---- theme -----------------------------------------------------------------------------------------------------------
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null, ink, paper, textColor, accent;
try { chosenTheme = localStorage.getItem("logq-map-theme"); } catch { /* a file opened from disk may have no storage */ }
function applyTheme() {
  const theme = chosenTheme === "light" || chosenTheme === "dark" ? chosenTheme : prefersDark.matches ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
  ink = INK[theme];
  const style = getComputedStyle(document.documentElement);
  [paper, textColor, accent] = ["--paper", "--ink", "--accent"].map(name => style.getPropertyValue(name).trim());
  paintLand(theme);
  stamps.length = 0;
  showPanel();
  redraw();
}
function switchTheme() {
  chosenTheme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("logq-map-theme", chosenTheme); } catch { /* as above */ }
  applyTheme();
}

// ---- land: each group's density as tinted ground with contour lines, painted once ------------------------------------
const LAND = 720, MARGIN = 0.09;  // texture width; part of the world added on each side
function paintLand(theme) {
  const inner = LAND / (1 + 2 * MARGIN), scale = inner / WORLD, shift = LAND * MARGIN / (1 + 2 * MARGIN);
  const sigma = LAND * 0.021 * Math.min(2.2, Math.max(0.36, Math.sqrt(500 / Math.max(n, 40)))), reach = Math.ceil(3.7 * sigma);
  const density = Array.from({ length: groups }, () => new Float32Array(LAND * LAND)), all = new Float32Array(LAND * LAND);
  // Many points are put together where they share a texel: their hills are the same.
  const cells = new Map();
  for (let i = 0; i < n; i++) {
    const key = (Math.round(y[i] * scale + shift) * LAND + Math.round(x[i] * scale + shift)) * groups + group[i];
    cells.set(key, (cells.get(key) || 0) + 1);
  }
  for (const [key, many] of cells) {
    const mine = density[key % groups], at = Math.floor(key / groups), cx = at % LAND, cy = Math.floor(at / LAND);
    const top = Math.max(0, cy - reach), bottom = Math.min(LAND - 1, cy + reach);
    const left = Math.max(0, cx - reach), right = Math.min(LAND - 1, cx + reach);
    for (let r = top; r <= bottom; r++) for (let c = left; c <= right; c++) {
      const d = ((r - cy) ** 2 + (c - cx) ** 2) / (2 * sigma * sigma);
      if (d < 6.8) { const w = many * Math.exp(-d); mine[r * LAND + c] += w; all[r * LAND + c] += w; }
    }
  }
  // Contours stand where 500 points have them: with more points in a hill they stand higher.
  const crowd = Math.max(1, n * 0.1296 / 500);
  const rgb = ink.map(rgbOf);
  const levels = [0.34, 1.1, 2.1, 3.3].map(level => level * crowd), steps = theme === "dark" ? [0.085, 0.055, 0.055, 0.05] : [0.085, 0.06, 0.055, 0.05];
  const shore = theme === "dark" ? 0.30 : 0.34;
  const image = new ImageData(LAND, LAND);
  for (let p = 0; p < LAND * LAND; p++) {
    if (all[p] < 0.2 * crowd) continue;
    let alpha = 0;
    // How fast density changes here tells how many texels a contour's edge is wide: about one and a half.
    const slope = Math.hypot((all[p + 1] || 0) - (all[p - 1] || 0), (all[p + LAND] || 0) - (all[p - LAND] || 0)) / 2 + 1e-6;
    levels.forEach((level, k) => {
      const t = Math.min(1, Math.max(0, (all[p] - level) / (1.6 * slope) + 0.5));
      alpha += steps[k] * t;
      const away = Math.abs(all[p] - level) / slope;
      if (away < 1.3) alpha += (k ? 0.3 : 1) * shore * (1 - away / 1.3);
    });
    let r = 0, g = 0, b = 0, sum = 0;
    for (let k = 0; k < groups; k++) {
      const d = density[k][p] / crowd;
      if (d > 0) { const w = d ** 6, tint = rgb[k % rgb.length]; r += w * tint[0]; g += w * tint[1]; b += w * tint[2]; sum += w; }
    }
    image.data.set([r / sum, g / sum, b / sum, 255 * Math.min(1, alpha)], 4 * p);
  }
  ground.width = ground.height = LAND;
  ground.getContext("2d").putImageData(image, 0, 0);
}
function placeLand() {  // which the browser scales
  const edge = WORLD * MARGIN * view.k, span = WORLD * view.k + 2 * edge;
  ground.style.transform = `translate(${view.dx - edge}px, ${view.dy - edge}px) scale(${span / LAND})`;
}

// ---- view ------------------------------------------------------------------------------------------------------------
const view = { k: 1, dx: 0, dy: 0 }, goal = { k: 1, dx: 0, dy: 0 };
let width = 0, height = 0, ratio = 1, fitted = 1;
const closest = Math.max(14, Math.sqrt(n) / 4);  // how many times nearer than the whole map one can come
function covered() {  // by panels, from each side
  const small = narrow();
  return { left: small ? 0 : 320, right: small ? 0 : asking.hidden ? 44 : asking.offsetWidth + 16, bottom: small ? byId("sheet").offsetHeight + 8 : 0 };
}
function fit() {
  const pad = narrow() ? 22 : 54, { left, right, bottom } = covered();
  const k = Math.max(0.005, Math.min(width - left - right - 2 * pad, height - bottom - 2 * pad) / WORLD);
  return { k, dx: left + (width - left - right - WORLD * k) / 2, dy: (height - bottom - WORLD * k) / 2 };
}
function clamp(v) {
  const room = WORLD * v.k;
  v.dx = Math.min(width - 90, Math.max(90 - room, v.dx));
  v.dy = Math.min(height - 90, Math.max(90 - room, v.dy));
  return v;
}
function zoom(factor, px = width / 2, py = height / 2, at_once = false) {
  const from = at_once ? view : goal, k = Math.min(fitted * closest, Math.max(fitted * 0.6, from.k * factor));
  const wx = (px - from.dx) / from.k, wy = (py - from.dy) / from.k;
  Object.assign(goal, clamp({ k, dx: px - wx * k, dy: py - wy * k }));
  if (at_once || calm) Object.assign(view, goal);
  wake();
}
function pan(dx, dy, at_once) {
  Object.assign(goal, clamp({ k: goal.k, dx: goal.dx + dx, dy: goal.dy + dy }));
  if (at_once || calm) Object.assign(view, goal);
  wake();
}
function showAll(at_once) {
  Object.assign(goal, fit());
  if (at_once || calm) Object.assign(view, goal);
  wake();
}
function flyTo(i) {
  // So near that the point and its neighbors fill the view, but not nearer than names can be read in their company.
  const shown = [i, ...nearest(i)], whole = fit();
  const wide = Math.max(...shown.map(j => Math.abs(x[j] - x[i]))) || 1, tall = Math.max(...shown.map(j => Math.abs(y[j] - y[i]))) || 1;
  const roomX = WORLD * whole.k / 2, roomY = Math.min(roomX, height / 2 - 60);
  const k = Math.min(fitted * closest / 4, Math.max(fitted * 1.15, Math.min(roomX / wide, roomY / tall)));
  Object.assign(goal, { k, dx: whole.dx + roomX - x[i] * k, dy: whole.dy + WORLD * whole.k / 2 - y[i] * k });
  if (calm) Object.assign(view, goal);
  wake();
}
function resize() {
  const first = width === 0, before = { width, height };
  width = innerWidth; height = innerHeight; ratio = Math.min(n > MANY ? 2 : 3, devicePixelRatio || 1);
  canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
  image = null;
  const wasFitted = Math.abs(goal.k / fitted - 1) < 0.01;
  fitted = fit().k;
  if (first || wasFitted) showAll(true);
  else pan((width - before.width) / 2, (height - before.height) / 2, true);
  levels.clear();
  redraw();
}

function refit() {  // the panel of a phone grew or shrank: who saw the whole map still does
  const whole = fit(), wasFitted = Math.abs(goal.k / fitted - 1) < 0.01;
  if (!width || Math.abs(whole.k - goal.k) + Math.abs(whole.dy - goal.dy) < 1) return;
  fitted = whole.k;
  levels.clear();
  if (wasFitted) showAll(false); else wake();
}

// ---- names: the frequent first, as many as have room at this scale ---------------------------------------------------
const FONT = getComputedStyle(document.documentElement).getPropertyValue("--sans");
pen.font = `500 100px ${FONT}`;
const LONGEST = 34, widths = new Float32Array(n);
const shortName = i => words[i].length > LONGEST ? words[i].slice(0, LONGEST - 1) + "…" : words[i];
function textWidth(i) {
  if (!widths[i]) { pen.font = `500 100px ${FONT}`; widths[i] = pen.measureText(shortName(i)).width / 100 || 0.1; }
  return widths[i];
}
const weight = new Float32Array(n);
{
  const high = count ? Math.log(1 + count[0]) : 1, low = count ? Math.log(1 + count[n - 1]) : 0;
  for (let i = 0; i < n; i++) weight[i] = !count ? 1 - Math.sqrt(i / n) : high > low ? (Math.log(1 + count[i]) - low) / (high - low) : 0.5;
}
// Which names have room is found for steps of the scale, when they are first come to: a name that has room keeps it nearer by.
const STEP = 1.25, levels = new Map(), opacity = new Float32Array(n), wanted = new Uint8Array(n);
const levelOf = k => Math.round(Math.log(k / fitted) / Math.log(STEP));
const growthAt = k => Math.min(1.5, Math.max(0.85, (k / fitted) ** 0.22)) * (narrow() ? 0.88 : 1);
const sizeAt = (i, growth) => (11 + 8.5 * weight[i] ** 1.3) * growth;
function placed(level) {
  if (levels.has(level)) return levels.get(level);
  const k = fitted * STEP ** level, growth = growthAt(k), cell = Math.max(7, WORLD * k / 2500), across = Math.ceil(WORLD * k / cell) + 1, taken = new Uint8Array(across * across);
  const before = levels.get(level - 1), chosen = [];
  const place = (i, sure) => {
    const cx = Math.floor(x[i] * k / cell), cy = Math.floor(y[i] * k / cell);
    if (!sure && taken[cy * across + cx]) return;
    const size = sizeAt(i, growth), half = Math.ceil((textWidth(i) * size / 2 + 3) / cell), tall = Math.ceil(size * 0.62 / cell);
    const left = Math.max(0, cx - half), right = Math.min(across - 1, cx + half), top = Math.max(0, cy - tall), bottom = Math.min(across - 1, cy + tall);
    if (!sure) for (let r = top; r <= bottom; r++) for (let c = left; c <= right; c++) if (taken[r * across + c]) return;
    for (let r = top; r <= bottom; r++) taken.fill(1, r * across + left, r * across + right + 1);
    chosen.push(i);
  };
  if (before) for (const i of before.list) place(i, true);
  const there = new Uint8Array(n);
  for (const i of chosen) there[i] = 1;
  for (let i = 0; i < n; i++) if (!there[i]) place(i, false);
  for (const i of chosen) there[i] = 1;
  const made = { list: chosen.sort((a, b) => a - b), there };
  if (levels.size > 60) levels.clear();
  levels.set(level, made);
  return made;
}

// ---- points ----------------------------------------------------------------------------------------------------------
// A stamp is a round point as pixels: for each radius, color and quarter of a pixel that it is away from the raster.
const stamps = [], FAINT = 16, MANY = 20000;
let image = null, pixels, painted = "";
const crowded = Math.max(0.55, Math.min(1, (4000 / n) ** 0.2));
const radius = Float32Array.from(weight, w => (2 + 3.4 * w * w) * crowded);
function makeStamp(key) {
  const r = (key >> 9) / 2, color = key >> 4 & 31, qx = (key >> 2 & 3) / 4, qy = (key & 3) / 4, reach = Math.ceil(r + 1), offsets = [], values = [];
  const [red, green, blue] = rgbOf(ink[color % FAINT]), full = color < FAINT ? 205 : 30;
  for (let dy = -reach; dy <= reach; dy++) for (let dx = -reach; dx <= reach; dx++) {
    const alpha = Math.round(full * Math.min(1, Math.max(0, r + 0.5 - Math.hypot(dx - qx, dy - qy))));
    if (alpha) { offsets.push(dx, dy); values.push((alpha << 24 | blue << 16 | green << 8 | red) >>> 0); }
  }
  return stamps[key] = { reach, full, offsets: Int32Array.from(offsets), values: Uint32Array.from(values) };
}
function paintDots(fine) {  // fine: as the screen is; else as coarse as it may be for a moment
  const wide = Math.round(width * fine), tall = Math.round(height * fine);
  if (!image || image.width !== wide || image.height !== tall) {
    dots.canvas.width = wide; dots.canvas.height = tall;
    image = new ImageData(wide, tall);
    pixels = new Uint32Array(image.data.buffer);
  }
  const k = view.k * fine, dx = view.dx * fine, dy = view.dy * fine, grow = 2 * fine * Math.min(2.2, Math.max(1, (view.k / fitted) ** 0.3)), colors = ink.length;
  pixels.fill(0);
  for (let i = 0; i < n; i++) {
    const px = x[i] * k + dx, py = y[i] * k + dy;
    if (px < -9 || py < -9 || px > wide + 9 || py > tall + 9) continue;
    const cx = Math.floor(px), cy = Math.floor(py), color = group[i] % colors + (group_on >= 0 && group[i] !== group_on ? FAINT : 0);
    const key = (radius[i] * grow + 0.5 | 0) << 9 | color << 4 | ((px - cx) * 4 & 3) << 2 | (py - cy) * 4 & 3;
    const { reach, full, offsets, values } = stamps[key] || makeStamp(key);
    const inside = cx >= reach && cy >= reach && cx < wide - reach && cy < tall - reach, at = cy * wide + cx;
    if (inside && pixels[at] >>> 24 >= full) continue;  // under a more frequent one
    for (let p = 0, q = 0; p < values.length; p++, q += 2) {
      const ox = offsets[q], oy = offsets[q + 1];
      if (!inside && (cx + ox < 0 || cy + oy < 0 || cx + ox >= wide || cy + oy >= tall)) continue;
      const place = at + oy * wide + ox, value = values[p];
      if (value >>> 24 > pixels[place] >>> 24) pixels[place] = value;
    }
  }
  dots.putImageData(image, 0, 0);
}

// ---- drawing ---------------------------------------------------------------------------------------------------------
let hovered = -1, pinned = -1, group_on = -1, awake = false, marks = [], ties = [];
const frames = [];  // milliseconds of the last frames, for measurements
const focus = () => hovered >= 0 ? hovered : pinned;
const X = i => x[i] * view.k + view.dx, Y = i => y[i] * view.k + view.dy;
function wake() { if (!awake) { awake = true; requestAnimationFrame(frame); } }
function redraw() { painted = ""; wake(); }
function frame() {
  const began = performance.now();
  awake = false;
  let moving = false;
  for (const key of ["k", "dx", "dy"]) {
    const gap = goal[key] - view[key];
    if (Math.abs(gap) > (key === "k" ? goal.k * 1e-3 : 0.3)) { view[key] += gap * 0.2; moving = true; } else view[key] = goal[key];
  }
  // Under a pointer at rest, too, another point may come to lie.
  if (moving && mouse && !fingers.size) hover(pointAt(...mouse, 9));
  const at = focus(), lit = at >= 0 ? new Set([at, ...nearest(at)]) : null, { there } = placed(levelOf(view.k));
  const marked = new Set(marks.filter(mark => mark.named).map(mark => mark.i));
  wanted.set(there);
  for (const i of [...(lit || []), ...marked]) wanted[i] = 1;
  for (let i = 0; i < n; i++) {
    const gap = wanted[i] - opacity[i];
    if (gap) { if (Math.abs(gap) < 0.02 || calm) opacity[i] = wanted[i]; else { opacity[i] += gap * 0.24; moving = true; } }
  }
  const fine = n > MANY && moving ? 1 : ratio, now = `${view.k} ${view.dx} ${view.dy} ${group_on} ${fine}`;
  if (now !== painted) { painted = now; placeLand(); paintDots(fine); }
  const dim = lit || group_on >= 0;
  ground.style.opacity = dim ? 0.55 : 1;
  dots.canvas.style.opacity = lit ? 0.3 : 1;
  draw(at, lit, marked, n > MANY && moving);
  frames.push(performance.now() - began);
  if (frames.length > 600) frames.shift();
  if (moving) wake();
}
function curve(a, b, bend) {
  const ax = X(a), ay = Y(a), bx = X(b), by = Y(b);
  pen.beginPath();
  pen.moveTo(ax, ay);
  pen.quadraticCurveTo((ax + bx) / 2 - (by - ay) * bend, (ay + by) / 2 + (bx - ax) * bend, bx, by);
  pen.stroke();
}
function draw(at, lit, marked, quick) {
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.lineCap = "round";
  if (at >= 0) nearest(at).forEach((j, rank) => {
    pen.globalAlpha = 0.75 - 0.05 * rank;
    pen.strokeStyle = ink[group[j] % ink.length];
    pen.lineWidth = 2.4 - 0.17 * rank;
    curve(at, j, 0.12 * (rank % 2 ? 1 : -1));
  });
  pen.globalAlpha = 0.9;
  pen.strokeStyle = accent;
  pen.lineWidth = 2;
  for (const [a, b] of ties) curve(a, b, 0.16);
  for (const { i, kind } of marks) {
    const r = kind === "asked" ? 8 : 9.5;
    pen.globalAlpha = 1;
    pen.lineWidth = 2.2;
    pen.setLineDash(kind === "second" ? [3, 4] : []);
    pen.strokeStyle = kind === "asked" ? textColor : accent;
    pen.fillStyle = kind === "asked" ? textColor : ink[group[i] % ink.length];
    pen.beginPath();
    pen.arc(X(i), Y(i), kind === "asked" ? 5 : 4, 0, 7);
    pen.fill();
    pen.beginPath();
    if (kind === "asked") pen.rect(X(i) - r, Y(i) - r, 2 * r, 2 * r); else pen.arc(X(i), Y(i), r, 0, 7);
    pen.stroke();
    pen.setLineDash([]);
  }
  const seen = i => { const sx = X(i), sy = Y(i), half = textWidth(i) * 12 + 8; return sx > -half && sx < width + half && sy > -20 && sy < height + 20; };
  if (lit) for (const i of lit) {
    pen.globalAlpha = 1;
    pen.fillStyle = ink[group[i] % ink.length];
    pen.beginPath();
    pen.arc(X(i), Y(i), 3 + 1.5 * weight[i], 0, 7);
    pen.fill();
  }
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.strokeStyle = paper;
  const growth = growthAt(view.k);
  // Names of neighbors and of marked points step aside where they would cover each other.
  const edge = covered();
  const inside = (i, half) => X(i) < edge.left || X(i) > width - edge.right ? X(i) : Math.max(edge.left + half + 4, Math.min(width - edge.right - half - 4, X(i)));
  const aside = new Map(), taken = [], strong = [...(lit || []), ...[...marked].filter(i => !lit || !lit.has(i))];
  for (const i of strong) {
    const size = sizeAt(i, growth), half = textWidth(i) * size * (i === at ? 0.66 : 0.55) + 3, tall = size * (i === at ? 0.7 : 0.58), sx = inside(i, half), sy = Y(i);
    const first = marked.has(i) ? -1.9 * tall : 0;
    const free = [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7].map(step => first + step * tall)
      .find(shifted => !taken.some(o => Math.abs(o[0] - sx) < o[2] + half && Math.abs(o[1] - sy - shifted) < o[3] + tall));
    aside.set(i, free === undefined && i === at ? first : free);
    if (free !== undefined || i === at) taken.push([sx, sy + aside.get(i), half, tall]);
  }
  let chosen = "";
  const label = i => {
    const main = i === at, own = aside.has(i), size = sizeAt(i, growth) * (main ? 1.22 : 1), half = textWidth(i) * size / 2, sx = own ? inside(i, half) : X(i);
    const faint = lit ? lit.has(i) || own ? 1 : 0.16 : group_on >= 0 && group[i] !== group_on ? 0.14 : 1;
    if (!own) for (const o of taken) if (Math.abs(o[0] - sx) < o[2] + half && Math.abs(o[1] - Y(i)) < o[3] + size / 2) return;
    const font = `${main ? 700 : own || weight[i] > 0.62 ? 600 : 500} ${Math.round(2 * size) / 2}px ${FONT}`;  // few sizes, whose letters are kept
    if (font !== chosen) pen.font = chosen = font;
    pen.globalAlpha = opacity[i] * faint * (own ? 1 : 0.92);
    pen.lineWidth = own ? 5 : 3;
    const py = Y(i) + 0.5 + (aside.get(i) || 0), text = shortName(i);
    if (!quick || own) pen.strokeText(text, sx, py);  // the halo, which takes longer than all else
    pen.fillStyle = main ? textColor : ink[group[i] % ink.length];
    pen.fillText(text, sx, py);
  };
  for (let i = n - 1; i >= 0; i--) if (opacity[i] > 0.02 && !aside.has(i) && seen(i)) label(i);
  for (const i of strong.reverse()) if (aside.get(i) !== undefined) label(i);
  pen.globalAlpha = 1;
}
function pointAt(px, py, reach) {
  let best = -1, least = reach;
  const growth = growthAt(view.k);
  for (let i = 0; i < n; i++) {
    const dx = Math.abs(x[i] * view.k + view.dx - px), dy = Math.abs(y[i] * view.k + view.dy - py);
    if (dy > 40 || dx > 260 || (group_on >= 0 && group[i] !== group_on)) continue;
    const size = sizeAt(i, growth);
    const gap = opacity[i] > 0.5 ? Math.hypot(Math.max(0, dx - textWidth(i) * size / 2), Math.max(0, dy - size / 2)) : Math.hypot(dx, dy) + 1;
    if (gap < least) { least = gap; best = i; }
  }
  return best;
}
function savePicture() {
  const whole = document.createElement("canvas"), brush = whole.getContext("2d");
  whole.width = canvas.width; whole.height = canvas.height;
  brush.fillStyle = paper;
  brush.fillRect(0, 0, whole.width, whole.height);
  const edge = WORLD * MARGIN * view.k, span = (WORLD * view.k + 2 * edge) * ratio;
  brush.globalAlpha = Number(ground.style.opacity || 1);
  brush.drawImage(ground, (view.dx - edge) * ratio, (view.dy - edge) * ratio, span, span);
  for (const one of [dots.canvas, canvas]) { brush.globalAlpha = Number(one.style.opacity || 1); brush.drawImage(one, 0, 0, whole.width, whole.height); }
  whole.toBlob(blob => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "map.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}
