// What happened, in one order: what was seen, decided, ordered, tried and said.
import type { Course, Moment } from "../../api/types";
import { useSpeech } from "../../app/language";
import { asText, cure, fields } from "../../app/plain";
import { isWord, type Word } from "../../words";
import { Part } from "../../ui/page";
import type { Tone } from "../../ui/term";
import { When } from "../../ui/when";

export function Timeline({ course }: { course: Course }) {
  const { t } = useSpeech();
  return (
    <Part title={t("incident.timeline")}>
      <ol className="timeline">
        {course.moments.map((moment, at) => (
          <li key={at} data-tone={tone(moment.kind)}>
            <Line moment={moment} />
          </li>
        ))}
      </ol>
    </Part>
  );
}

function Line({ moment }: { moment: Moment }) {
  const speech = useSpeech();
  const { t, term } = speech;
  const word = `moment.${moment.kind}`;
  const who = moment.actor_id ?? (moment.actor_type === null ? null : term(moment.actor_type));
  const more = detail(moment, speech);
  return (
    <>
      <span className="moment-when">
        <When at={moment.at} />
      </span>
      <span>
        <strong>{isWord(word) ? t(word as Word) : moment.kind.replaceAll("_", " ")}</strong>
        {who !== null && <span className="quiet"> · {who}</span>}
        {more !== "" && <span className="line small quiet">{more}</span>}
      </span>
    </>
  );
}

/** What else is worth a line, out of what is stored with it. */
function detail(moment: Moment, speech: ReturnType<typeof useSpeech>): string {
  const data = fields(moment.data);
  const output = fields(data["output"]);
  const decided = Object.keys(output).length > 0 ? output : data;
  const said: (string | null)[] = [];
  const [from, to] = [asText(data["from_version"]), asText(data["to_version"]) ?? asText(data["version"])];
  const action = moment.kind.endsWith("decided") ? asText(decided["action"]) : null;
  if (action !== null) said.push(cure({ action, to: asText(decided["patch_version"]) ?? asText(decided["version"]) }, speech));
  else if (from !== null && to !== null) said.push(`${from} → ${to}`);
  else said.push(to);
  for (const name of ["reason", "words", "why", "explanation", "escalation_reason", "error", "error_message", "end_reason", "comment"]) {
    const text = asText(data[name]);
    if (text !== null && !said.includes(text) && said.length < 3) said.push(text.replaceAll("_", " "));
  }
  return said.filter((text) => text !== null && text !== "").join(" · ");
}

function tone(kind: string): Tone {
  if (/escalated|failed|timeout|rejected|rolled_back|refused/.test(kind)) return "bad";
  if (/success|mitigated|closed|completed|staged|approved|applied/.test(kind)) return "good";
  if (/opened|began|version_changed/.test(kind)) return "warn";
  if (/command|attempt|decided/.test(kind)) return "busy";
  return "quiet";
}
