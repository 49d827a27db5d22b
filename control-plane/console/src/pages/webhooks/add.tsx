// A new receiver; the secret that its messages are signed with is shown once.
import { Alert, Button, Code, Modal, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useCalls } from "../../api/calls";
import { useSpeech } from "../../app/language";
import { Failure } from "../../ui/states";

export function Add({ close }: { close: () => void }) {
  const { t } = useSpeech();
  const api = useCalls();
  const queries = useQueryClient();
  const [kind, setKind] = useState("");
  const [url, setUrl] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      setSecret((await api.addWebhook({ event_type: kind.trim(), url: url.trim() })).secret);
      await queries.invalidateQueries({ queryKey: ["webhooks"] });
    } catch (failed) {
      setError(failed);
    }
    setBusy(false);
  };
  return (
    <Modal opened onClose={close} title={t("webhooks.add")} closeButtonProps={{ "aria-label": t("act.close") }}>
      {secret !== null ? (
        <div className="form">
          <Alert color="petrol" title={t("webhook.secret")}>
            <Code block>{secret}</Code>
          </Alert>
          <div className="form-end">
            <Button onClick={close}>{t("act.close")}</Button>
          </div>
        </div>
      ) : (
        <form onSubmit={submit} className="form">
          <TextInput
            label={t("webhook.event")}
            description={t("webhook.eventHint")}
            value={kind}
            onChange={(event) => setKind(event.currentTarget.value)}
            spellCheck={false}
            required
            data-autofocus
          />
          <TextInput
            type="url"
            label={t("webhook.url")}
            placeholder="https://"
            value={url}
            onChange={(event) => setUrl(event.currentTarget.value)}
            spellCheck={false}
            required
          />
          {error !== null && <Failure error={error} />}
          <div className="form-end">
            <Button variant="default" onClick={close}>
              {t("act.cancel")}
            </Button>
            <Button type="submit" loading={busy}>
              {t("webhooks.add")}
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
