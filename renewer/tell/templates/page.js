
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
    if (!ran) return;
    const age = seconds() - Date.parse(ran.dateTime) / 1000;
    one("#ago").textContent = relative(seconds() - age);
    const old = age > Number(stopped.dataset.patience);
    if (old !== stopped.hidden) return;
    stopped.hidden = !old;
    one("header").classList.toggle("old", old);
    document.title = document.title.replace(/^(No runs! )?/, old ? "No runs! " : "");
  };

  // A click on a header sorts by it, another one the other way round; what is equal stays in its order.
  const sort = (header) => {
    const table = header.closest("table");
    const column = header.cellIndex;
    const up = header.getAttribute("aria-sort") !== "ascending";
    const body = table.tBodies[0];
    const key = (row) => row.cells[column].dataset.sort;
    const compare = "number" in header.dataset
      ? (a, b) => Number(key(a)) - Number(key(b))
      : (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
    const rows = [...body.rows].sort((a, b) => (up ? compare(a, b) : compare(b, a)));
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...rows);
    one("#said").textContent = `sorted by ${header.textContent.trim()}, ${up ? "ascending" : "descending"}`;
  };
  for (const header of all(".sortable th")) {
    const button = one("button", header);
    if (button) button.addEventListener("click", () => sort(header));
  }

  const find = one("#find");
  if (find) {
    const ill = one("#ill");
    const rows = all(".certificates tbody tr").map((row) => [row, row.cells[0].textContent.toLowerCase()]);
    const filter = () => {
      const wanted = find.value.trim().toLowerCase();
      let shown = 0;
      for (const [row, text] of rows) {
        row.hidden = !text.includes(wanted) || (ill.checked && row.classList.contains("ok"));
        shown += !row.hidden;
      }
      one("#shown").textContent = `${shown} shown`;
    };
    find.addEventListener("input", filter);
    ill.addEventListener("change", filter);
    one(".tools").hidden = rows.length <= 5;
    filter();
  }

  refresh();
  setInterval(refresh, 30000);
})();
