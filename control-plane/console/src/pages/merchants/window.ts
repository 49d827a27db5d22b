// A maintenance window: on which days of the week, from when to when.
import type { Json } from "../../api/types";
import { useSpeech } from "../../app/language";
import { asNumber, asText, fields } from "../../app/plain";

export interface MaintenanceWindow {
  /** 1 is Monday, 7 Sunday (ISO 8601). */
  days: number[];
  from: string;
  to: string;
  utc_offset_minutes: number;
}

/** A stored window; null where changes may be made at any time. */
export function readWindow(stored: Json): MaintenanceWindow | null {
  const found = fields(stored);
  const [from, to] = [asText(found["from"]), asText(found["to"])];
  if (from === null || to === null) return null;
  const days = Array.isArray(found["days"]) ? found["days"].filter((day) => typeof day === "number") : [];
  return { days, from, to, utc_offset_minutes: asNumber(found["utc_offset_minutes"]) ?? 0 };
}

/** A day of the week, shortened; 1 is Monday. */
export function dayName(day: number, language: string): string {
  // The first of January 2024 was a Monday.
  return new Intl.DateTimeFormat(language, { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2024, 0, day));
}

/** A window in words. */
export function useWindowWords(): (window: MaintenanceWindow | null) => string {
  const { t, language } = useSpeech();
  return (window) => {
    if (window === null) return t("merchant.anyTime");
    const days = window.days.map((day) => dayName(day, language)).join(" ");
    const minutes = Math.abs(window.utc_offset_minutes);
    const sign = window.utc_offset_minutes < 0 ? "−" : "+";
    const rest = minutes % 60 === 0 ? "" : `:${String(minutes % 60).padStart(2, "0")}`;
    const zone = minutes === 0 ? "UTC" : `UTC${sign}${Math.floor(minutes / 60)}${rest}`;
    return `${days} ${window.from}–${window.to} ${zone}`.trim();
  };
}
