"use strict";
// A time zone that nobody has filled in is the browser's.
for (const one of document.querySelectorAll("[data-zone-here]")) one.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
