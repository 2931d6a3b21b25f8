"use strict";
// Pages of events, runs and pipelines: the next 09:00 of this browser's zone, and links to copy.
(() => {
  document.addEventListener("submit", (event) => {
    const field = event.target.querySelector("[data-morning]");
    if (!field) return;
    const nine = new Date();
    nine.setHours(9, 0, 0, 0);
    if (nine <= new Date()) nine.setDate(nine.getDate() + 1);
    field.value = nine.toISOString();
  });
})();
