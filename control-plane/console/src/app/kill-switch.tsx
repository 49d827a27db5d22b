// The kill switch: its state on every page, and the way to throw it and to set it back.
import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useCalls } from "../api/calls";
import type { PolicyView } from "../api/types";
import { AskWhy } from "../ui/ask-why";
import { Icon } from "../ui/icon";
import { useTell } from "../ui/toasts";
import { When } from "../ui/when";
import { useSpeech } from "./language";
import { useLookEvery } from "./live";
import { fields } from "./plain";
import { useMay } from "./session";

/** The policy as it is now; asked for once for all pages. */
export function usePolicy() {
  const api = useCalls();
  return useQuery({
    queryKey: ["policy"],
    queryFn: (signal) => api.policy(signal),
    refetchInterval: useLookEvery(),
  });
}

/** In the bar at the top: whether automatic changes are on; pressed, it stops them. */
export function KillSwitch() {
  const { t } = useSpeech();
  const policy = usePolicy();
  const may = useMay("pay_admin", "compliance_ops");
  const [asked, setAsked] = useState(false);
  if (policy.data === undefined || !policy.data.value.policy.autopatch_enabled) return null;
  return (
    <>
      <span className="automatic" title={t("kill.off")}>
        <i aria-hidden="true" /> <span className="automatic-word">{t("kill.off")}</span>
      </span>
      {may && (
        <Button color="red" variant="outline" size="xs" leftSection={<Icon name="stop" size={15} />} onClick={() => setAsked(true)}>
          {t("kill.throw")}
        </Button>
      )}
      {asked && <Throw on close={() => setAsked(false)} />}
    </>
  );
}

/** Above every page while automatic changes are stopped: since when, by whom, why, and the way back. */
export function KillBanner() {
  const policy = usePolicy();
  const view = policy.data?.value;
  if (view === undefined || view.policy.autopatch_enabled) return null;
  return <Stopped view={view} />;
}

function Stopped({ view }: { view: PolicyView }) {
  const { t } = useSpeech();
  const api = useCalls();
  const may = useMay("pay_admin");
  const [asked, setAsked] = useState(false);
  const history = useQuery({
    queryKey: ["policy", "history", "last", view.version],
    queryFn: (signal) => api.policyHistory({ limit: 10 }, signal),
  });
  const thrown = history.data?.things.find((one) => "autopatch_enabled" in fields(one.changes));
  return (
    <div className="stopped" role="alert">
      <Icon name="stop" size={26} />
      <div>
        <strong>{t("kill.on")}</strong>
        <div>
          <When at={thrown?.changed_at ?? view.updated_at} both /> · {thrown?.changed_by ?? view.updated_by ?? "?"}
          {thrown?.reason && <> · “{thrown.reason}”</>}
        </div>
        <div className="small">{t("kill.meaning")}</div>
      </div>
      {may && (
        <Button variant="default" onClick={() => setAsked(true)}>
          {t("kill.back")}
        </Button>
      )}
      {asked && <Throw on={false} close={() => setAsked(false)} />}
    </div>
  );
}

function Throw({ on, close }: { on: boolean; close: () => void }) {
  const { t } = useSpeech();
  const api = useCalls();
  const queries = useQueryClient();
  const tell = useTell();
  return (
    <AskWhy
      danger={on}
      title={t(on ? "kill.throwTitle" : "kill.backTitle")}
      what={t(on ? "kill.throwWhat" : "kill.backWhat")}
      go={t(on ? "kill.throw" : "kill.back")}
      act={async (reason) => {
        queries.setQueryData(["policy"], await api.killSwitch(on, reason));
        close();
        tell(t(on ? "kill.thrown" : "kill.wentBack"));
        await queries.invalidateQueries();
      }}
      close={close}
    />
  );
}
