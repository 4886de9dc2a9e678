// What the page asks of one model or two: a history and its recommendations, or a sum of words and the words near it.

const explorer = (() => {
  const { live, models, example, k } = data.explore, items = data.kind === "item", two = models.length > 1;
  const asked = [], answers = byId("answers"), trouble = byId("asking-trouble"), field = byId("added");
  let turn = 0, stop = null;
  const nameOf = id => indexOf.has(id) ? words[indexOf.get(id)] : id;
  const placeOf = id => indexOf.has(id) ? indexOf.get(id) : -1;
  const known = (model, i) => !model.known || model.known[i] === 1;

  // ---- what is asked -------------------------------------------------------------------------------------------------
  function addId(id, sign) {
    if (asked.some(one => one.id === id && one.sign === sign)) { said(`${nameOf(id)} is there already`); return; }
    asked.push({ id, sign });
    said(`${nameOf(id)} ${sign > 0 ? "added" : "subtracted"}`);
    changed();
  }
  function add(i, sign) { addId(ids[i], sign); }
  function changed() {
    byId("asked").replaceChildren(...asked.map((one, at) => {
      const row = element("li"), name = nameOf(one.id), i = placeOf(one.id);
      const sign = items ? dot(i) : button("small", one.sign > 0 ? "+" : "−", () => { one.sign = -one.sign; changed(); }, `${one.sign > 0 ? "Subtract" : "Add"} ${name} instead`);
      row.append(sign, button("", name, () => i >= 0 && choose(i, true), i >= 0 ? `Show ${name} on the map` : name));
      row.append(button("small", "×", () => { asked.splice(at, 1); changed(); field.focus(); }, `Remove ${name}`));
      return row;
    }));
    byId("clear").hidden = !asked.length;
    byId("asking-hint").textContent = asked.length ? "" : items
      ? `Click an item on the map and add it (or press a): the oldest first. Recommendations follow at once.`
      : `Add and subtract words: king − man + woman asks what is to woman as king is to man.`;
    if (!asked.length && example) byId("asking-hint").append(element("br"), button("plain", example.map((word, at) => `${at === 1 ? " − " : at ? " + " : ""}${word}`).join(""), () => {
      example.forEach((word, at) => asked.push({ id: word, sign: at === 1 ? -1 : 1 }));
      changed();
    }));
    showPanel();
    ask();
  }
  function acts(i) {
    const box = element("div", "acts");
    box.append(button("plain", items ? "Add to history" : "+ Add", () => add(i, 1), items ? undefined : `Add ${words[i]}`));
    if (!items) box.append(button("plain", "− Subtract", () => add(i, -1), `Subtract ${words[i]}`));
    return box;
  }

  // ---- answers of the process that serves the page -------------------------------------------------------------------
  // Ids are read as text: JSON numbers of JavaScript are exact up to 2^53 only.
  const parse = text => JSON.parse(text.replace(/"item":(-?\d+)/g, '"item":"$1"'));
  async function fromServer(model, signal) {
    const path = items ? "recommend" : "neighbors";
    const body = items
      ? { history: asked.map(one => one.id), k, explain: model.explains, unknown: "ignore" }
      : { positive: asked.filter(one => one.sign > 0).map(one => one.id), negative: asked.filter(one => one.sign < 0).map(one => one.id), k };
    const response = await fetch(model.path + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
    const told = parse(await response.text());
    if (!response.ok) throw new Error(told.error.message);
    const list = (told.items || told.neighbors).map(one => items
      ? { id: one.item, name: one.title || nameOf(one.item), score: one.score, why: (one.because || []).map(why => ({ id: why.item, name: why.title || nameOf(why.item), value: why.cosine ?? why.contribution })) }
      : { id: one.word, name: one.word, score: one.cosine, why: [] });
    return { list, status: told.status || "", how: "" };
  }

  // ---- answers of the page alone -------------------------------------------------------------------------------------
  const unpacked = new Map();
  function vectorsOf(model) {
    if (!unpacked.has(model)) {
      const bytes = Uint8Array.from(atob(model.vectors), one => one.charCodeAt(0)), rows = new Int8Array(bytes.buffer), lengths = new Float32Array(n);
      for (let i = 0; i < n; i++) { let sum = 0; for (let d = 0; d < model.dim; d++) sum += rows[i * model.dim + d] ** 2; lengths[i] = Math.sqrt(sum) || 1; }
      unpacked.set(model, { rows, lengths });
    }
    return unpacked.get(model);
  }
  function bySum(model) {
    const { rows, lengths } = vectorsOf(model), { dim } = model, sum = new Float64Array(dim);
    const there = asked.map(one => ({ i: placeOf(one.id), sign: one.sign })), own = new Set(there.map(one => one.i));
    const missing = there.filter(({ i }) => i < 0 || !known(model, i)).length;
    if (missing) throw new Error(`${missing} of these words ${missing === 1 ? "is" : "are"} not known to ${model.name}`);
    for (const { i, sign } of there) for (let d = 0; d < dim; d++) sum[d] += sign * rows[i * dim + d] / lengths[i];
    const size = Math.hypot(...sum) || 1, scored = [];
    for (let i = 0; i < n; i++) {
      if (own.has(i) || !known(model, i)) continue;
      let dotted = 0;
      for (let d = 0; d < dim; d++) dotted += sum[d] * rows[i * dim + d];
      scored.push([dotted / size / lengths[i], i]);
    }
    scored.sort((a, b) => b[0] - a[0]);
    return { list: scored.slice(0, k).map(([score, i]) => ({ id: ids[i], name: words[i], score, why: [] })), status: "", how: `Computed in this page, among its ${number.format(n)} words, from vectors rounded to 8 bits: cosines may be off by 0.01. With logq explore a page asks the vectors themselves.` };
  }
  function fromHistory(model) {
    const own = asked.map(one => placeOf(one.id)), there = own.filter(i => known(model, i)), left = own.length - there.length;
    const status = left ? `${left} unknown ${left === 1 ? "item" : "items"} left out` : "";
    if (there.length === 1 && model.after) {
      const [places, scores] = model.after[there[0]];
      return { list: places.map((i, rank) => ({ id: ids[i], name: words[i], score: scores[rank], why: [] })), status, how: `What ${model.name} itself recommends after this one item, among the ${number.format(n)} on this map.` };
    }
    const sums = new Map();
    for (const j of there) model.near[j].forEach((i, rank) => {
      if (own.includes(i)) return;
      const value = model.similarity[j][rank] / 1000, one = sums.get(i) || { score: 0, why: [] };
      one.score += value;
      one.why.push({ id: ids[j], name: words[j], value });
      sums.set(i, one);
    });
    const list = [...sums].map(([i, one]) => ({ id: ids[i], name: words[i], score: one.score, why: one.why.sort((a, b) => b.value - a.value).slice(0, 3) }));
    list.sort((a, b) => b.score - a.score);
    return { list: list.slice(0, k), status, how: `Not the ranking of the model, which this file cannot ask: items that are among the ${data.explore.neighbors} most like one of the history, by the sum of how alike they are. With logq explore a page asks the model itself.` };
  }

  // ---- showing them --------------------------------------------------------------------------------------------------
  async function ask() {
    const mine = ++turn;
    stop?.abort();
    stop = new AbortController();
    trouble.hidden = true;
    marks = asked.map(one => placeOf(one.id)).filter(i => i >= 0).map(i => ({ i, kind: "asked", named: true }));
    ties = [];
    if (!asked.length || (!items && !asked.some(one => one.sign > 0))) {
      answers.replaceChildren();
      answers.removeAttribute("aria-busy");  // of an answer that is waited for no more
      byId("asking-how").textContent = asked.length ? "Add a word too: nothing is near to what is only subtracted." : "";
      wake();
      return;
    }
    answers.setAttribute("aria-busy", "true");
    const { signal } = stop;
    const told = await Promise.all(models.map(async model => {
      try {
        return live ? await fromServer(model, signal) : items ? fromHistory(model) : bySum(model);
      } catch (error) {
        return { list: [], status: "", how: "", error: error instanceof TypeError ? "The process that serves this page does not answer. Is `logq explore` still running?" : error.message };
      }
    }));
    if (mine !== turn) return;
    answers.removeAttribute("aria-busy");
    show(told);
  }
  function show(told) {
    const wrong = [...new Set(told.filter(one => one.error).map((one, at) => two ? `${models[told.indexOf(one)].name}: ${one.error}` : one.error))];
    trouble.textContent = wrong.join(" ");
    trouble.hidden = !wrong.length;
    const ranks = told.map(({ list }) => new Map(list.map((one, rank) => [one.id, rank + 1])));
    answers.replaceChildren(...told.map(({ list, status, error }, at) => {
      const box = element("div"), rows = element("ol");
      if (two) box.append(element("h3", "", models[at].name));
      box.setAttribute("aria-label", `${items ? "Recommendations" : "Nearest words"}${two ? ` of ${models[at].name}` : ""}`);
      box.setAttribute("role", "group");
      rows.append(...list.map((one, rank) => answerRow(one, rank + 1, decimals(list), two ? ranks[1 - at].get(one.id) : undefined, models[1 - at])));
      box.append(rows);
      if (status) box.append(element("p", "hint", `${status[0].toUpperCase()}${status.slice(1)}.`));
      if (!list.length && !error && !status) box.append(element("p", "hint", "Nothing found."));
      return box;
    }));
    byId("asking-how").textContent = [...new Set(told.map(one => one.how))].filter(Boolean).join(" ");
    const own = new Set(marks.map(one => one.i)), first = new Set(told[0].list.map(one => placeOf(one.id)));
    told.forEach(({ list }, at) => list.forEach(({ id }, rank) => {
      const i = placeOf(id);
      if (i >= 0 && !own.has(i) && !(at && first.has(i))) marks.push({ i, kind: at ? "second" : "first", named: rank < 3 });
    }));
    said(told.map(({ list }, at) => `${two ? `${models[at].name}: ` : ""}${list.slice(0, 3).map(one => one.name).join(", ") || "nothing"}`).join(". "));
    wake();
  }
  // All numbers of a list have the decimals that its largest one has with three digits.
  const decimals = list => Math.max(0, Math.min(8, 2 - Math.floor(Math.log10(Math.max(1e-6, ...list.map(one => Math.abs(one.score)))))));
  function answerRow(one, rank, digits, other, otherModel) {
    const row = element("li", "answer"), i = placeOf(one.id);
    const tie = on => { ties = on && i >= 0 ? one.why.map(why => placeOf(why.id)).filter(j => j >= 0).map(j => [i, j]) : []; wake(); };
    const go = button("go", one.name, () => { if (i >= 0) choose(i, true); else said(`${one.name} is not on this map`); });
    if (i < 0) { go.title = "Not on this map; --top draws more"; go.append(element("span", "number", " (not on the map)")); }
    go.onfocus = row.onmouseenter = () => tie(true);
    go.onblur = row.onmouseleave = () => tie(false);
    const also = other === undefined ? element("span", "number", one.score.toFixed(digits)) : element("span", "number");
    if (other !== undefined) { also.append(element("span", "both", `both, ${other} `), one.score.toFixed(digits)); also.title = `Number ${other} of ${otherModel.name}`; }
    row.append(element("span", "number", rank), dot(i), go, also, button("small", "+", () => addId(one.id, 1), `Add ${one.name}${items ? " to the history" : ""}`));
    if (one.why.length) row.append(element("span", "why", `because of ${one.why.map(why => `${why.name} (${why.value.toPrecision(2)})`).join(", ")}`));
    return row;
  }
  function besideOf(i) {
    const model = models[1], head = element("p", "caption", `Nearest by ${model.name}`);
    if (!known(model, i)) return [head, element("p", "hint", `${model.name} does not know ${data.kind === "item" ? "this item" : "this word"}.`)];
    return [head, ...neighborRows(model.near[i], model.similarity[i])];
  }

  byId("adding").onsubmit = event => {
    event.preventDefault();
    const minus = !items && /^[-−]/.test(field.value.trim()), wanted = field.value.trim().replace(minus ? /^[-−]\s*/ : "", ""), i = indexOf.get(wanted) ?? lookFor(wanted, 1)[0];
    if (!wanted) return;
    const exact = i !== undefined && (lower[i] === wanted.toLowerCase() || ids[i] === wanted);
    if (!exact && !live && i === undefined) { trouble.textContent = `“${wanted}” is not among the ${number.format(n)} ${data.kind}s of this page.`; trouble.hidden = false; return; }
    field.value = "";
    addId(exact || (items && i !== undefined) || !live ? ids[i] : wanted, minus ? -1 : 1);
  };
  byId("clear").onclick = () => { asked.length = 0; said("Cleared"); changed(); field.focus(); };
  for (const one of ["side", "asking"]) byId(`tab-${one}`).onclick = () => openTab(one);
  return {
    acts, add, changed, two, besideOf, first: models[0].name,
    begin() {
      document.documentElement.classList.add("exploring");
      asking.hidden = false;
      byId("tabs").hidden = false;
      asking.classList.toggle("two", two);
      answers.classList.toggle("two", two);
      byId("asking-title").textContent = items ? "History" : "Sum of words";
      byId("tab-asking").textContent = items ? "Recommend" : "Analogy";
      field.placeholder = items ? "Title or id" : "A word, or -word";
      field.setAttribute("aria-label", items ? "Add an item by its title or id" : "Add a word; a minus before it subtracts it");
    },
  };
})();
