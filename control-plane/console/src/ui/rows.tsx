// A table that becomes a stack of cards where it would not fit (see console.css).
import { Table } from "@mantine/core";
import type { ReactNode } from "react";

export interface Column<T> {
  title: string;
  cell: (row: T) => ReactNode;
}

export function Rows<T extends { id: string }>({ label, columns, rows }: {
  label: string;
  columns: Column<T>[];
  rows: T[];
}) {
  // The roles stand there because a table that is laid out as cards loses its own.
  return (
    <Table className="rows" role="table" aria-label={label} highlightOnHover verticalSpacing="xs">
      <Table.Thead role="rowgroup">
        <Table.Tr role="row">
          {columns.map((column) => (
            <Table.Th key={column.title} role="columnheader" scope="col">
              {column.title}
            </Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody role="rowgroup">
        {rows.map((row) => (
          <Table.Tr key={row.id} role="row">
            {columns.map((column) => (
              <Table.Td key={column.title} role="cell" data-title={column.title}>
                <div>{column.cell(row)}</div>
              </Table.Td>
            ))}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
