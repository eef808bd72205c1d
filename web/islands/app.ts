// What every page carries: the mark that JavaScript is there, menus, forms.
import { startForms } from "./form.js";
import { startMenus } from "./menu.js";

document.documentElement.classList.add("has-js");
startMenus();
startForms();
showPlace();

// On a phone the staff rail scrolls sideways: who opened its fifth entry is to see that entry.
function showPlace(): void {
  const rail = document.querySelector<HTMLElement>(".rail ul");
  const here = rail?.querySelector<HTMLElement>("[aria-current]");
  if (!rail) return;
  if (here) rail.scrollLeft = here.offsetLeft - (rail.clientWidth - here.offsetWidth) / 2;
  // Browsers leave an entry that is half in sight as it is when the focus comes to it.
  rail.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element) target.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}
