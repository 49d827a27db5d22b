// Ctrl K: to a page by its name, or straight to what an id stands for.
import { Modal, TextInput } from "@mantine/core";
import { useState } from "react";
import { Icon, type IconName } from "../ui/icon";
import type { Word } from "../words";
import { LETTERS } from "./keys";
import { useSpeech } from "./language";
import { go } from "./router";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

interface Place {
  to: string;
  label: string;
  icon: IconName;
}

export function Palette({ close }: { close: () => void }) {
  const { t } = useSpeech();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const found = places(text.trim(), t);
  const chosen = Math.min(at, found.length - 1);
  const choose = (place: Place | undefined) => {
    if (place === undefined) return;
    close();
    go(place.to);
  };
  const pressed = (event: React.KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      setAt((chosen + by + found.length) % Math.max(1, found.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(found[chosen]);
    }
  };
  return (
    <Modal
      opened
      onClose={close}
      title={t("app.go")}
      closeButtonProps={{ "aria-label": t("app.closeMenu") }}
      transitionProps={{ duration: 0 }}
    >
      <TextInput
        // At once: whoever presses Ctrl K is writing already.
        ref={focus}
        aria-label={t("app.goHint")}
        placeholder={t("app.goHint")}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={pressed}
        role="combobox"
        aria-expanded
        aria-controls="places"
        aria-activedescendant={found.length > 0 ? `place-${chosen}` : undefined}
        data-autofocus
        spellCheck={false}
      />
      <div role="listbox" id="places" aria-label={t("app.go")} className="places">
        {found.map((place, index) => (
          <div
            key={place.to}
            id={`place-${index}`}
            role="option"
            aria-selected={index === chosen}
            className="place"
            onClick={() => choose(place)}
            onPointerMove={() => setAt(index)}
          >
            <Icon name={place.icon} />
            <span>{place.label}</span>
          </div>
        ))}
      </div>
      {found.length === 0 && (
        <p className="quiet" role="status">
          {t("app.goNone")}
        </p>
      )}
    </Modal>
  );
}

function focus(element: HTMLInputElement | null): void {
  element?.focus();
}

function places(text: string, t: (word: Word) => string): Place[] {
  if (UUID.test(text)) {
    return [
      { to: `/incidents/${text}`, label: `${t("incident.title")} ${text}`, icon: "incidents" },
      { to: `/plugins/${text}`, label: `${t("plugin.title")} ${text}`, icon: "plugins" },
    ];
  }
  const wanted = plain(text);
  return Object.values(LETTERS)
    .map(({ to, word }) => ({ to, label: t(word), icon: word.slice("nav.".length) as IconName }))
    .filter((place) => plain(place.label).includes(wanted));
}

/** Without case and accents, so that "metrique" finds "Métrique". */
function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
