/** The fields of a form body (`application/x-www-form-urlencoded`), each with its values in the order sent. */
export type FormFields = ReadonlyMap<string, readonly string[]>;

export function parseForm(body: Buffer): FormFields {
  const fields = new Map<string, string[]>();
  // without the separator a question mark at the start would be dropped
  for (const [name, value] of new URLSearchParams(`&${body.toString("utf8")}`)) {
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [value]);
    else values.push(value);
  }
  return fields;
}

/** A field that stands alone and has something in it. */
export function fieldOf(fields: FormFields, name: string): string | undefined {
  const [value, ...others] = fields.get(name) ?? [];
  return others.length === 0 && value !== "" ? value : undefined;
}

/** The fields as a plain object for routes; of a repeated field the list of its values. */
export function plainFields(fields: FormFields): Readonly<Record<string, unknown>> {
  return Object.fromEntries([...fields].map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}
