// Asks once a second what arrived. What comes is HTML that the server has escaped; the page's policy runs no other script.
"use strict";

const LOOK_MS = 1000;
const state = document.getElementById("state");
let after = 0;
let runs = "";

function localTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    time.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    time.title = at.toLocaleString();
  }
}

function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  localTimes(template.content);
  return template.content;
}

// What changed last comes first, as when the page is loaded anew; what stands there already does not jump.
function place(item) {
  const there = document.getElementById(item.key);
  const made = document.createElement("div");
  made.id = item.key;
  made.className = there ? "item edited" : "item";
  made.append(fragment(item.html));
  const column = document.getElementById(item.column);
  if (there && there === column.firstElementChild) {
    there.replaceWith(made);
    return;
  }
  if (there) there.remove();
  column.prepend(made);
}

function show(news) {
  if (news.latest < after) {  // the demo was started anew
    location.reload();
    return;
  }
  for (const item of news.items) {
    place(item);
  }
  after = news.latest;
  if (news.runs !== runs) {
    runs = news.runs;
    document.getElementById("runs").replaceChildren(fragment(runs));
  }
  const count = document.querySelectorAll(".item").length;
  state.textContent = count ? `${count} messages so far` : "Waiting for the first message …";
  state.className = "live";
}

async function look() {
  try {
    const answer = await fetch(`/demo/news?after=${after}`);
    show(await answer.json());
  } catch {
    state.textContent = "The demo was stopped.";
    state.className = "stopped";
  }
  setTimeout(look, LOOK_MS);
}

look();
