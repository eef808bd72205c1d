// Tables with data-sortable: each th with data-sort="text|number|date" gets a button; aria-sort says the order.
// A cell's own data-value counts before its text.

type Kind = "text" | "number" | "date";
const order = new Intl.Collator(document.documentElement.lang === "en" ? "en" : "vi", { numeric: true });

function value(row: HTMLTableRowElement, column: number): string {
  const cell = row.cells[column];
  return cell?.dataset["value"] ?? cell?.textContent?.trim() ?? "";
}

/** "1.234,5 %" → 1234.5; what is no number sorts last. */
function number(text: string): number {
  const plain = /^-?\d+(\.\d+)?$/.test(text) ? text : text.replace(/\./g, "").replace(",", ".").replace(/[^\d.-]/g, "");
  return plain === "" ? Number.NaN : Number(plain);
}

function compare(kind: Kind, left: string, right: string, up: boolean): number {
  const sign = up ? 1 : -1;
  if (kind === "number") {
    const [a, b] = [number(left), number(right)];
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return sign * (a - b);
  }
  if (left === "" || right === "") return Number(left === "") - Number(right === "");
  return sign * (kind === "date" ? (left < right ? -1 : Number(left > right)) : order.compare(left, right));
}

function sort(table: HTMLTableElement, header: HTMLTableCellElement): void {
  const up = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead?.rows[0]?.cells ?? []) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const kind = (header.dataset["sort"] ?? "text") as Kind;
  const column = header.cellIndex;
  for (const body of table.tBodies) {
    const rows = Array.from(body.rows);
    rows.sort((a, b) => compare(kind, value(a, column), value(b, column), up));
    body.append(...rows);
  }
}

for (const table of document.querySelectorAll<HTMLTableElement>("table[data-sortable]")) {
  for (const header of table.querySelectorAll<HTMLTableCellElement>("thead th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(table, header));
  }
}
