// What is done first, when everything above is there.

const method = data.layout === "tsne" ? "t-SNE" : "principal components";
const which = data.vocabulary > n ? `The ${number.format(n)} most frequent of ${number.format(data.vocabulary)} ${data.kind}s` : `${number.format(n)} ${data.kind}s`;
byId("about").textContent = `${which}, ${data.dimensions} dimensions laid flat by ${method}.`;
query.placeholder = data.kind === "item" ? "Find an item" : "Find a word";
query.setAttribute("aria-label", query.placeholder);
byId("sheet").dataset.tab = "side";
function fromAddress() {
  let wanted = "";
  try { wanted = decodeURIComponent(location.hash.slice(1)); } catch { /* not an address of ours */ }
  if (wanted && indexOf.has(wanted)) choose(indexOf.get(wanted), true);
}
if (explorer) explorer.begin();
resize();
applyTheme();
if (explorer) explorer.changed();
prefersDark.addEventListener("change", applyTheme);
addEventListener("resize", resize);
new ResizeObserver(() => { if (narrow()) refit(); }).observe(byId("sheet"));
addEventListener("hashchange", fromAddress);
fromAddress();
Object.defineProperty(canvas, "frames", { get: () => frames.slice() });
canvas.positionOf = id => { const i = indexOf.get(id); return i === undefined ? null : [X(i), Y(i)]; };
