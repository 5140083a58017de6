// What the pages can do beyond plain forms. Each of them works without this file.
"use strict";

// A digit chooses a number of the scale that has the focus (0 is 10) and goes on to the next question.
document.addEventListener("keydown", (event) => {
  const radio = event.target;
  if (!(radio instanceof HTMLInputElement) || radio.type !== "radio" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!/^[0-9]$/.test(event.key)) return;
  const fieldset = radio.closest("fieldset.scale");
  const wanted = fieldset && fieldset.querySelector(`input[value="${event.key === "0" ? "10" : event.key}"]`);
  if (!wanted) return;
  event.preventDefault();
  wanted.checked = true;
  wanted.focus();
  const rest = [...fieldset.form.querySelectorAll("fieldset")];
  const next = rest.slice(rest.indexOf(fieldset) + 1).find((one) => !one.querySelector("input:checked"));
  (next ? next.querySelector("input") : fieldset.form.querySelector("button[type=submit]")).focus();
});

// A second click while the first is on its way sends nothing, where a page is sent whole.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(() => delete form.dataset.sent, 5000);
});

// A new page in place of the old one: the title and the reader's place follow.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.tagName === "MAIN") document.getElementById("main").focus({ preventScroll: true });
});

// The line is gone, or the server is: the answer stays on the page, and the page says so.
const lost = (event) => {
  const said = event.target.querySelector("#lost");
  if (said) said.hidden = false;
};
document.addEventListener("htmx:sendError", lost);
document.addEventListener("htmx:timeout", lost);
document.addEventListener("htmx:responseError", lost);
document.addEventListener("htmx:beforeRequest", (event) => {
  const said = event.target.querySelector("#lost");
  if (said) said.hidden = true;
});
