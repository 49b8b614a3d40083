// Adds sorting and filtering to tables that are complete and in a useful order without it.
"use strict";
(() => {
  const collator = new Intl.Collator(undefined, { numeric: true });
  const key = (row, column) => {
    const cell = row.cells[column];
    // a figure that nobody measured is less than any other
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value === "" ? -1 : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b));

  const sort = (table, header) => {
    const column = header.cellIndex;
    const before = header.getAttribute("aria-sort");
    // figures are looked at from the largest on, names from the first
    const first = header.classList.contains("number") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = before === first ? other : first;
    for (const one of header.parentNode.cells) one.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, (row) => [key(row, column), row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]));
    body.append(...keyed.map((pair) => pair[1]));
  };

  const makeSortable = (table) => {
    for (const header of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(table, header));
      header.append(button);
    }
  };

  const makeFilter = (table) => {
    const rows = Array.from(table.tBodies[0].rows);
    if (rows.length <= 10 || table.closest("details")) return;
    const box = document.createElement("div");
    const label = document.createElement("label");
    const input = document.createElement("input");
    const state = document.createElement("span");
    box.className = "filter";
    label.textContent = "Filter";
    label.htmlFor = input.id = table.id + "-filter";
    input.type = "search";
    input.autocomplete = "off";
    input.spellcheck = false;
    input.setAttribute("aria-controls", table.id);
    state.className = "muted";
    state.setAttribute("role", "status");
    let texts;
    input.addEventListener("input", () => {
      texts ??= rows.map((row) => row.textContent.toLowerCase());
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, index) => {
        row.hidden = !words.every((word) => texts[index].includes(word));
        shown += !row.hidden;
      });
      state.textContent = words.length ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows` : "";
    });
    box.append(state, label, input);
    table.closest(".table").querySelector(".head").append(box);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    makeSortable(table);
    makeFilter(table);
  }
  // what need not be scrolled need not be a stop on the way through the page
  const fit = () => {
    for (const one of document.querySelectorAll(".scroll")) {
      if (one.scrollWidth > one.clientWidth) {
        one.tabIndex = 0;
        one.setAttribute("role", "region");
        one.setAttribute("aria-labelledby", one.firstElementChild.getAttribute("aria-labelledby"));
      } else {
        for (const name of ["tabindex", "role", "aria-labelledby"]) one.removeAttribute(name);
      }
    }
  };
  fit();
  addEventListener("resize", fit);
  document.addEventListener("toggle", fit, true);
  // paper cannot be unfolded
  const folded = () => document.querySelectorAll("details:not([open])");
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = Array.from(folded());
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
