// Builds the console, and serves it for development: loopback only, and whatever is the API's goes to the control plane,
// so that there is one origin.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const api = process.env.PLUGMEND_API || "http://127.0.0.1:8112";
const port = Number(process.env.CONSOLE_PORT || 8113);

/** The most JavaScript, gzipped, that a browser may have to load before the first page is there. */
const MOST_BYTES = 250_000;

/** Lays each file's gzipped twin beside it, and fails a build whose first load is too heavy. */
function pack() {
  let folder = "";
  let first = [];
  return {
    name: "pack",
    apply: "build",
    writeBundle(options, bundle) {
      folder = options.dir;
      const wanted = new Set();
      const follow = (name) => {
        const chunk = bundle[name];
        if (wanted.has(name) || chunk?.type !== "chunk") return;
        wanted.add(name);
        chunk.imports.forEach(follow);
      };
      Object.values(bundle)
        .filter((chunk) => chunk.type === "chunk" && chunk.isEntry)
        .forEach((chunk) => follow(chunk.fileName));
      // The page that most people come to first counts as well.
      Object.values(bundle)
        .filter((chunk) => chunk.type === "chunk" && /pages\/overview/.test(chunk.facadeModuleId ?? ""))
        .forEach((chunk) => follow(chunk.fileName));
      first = [...wanted];
    },
    closeBundle() {
      const assets = join(folder, "assets");
      let all = 0;
      for (const name of readdirSync(assets)) {
        const packed = gzipSync(readFileSync(join(assets, name)), { level: 9 });
        writeFileSync(join(assets, `${name}.gz`), packed);
        if (name.endsWith(".js")) all += packed.length;
      }
      const bytes = first
        .map((name) => readFileSync(join(folder, `${name}.gz`)).length)
        .reduce((sum, length) => sum + length, 0);
      const kB = (n) => `${Math.round(n / 1000)} kB`;
      console.log(`JavaScript, gzipped: ${kB(bytes)} at first, ${kB(all)} in all; at most ${kB(MOST_BYTES)} at first`);
      if (bytes > MOST_BYTES) throw new Error("the first load is too heavy: split it, or leave something out");
    },
  };
}

export default defineConfig({
  plugins: [react(), pack()],
  // The control plane puts a nonce there, anew in each answer.
  html: { cspNonce: "__CSP_NONCE__" },
  server: {
    host: "127.0.0.1",
    port,
    strictPort: true,
    proxy: { "/api": api, "/healthz": api, "/console.json": api },
  },
  build: { target: "es2022", sourcemap: false, modulePreload: { polyfill: false }, reportCompressedSize: false },
});
