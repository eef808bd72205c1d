// Menus are details elements and open without this; here they learn to close like menus do.

export function startMenus(root: Document = document): void {
  const open = (): HTMLDetailsElement[] => Array.from(root.querySelectorAll<HTMLDetailsElement>("details.menu[open]"));
  root.addEventListener("click", (event) => {
    for (const menu of open()) {
      if (!(event.target instanceof Node) || !menu.contains(event.target)) menu.open = false;
    }
  });
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of open()) {
      const inside = menu.contains(root.activeElement);
      menu.open = false;
      if (inside) menu.querySelector("summary")?.focus();
    }
  });
}
