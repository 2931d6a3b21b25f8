"use strict";
// Before anything is drawn: light, dark, or as the system has it.
(() => {
  const chosen = (() => { try { return localStorage.getItem("theme") || "system"; } catch { return "system"; } })();
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const theme = document.documentElement.dataset.themeChosen || chosen;
    document.documentElement.classList.toggle("dark", theme === "dark" || (theme === "system" && system.matches));
  };
  document.documentElement.dataset.themeChosen = chosen;
  system.addEventListener("change", show);
  show();
})();
