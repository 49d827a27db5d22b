// How it looks: quiet greys, one accent, and colour only where something should worry. Contrasts are WCAG AA's.
import { createTheme, type MantineColorsTuple } from "@mantine/core";

/** The accent: a deep petrol. Shade 7 on white is 6.6 to 1; shade 4 on the dark ground 7.5 to 1. */
const petrol: MantineColorsTuple = [
  "#eaf4f5",
  "#d3e6e9",
  "#a8ced4",
  "#79b4bd",
  "#559fab",
  "#38899a",
  "#2a7484",
  "#1f5f6b",
  "#174c56",
  "#0f3a42",
];

/** For what stops and refuses. Shade 6 on white is 6.5 to 1, shade 4 on the dark ground 6.6 to 1. */
const red: MantineColorsTuple = [
  "#fdeceb",
  "#f9d2cf",
  "#f5b5b0",
  "#f29f98",
  "#ef8d86",
  "#cf3f34",
  "#b3261e",
  "#9f2019",
  "#8a1a14",
  "#731410",
];

export const THEME = createTheme({
  primaryColor: "petrol",
  primaryShade: { light: 7, dark: 7 },
  colors: { petrol, red },
  defaultRadius: "md",
  cursorType: "pointer",
  focusRing: "auto",
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  headings: { fontWeight: "600" },
});

/** The answer's nonce: the few style sheets that are written at run time carry it. */
export function nonce(): string {
  return document.querySelector<HTMLMetaElement>("meta[property=csp-nonce]")?.nonce ?? "";
}
