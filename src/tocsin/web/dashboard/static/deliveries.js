"use strict";
// What asks before many deliveries are changed: its page in a dialog. Without a script it is a page of its own.
(() => {
  const dialog = document.getElementById("asking");
  async function ask(url) {
    await htmx.ajax("GET", url, { target: "#asking", select: "#ask", swap: "innerHTML" });
    if (!dialog.querySelector("#ask")) { location.assign(url); return; }
    if (!dialog.open) dialog.showModal();
    dialog.querySelector("button:not([disabled])")?.focus();
  }
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest?.("a[data-ask]");
    if (link && dialog) { event.preventDefault(); ask(link.href); }
    else if (dialog?.open && event.target.closest?.("#asking [data-back]")) { event.preventDefault(); dialog.close(); }
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!dialog || !("ask" in form.dataset)) return;
    event.preventDefault();
    const query = new URLSearchParams(new FormData(form, event.submitter));
    ask(`${form.getAttribute("action")}?${query}`);
  });
})();
