// The development server: loopback only, and whatever is the API's goes to the control plane, so that there is one origin.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const api = process.env.PLUGMEND_API || "http://127.0.0.1:8112";
const port = Number(process.env.CONSOLE_PORT || 8113);

export default defineConfig({
  plugins: [react()],
  server: {
    host: "127.0.0.1",
    port,
    strictPort: true,
    proxy: { "/api": api, "/healthz": api },
  },
  build: { target: "es2022", sourcemap: false },
});
