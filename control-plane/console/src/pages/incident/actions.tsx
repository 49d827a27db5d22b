// What a person can do about an incident now: say yes, stop, take back, choose another cure, or close it.
import { Button, Menu, NativeSelect, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useCalls } from "../../api/calls";
import type { Attempt, Incident } from "../../api/types";
import { useSpeech } from "../../app/language";
import { asText, cure, fields } from "../../app/plain";
import { useMay } from "../../app/session";
import { AskWhy } from "../../ui/ask-why";
import { useTell } from "../../ui/toasts";

const LIVE = new Set(["pending", "staging", "applying"]);
type Deed = "approve" | "stop" | "takeBack" | "choose" | "close";

export function Actions({ incident, attempts, isAsked }: {
  incident: Incident;
  attempts: Attempt[];
  /** Whether the question stands on the page, with a yes and a no of its own. */
  isAsked: boolean;
}) {
  const { t } = useSpeech();
  const may = useMay("pay_admin", "compliance_ops");
  const [deed, setDeed] = useState<Deed | null>(null);
  if (!may || incident.status === "closed") return null;
  const live = attempts.find((attempt) => LIVE.has(attempt.status)) ?? null;
  const held = attempts.find((attempt) => attempt.status === "success") ?? null;
  const asks = !isAsked && live !== null && live.status === "pending" && live.requires_approval;
  return (
    <>
      {asks && <Button onClick={() => setDeed("approve")}>{t("act.approve")}</Button>}
      {live !== null && (
        <Button variant="outline" color="red" onClick={() => setDeed("stop")}>
          {t("act.stop")}
        </Button>
      )}
      {live === null && held !== null && (
        <Button variant="default" onClick={() => setDeed("takeBack")}>
          {t("act.takeBack")}
        </Button>
      )}
      {live === null && (
        <Button variant={incident.status === "escalated" ? "filled" : "default"} onClick={() => setDeed("choose")}>
          {t("act.other")}
        </Button>
      )}
      <Menu position="bottom-end" withinPortal={false}>
        <Menu.Target>
          <Button variant="default" px="xs" aria-label={t("act.more")}>
            ⋯
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => setDeed("close")}>{t("act.closeIncident")}</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {deed === "choose" && <Choose incident={incident} close={() => setDeed(null)} />}
      {deed !== null && deed !== "choose" && (
        <Sure deed={deed} incident={incident} attempt={live ?? held} close={() => setDeed(null)} />
      )}
    </>
  );
}

/** Does it, says so, and looks anew. */
function useDone(close: () => void): (said: string) => Promise<void> {
  const queries = useQueryClient();
  const tell = useTell();
  return async (said) => {
    close();
    tell(said);
    await queries.invalidateQueries();
  };
}

function Sure({ deed, incident, attempt, close }: {
  deed: Exclude<Deed, "choose">;
  incident: Incident;
  attempt: Attempt | null;
  close: () => void;
}) {
  const speech = useSpeech();
  const { t } = speech;
  const api = useCalls();
  const done = useDone(close);
  const what =
    attempt === null ? "" : cure({ action: attempt.method, from: attempt.from_version, to: attempt.to_version }, speech);
  const digest = asText(fields(attempt?.approval_needed)["release_digest"]);
  const say = (reason: string) => (reason === "" ? {} : { reason });
  switch (deed) {
    case "approve":
      return (
        <AskWhy
          title={t("act.approve")}
          what={t("act.approveWhat", { what })}
          go={t("act.approve")}
          needed={false}
          act={async () => {
            await api.approve(incident.id, digest === null ? {} : { release_digest: digest });
            await done(t("act.approved"));
          }}
          close={close}
        />
      );
    case "stop":
      return (
        <AskWhy
          danger
          title={t("act.stop")}
          what={t("act.stopWhat")}
          go={t("act.stop")}
          act={async (reason, key) => {
            await api.act(incident.id, { action: "cancel", ...say(reason) }, key);
            await done(t("act.stopped"));
          }}
          close={close}
        />
      );
    case "takeBack":
      return (
        <AskWhy
          danger
          title={t("act.takeBack")}
          what={t("act.takeBackWhat", { to: attempt?.from_version ?? "" })}
          go={t("act.takeBack")}
          act={async (reason, key) => {
            await api.act(incident.id, { action: "rollback", ...say(reason) }, key);
            await done(t("act.begun"));
          }}
          close={close}
        />
      );
    case "close":
      return (
        <AskWhy
          title={t("act.closeIncident")}
          what={t("act.closeWhat")}
          go={t("act.closeIncident")}
          act={async (reason, key) => {
            await api.act(incident.id, { action: "close", ...say(reason) }, key);
            await done(t("act.closed"));
          }}
          close={close}
        />
      );
  }
}

const CURES = ["patch", "rollback", "reinstall", "hotfix"] as const;

function Choose({ incident, close }: { incident: Incident; close: () => void }) {
  const { t, term } = useSpeech();
  const api = useCalls();
  const done = useDone(close);
  const [action, setAction] = useState<string>("patch");
  const [version, setVersion] = useState("");
  const wanted = version.trim();
  return (
    <AskWhy
      danger
      title={t("act.other")}
      what={t("act.otherWhat")}
      go={t("act.give")}
      act={async (reason, key) => {
        await api.act(incident.id, { action, reason, ...(wanted === "" ? {} : { version: wanted }) }, key);
        await done(t("act.begun"));
      }}
      close={close}
    >
      <NativeSelect
        label={t("act.cure")}
        value={action}
        onChange={(event) => setAction(event.currentTarget.value)}
        data={CURES.map((value) => ({ value, label: term(value) }))}
      />
      {action !== "reinstall" && (
        <TextInput
          label={t("act.version")}
          description={t("act.versionHint")}
          value={version}
          onChange={(event) => setVersion(event.currentTarget.value)}
          required={action !== "rollback"}
          spellCheck={false}
        />
      )}
    </AskWhy>
  );
}
