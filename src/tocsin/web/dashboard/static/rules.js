"use strict";
// Forms with rows: another row, a row less, parts that belong to a choice, and what is wrong where it is wrong.
(() => {
  const changed = (at) => at.dispatchEvent(new Event("input", { bubbles: true }));

  function add(rows) {
    const row = rows.lastElementChild.cloneNode(true);
    for (const input of row.querySelectorAll("input")) input.value = "";
    for (const said of row.querySelectorAll("[data-problem]")) { said.hidden = true; said.textContent = ""; }
    for (const select of row.querySelectorAll("select")) select.selectedIndex = 0;
    rows.append(row);
    number(rows);
    return row;
  }
  function number(rows) {
    [...rows.children].forEach((row, at) => {
      for (const said of row.querySelectorAll("[data-problem]")) said.dataset.problem = said.dataset.problem.replace(/\d+$/, at);
    });
  }
  function shows() {
    for (const select of document.querySelectorAll("[data-shows]")) {
      for (const part of select.form.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== select.value;
    }
  }
  // What the preview found to be wrong stands beside its field as well.
  function wrong() {
    const trouble = document.querySelector("[data-trouble]");
    for (const said of document.querySelectorAll("[data-problem]")) {
      const here = trouble && said.dataset.problem === trouble.dataset.trouble;
      said.textContent = here ? trouble.querySelector("p").textContent : "";
      said.hidden = !here;
      const input = said.parentElement.querySelector("input, textarea");
      if (input) here ? input.setAttribute("aria-invalid", "true") : input.removeAttribute("aria-invalid");
    }
  }

  document.addEventListener("click", (event) => {
    const at = event.target.closest?.("[data-adds],[data-removes]");
    if (!at) return;
    if ("adds" in at.dataset) { add(at.closest("section").querySelector("[data-rows]")).querySelector("input").focus(); return; }
    const row = at.closest("[data-row-of]"), rows = row.parentElement, form = row.closest("form");
    if (rows.children.length === 1) add(rows);
    row.remove();
    number(rows);
    changed(form);
  });
  document.addEventListener("change", (event) => { if (event.target.matches("[data-shows]")) shows(); });
  document.addEventListener("htmx:after:swap", (event) => { if (document.getElementById("preview")) wrong(); });
  shows();
})();
