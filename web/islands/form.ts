// Forms that post (data-form): sent once however often the button is pressed, and what was typed survives a lost page.
import { startPhotos } from "./photo.js";
import { say } from "./words.js";

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;
interface Kept {
  values: Record<string, string>;
  sent: boolean;
}

const PREFIX = "xaso:form:";
/** What must never lie in a browser's storage, or is not text. */
const SKIPPED = new Set(["password", "hidden", "file", "submit", "button"]);

function fields(form: HTMLFormElement): Field[] {
  return Array.from(form.elements).filter(
    (element): element is Field =>
      (element instanceof HTMLInputElement && !SKIPPED.has(element.type)) ||
      element instanceof HTMLTextAreaElement ||
      element instanceof HTMLSelectElement,
  );
}

function read(key: string): Kept | null {
  try {
    const text = sessionStorage.getItem(PREFIX + key);
    return text === null ? null : (JSON.parse(text) as Kept);
  } catch {
    return null;
  }
}

function write(key: string, kept: Kept): void {
  try {
    sessionStorage.setItem(PREFIX + key, JSON.stringify(kept));
  } catch {
    // A full or forbidden storage only means that nothing is kept.
  }
}

function ticked(field: Field): field is HTMLInputElement {
  return field instanceof HTMLInputElement && (field.type === "checkbox" || field.type === "radio");
}

function collect(form: HTMLFormElement, sent: boolean): Kept {
  const values: Record<string, string> = {};
  for (const field of fields(form)) {
    if (!field.name) continue;
    if (!ticked(field)) values[field.name] = field.value;
    else if (field.checked) values[`${field.name}=${field.value}`] = "1";
  }
  return { values, sent };
}

function restore(form: HTMLFormElement, kept: Kept): boolean {
  let restored = false;
  for (const field of fields(form)) {
    if (ticked(field)) {
      if (!field.checked && kept.values[`${field.name}=${field.value}`] === "1") field.checked = restored = true;
    } else if (field.value === "" && kept.values[field.name]) {
      field.value = kept.values[field.name] ?? "";
      restored = true;
    }
  }
  return restored;
}

/** Keeps typed text under the form's own key until the form was sent and its page is left behind. */
function keep(form: HTMLFormElement, key: string): void {
  const kept = read(key);
  if (kept !== null) {
    // The form is shown again: either it was never sent, or the server had an objection; both want the text back.
    if (restore(form, kept) && !kept.sent) {
      const note = document.createElement("p");
      note.className = "field__hint";
      note.setAttribute("role", "status");
      note.textContent = say("kept");
      form.prepend(note);
    }
  }
  form.addEventListener("input", () => write(key, collect(form, false)));
  form.addEventListener("submit", () => write(key, collect(form, true)));
}

/** A page that says it is done may show the very form again, for the next entry: what was sent is not for that one. */
function forgetSent(): void {
  const done = document.querySelector("main[data-done]") !== null;
  const shown = new Set(
    Array.from(document.querySelectorAll<HTMLFormElement>("form[data-keep]"), (form) => form.dataset["keep"] ?? ""),
  );
  try {
    for (const name of Object.keys(sessionStorage)) {
      if (!name.startsWith(PREFIX)) continue;
      const key = name.slice(PREFIX.length);
      if ((done || !shown.has(key)) && read(key)?.sent) sessionStorage.removeItem(name);
    }
  } catch {
    // Without storage there is nothing to forget.
  }
}

function sendOnce(form: HTMLFormElement): void {
  let sending = false;
  let label: string | null = null;
  let pressed: HTMLButtonElement | null = null;
  form.addEventListener("submit", (event) => {
    if (sending) {
      event.preventDefault();
      return;
    }
    sending = true;
    pressed = event.submitter instanceof HTMLButtonElement ? event.submitter : form.querySelector("button[type=submit]");
    if (pressed === null) return;
    label = pressed.textContent;
    // Not `disabled`: that would drop the button's own name and value from what is sent, and lose the focus.
    pressed.setAttribute("aria-disabled", "true");
    pressed.style.minWidth = `${pressed.offsetWidth}px`;
    if (pressed.dataset["busy"] && !pressed.querySelector("svg")) pressed.textContent = pressed.dataset["busy"];
  });
  // Back from the next page: the browser may show this very document again.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    sending = false;
    pressed?.removeAttribute("aria-disabled");
    if (pressed !== null && label !== null && !pressed.querySelector("svg")) pressed.textContent = label;
  });
}

export function startForms(): void {
  forgetSent();
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-form]")) {
    const key = form.dataset["keep"];
    if (key) keep(form, key);
    sendOnce(form);
    startPhotos(form);
  }
  document.querySelector<HTMLElement>("[data-error-summary]")?.focus();
}
