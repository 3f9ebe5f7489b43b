import { WarrenError } from "@warren/contracts";
import type { SealedTexts } from "@warren/ledger";
import type { KeyRing } from "./key-ring.ts";
import type { Rotated } from "./rotate.ts";
import { openText, sealText } from "./sealed-text.ts";

/**
 * Seals the secrets of sources and endpoints under the current key, without stopping anybody: processes need to know both keys. It may be
 * run again at any time. `failed` names owners, never secrets. @throws LedgerError.
 */
export async function rotateSealedTexts(texts: SealedTexts, keyRing: KeyRing): Promise<Rotated> {
  const failed: { id: string; code: string }[] = [];
  let [rotated, current, busy] = [0, 0, 0];
  for (const text of await texts.list()) {
    const { owner, sealed } = text;
    if (sealed.split(":")[1] === keyRing.current) {
      current += 1;
      continue;
    }
    try {
      const done = await texts.reseal(text, sealText(owner, openText(owner, sealed, keyRing), keyRing));
      if (done) rotated += 1;
      else busy += 1;
    } catch (error) {
      if (!(error instanceof WarrenError) || error.retryable) throw error;
      failed.push({ id: owner, code: error.code });
    }
  }
  return { rotated, current, busy, failed };
}
