// The wall all night: panels marked data-rotate in one parent take turns (data-rotate-seconds on the parent, 20 by default),
// and a page marked data-reload-daily loads itself afresh once a day, so that a new version is taken and memory given back.

const DAY = 24 * 3600 * 1000;

function rotate(parent: HTMLElement, panels: HTMLElement[]): void {
  let shown = 0;
  const show = (): void => panels.forEach((panel, index) => (panel.hidden = index !== shown));
  show();
  setInterval(() => {
    // Panels may have been swapped for fresher ones meanwhile.
    const now = Array.from(parent.querySelectorAll<HTMLElement>(":scope > [data-rotate]"));
    if (now.length === 0) return;
    shown = (shown + 1) % now.length;
    now.forEach((panel, index) => (panel.hidden = index !== shown));
  }, Number(parent.dataset["rotateSeconds"] ?? 20) * 1000);
}

export function startRotation(): void {
  const parents = new Map<HTMLElement, HTMLElement[]>();
  for (const panel of document.querySelectorAll<HTMLElement>("[data-rotate]")) {
    const parent = panel.parentElement;
    if (parent === null) continue;
    parents.set(parent, [...(parents.get(parent) ?? []), panel]);
  }
  for (const [parent, panels] of parents) rotate(parent, panels);
  if (document.querySelector("[data-reload-daily]") !== null) {
    setTimeout(async () => {
      // Only a platform that answers is loaded again: an old picture is better than an error page.
      const answer = await fetch(location.href, { method: "HEAD" }).catch(() => null);
      if (answer?.ok) location.reload();
    }, DAY);
  }
}
