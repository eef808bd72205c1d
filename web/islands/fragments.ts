// Replaces the parts of a page that changed, in place: [data-live-key] elements are compared with the same page
// fetched again, and only those that differ are swapped. Open details, the focus and the scroll stay where they were.

/** What differs at every rendering without meaning anything: relative times and one-time form values. */
function essence(element: Element): string {
  const copy = element.cloneNode(true) as Element;
  for (const time of copy.querySelectorAll("[data-ago]")) time.textContent = "";
  for (const input of copy.querySelectorAll("input[type=hidden]")) input.removeAttribute("value");
  for (const details of copy.querySelectorAll("details")) details.removeAttribute("open");
  return copy.outerHTML;
}

function keyed(root: ParentNode): Map<string, HTMLElement> {
  const found = new Map<string, HTMLElement>();
  for (const element of root.querySelectorAll<HTMLElement>("[data-live-key]")) {
    found.set(element.dataset["liveKey"] ?? "", element);
  }
  return found;
}

const FOCUSABLE = "a[href],button,input,select,textarea,summary,[tabindex]";

function swap(old: HTMLElement, fresh: HTMLElement): void {
  const openBefore = Array.from(old.querySelectorAll("details"), (details) => details.open);
  fresh.querySelectorAll("details").forEach((details, index) => {
    if (openBefore[index]) details.open = true;
  });
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const place = focused === null ? -1 : [old, ...old.querySelectorAll(FOCUSABLE)].indexOf(focused as HTMLElement);
  old.replaceWith(fresh);
  if (place >= 0) {
    const target = [fresh, ...fresh.querySelectorAll<HTMLElement>(FOCUSABLE)][place];
    target?.focus({ preventScroll: true });
  }
}

function glow(element: HTMLElement): void {
  element.classList.add("is-fresh");
  element.addEventListener("animationend", () => element.classList.remove("is-fresh"), { once: true });
}

/** Somebody is writing in it: it must not be taken away under their hands. */
function busy(element: HTMLElement): boolean {
  const active = document.activeElement;
  return element.contains(active) && active !== null && ["INPUT", "TEXTAREA", "SELECT"].includes(active.tagName);
}

/** Remembers what the server last said, so that only a change on the server counts as one. */
export class Fragments {
  readonly #known = new Map<string, string>();

  constructor(root: ParentNode = document) {
    for (const [key, element] of keyed(root)) this.#known.set(key, essence(element));
  }

  /** Fetches `address` and swaps what changed; answers with the number of swapped parts. */
  async refresh(address: string): Promise<number> {
    const response = await fetch(address, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    // Sent elsewhere means signed out: those are not this page's figures.
    if (response.redirected) throw new Error("the page moved away");
    if (!response.ok) throw new Error(`the page answered ${response.status}`);
    const fresh = keyed(new DOMParser().parseFromString(await response.text(), "text/html"));
    let swapped = 0;
    for (const [key, old] of keyed(document)) {
      const next = fresh.get(key);
      if (next === undefined || busy(old)) continue;
      const now = essence(next);
      if (this.#known.get(key) === now) continue;
      this.#known.set(key, now);
      // A part inside a part that was just swapped is no longer in the page.
      if (!old.isConnected) continue;
      swap(old, next);
      glow(next);
      swapped += 1;
    }
    return swapped;
  }
}
