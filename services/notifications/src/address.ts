import { createHmac } from "node:crypto";

/** `anna.petrova@example.com` → `a***@e***.com`: enough to recognise in a list, not enough to write to. */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf("@");
  const local = address.slice(0, at);
  const domain = address.slice(at + 1);
  const dot = domain.lastIndexOf(".");
  const suffix = dot > 0 ? domain.slice(dot) : "";
  return `${first(local)}***@${first(domain)}***${suffix}`;
}

/** HMAC-SHA-256 of the lower-cased address: finds all deliveries of one address without keeping it. The key keeps it from being guessed. */
export function hashAddress(address: string, key: string): Buffer {
  return createHmac("sha256", key).update(address.toLowerCase()).digest();
}

function first(text: string): string {
  const [character = ""] = text;
  return character;
}
