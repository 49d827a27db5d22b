// What the keyboard can do.
import { Kbd, Modal } from "@mantine/core";
import { Fragment, type ReactNode } from "react";
import { LETTERS } from "./keys";
import { useSpeech } from "./language";

export function Help({ close }: { close: () => void }) {
  const { t } = useSpeech();
  const rows: [string[], string][] = [
    [["Ctrl", "K"], t("keys.go")],
    [["/"], t("keys.search")],
    [["j"], t("keys.move")],
    [["Enter"], t("keys.open")],
    [["t"], t("keys.times")],
    [["?"], t("keys.help")],
  ];
  const pages = Object.entries(LETTERS).map(([letter, { word }]): [string[], string] => [["g", letter], t(word)]);
  return (
    <Modal opened onClose={close} title={t("app.keys")} closeButtonProps={{ "aria-label": t("app.closeMenu") }}>
      <Keys rows={rows} />
      <h3 className="small-title">{t("keys.pages")}</h3>
      <Keys rows={pages} />
    </Modal>
  );
}

function Keys({ rows }: { rows: [string[], string][] }) {
  return (
    <dl className="keys">
      {rows.map(([keys, what]) => (
        <Fragment key={what}>
          <dt>{join(keys === undefined ? [] : keys[0] === "j" ? ["j", "k"] : keys)}</dt>
          <dd>{what}</dd>
        </Fragment>
      ))}
    </dl>
  );
}

function join(keys: string[]): ReactNode {
  return keys.map((key) => (
    <Fragment key={key}>
      <Kbd size="xs">{key}</Kbd>{" "}
    </Fragment>
  ));
}
