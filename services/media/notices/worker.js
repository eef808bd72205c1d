// Shows a notice on the phone it was sent to, and says that it arrived and that it was opened. Nothing else is told:
// the receipt carries a ticket that came inside the encryption, no cookie and no name.

function acknowledge(data, opened) {
  return fetch("/media/api/v1/receipts", {
    method: "POST",
    credentials: "omit",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ push: data.push, ticket: data.ticket, opened }),
  }).catch(() => undefined);
}

self.addEventListener("push", (event) => {
  const data = event.data.json();
  const options = { body: data.text, tag: data.notice, lang: "vi", data };
  // Arrived is what was shown: where the phone does not let us show it, nothing is said.
  event.waitUntil(self.registration.showNotification(data.title, options).then(() => acknowledge(data, false)));
});

self.addEventListener("notificationclick", (event) => {
  const data = event.notification.data;
  event.notification.close();
  const page = self.clients.openWindow(`/media/notices/${data.notice}`);
  event.waitUntil(Promise.all([page.catch(() => undefined), acknowledge(data, true)]));
});

// A newer version of this file serves from the next push on, without waiting for pages to close.
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
