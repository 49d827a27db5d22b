// One of the API's words beside a dot coloured by how much it should worry; the word is what counts.
import { Badge } from "@mantine/core";
import { useSpeech } from "../app/language";

const RED = new Set(["critical", "error", "failed", "revoked", "fenced", "blocked", "timeout"]);
const ORANGE = new Set(["high", "escalated", "open", "rolled_back"]);
const BLUE = new Set([
  "in_progress",
  "staging",
  "applying",
  "sent",
  "acknowledged",
  "executing",
  "pending_update",
  "pending",
]);
const GREEN = new Set(["active", "success", "completed", "mitigated"]);

function colour(name: string): string {
  if (RED.has(name)) return "red";
  if (ORANGE.has(name)) return "orange";
  if (BLUE.has(name)) return "blue";
  return GREEN.has(name) ? "green" : "gray";
}

export function Term({ name }: { name: string | null }) {
  const { term, t } = useSpeech();
  if (name === null) return <>{t("list.nothing")}</>;
  return (
    <Badge color={colour(name)} variant="dot" tt="none">
      {term(name)}
    </Badge>
  );
}
