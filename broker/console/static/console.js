// The console's own script: keys, focus, forms that are sent once, toasts, and the age of what is live.
"use strict";
(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const rows = () => all("table.rows tbody tr").filter((row) => find("a", row));
  const say = (words) => { find("#said").textContent = words; };
  let going = false;

  const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]");

  function moveBy(step) {
    const all = rows();
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
    if (next) find("a", next).focus();
  }

  const keys = {
    "/": () => find("[data-search]")?.focus(),
    "?": () => find("#keys")?.showModal(),
    j: () => moveBy(1),
    k: () => moveBy(-1),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { if (isTyping(event.target)) event.target.blur(); going = false; return; }
    if (isTyping(event.target) || find("dialog[open]")) return;
    if (going) {
      going = false;
      const link = find(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    if (event.key === "g") { going = true; setTimeout(() => { going = false; }, 1500); return; }
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) find("#keys")?.showModal();
  });

  // A form goes out once: its button rests until an answer is there.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-once]")) return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    all("[data-sent]").forEach((form) => delete form.dataset.sent);
  });

  // The same words are told once, with how often.
  function toast(words) {
    const told = all("#toasts > p").find((each) => each.dataset.words === words);
    const line = told ?? find("#toasts").appendChild(Object.assign(document.createElement("p"), { className: "toast" }));
    line.dataset.words = words;
    line.dataset.times = Number(line.dataset.times ?? 0) + 1;
    line.textContent = line.dataset.times > 1 ? `${words} ×${line.dataset.times}` : words;
    clearTimeout(line.timer);
    line.timer = setTimeout(() => line.remove(), 6000);
    say(words);
  }
  document.addEventListener("toast", (event) => toast(event.detail?.value ?? event.detail));

  // A live page says how old it is as soon as two heartbeats are missing; a page that nobody sees is not followed.
  const live = find("#live");
  if (live) {
    let last = Date.now(), seen = last, over = false;
    live.addEventListener("alive", () => { last = Date.now(); });
    live.addEventListener("over", (event) => { over = !event.detail?.data; });
    document.addEventListener("visibilitychange", () => { seen = Date.now(); });
    setInterval(() => {
      const age = Math.round((Date.now() - last) / 1000);
      const paused = !over && age > 8 && Date.now() - seen > 3000;
      if (paused && !live.textContent) say(live.dataset.paused.replace("{}", age));
      live.textContent = paused ? live.dataset.paused.replace("{}", age) : "";
      document.body.classList.toggle("is-stale", paused);
    }, 1000);
  }

  // Tiles are walked by arrow keys.
  document.addEventListener("keydown", (event) => {
    const tiles = all("a.tile"), at = tiles.indexOf(event.target);
    const wide = Math.max(0, tiles.findIndex((each) => each.offsetTop > tiles[0].offsetTop));
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide }[event.key];
    if (at >= 0 && step) { event.preventDefault(); tiles[at + step]?.focus(); }
  });

  // Rows are dragged or moved by buttons; priorities stay in place.
  const list = find("[data-sortable]");
  function rank() {
    const fields = all("[name$=priority]", list);
    const values = fields.map((each) => +each.value).sort((a, b) => b - a);
    fields.forEach((each, at) => { each.value = values[at]; });
  }
  list?.addEventListener("click", ({ target }) => {
    const up = target.dataset.move < 0, row = target.closest("tr");
    const other = target.dataset.move && row[up ? "previousElementSibling" : "nextElementSibling"];
    if (other) { other[up ? "before" : "after"](row); rank(); target.focus(); }
  });
  if (list) Sortable.create(list, { onEnd: rank, handle: "td:nth-child(2)" });

  if (!location.hash && !find("[autofocus]")) find("h1")?.focus({ preventScroll: true });
  const help = find("[data-help]");
  if (help && find("#keys")) help.hidden = false;
})();
