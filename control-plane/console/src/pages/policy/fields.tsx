// The policy's fields, in the order in which one thinks of them; what was changed and not yet saved is marked.
import { NativeSelect, NumberInput, Switch, Textarea } from "@mantine/core";
import { Fragment } from "react";
import type { Change } from "../../api/calls";
import type { Json, Policy } from "../../api/types";
import { useSpeech } from "../../app/language";
import { fields } from "../../app/plain";
import { useMay } from "../../app/session";
import { isWord, type Word } from "../../words";
import { Part } from "../../ui/page";

type Kind = { kind: "switch" } | { kind: "severity" } | { kind: "list" } | { kind: "number"; least: number; most: number; step?: number };

const whole = (least: number, most: number): Kind => ({ kind: "number", least, most });
const GROUPS: { title: Word; fields: Record<string, Kind> }[] = [
  {
    title: "policy.group.heals",
    fields: {
      autopatch_max_severity: { kind: "severity" },
      sira_min_confidence: { kind: "number", least: 0, most: 1, step: 0.05 },
      sira_learning_enabled: { kind: "switch" },
      autopatch_whitelist: { kind: "list" },
    },
  },
  {
    title: "policy.group.people",
    fields: {
      require_multisig_for_major: { kind: "switch" },
      require_multisig_for_high_impact: { kind: "switch" },
      multisig_quorum_count: whole(1, 10),
    },
  },
  {
    title: "policy.group.tried",
    fields: {
      require_staging_test: { kind: "switch" },
      staging_timeout_seconds: whole(1, 3600),
      health_check_timeout_seconds: whole(1, 3600),
      health_check_interval_seconds: whole(1, 3600),
      auto_rollback_on_error_rate_threshold: { kind: "number", least: 0, most: 100, step: 0.5 },
      auto_rollback_on_heartbeat_missed_seconds: whole(1, 3600),
    },
  },
  {
    title: "policy.group.pace",
    fields: {
      canary_percentage: whole(0, 100),
      canary_merchants: { kind: "list" },
      autopatch_max_attempts_per_day: whole(0, 1000),
      autopatch_cooldown_seconds: whole(0, 604_800),
      autopatch_max_fleet_percent: { kind: "number", least: 0, most: 100, step: 0.5 },
    },
  },
];

/** A field's name in words; one that is not known keeps its own. */
export function useFieldName(): (field: string) => string {
  const { t } = useSpeech();
  return (field) => (isWord(`policy.${field}`) ? t(`policy.${field}` as Word) : field);
}

/** A field's value in words. */
export function shownValue(value: Json, term: (name: string) => string): string {
  if (typeof value === "boolean") return term(value ? "yes" : "no");
  if (Array.isArray(value)) return value.length === 0 ? "–" : value.join(", ");
  return typeof value === "string" ? term(value) : String(value);
}

export function Fields({ policy, draft, change }: { policy: Policy; draft: Change; change: (draft: Change) => void }) {
  const { t } = useSpeech();
  const may = useMay("pay_admin");
  const set = (field: string, value: Json) => {
    const { [field]: _, ...rest } = draft;
    const same = JSON.stringify(value) === JSON.stringify(policy[field]);
    change(same ? rest : { ...rest, [field]: value });
  };
  return (
    <>
      {GROUPS.map((group) => (
        <Part key={group.title} title={t(group.title)}>
          <div className="fields">
            {Object.entries(group.fields).map(([field, kind]) => (
              <div key={field} className="field" data-kind={kind.kind} data-changed={field in draft || undefined}>
                <Field field={field} kind={kind} value={draft[field] ?? policy[field] ?? null} set={set} may={may} />
              </div>
            ))}
          </div>
        </Part>
      ))}
    </>
  );
}

function Field({ field, kind, value, set, may }: {
  field: string;
  kind: Kind;
  value: Json;
  set: (field: string, value: Json) => void;
  may: boolean;
}) {
  const { t, term } = useSpeech();
  const label = useFieldName()(field);
  const hint = isWord(`policy.${field}.hint`) ? t(`policy.${field}.hint` as Word) : undefined;
  const description = hint === undefined ? {} : { description: hint };
  switch (kind.kind) {
    case "switch":
      return (
        <Switch
          label={label}
          checked={value === true}
          disabled={!may}
          onChange={(event) => set(field, event.currentTarget.checked)}
        />
      );
    case "severity":
      return (
        <NativeSelect
          label={label}
          value={String(value)}
          disabled={!may}
          onChange={(event) => set(field, event.currentTarget.value)}
          data={["low", "medium", "high", "critical"].map((name) => ({ value: name, label: term(name) }))}
        />
      );
    case "list":
      return <List label={label} description={description} value={value} set={(list) => set(field, list)} may={may} />;
    case "number":
      return (
        <NumberInput
          label={label}
          {...description}
          value={typeof value === "number" ? value : ""}
          min={kind.least}
          max={kind.most}
          step={kind.step ?? 1}
          allowDecimal={kind.step !== undefined}
          clampBehavior="blur"
          disabled={!may}
          hideControls
          onChange={(number) => typeof number === "number" && set(field, number)}
        />
      );
  }
}

function List({ label, description, value, set, may }: {
  label: string;
  description: { description?: string };
  value: Json;
  set: (list: string[]) => void;
  may: boolean;
}) {
  const lines = Array.isArray(value) ? value.map(String) : [];
  return (
    <Textarea
      label={label}
      {...description}
      defaultValue={lines.join("\n")}
      key={lines.join("\n")}
      rows={Math.min(6, Math.max(2, lines.length))}
      disabled={!may}
      spellCheck={false}
      classNames={{ input: "mono" }}
      onBlur={(event) => set(event.currentTarget.value.split(/[\s,]+/).filter((line) => line !== ""))}
    />
  );
}

/** What changes, from what to what. */
export function Changes({ changes, name, value }: {
  /** `{field: {was, is}}` */
  changes: Json;
  name: (field: string) => string;
  value: typeof shownValue;
}) {
  const { t, term } = useSpeech();
  const say = (word: string) => (word === "yes" || word === "no" ? t(word) : term(word));
  return (
    <dl className="changes">
      {Object.entries(fields(changes)).map(([field, change]) => (
        <Fragment key={field}>
          <dt>{name(field)}</dt>
          <dd>
            <s>{value(fields(change)["was"] ?? null, say)}</s> →{" "}
            <strong>{value(fields(change)["is"] ?? null, say)}</strong>
          </dd>
        </Fragment>
      ))}
    </dl>
  );
}
