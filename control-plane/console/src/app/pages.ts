// Which addresses there are. The control plane serves the console at exactly these first parts (a test compares).

export const PAGES = [
  { path: "/", name: "overview" },
  { path: "/incidents", name: "incidents" },
  { path: "/incidents/:id", name: "incident" },
  { path: "/approvals", name: "approvals" },
  { path: "/attempts", name: "attempts" },
  { path: "/plugins", name: "plugins" },
  { path: "/plugins/:id", name: "plugin" },
  { path: "/merchants", name: "merchants" },
  { path: "/releases", name: "releases" },
  { path: "/policy", name: "policy" },
  { path: "/audit", name: "audit" },
  { path: "/webhooks", name: "webhooks" },
  { path: "/kpis", name: "kpis" },
] as const;

/** Where a provider sends people back to once they have signed in. */
export const SIGNED_IN = "/signed-in";

export type PageName = (typeof PAGES)[number]["name"];

/** The page at a path, and what stands where its address is open; null when there is none. */
export function pageAt(path: string): { name: PageName; id: string } | null {
  const parts = path.replace(/\/+$/, "").split("/").map(plain);
  for (const { path: wanted, name } of PAGES) {
    const shape = wanted.replace(/\/+$/, "").split("/");
    if (shape.length !== parts.length) continue;
    if (shape.every((part, at) => part === parts[at] || (part === ":id" && parts[at] !== ""))) {
      return { name, id: shape.includes(":id") ? (parts[shape.indexOf(":id")] ?? "") : "" };
    }
  }
  return null;
}

/** A part of a path without its escapes; one that can not be read stays as it is. */
function plain(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
