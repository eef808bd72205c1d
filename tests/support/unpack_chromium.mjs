// Unpacks the Chromium that npm's @sparticuz/chromium ships into TMPDIR, and says where it is and how to start it.
import chromium from "@sparticuz/chromium";

console.log(JSON.stringify({ path: await chromium.executablePath(), args: chromium.args }));
