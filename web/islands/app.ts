// What every page carries: the mark that JavaScript is there, menus, forms.
import { startForms } from "./form.js";
import { startMenus } from "./menu.js";

document.documentElement.classList.add("has-js");
startMenus();
startForms();
