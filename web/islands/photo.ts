// A chosen photo is shown and made small before it is sent: 12 megapixels over a weak 3G link take minutes.
// Drawing it anew also leaves its EXIF (place, device) behind; the server removes it all the same.
import { say } from "./words.js";

const LONGEST_SIDE = 1600;
const QUALITY = 0.82;

async function shrink(file: File): Promise<File> {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  try {
    const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    if (context === null) return file;
    // A transparent drawing would turn black as JPEG.
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    if (blob === null || blob.size >= file.size) return file;
    return new File([blob], file.name.replace(/\.\w+$/, "") + ".jpg", { type: "image/jpeg" });
  } finally {
    bitmap.close();
  }
}

function put(input: HTMLInputElement, files: File[]): void {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files;
}

function watch(input: HTMLInputElement): void {
  const note = document.createElement("p");
  note.className = "field__hint";
  note.setAttribute("role", "status");
  const picture = document.createElement("img");
  picture.className = "field__photo";
  picture.hidden = true;
  picture.alt = "";
  input.after(note, picture);
  let address: string | null = null;
  input.addEventListener("change", async () => {
    if (address !== null) URL.revokeObjectURL(address);
    address = null;
    picture.hidden = true;
    note.textContent = "";
    const chosen = Array.from(input.files ?? []);
    const first = chosen[0];
    if (first === undefined) return;
    note.textContent = say("shrinking");
    let ready = chosen;
    try {
      ready = await Promise.all(chosen.map((file) => (file.type.startsWith("image/") ? shrink(file) : file)));
      put(input, ready);
    } catch {
      // A format this browser cannot draw is sent as it is; the server says whether it can use it.
    }
    const shown = ready[0] ?? first;
    address = URL.createObjectURL(shown);
    picture.onload = () => (picture.hidden = false);
    picture.src = address;
    note.textContent = say("photo", { name: first.name, n: Math.max(1, Math.round(shown.size / 1024)) });
  });
}

export function startPhotos(form: HTMLFormElement): void {
  for (const input of form.querySelectorAll<HTMLInputElement>("input[type=file][data-photo]")) watch(input);
}
