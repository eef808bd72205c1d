// Live pages. <… data-live-url="/stream"> opens an event stream; on each message the page (or data-live-src) is fetched
// again and the parts marked data-live-key that changed are swapped. EventSource itself repeats Last-Event-ID.
// data-live-events="change,status" names the events to follow besides unnamed ones (default: change). An event "end"
// says that nothing more will come: the page is fetched once more and the stream is left.
import { Fragments } from "./fragments.js";
import { startRotation } from "./rotation.js";
import { ago, clock, say } from "./words.js";

/** At most one refresh per this many milliseconds; the first is at once. */
const PACE = 400;
const RETRY_FIRST = 2000;
const RETRY_MOST = 60000;

function reason(data: string): string {
  try {
    const message = JSON.parse(data) as Record<string, unknown>;
    const why = message["because"] ?? message["reason"];
    return typeof why === "string" ? why : "";
  } catch {
    return "";
  }
}

class Live {
  readonly #root: HTMLElement;
  readonly #note: HTMLElement | null;
  readonly #fragments = new Fragments();
  #source: EventSource | null = null;
  #retry = RETRY_FIRST;
  #at: Date;
  #cut = false;
  #ended = false;
  #why = "";
  #due = false;
  #running = false;
  #last = 0;

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#note = document.querySelector<HTMLElement>("[data-live-status]");
    this.#at = new Date(this.#note?.dataset["at"] ?? Date.now());
    this.#open();
    // The browser may freeze a hidden page: look again when it is shown.
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#soon();
    });
    window.addEventListener("pagehide", () => this.#source?.close());
    window.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      if (!this.#ended) this.#open();
      this.#soon();
    });
    setInterval(() => {
      if (this.#cut) this.#tell();
    }, 10000);
  }

  #open(): void {
    this.#source?.close();
    const source = new EventSource(this.#root.dataset["liveUrl"] ?? "");
    this.#source = source;
    const heard = (event: MessageEvent<string>): void => {
      this.#why = reason(event.data);
      this.#soon();
    };
    source.onmessage = heard;
    for (const name of (this.#root.dataset["liveEvents"] ?? "change").split(",")) {
      source.addEventListener(name.trim(), heard as EventListener);
    }
    source.addEventListener("end", () => {
      this.#ended = true;
      source.close();
      this.#soon();
    });
    source.onopen = () => {
      this.#retry = RETRY_FIRST;
      // Whatever passed while the stream was away is fetched once.
      if (this.#cut) this.#soon();
      else this.#tell();
    };
    source.onerror = () => {
      this.#cut = true;
      this.#tell();
      // EventSource reconnects by itself unless the answer was no stream at all (a 503): then it is tried again here.
      if (source.readyState === EventSource.CLOSED && this.#source === source) {
        setTimeout(() => this.#open(), this.#retry);
        this.#retry = Math.min(this.#retry * 2, RETRY_MOST);
      }
    };
  }

  #soon(): void {
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => void this.#refresh(), Math.max(0, this.#last + PACE - Date.now()));
  }

  async #refresh(): Promise<void> {
    if (this.#running) {
      this.#due = false;
      setTimeout(() => this.#soon(), PACE);
      return;
    }
    this.#running = true;
    this.#due = false;
    this.#last = Date.now();
    try {
      const asked = new Date();
      await this.#fragments.refresh(this.#root.dataset["liveSrc"] ?? location.href);
      this.#at = asked;
      this.#cut = !this.#ended && this.#source?.readyState !== EventSource.OPEN;
    } catch {
      this.#cut = true;
      setTimeout(() => this.#soon(), RETRY_FIRST);
    } finally {
      this.#running = false;
      this.#tell();
    }
  }

  #tell(): void {
    const note = this.#note;
    if (note === null) return;
    note.dataset["state"] = this.#cut ? "cut" : "live";
    const time = clock(this.#at);
    const text = this.#cut
      ? say("cut", { time, age: ago(this.#at) })
      : say("updated", { time }) + (this.#why ? say("because", { reason: this.#why }) : "");
    // An unchanged sentence must not be announced again.
    if (note.textContent !== text) note.textContent = text;
  }
}

/** Relative times stay true, clocks tick; both without moving anything around them. */
function keepTime(): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-ago]")) {
    const text = ago(new Date(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
  for (const face of document.querySelectorAll<HTMLElement>("[data-clock]")) {
    const now = new Date();
    const day = now.toLocaleDateString("vi-VN", {
      day: "2-digit",
      month: "2-digit",
      year: "numeric",
      timeZone: "Asia/Ho_Chi_Minh",
    });
    const text = `${day} ${clock(now, false)}`;
    if (face.textContent !== text) face.textContent = text;
  }
}

const root = document.querySelector<HTMLElement>("[data-live-url]");
if (root !== null) new Live(root);
setInterval(keepTime, 1000);
startRotation();
