"use strict";
// Texts are untrusted: they are put in as text, never as markup.
const rows = JSON.parse(document.getElementById("rows").textContent);
const at = (id) => document.getElementById(id);
const list = at("list"), search = at("search"), count = at("count"), back = at("back"), on = at("on");
const recommender = at("recommender"), ended = at("ended");  // missing where there is nothing to choose
const boxes = [...document.querySelectorAll("input[name=generator]")];
const shown = new Set(boxes.map((box) => box.value));
const each = 20;
let found = rows, place = 0;
const known = rows.map((row) => [row.user, row.item, ...row.causes, ...Object.values(row.texts)].join("\n").toLowerCase());

function make(name, text, parent) {
  const node = document.createElement(name);
  if (text) node.textContent = text;
  parent.append(node);
  return node;
}
function how(row, generator) {
  return Object.hasOwn(row.ended, generator) ? row.ended[generator] : "ok";
}
// Titles where they stand as words; the longest of several that begin alike.
function marked(text, titles, parent) {
  const named = titles.filter(Boolean).sort((one, other) => other.length - one.length)
    .map((title) => title.replace(/[.*+?^${}()|[\]\\\/]/g, "\\$&")).join("|");
  if (!named) return parent.append(text);
  text.split(new RegExp("(?<![\\p{L}\\p{N}_])(" + named + ")(?![\\p{L}\\p{N}_])", "u")).forEach((part, n) => {
    if (n % 2) make("mark", part, parent);
    else parent.append(part);
  });
}
function show() {
  list.replaceChildren();
  for (const row of found.slice(place, place + each)) {
    const article = make("article", "", list);
    make("h3", row.item + ", for " + row.user, article);
    const facts = recommender ? ["by " + row.recommender] : [];
    if (row.causes.length) facts.push("rests on: " + row.causes.join(", "));
    if (facts.length) make("span", facts.join("; "), article).className = "soft";
    const texts = make("div", "", article);
    texts.className = "texts";
    for (const [generator, text] of Object.entries(row.texts)) {
      if (!shown.has(generator)) continue;
      const box = make("div", "", texts);
      make("b", generator, box);
      const status = how(row, generator);
      if (status !== "ok") make("i", "(" + status + ") ", box);
      marked(text, row.causes, box);
    }
  }
  const last = Math.min(place + each, found.length);
  count.textContent = found.length ? place + 1 + " to " + last + " of " + found.length.toLocaleString("en") : "none";
  back.disabled = place === 0;
  on.disabled = last >= found.length;
}
function fits(row) {
  if (recommender && recommender.value && row.recommender !== recommender.value) return false;
  const wanted = ended && ended.value;
  return Object.keys(row.texts).some((one) => shown.has(one) && (!wanted || how(row, one) === wanted));
}
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  found = rows.filter((row, n) => fits(row) && words.every((word) => known[n].includes(word)));
  place = 0;
  show();
}
search.addEventListener("input", filter);
for (const choice of [recommender, ended]) if (choice) choice.addEventListener("change", filter);
back.addEventListener("click", () => { place = Math.max(0, place - each); show(); });
on.addEventListener("click", () => { place += each; show(); });
for (const box of boxes)
  box.addEventListener("change", () => { box.checked ? shown.add(box.value) : shown.delete(box.value); filter(); });
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
filter();
