// The button "Lấy vị trí của tôi" (data-locate="lat lon") fills the two inputs of its form.
import { say } from "./words.js";

function start(button: HTMLButtonElement): void {
  const form = button.form;
  const [lat = "lat", lon = "lon"] = (button.dataset["locate"] ?? "").split(" ");
  const note = button.parentElement?.querySelector<HTMLElement>("[data-locate-status]") ?? null;
  const tell = (text: string): void => {
    if (note !== null) note.textContent = text;
  };
  if (form === null || !("geolocation" in navigator)) {
    button.hidden = true;
    return;
  }
  const fill = (name: string, value: number): void => {
    const input = form.elements.namedItem(name);
    if (!(input instanceof HTMLInputElement)) return;
    // Six decimals are about 10 cm: finer would only pretend.
    input.value = value.toFixed(6);
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  button.addEventListener("click", () => {
    tell(say("locating"));
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        fill(lat, coords.latitude);
        fill(lon, coords.longitude);
        tell(say("located", { n: Math.round(coords.accuracy) }));
      },
      (error) => tell(say(error.code === error.PERMISSION_DENIED ? "denied" : "unlocated")),
      { enableHighAccuracy: true, timeout: 15000, maximumAge: 30000 },
    );
  });
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-locate]")) start(button);
