"use strict";
// What pages do beyond links and forms: times, keys, the palette, dialogs, live refreshes, the drawer. Everything works
// without it, but for what follows the clock. No text from outside is ever put into the page as HTML here.
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const kept = {
    get: (name, otherwise) => { try { return localStorage.getItem(name) ?? otherwise; } catch { return otherwise; } },
    set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* private windows */ } },
  };

  // Times.
  const zoneBox = $("select[data-zone]");
  const zone = () => document.documentElement.dataset.zone || undefined;
  function inZone(chosen) {
    if (!zoneBox) return;
    zoneBox.value = chosen;
    if (zoneBox.selectedIndex < 0) zoneBox.value = "utc"; // the tenant's, where nobody set one
    let name = { utc: "UTC", tenant: zoneBox.selectedOptions[0].dataset.name }[zoneBox.value] ?? "";
    try { new Intl.DateTimeFormat("en-GB", { timeZone: name || undefined }); } catch { name = "UTC"; } // newer than the browser
    document.documentElement.dataset.zone = name;
  }
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  function ago(then) {
    const past = (Date.now() - then) / 1000, away = Math.abs(past);
    if (away < 5) return "just now";
    if (away >= 30 * 86400) return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: zone() }).format(then);
    const [unit, name] = UNITS.find(([unit]) => away >= unit);
    const said = `${Math.floor(away / unit)} ${name}`;
    return past > 0 ? `${said} ago` : `in ${said}`;
  }
  function clock(then) {
    const parts = Object.fromEntries(new Intl.DateTimeFormat("en-GB", {
      year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
      hour12: false, timeZone: zone(), timeZoneName: "short",
    }).formatToParts(then).map(({ type, value }) => [type, value]));
    const day = `${parts.year}-${parts.month}-${parts.day}`, time = `${parts.hour}:${parts.minute}:${parts.second}`;
    return { day, time, exact: `${day} ${time} ${parts.timeZoneName}` };
  }
  const AXES = {
    hour: { hour: "2-digit", minute: "2-digit" }, day: { weekday: "short", day: "numeric" },
    both: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  };
  const onAxis = (then, name) => new Intl.DateTimeFormat("en-GB", { ...AXES[name], timeZone: zone() }).format(then).replace(",", "");
  function times() {
    for (const one of $$("[data-zone-said]")) one.textContent = zone() ?? "local";
    for (const one of $$("time[datetime]")) {
      const then = new Date(one.dateTime);
      if (Number.isNaN(then.getTime())) continue;
      const { exact, time, day } = clock(then);
      one.title = exact;
      const said = "axis" in one.dataset ? onAxis(then, one.dataset.axis) : "ago" in one.dataset ? ago(then) : "clock" in one.dataset ? `${day} ${one.dataset.clock === "min" ? time.slice(0, 5) : time}` : null;
      if (said !== null && one.textContent !== said) one.textContent = said;
    }
  }
  setInterval(times, 15000);

  // Toasts: what was done is said, and goes; while somebody looks at it, it stays.
  const FADES_MS = 8000;
  function fade(line) {
    let left;
    const start = () => { left = setTimeout(() => line.remove(), FADES_MS); };
    for (const name of ["pointerenter", "focusin"]) line.addEventListener(name, () => clearTimeout(left));
    for (const name of ["pointerleave", "focusout"]) line.addEventListener(name, start);
    start();
  }
  function say(text) {
    const line = document.createElement("div");
    line.className = "toast-line ok";
    line.setAttribute("role", "status");
    line.append(Object.assign(document.createElement("p"), { textContent: text }));
    $("#toasts").append(line);
    fade(line);
  }

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); say("Copied."); } catch { say("The browser does not let us copy."); }
  }

  // Dialogs: browsers open them by themselves; those that do not know `command` yet, here. Focus goes back where it came
  // from (browsers do that for <dialog>).
  function open(id) {
    const dialog = document.getElementById(id);
    if (dialog && !dialog.open) dialog.showModal();
    if (id === "palette") searched();
  }

  // The palette.
  const options = () => $$("#palette [role=option]").filter((one) => !one.hidden);
  function choose(index) {
    const shown = options();
    for (const one of $$("#palette [role=option]")) one.setAttribute("aria-selected", "false");
    const one = shown[(index + shown.length) % shown.length];
    if (!one) return;
    one.setAttribute("aria-selected", "true");
    one.scrollIntoView({ block: "nearest" });
    $("#palette input").setAttribute("aria-activedescendant", one.id);
  }
  function searched() {
    const text = $("#palette input").value.trim().toLowerCase();
    for (const one of $$("#palette [role=option]")) {
      // What does something at once is chosen by its verb alone: a name that is pasted only looks for what has it.
      if ("presses" in one.dataset) one.hidden = text.length < 3 || !one.dataset.verbs.split(" ").some((verb) => verb.startsWith(text.split(/\s+/)[0]));
      else one.hidden = "find" in one.dataset ? !text : !text.split(/\s+/).every((word) => `${one.dataset.words} ${one.textContent.toLowerCase()}`.includes(word));
    }
    $("#palette [data-find] b").textContent = $("#palette input").value.trim();
    choose(0);
  }
  function follow(one) {
    if (!one) return;
    if ("find" in one.dataset) $("#palette form").requestSubmit();
    else if ("presses" in one.dataset) { $("#palette").close(); $(one.dataset.presses)?.click(); }
    else { $("#palette").close(); location.assign(one.dataset.href); }
  }

  // The drawer: beside the list where there is room for it; elsewhere its page.
  const roomy = matchMedia("(min-width: 1200px)");
  let cameFrom = null;
  function openDrawer(link) {
    cameFrom = link.id ? `#${CSS.escape(link.id)}` : null;
    for (const row of $$("[data-row][data-state=selected]")) delete row.dataset.state;
    const row = link.closest("[data-row]");
    if (row) row.dataset.state = "selected";
    $("#drawer").hidden = false;
    return htmx.ajax("GET", link.href, { target: "#drawer", select: "#detail", swap: "innerHTML" }).then(() => {
      times();
      $("#drawer [data-close-drawer]")?.focus();
    });
  }
  function closeDrawer() {
    const drawer = $("#drawer");
    if (!drawer || drawer.hidden) return false;
    drawer.hidden = true;
    drawer.replaceChildren();
    for (const row of $$("[data-row][data-state=selected]")) delete row.dataset.state;
    if (cameFrom) $(cameFrom)?.focus();
    return true;
  }

  // Live: the stream says that something happened, and the page asks anew for what it shows. It grows no longer than it
  // is, and after a gap nothing is missing.
  const LEAST_MS = 1000, POLL_MS = 10000;
  let stream = null, due = null, last = 0, took = 0, lost = null;
  const livePart = () => $("[data-live]");
  const wanted = () => livePart() && kept.get("live", "on") === "on" && !document.hidden;
  function busy() {
    const part = livePart();
    const at = document.activeElement;
    return $("dialog[open], details.menu[open]") || $("input[type=checkbox][name=id]:checked", part) || (part.contains(at) && at.matches("input:not([type=checkbox]), select, textarea"));
  }
  async function refresh() {
    due = null;
    const part = livePart();
    if (!part) return;
    if (busy()) { later(); return; }
    const began = performance.now();
    try {
      await htmx.ajax("GET", location.href, { target: `#${part.id}`, select: `#${part.id}`, swap: "outerMorph" });
    } catch { /* the next one asks again */ }
    took = performance.now() - began;
    last = performance.now();
    times();
  }
  function later() {
    // A slow server is asked less often: a tenth of the time, yet once in ten seconds, so that nobody looks at what is old.
    if (due === null) due = setTimeout(refresh, Math.min(Math.max(LEAST_MS, took * 10), POLL_MS) - Math.min(performance.now() - last, LEAST_MS) + 50);
  }
  function state(name) {
    const button = $("[data-live-switch]");
    if (!button) return;
    button.dataset.state = name;
    $("span", button).textContent = { live: "Live", paused: "Paused", lost: "Reconnecting" }[name];
    button.setAttribute("aria-pressed", String(name !== "paused"));
  }
  function listen() {
    const part = livePart(), button = $("[data-live-switch]");
    if (button) button.hidden = !part;
    if (!wanted()) { stop(); if (part) state("paused"); return; }
    if (stream) return;
    stream = new EventSource(`/v1/stream?types=${encodeURIComponent(part.dataset.live)}`);
    let opened = false;
    stream.addEventListener("open", () => {
      clearInterval(lost); lost = null;
      state("live");
      if (opened) later();
      opened = true;
    });
    stream.addEventListener("error", () => {
      state("lost");
      if (stream?.readyState === EventSource.CLOSED) { stop(); setTimeout(listen, POLL_MS); }
      if (lost === null) lost = setInterval(later, POLL_MS);
    });
    for (const name of ["event", "run", "delivery", "reset"]) stream.addEventListener(name, later);
  }
  function stop() {
    stream?.close();
    stream = null;
    clearInterval(lost); lost = null;
    clearTimeout(due); due = null;
  }

  // Selecting rows.
  function selected() {
    const boxes = $$("input[type=checkbox][name=id]");
    const count = boxes.filter((box) => box.checked).length;
    for (const bar of $$("[data-bulk]")) {
      bar.hidden = !count;
      const said = $("[data-count]", bar);
      if (said) said.textContent = `${count} selected`;
    }
    const all = $("[data-select-all]");
    if (all) { all.checked = count > 0 && count === boxes.length; all.indeterminate = count > 0 && count < boxes.length; }
  }

  // Keys.
  const typing = (at) => at.isContentEditable || at.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");
  let going = 0;
  function row(step) {
    const rows = $$("[data-row]").filter((one) => one.getClientRects().length);
    const links = rows.map((one) => $("a[href]", one)).filter(Boolean);
    const at = links.findIndex((link) => link.closest("[data-row]").contains(document.activeElement));
    links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
  }
  function pressed(event) {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); open("palette"); return; }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (!$("dialog[open]") && (shutMenus() || closeDrawer() || shutNav())) event.preventDefault();
      return;
    }
    if (typing(event.target) || $("dialog[open]") || kept.get("keys", "on") === "off") return;
    if (going && performance.now() - going < 1500) {
      going = 0;
      const link = $(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); location.assign(link.href ?? link.dataset.href); }
      return;
    }
    const here = document.activeElement?.closest?.("[data-row]");
    const actions = {
      g: () => { going = performance.now(); },
      "?": () => open("keys"),
      "/": () => ($("[data-filter]") ?? $("[commandfor=palette]"))?.focus(),
      j: () => row(1),
      k: () => row(-1),
      x: () => $("input[type=checkbox][name=id]", here ?? document.createElement("i"))?.click(),
    };
    const action = actions[event.key] ?? (() => {
      const button = /^[a-z]$/.test(event.key) && $$(`[data-key="${event.key}"]`).find((one) => one.getClientRects().length);
      if (!button) return false;
      button.click();
      return true;
    });
    if (action() !== false) event.preventDefault();
  }
  function shutNav() {
    const button = $("[data-nav]");
    if (button?.getAttribute("aria-expanded") !== "true") return false;
    button.setAttribute("aria-expanded", "false");
    $("#nav").classList.remove("open");
    button.focus();
    return true;
  }

  function shutMenus(but) {
    const open = $$("details.menu[open]").filter((one) => one !== but);
    for (const one of open) { if (one.contains(document.activeElement)) $("summary", one).focus(); one.open = false; }
    return open.length > 0;
  }

  document.addEventListener("keydown", pressed);
  document.addEventListener("click", (event) => shutMenus(event.target.closest?.("details.menu")));
  document.addEventListener("click", (event) => {
    const at = event.target.closest?.("[commandfor],a[data-opens],[data-copy],[data-dismiss],[data-nav],[data-theme],[data-live-switch],[data-close-drawer],a[data-drawer],time[datetime],[role=option]");
    if (!at) { if (event.target instanceof HTMLDialogElement) event.target.close(); return; }
    const data = at.dataset;
    if (at.matches("[command=close]")) document.getElementById(at.getAttribute("commandfor")).close();
    else if (at.matches("[commandfor]")) open(at.getAttribute("commandfor"));
    else if ("opens" in data) open(data.opens);
    else if ("copy" in data) copy(data.copy);
    else if ("dismiss" in data) at.closest(".toast-line").remove();
    else if ("closeDrawer" in data) { if (closeDrawer()) event.preventDefault(); }
    else if ("drawer" in data && $("#drawer") && roomy.matches && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); openDrawer(at); }
    else if (at.matches("time") && !at.closest("a, button")) copy(at.dateTime);
    else if (at.matches("#palette [role=option]")) follow(at);
    else if ("nav" in data) {
      const opened = $("#nav").classList.toggle("open");
      at.setAttribute("aria-expanded", String(opened));
      if (opened) $("#nav a")?.focus();
    } else if ("theme" in data) {
      const next = data.theme || { system: "light", light: "dark", dark: "system" }[document.documentElement.dataset.themeChosen];
      document.documentElement.dataset.themeChosen = next;
      kept.set("theme", next);
      matchMedia("(prefers-color-scheme: dark)").dispatchEvent(new Event("change"));
      document.documentElement.classList.toggle("dark", next === "dark" || (next === "system" && matchMedia("(prefers-color-scheme: dark)").matches));
      $("[data-theme='']").setAttribute("aria-label", `Theme: ${next}`);
      say(`Theme: ${next}`);
    } else if ("liveSwitch" in data) {
      kept.set("live", kept.get("live", "on") === "on" ? "off" : "on");
      listen();
      if (wanted()) refresh();
    }
  });
  document.addEventListener("submit", (event) => {
    const text = event.target.dataset?.confirm;
    if (text && !window.confirm(text)) event.preventDefault();
    else if (event.submitter && "busy" in event.submitter.dataset) event.submitter.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => { for (const one of $$("button[aria-busy]")) one.removeAttribute("aria-busy"); });
  document.addEventListener("change", (event) => {
    const at = event.target;
    if (at.matches("select[data-zone]")) { kept.set("zone", at.value); inZone(at.value); times(); }
    else if (at.matches("[data-keys-switch]")) kept.set("keys", at.checked ? "on" : "off");
    else if (at.matches("[data-select-all]")) { for (const box of $$("input[type=checkbox][name=id]")) box.checked = at.checked; selected(); }
    else if (at.matches("input[type=checkbox][name=id]")) selected();
    else if (at.matches("select[data-submits]")) at.form.requestSubmit();
  });
  document.addEventListener("input", (event) => { if (event.target.matches("#palette input")) searched(); });
  $("#palette")?.addEventListener("keydown", (event) => {
    const shown = options(), at = shown.findIndex((one) => one.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); choose(at + (event.key === "ArrowDown" ? 1 : -1)); }
    else if (event.key === "Enter") { event.preventDefault(); follow(shown[at]); }
  });
  document.addEventListener("visibilitychange", () => { listen(); if (wanted()) later(); });
  addEventListener("pagehide", stop);
  document.addEventListener("htmx:after:swap", () => { times(); selected(); });

  // `#send-test` opens the dialog of that name: other pages lead to it.
  function opened() { if (document.getElementById(location.hash.slice(1))?.matches("dialog")) open(location.hash.slice(1)); }
  for (const name of ["pageshow", "hashchange"]) addEventListener(name, opened);

  inZone(kept.get("zone", "local"));
  const keysBox = $("[data-keys-switch]");
  if (keysBox) keysBox.checked = kept.get("keys", "on") === "on";
  $("[data-theme='']")?.setAttribute("aria-label", `Theme: ${document.documentElement.dataset.themeChosen}`);
  for (const line of $$(".toast-line")) fade(line);
  times();
  selected();
  listen();
})();
