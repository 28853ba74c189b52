// The only script of ours: pairs each slider with its number field, and moves the focus to what a change brought.
"use strict";
document.addEventListener("input", (event) => {
  const other = event.target.dataset && event.target.dataset.pair && document.getElementById(event.target.dataset.pair);
  if (other && other.value !== event.target.value) other.value = event.target.value;
}, true);
document.addEventListener("htmx:after:settle", () => {
  const wanted = document.querySelector("[data-focus]");
  if (wanted) { wanted.removeAttribute("data-focus"); wanted.focus(); }
});
document.addEventListener("htmx:error", () => {
  document.getElementById("said").textContent = "The app does not answer. Is it still running?";
});
