// What a merchant wants of automatic changes: none, or only at certain times.
import { Button, Chip, Modal, NumberInput, Switch, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useCalls } from "../../api/calls";
import type { Merchant } from "../../api/types";
import { useSpeech } from "../../app/language";
import { Failure } from "../../ui/states";
import { useTell } from "../../ui/toasts";
import { dayName, type MaintenanceWindow, readWindow } from "./window";

const NIGHT: MaintenanceWindow = {
  days: [1, 2, 3, 4, 5],
  from: "02:00",
  to: "05:00",
  utc_offset_minutes: -new Date().getTimezoneOffset(),
};

export function Wishes({ merchant, close }: { merchant: Merchant; close: () => void }) {
  const { t, language } = useSpeech();
  const api = useCalls();
  const queries = useQueryClient();
  const tell = useTell();
  const [none, setNone] = useState(merchant.autopatch_opt_out);
  const [window, setWindow] = useState(readWindow(merchant.maintenance_window));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [key] = useState(() => crypto.randomUUID());
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await api.wish(merchant.id, { autopatch_opt_out: none, maintenance_window: window as never }, key);
      close();
      tell(t("merchant.wished"));
      await queries.invalidateQueries();
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };
  return (
    <Modal
      opened
      onClose={close}
      title={t("merchant.wishesOf", { name: merchant.name })}
      closeButtonProps={{ "aria-label": t("act.close") }}
    >
      <form onSubmit={submit} className="form">
        <Switch
          label={t("merchant.wantsNone")}
          checked={none}
          onChange={(event) => setNone(event.currentTarget.checked)}
          data-autofocus
        />
        <Switch
          label={t("merchant.onlyThen")}
          checked={window !== null}
          disabled={none}
          onChange={(event) => setWindow(event.currentTarget.checked ? NIGHT : null)}
        />
        {window !== null && !none && (
          <>
            <fieldset className="days">
              <legend>{t("merchant.days")}</legend>
              <Chip.Group
                multiple
                value={window.days.map(String)}
                onChange={(days) => setWindow({ ...window, days: days.map(Number).sort() })}
              >
                {[1, 2, 3, 4, 5, 6, 7].map((day) => (
                  <Chip key={day} value={String(day)} size="xs">
                    {dayName(day, language)}
                  </Chip>
                ))}
              </Chip.Group>
            </fieldset>
            <div className="fields">
              {(["from", "to"] as const).map((end) => (
                <TextInput
                  key={end}
                  type="time"
                  label={t(`merchant.${end}`)}
                  value={window[end]}
                  onChange={(event) => setWindow({ ...window, [end]: event.currentTarget.value })}
                  required
                />
              ))}
              <NumberInput
                label={t("merchant.offset")}
                value={window.utc_offset_minutes}
                min={-840}
                max={840}
                step={15}
                onChange={(value) => typeof value === "number" && setWindow({ ...window, utc_offset_minutes: value })}
              />
            </div>
          </>
        )}
        <p className="small quiet">{t("merchant.wishesWhat")}</p>
        {error !== null && <Failure error={error} />}
        <div className="form-end">
          <Button variant="default" onClick={close}>
            {t("act.cancel")}
          </Button>
          <Button type="submit" loading={busy}>
            {t("act.save")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
