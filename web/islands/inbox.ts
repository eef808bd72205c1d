// The keyboard of a list that is worked through (data-inbox): j/k move, Enter opens (it is a link), and any element
// with data-key="a" is pressed by its letter. Nothing is taken from someone who is typing.

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}

function items(): HTMLElement[] {
  return Array.from(document.querySelectorAll<HTMLElement>("[data-inbox] [data-inbox-item]"));
}

function move(step: 1 | -1): void {
  const all = items();
  if (all.length === 0) return;
  const focused = all.findIndex((item) => item === document.activeElement);
  const current = focused >= 0 ? focused : all.findIndex((item) => item.hasAttribute("aria-current"));
  const next = current < 0 ? 0 : Math.min(all.length - 1, Math.max(0, current + step));
  all[next]?.focus();
  all[next]?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target)) return;
  if (event.key === "j" || event.key === "k") {
    event.preventDefault();
    move(event.key === "j" ? 1 : -1);
    return;
  }
  if (!/^[a-z]$/.test(event.key)) return;
  const target = document.querySelector<HTMLElement>(`[data-key="${event.key}"]`);
  if (target === null) return;
  event.preventDefault();
  // Fields are gone to, buttons and links are pressed.
  if (typing(target)) target.focus();
  else target.click();
});
