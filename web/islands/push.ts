// A phone follows the notices of a village (data-push): asks for leave, subscribes by web push, tells the service where
// it is reached. No account: who knows the address of a subscription is the phone.
import { say } from "./words.js";

interface Mine {
  items: { unit: string; topics: string[] }[];
}

function bytes(key: string): Uint8Array<ArrayBuffer> {
  const text = atob(key.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

async function ask(address: string, body: unknown): Promise<Response> {
  // Without cookies: a signed-in member of staff is a phone like any other here.
  const answer = await fetch(address, {
    method: "POST",
    credentials: "omit",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer;
}

function start(panel: HTMLElement): void {
  const form = panel.querySelector<HTMLFormElement>("[data-push-form]");
  const end = panel.querySelector<HTMLButtonElement>("[data-push-end]");
  const note = panel.querySelector<HTMLElement>("[data-push-status]");
  const { pushKey = "", pushUnit: unit = "", pushApi: api = "", pushWorker = "", pushScope = "" } = panel.dataset;
  if (form === null || end === null || note === null) return;
  const tell = (text: string): void => {
    note.textContent = text;
  };
  if (!("serviceWorker" in navigator) || !("PushManager" in window) || !("Notification" in window)) {
    form.hidden = true;
    tell(say("pushless"));
    return;
  }
  const boxes = (): HTMLInputElement[] => Array.from(form.querySelectorAll<HTMLInputElement>('input[name="topics"]'));

  const subscription = async (): Promise<PushSubscription | null> => {
    const registered = await navigator.serviceWorker.getRegistration(pushScope);
    return (await registered?.pushManager.getSubscription()) ?? null;
  };

  const show = async (): Promise<void> => {
    const there = await subscription();
    const { items }: Mine = there ? await (await ask(`${api}/mine`, { endpoint: there.endpoint })).json() : { items: [] };
    const here = items.find((item) => item.unit === unit);
    end.hidden = here === undefined;
    if (here === undefined) return;
    for (const box of boxes()) box.checked = here.topics.length === 0 || here.topics.includes(box.value);
    tell(say("following"));
  };

  const follow = async (): Promise<void> => {
    const topics = boxes().filter((box) => box.checked).map((box) => box.value);
    if (topics.length === 0) {
      // To the service no topic means all of them, which is the opposite of what was ticked.
      tell(say("pushnothing"));
      return;
    }
    if ((await Notification.requestPermission()) !== "granted") {
      tell(say("pushdenied"));
      return;
    }
    await navigator.serviceWorker.register(pushWorker, { scope: pushScope });
    const { pushManager } = await navigator.serviceWorker.ready;
    const wanted = { userVisibleOnly: true, applicationServerKey: bytes(pushKey) };
    const made = await pushManager.subscribe(wanted).catch(async (trouble: unknown) => {
      // One that was made for another key of the service is of no use any more.
      const old = await pushManager.getSubscription();
      if (old === null) throw trouble;
      await old.unsubscribe();
      return pushManager.subscribe(wanted);
    });
    await ask(api, { unit, topics, endpoint: made.endpoint, ...made.toJSON().keys });
    end.hidden = false;
    tell(say("following"));
  };

  const leave = async (): Promise<void> => {
    const there = await subscription();
    if (there !== null) {
      await ask(`${api}/end`, { endpoint: there.endpoint, unit });
      const { items }: Mine = await (await ask(`${api}/mine`, { endpoint: there.endpoint })).json();
      if (items.length === 0) await there.unsubscribe();
    }
    end.hidden = true;
    tell(say("left"));
  };

  const doing = (work: () => Promise<void>) => (event: Event): void => {
    event.preventDefault();
    tell(say("working"));
    work().catch(() => {
      tell(say("pushfailed"));
    });
  };
  form.addEventListener("submit", doing(follow));
  end.addEventListener("click", doing(leave));
  // What cannot be asked now is asked when a button is pressed.
  show().catch(() => undefined);
}

for (const panel of document.querySelectorAll<HTMLElement>("[data-push]")) start(panel);
