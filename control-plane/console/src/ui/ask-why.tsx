// A deed that others will ask about: said in full, with a reason, before it is done.
import { Alert, Button, Modal, Textarea } from "@mantine/core";
import { type FormEvent, type ReactNode, useState } from "react";
import { useSpeech } from "../app/language";
import { Failure } from "./states";

const MAX_REASON = 1000;

export function AskWhy({ title, what, go, danger = false, needed = true, children, act, close }: {
  title: string;
  /** What will happen, in a sentence. */
  what: ReactNode;
  /** The word on the button. */
  go: string;
  danger?: boolean;
  /** Whether a reason must be given. */
  needed?: boolean;
  children?: ReactNode;
  /** Does it; the same key however often it is pressed for one dialogue. */
  act: (reason: string, key: string) => Promise<void>;
  close: () => void;
}) {
  const { t } = useSpeech();
  const [reason, setReason] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [key] = useState(() => crypto.randomUUID());
  const length = new TextEncoder().encode(reason.trim()).length;
  const good = length <= MAX_REASON && (length > 0 || !needed);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!good) return;
    setBusy(true);
    setError(null);
    try {
      await act(reason.trim(), key);
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={close} title={title} size="lg" closeButtonProps={{ "aria-label": t("act.close") }}>
      <form onSubmit={submit} noValidate className="form">
        <Alert variant="light" color={danger ? "red" : "petrol"} className="what">
          {what}
        </Alert>
        {children}
        <Textarea
          label={t("act.reason")}
          description={t("act.reasonHint")}
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
          error={tried && !good && t("act.reasonBad", { n: MAX_REASON })}
          rows={3}
          required={needed}
          data-autofocus
        />
        {error !== null && <Failure error={error} />}
        <div className="form-end">
          <Button variant="default" onClick={close}>
            {t("act.cancel")}
          </Button>
          <Button type="submit" color={danger ? "red" : "petrol"} loading={busy}>
            {go}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
