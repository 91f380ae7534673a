"use strict";
(() => {
  const variants = JSON.parse(document.getElementById("variants").textContent);
  const form = document.querySelector(".pickers");
  const pickers = { label: document.getElementById("pick-label"), subject: document.getElementById("pick-subject") };
  const picked = (name) => (pickers[name] ? pickers[name].selectedIndex : 0);

  // All markup below was escaped when the page was written.
  const show = () => {
    const subjects = pickers.subject ? pickers.subject.options.length : 1;
    for (const [id, { by, markup, rest }] of Object.entries(variants)) {
      const index = by === "label" ? picked("label") : by === "subject" ? picked("subject") : picked("label") * subjects + picked("subject");
      const target = document.getElementById(id);
      if (target) target.innerHTML = markup[index] ?? rest;
    }
    for (const row of document.querySelectorAll(".pick")) {
      const { label, subject } = row.dataset;
      const on = label !== undefined ? Number(label) + 1 === picked("label") : Number(subject) + 1 === picked("subject");
      row.classList.toggle("picked", on);
    }
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", show);
    document.addEventListener("click", (event) => {
      const row = event.target.closest?.(".pick");
      if (!row) return;
      const { label, subject } = row.dataset;
      if (label !== undefined && pickers.label) pickers.label.selectedIndex = Number(label) + 1;
      if (subject !== undefined && pickers.subject) pickers.subject.selectedIndex = Number(subject) + 1;
      show();
    });
    show();
  }

  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  document.addEventListener("pointermove", (event) => {
    const title = event.target.closest?.("svg *")?.querySelector(":scope > title");
    tip.hidden = !title;
    if (!title) return;
    tip.textContent = title.textContent;
    const right = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(0, Math.min(event.pageX + 14, right))}px`;
    tip.style.top = `${event.pageY + 16}px`;
  });

  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const button = (text, label, action) => {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = text;
    element.setAttribute("aria-label", label);
    element.addEventListener("click", action);
    return element;
  };
  // As `Table::to_tsv` writes it.
  const quoted = (text) => (/["\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const tsv = (box) => {
    const whole = box.querySelector("script.tsv");
    if (whole) return JSON.parse(whole.textContent);
    const value = (cell) => cell.dataset.v ?? (cell.className === "n" && cell.textContent === "–" ? "n/a" : cell.textContent);
    const rows = [...box.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => quoted(value(cell))).join("\t"));
    return rows.join("\n") + "\n";
  };

  for (const box of document.querySelectorAll(".with-table")) {
    const figure = box.closest("figure");
    const title = box.querySelector("caption").textContent;
    const name = figure ? figure.id : title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const tools = document.createElement("div");
    tools.className = "tools";
    const filter = document.createElement("input");
    filter.type = "search";
    filter.placeholder = "Filter rows";
    filter.setAttribute("aria-label", `Filter rows of ${title}`);
    filter.addEventListener("input", () => {
      const wanted = filter.value.toLowerCase();
      for (const row of box.querySelectorAll("tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    const saveTable = button("TSV", `Save the data of ${title} as TSV`, () => save(`${name}.tsv`, "text/tab-separated-values", tsv(box)));
    if (figure) {
      const saving = document.createElement("div");
      saving.className = "tools";
      saving.append(
        button("SVG", `Save ${title} as SVG`, () => save(`${name}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(figure.querySelector("svg")))),
        saveTable);
      box.before(saving);
      tools.append(filter);
    } else {
      tools.append(filter, saveTable);
    }
    box.querySelector(".scroll").before(tools);
    for (const [column, head] of [...box.querySelectorAll("th")].entries()) {
      const text = head.textContent;
      head.textContent = "";
      head.append(button(text, `Sort by ${text}`, () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const body = box.querySelector("tbody");
        const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
        const compare = (a, b) => {
          const [x, y] = [key(a), key(b)];
          if (x === "–" || y === "–") return (x === "–") - (y === "–");
          const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
          return descending ? -order : order;
        };
        body.append(...[...body.rows].sort(compare));
      }));
    }
  }
})();
