// Shows a notice on the phone it was sent to, and says that it arrived and that it was opened. Nothing else is told:
// the receipt carries a ticket that came inside the encryption, no cookie and no name.

function post(path, body) {
  return fetch(`/media/api/v1/${path}`, {
    method: "POST",
    credentials: "omit",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

function acknowledge(data, opened) {
  return post("receipts", { push: data.push, ticket: data.ticket, opened }).catch(() => undefined);
}

// At night a phone wakes people for storms and floods only; everything else is there in the morning.
function quiet(data) {
  const hour = new Date().getHours();
  return data.topic !== "climate" && (hour >= 21 || hour < 6);
}

self.addEventListener("push", (event) => {
  const data = event.data.json();
  const options = { body: data.text, tag: data.notice, lang: "vi", silent: quiet(data), data };
  // Arrived is what was shown: where the phone does not let us show it, nothing is said.
  event.waitUntil(self.registration.showNotification(data.title, options).then(() => acknowledge(data, false)));
});

self.addEventListener("notificationclick", (event) => {
  const data = event.notification.data;
  event.notification.close();
  const page = self.clients.openWindow(`/media/notices/${data.notice}`);
  event.waitUntil(Promise.all([page.catch(() => undefined), acknowledge(data, true)]));
});

// A browser may renew the address of a phone by itself: what it follows moves along, or it would fall silent unnoticed.
async function move(old, given) {
  const made = given ?? (await self.registration.pushManager.subscribe(old.options));
  const { items } = await (await post("subscriptions/mine", { endpoint: old.endpoint })).json();
  const phone = { endpoint: made.endpoint, ...made.toJSON().keys };
  const moved = await Promise.all(items.map((item) => post("subscriptions", { ...item, ...phone })));
  if (moved.every((answer) => answer.ok)) await post("subscriptions/end", { endpoint: old.endpoint });
}

self.addEventListener("pushsubscriptionchange", (event) => {
  if (event.oldSubscription) event.waitUntil(move(event.oldSubscription, event.newSubscription));
});

// A newer version of this file serves from the next push on, without waiting for pages to close.
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
