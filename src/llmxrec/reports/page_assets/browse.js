"use strict";
// Texts are untrusted: they are put in as text, never as markup.
const rows = JSON.parse(document.getElementById("rows").textContent);
const list = document.getElementById("list"), search = document.getElementById("search");
const count = document.getElementById("count"), back = document.getElementById("back"), on = document.getElementById("on");
const shown = new Set([...document.querySelectorAll("input[name=generator]")].map((box) => box.value));
const each = 20;
let found = rows, place = 0;
const known = rows.map((row) => [row.user, row.item, ...row.causes, ...Object.values(row.texts)].join("\n").toLowerCase());

function make(name, text, parent) {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}
function marked(text, titles, parent) {
  let at = 0;
  while (at < text.length) {
    let next = text.length, which = "";
    for (const title of titles) {
      const start = text.indexOf(title, at);
      if (start >= 0 && start < next) [next, which] = [start, title];
    }
    parent.append(text.slice(at, next));
    if (which) make("mark", which, parent);
    at = next + which.length;
  }
}
function show() {
  list.replaceChildren();
  for (const row of found.slice(place, place + each)) {
    const article = make("article", "", list);
    make("h3", row.item + ", for " + row.user, article);
    if (row.causes.length) make("span", "rests on: " + row.causes.join(", "), article).className = "soft";
    const texts = make("div", "", article);
    texts.className = "texts";
    for (const [generator, text] of Object.entries(row.texts)) {
      if (!shown.has(generator)) continue;
      const box = make("div", "", texts);
      make("b", generator, box);
      marked(text, row.causes, box);
    }
  }
  const last = Math.min(place + each, found.length);
  count.textContent = found.length ? place + 1 + " to " + last + " of " + found.length.toLocaleString("en") : "none";
  back.disabled = place === 0;
  on.disabled = last >= found.length;
}
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  found = rows.filter((row, n) => words.every((word) => known[n].includes(word)));
  place = 0;
  show();
}
search.addEventListener("input", filter);
back.addEventListener("click", () => { place = Math.max(0, place - each); show(); });
on.addEventListener("click", () => { place += each; show(); });
for (const box of document.querySelectorAll("input[name=generator]"))
  box.addEventListener("change", () => { box.checked ? shown.add(box.value) : shown.delete(box.value); show(); });
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
show();
