// Giving an order takes two steps: what and why, then reading back what will happen.
import { Alert, Autocomplete, Button, Group, Modal, Stack, Text, Textarea } from "@mantine/core";
import { type FormEvent, useState } from "react";
import type { NewOrder, Plugin } from "../api/types";
import { useSpeech } from "../app/language";
import { useLoad } from "../app/load";
import { useApi } from "../app/session";
import { Failure } from "../ui/states";

/** The same as the control plane's own limit, in bytes. */
const MAX_REASON = 1000;
/** Semantic Versioning 2.0.0; the control plane checks it whole. */
const VERSION = /^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$/;

interface Props {
  plugin: Plugin;
  kind: NewOrder["type"];
  done: (commandId: string) => void;
  close: () => void;
}

export function OrderDialog({ plugin, kind, done, close }: Props) {
  const { t } = useSpeech();
  const [version, setVersion] = useState("");
  const [reason, setReason] = useState("");
  const [review, setReview] = useState<{ order: NewOrder; onceKey: string } | null>(null);

  const write = (order: NewOrder) => setReview({ order, onceKey: crypto.randomUUID() });
  return (
    <Modal opened onClose={close} title={t(`order.${kind}`)} closeButtonProps={{ "aria-label": t("order.cancel") }}>
      {review === null ? (
        <Writing {...{ plugin, kind, version, setVersion, reason, setReason, write, close }} />
      ) : (
        <Review {...review} plugin={plugin} done={done} back={() => setReview(null)} />
      )}
    </Modal>
  );
}

function Writing(props: {
  plugin: Plugin;
  kind: NewOrder["type"];
  version: string;
  setVersion: (version: string) => void;
  reason: string;
  setReason: (reason: string) => void;
  write: (order: NewOrder) => void;
  close: () => void;
}) {
  const { plugin, kind, version, reason } = props;
  const { t } = useSpeech();
  const [tried, setTried] = useState(false);
  const versions = useVersions(plugin);
  const wanted = version.trim();
  const versionGood = VERSION.test(wanted) || (kind === "rollback" && wanted === "");
  const length = new TextEncoder().encode(reason.trim()).length;
  const reasonGood = length > 0 && length <= MAX_REASON;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!versionGood || !reasonGood) return;
    props.write({ type: kind, reason: reason.trim(), ...(wanted === "" ? {} : { version: wanted }) });
  };
  const published = plugin.product ? t("order.versionHint", { product: plugin.product }) : t("order.versionHintNone");
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <Autocomplete
          label={t("order.version")}
          description={kind === "rollback" ? t("order.versionBack") : published}
          data={versions}
          value={version}
          onChange={props.setVersion}
          error={tried && !versionGood && t("order.versionBad")}
          required={kind === "update"}
          data-autofocus
        />
        <Textarea
          label={t("order.reason")}
          description={t("order.reasonHint")}
          value={reason}
          onChange={(event) => props.setReason(event.currentTarget.value)}
          error={tried && !reasonGood && t("order.reasonBad")}
          rows={3}
          required
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={props.close}>
            {t("order.cancel")}
          </Button>
          <Button type="submit">{t("order.review")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

function Review({ plugin, order, onceKey, done, back }: {
  plugin: Plugin;
  order: NewOrder;
  onceKey: string;
  done: Props["done"];
  back: () => void;
}) {
  const { t } = useSpeech();
  const api = useApi();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);

  // Pressed again after a lost answer it is the same order, by its key.
  const give = async () => {
    setBusy(true);
    setError(null);
    try {
      done((await api.order(plugin.id, order, onceKey)).id);
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };
  const values = {
    plugin: plugin.product ?? plugin.cms,
    from: plugin.plugin_version,
    to: order.version ?? t("order.before"),
  };
  return (
    <Stack>
      <Alert variant="default" title={t("order.real")}>
        <Text>{t(order.type === "update" ? "order.sureUpdate" : "order.sureBack", values)}</Text>
        <Text size="xs" c="dimmed">
          {plugin.id}
        </Text>
      </Alert>
      <Text>
        {t("order.reason")}: {order.reason}
      </Text>
      {error !== null && <Failure error={error} />}
      <Group justify="flex-end">
        <Button variant="default" onClick={back} disabled={busy} data-autofocus>
          {t("order.back")}
        </Button>
        <Button color={order.type === "rollback" ? "red" : "blue"} onClick={give} loading={busy}>
          {t("order.give")}
        </Button>
      </Group>
    </Stack>
  );
}

/** What may be installed, as suggestions; without them the version is typed. */
function useVersions(plugin: Plugin): string[] {
  const api = useApi();
  const { product } = plugin;
  const [loaded] = useLoad(`releases ${product}`, async (signal) =>
    product === null ? [] : api.releases(product, signal),
  );
  if (loaded.state !== "here") return [];
  return loaded.value.filter((release) => release.state === "published").map((release) => release.version);
}
