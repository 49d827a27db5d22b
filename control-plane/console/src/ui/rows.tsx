// A table that becomes a stack of cards where it would not fit (see rows.css).
import type { MouseEvent, ReactNode } from "react";
import { go } from "../app/router";

export interface Column<T> {
  title: string;
  cell: (row: T) => ReactNode;
  /** Numbers stand at the right; a column that is `wide` takes the room that is left. */
  as?: "number" | "wide";
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  /** What tells rows apart. */
  id: (row: T) => string;
  /** Where a row leads; the first column's link says the same to keyboards. */
  to?: (row: T) => string;
}

export function Rows<T>({ label, columns, rows, id, to }: Props<T>) {
  const open = (row: T) => (event: MouseEvent<HTMLTableRowElement>) => {
    const on = event.target as HTMLElement;
    if (to === undefined || event.defaultPrevented || on.closest("a, button, input, select, summary") !== null) return;
    if (window.getSelection()?.toString()) return;
    go(to(row));
  };
  // The roles stand there because a table that is laid out as cards loses its own.
  return (
    <div className="rows-frame">
      <table className="rows" role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <th key={column.title} role="columnheader" scope="col" data-as={column.as}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={id(row)} role="row" onClick={open(row)} data-leads={to !== undefined || undefined}>
              {columns.map((column) => (
                <td key={column.title} role="cell" data-title={column.title} data-as={column.as}>
                  <div>{column.cell(row)}</div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
