// Builds web/dist: every sheet, island and font under a name that carries its own hash, and
// manifest.json ({"app.css": "app.4F2A….css", …}) from which the pages' asset() finds them.
import { build } from "esbuild";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import subsetFont from "subset-font";

const web = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(web, "dist");
// The new tree is built aside and moved over the old one, so that a running platform never meets half of it.
const fresh = path.join(web, `.dist-${process.pid}`);

const styles = ["styles/app.css", "styles/wall.css", "icon.svg"];
const scripts = ["app", "live", "geolocate", "inbox", "table", "push"].map((name) => `islands/${name}.ts`);

function characters(...ranges) {
  let text = "";
  for (const [first, last] of ranges) {
    for (let code = first; code <= last; code += 1) text += String.fromCodePoint(code);
  }
  return text;
}

// What Vietnamese and English pages write; the same characters stand as unicode-range in tokens.css. Everything else
// (a guest's name in another alphabet) is drawn by the system's font.
const letters = {
  latin: characters([0x20, 0x7e]) + "ÀÁÂÃÈÉÊÌÍÒÓÔÕÙÚÝàáâãèéêìíòóôõùúý\u00a0·×°«»–—‘’“”•…‹›€←↑→↓−≈≤≥",
  vietnamese: characters(
    [0x102, 0x103], [0x110, 0x111], [0x128, 0x129], [0x168, 0x169], [0x1a0, 0x1a1], [0x1af, 0x1b0],
    [0x1ea0, 0x1ef9], [0x20ab, 0x20ab],
  ),
};

// Fonts are a third of their size without hints (phones ignore them) and without the letters no page writes.
const smallFonts = {
  name: "small-fonts",
  setup(bundler) {
    bundler.onLoad({ filter: /\.woff2$/ }, async ({ path: file }) => {
      const subset = file.includes("-vietnamese-") ? "vietnamese" : "latin";
      const contents = await subsetFont(await readFile(file), letters[subset], {
        targetFormat: "woff2",
        noHinting: true,
        keepFeatures: ["kern", "tnum"],
      });
      return { contents, loader: "file" };
    });
  },
};

async function bundle(points) {
  return build({
    absWorkingDir: web,
    entryPoints: points,
    outdir: fresh,
    entryNames: "[name].[hash]",
    assetNames: "[name].[hash]",
    bundle: true,
    minify: true,
    metafile: true,
    format: "esm",
    target: ["es2020", "chrome90", "firefox90", "safari15"],
    loader: { ".svg": "copy" },
    plugins: [smallFonts],
    legalComments: "none",
    logLevel: "warning",
  });
}

function named(metafile, found) {
  for (const [file, output] of Object.entries(metafile.outputs)) {
    const hashed = path.basename(file);
    found[hashed.replace(/\.[A-Z0-9]{8}(\.[a-z0-9]+)$/, "$1")] = { file: hashed, bytes: output.bytes };
  }
}

await rm(fresh, { recursive: true, force: true });
await mkdir(fresh, { recursive: true });
const found = {};
named((await bundle(styles)).metafile, found);
named((await bundle(scripts)).metafile, found);

const manifest = {};
const lines = [];
for (const name of Object.keys(found).sort()) {
  const { file, bytes } = found[name];
  manifest[name] = file;
  const wire = file.endsWith(".woff2") ? bytes : gzipSync(await readFile(path.join(fresh, file)), { level: 5 }).length;
  lines.push(`${name.padEnd(44)} ${String(bytes).padStart(6)} B, ${String(wire).padStart(6)} B on the wire`);
}
await writeFile(path.join(fresh, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
const old = `${fresh}-old`;
await rename(dist, old).catch(() => undefined);
await rename(fresh, dist);
await rm(old, { recursive: true, force: true });

// Said last: whoever stops reading must not stop the build.
console.log(lines.join("\n"));
