import { PayloadError } from "./errors.ts";
import type { StoredObject } from "./store.ts";

const contents = /<Contents>([\s\S]*?)<\/Contents>/g;

/**
 * Reads an answer of ListObjectsV2. The grammar is S3's own and flat: element names occur once inside `Contents`, text is escaped.
 * @throws PayloadError `PAYLOAD_STORE_REFUSED` for anything else.
 */
export function readListing(
  xml: string,
  store: string,
): { readonly objects: readonly StoredObject[]; readonly isTruncated: boolean } {
  if (!xml.includes("<ListBucketResult")) {
    throw new PayloadError("PAYLOAD_STORE_REFUSED", `payload store ${store}: the listing is not S3's`);
  }
  const objects = [...xml.matchAll(contents)].map(([, item = ""]): StoredObject => {
    const modifiedAt = new Date(textOf(item, "LastModified") ?? Number.NaN);
    const key = textOf(item, "Key");
    // an object of unknown age must not be taken for an old one
    if (key === undefined || Number.isNaN(modifiedAt.getTime())) {
      throw new PayloadError(
        "PAYLOAD_STORE_REFUSED",
        `payload store ${store}: an entry of the listing has no key or date`,
      );
    }
    return { key, bytes: Number(textOf(item, "Size") ?? 0), modifiedAt };
  });
  return { objects, isTruncated: textOf(xml, "IsTruncated") === "true" };
}

function textOf(xml: string, element: string): string | undefined {
  const text = new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1];
  return text?.replaceAll(
    /&(lt|gt|quot|apos|amp|#\d{1,7}|#x[0-9a-fA-F]{1,6});/g,
    (whole, name: string) => unescape(name) ?? whole,
  );
}

const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescape(name: string): string | undefined {
  if (!name.startsWith("#")) return named[name];
  const code = name.startsWith("#x") ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
  return code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
}
