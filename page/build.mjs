// Builds what the program embeds: built/{index.html,page.css,page.js}.gz. `node page/build.mjs` writes them, with `--check` it
// compares instead. The result is the same byte for byte on every machine, because everything that makes it is pinned in
// package-lock.json, the compressor included; `npm ci` in this folder fetches it.
import { gzipAsync } from "@gfx/zopfli";
import { transform } from "esbuild";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

/** Bytes that all files may have together: the program is small, and stays so. */
const BYTES_MAX = 45_000;

const here = dirname(fileURLToPath(import.meta.url));
const read = (path) => readFileSync(join(here, path), "utf8");
const chart = "node_modules/uplot";
const licence = `/*! uPlot ${JSON.parse(read(`${chart}/package.json`)).version}, MIT licence\n${read(`${chart}/LICENSE`).trim()}\n*/\n`;
const small = async (path, loader) => (await transform(read(path), { loader, minify: true, target: "es2023", charset: "utf8", legalComments: "none" })).code;

const files = {
  "index.html": read("index.html").replace(/>\n\s*/g, ">\n"),
  "page.css": read(`${chart}/dist/uPlot.min.css`).trim() + "\n" + (await small("page.css", "css")),
  // As its authors have minified it, which is smaller than what esbuild makes of the source.
  "page.js": licence + read(`${chart}/dist/uPlot.iife.min.js`).replace(/^\/\*!.*?\*\/\s*/s, "").trim() + "\n" + (await small("page.js", "js")),
};

let total = 0;
for (const [name, text] of Object.entries(files)) {
  const packed = await gzipAsync(text, { numiterations: 30 });
  const path = join(here, "built", `${name}.gz`);
  total += packed.length;
  if (gunzipSync(packed).toString() !== text) throw new Error(`${name} is not compressed well`);
  if (process.argv.includes("--check")) {
    if (!existsSync(path) || !readFileSync(path).equals(Buffer.from(packed))) {
      throw new Error(`page/built/${name}.gz is not what its sources make: run node page/build.mjs`);
    }
  } else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, packed);
  }
  console.log(`${name}: ${text.length} characters, ${packed.length} bytes compressed`);
}
console.log(`together ${total} bytes`);
if (total > BYTES_MAX) throw new Error(`that is more than ${BYTES_MAX} bytes`);
