"use strict";
// The time to answer as a chart; the page has the same as a table. What draws it is fetched when it comes into view.
(async () => {
  const place = document.querySelector("#latency");
  if (!place) return;
  await new Promise((seen) => new IntersectionObserver(([one], watch) => {
    if (one.isIntersecting) { watch.disconnect(); seen(); }
  }, { rootMargin: "200px" }).observe(place));
  const load = (tag, from) => new Promise((done, failed) => {
    document.head.append(Object.assign(document.createElement(tag), { ...from, onload: done, onerror: failed }));
  });
  await Promise.all([load("link", { rel: "stylesheet", href: place.dataset.style }), load("script", { src: place.dataset.chart })]);
  const found = await (await fetch(place.dataset.from)).json();
  const seconds = (text) => Date.parse(text) / 1000;
  const data = [found.buckets.map((one) => seconds(one.at)), found.buckets.map((one) => one.p50_ms), found.buckets.map((one) => one.p95_ms)];
  const days = seconds(found.until) - seconds(found.since) > 2 * 86400;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const words = (ms) => (ms == null ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
  const zone = () => document.documentElement.dataset.zone || undefined;
  const clock = (at, day) => new Intl.DateTimeFormat("en-GB", { ...(day ? { day: "numeric", month: "short" } : {}), hour: "2-digit", minute: "2-digit", timeZone: zone() }).format(at * 1000);
  let plot = null;
  function draw() {
    plot?.destroy();
    const axis = { stroke: colour("--muted-foreground"), grid: { stroke: colour("--border"), width: 1 }, ticks: { show: false } };
    const line = (label, name, dash) => ({
      label, stroke: colour(name), width: 2, dash, points: { show: true, size: 5, fill: colour(name) }, value: (_, ms) => words(ms),
    });
    plot = new uPlot({
      width: place.clientWidth, height: 220, padding: [8, 24, 0, 0],
      scales: { x: { range: [seconds(found.since), seconds(found.until)] }, y: { range: (_, __, most) => [0, Math.max(most * 1.1, 10)] } },
      axes: [{ ...axis, space: days ? 110 : 60, values: (_, all) => all.map((at) => clock(at, days)) }, { ...axis, size: 64, values: (_, all) => all.map(words) }],
      series: [{ label: "From", value: (_, at) => (at == null ? "–" : clock(at, true)) }, line("half within", "--info"), line("95 % within", "--warn", [6, 4])],
    }, data, place);
  }
  draw();
  new ResizeObserver(() => { if (plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: 220 }); }).observe(place);
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["class"] });
  document.querySelector("select[data-zone]")?.addEventListener("change", () => setTimeout(draw));
})();
