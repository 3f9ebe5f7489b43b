/** The fields of a form body (`application/x-www-form-urlencoded`), each with its values in the order sent. */
export type FormFields = ReadonlyMap<string, readonly string[]>;

/** More fields than any provider sends. */
const maxFields = 2_000;

/**
 * Reads a form as the URL standard says (https://url.spec.whatwg.org/#urlencoded-parsing), in time linear in its length: `URLSearchParams`
 * takes eight seconds for a megabyte of names without values, which anybody may send. A form of too many fields is read as none.
 */
export function parseForm(body: Buffer): FormFields {
  const fields = new Map<string, string[]>();
  let count = 0;
  for (let at = 0; at < body.length; ) {
    const found = body.indexOf(ampersand, at);
    const end = found === -1 ? body.length : found;
    if (end > at) {
      count += 1;
      if (count > maxFields) return new Map();
      const equals = body.subarray(at, end).indexOf(equalsSign);
      const name = decoded(body.subarray(at, equals === -1 ? end : at + equals));
      const value = equals === -1 ? "" : decoded(body.subarray(at + equals + 1, end));
      const values = fields.get(name);
      if (values === undefined) fields.set(name, [value]);
      else values.push(value);
    }
    at = end + 1;
  }
  return fields;
}

const [ampersand, equalsSign, percent, plus, blank] = [0x26, 0x3d, 0x25, 0x2b, 0x20] as const;

/** Plus signs are blanks; a percent sign without two digits stands for itself; what is no UTF-8 becomes U+FFFD. */
function decoded(part: Buffer): string {
  if (!part.includes(percent) && !part.includes(plus)) return part.toString("utf8");
  const bytes = Buffer.allocUnsafe(part.length);
  let length = 0;
  for (let at = 0; at < part.length; at += 1) {
    const byte = part[at] ?? 0;
    const code = byte === percent ? escaped(part, at) : undefined;
    if (code !== undefined) at += 2;
    bytes[length] = code ?? (byte === plus ? blank : byte);
    length += 1;
  }
  return bytes.toString("utf8", 0, length);
}

function escaped(part: Buffer, at: number): number | undefined {
  const high = digit(part[at + 1]);
  const low = digit(part[at + 2]);
  return high === undefined || low === undefined ? undefined : high * 16 + low;
}

function digit(code: number | undefined): number | undefined {
  if (code === undefined) return undefined;
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined;
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
