
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const seconds = () => Date.now() / 1000;

  // Lengths of time are told as seen from now, not from when the page was written.
  const span = (length) => {
    const size = Math.abs(length);
    const [unit, name] = size >= 172800 ? [86400, "day"] : size >= 3600 ? [3600, "hour"] : size >= 60 ? [60, "minute"] : [1, "second"];
    const number = Math.floor(size / unit);
    return `${number} ${name}${number === 1 ? "" : "s"}`;
  };
  const relative = (at) => (at >= seconds() ? `in ${span(at - seconds())}` : `${span(seconds() - at)} ago`);

  const ran = one("#ran");
  const stopped = one("#stopped");

  // What was well when this was written may be so no more: nothing stays green by age.
  const TONES = ["bad", "warn", "ok", "none"];
  const colour = (place, tone) => {
    place.classList.remove(...TONES);
    place.classList.add(tone);
  };
  const text = (place, words) => {
    if (place.textContent !== words) place.textContent = words;
  };
  const label = (badge, tone, words) => {
    colour(badge, tone);
    text(badge.lastChild, words);
  };
  let turned = false;
  const worse = (row, tone, words) => {
    const badge = one('td[data-label="State"] > .badge', row);
    if (row.classList.contains(tone)) {
      text(badge.lastChild, words);
      return;
    }
    turned = true;
    colour(row, tone);
    label(badge, tone, words);
    const state = badge.closest("td");
    if (state.dataset.sort in { 0: 1, 1: 1, 2: 1 }) state.dataset.sort = tone === "bad" ? 0 : 1;
    if (tone === "bad") all(".life", row).forEach((bar) => bar.classList.add("over"));
    all(".ports > .ok", row).forEach((port) => colour(port, "none"));
  };
  // Each group has its rows, unless the reader has sorted all of them by something else.
  let sorted = false;
  const groups = all(".group");
  const arrange = () => {
    if (sorted) return;
    for (const group of groups) {
      const body = one("tbody", group);
      for (const row of all(".certificates tbody tr")) {
        if (row.classList.contains(group.dataset.kind) && row.closest(".group") !== group) body.append(row);
      }
    }
    count();
  };
  const count = () => {
    let first = true;
    for (const group of groups) {
      const rows = all(".certificates tbody tr", group).filter((row) => !row.hidden);
      group.hidden = rows.length === 0;
      text(one(".number", group), String(rows.length));
      one("thead", group).classList.toggle("alone", !group.hidden && first);
      if (!group.hidden) first = false;
    }
  };
  const headline = one("h1 > span").textContent;
  const turn = (old) => {
    const now = seconds();
    const rows = all(".certificates tbody tr, .watched tbody tr");
    let expired = 0;
    for (const row of all("tr[data-end]")) {
      const over = Number(row.dataset.end) <= now;
      if (over) expired += 1;
      if (over) worse(row, "bad", "expired");
      else if (Number(row.dataset.late) <= now) worse(row, "bad", "expiring");
    }
    if (old) rows.filter((row) => row.classList.contains("ok")).forEach((row) => worse(row, "warn", "was well"));
    for (const place of all(".counts > [data-kind]")) {
      const badge = one(".badge", place);
      const kind = place.dataset.kind;
      const number = rows.filter((row) => row.classList.contains(kind) || (kind === "ok" && row.classList.contains("none"))).length;
      text(badge.lastChild, badge.textContent.replace(/^\d+/, String(number)));
      place.hidden = number === 0;
    }
    arrange();
    const bad = rows.filter((row) => row.classList.contains("bad")).length;
    if (!old && !turned) return;
    let words = headline;
    const several = `${rows.length} certificate${rows.length === 1 ? "" : "s"}`;
    if (expired) words = `You must act: ${expired} of ${several} ${expired === 1 ? "has" : "have"} expired`;
    else if (old) words = "You must act: the runs have stopped";
    else if (bad) words = `You must act: ${bad} of ${several} will not mend ${bad === 1 ? "itself" : "themselves"}`;
    text(one("h1 > span"), words);
    for (const place of [one("h1"), one("header")]) colour(place, old || bad ? "bad" : "warn");
    document.title = `${old ? "No runs! " : ""}${words} · ${document.title.split(" · ").at(-1)}`;
    const icon = one("link[rel=icon]");
    if (old || bad) icon.href = icon.href.replace(/fill='%23[0-9a-f]{6}'/, "fill='%23c4271b'");
  };
  const refresh = () => {
    for (const place of all("[data-at]")) {
      const text = relative(Number(place.dataset.at));
      if (place.textContent !== text) place.textContent = text;
    }
    for (const bar of all(".life")) {
      const from = Number(bar.dataset.from);
      const share = Math.min(Math.max((seconds() - from) / (Number(bar.dataset.to) - from), 0), 1) * 100;
      const mark = one(".now", bar);
      if (Math.abs(parseFloat(mark.getAttribute("x")) - share) < 0.1) continue;
      mark.setAttribute("x", `${share}%`);
      one(".lived", bar).setAttribute("width", `${share}%`);
    }
    const old = Boolean(ran) && seconds() - Date.parse(ran.dateTime) / 1000 > Number(stopped.dataset.patience);
    turn(old);
    if (!ran) return;
    const age = seconds() - Date.parse(ran.dateTime) / 1000;
    one("#ago").textContent = relative(seconds() - age);
    stopped.hidden = !old;
  };

  // A click on a header sorts by it, another one the other way round; what is equal stays in its order.
  const sort = (header) => {
    const table = header.closest("table");
    const together = table.classList.contains("certificates");
    const column = header.cellIndex;
    const up = header.getAttribute("aria-sort") !== "ascending";
    const key = (row) => row.cells[column].dataset.sort;
    const compare = "number" in header.dataset
      ? (a, b) => Number(key(a)) - Number(key(b))
      : (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
    const found = together ? all(".certificates tbody tr") : [...table.tBodies[0].rows];
    const rows = found.sort((a, b) => (up ? compare(a, b) : compare(b, a)));
    for (const other of together ? all(".certificates th[aria-sort]") : all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    sorted = together && !(column === 1 && up);
    document.body.classList.toggle("sorted", sorted);
    table.tBodies[0].append(...rows);
    if (together && !sorted) for (const group of groups) one("tbody", group).append(...rows.filter((row) => row.classList.contains(group.dataset.kind)));
    if (together) count();
    one("#said").textContent = `sorted by ${header.textContent.trim()}, ${up ? "ascending" : "descending"}`;
  };
  for (const header of all(".sortable th")) {
    const button = one("button", header);
    if (button) button.addEventListener("click", () => sort(header));
  }

  const find = one("#find");
  if (find) {
    const ill = one("#ill");
    const rows = all(".certificates tbody tr").map((row) => [row, `${row.cells[0].textContent} ${one(".names", row).textContent}`.toLowerCase()]);
    const filter = () => {
      const wanted = find.value.trim().toLowerCase();
      let shown = 0;
      for (const [row, text] of rows) {
        row.hidden = !text.includes(wanted) || (ill.checked && row.classList.contains("ok"));
        shown += !row.hidden;
      }
      one("#shown").textContent = `${shown} shown`;
      count();
    };
    find.addEventListener("input", filter);
    ill.addEventListener("change", filter);
    one(".tools").hidden = rows.length <= 5;
    filter();
  }

  refresh();
  setInterval(refresh, 30000);
})();
