import { createHmac, hash } from "node:crypto";

/** One HTTP request after the other: a signed Stripe event of the given size, each with an id of its own. */
export interface Requests {
  /** `id` must be as long for every request of these. */
  next(id: string): Buffer;
}

/** Text that does not repeat itself: a database that compresses would hardly store anything of a long row of one letter. */
function filling(bytes: number): string {
  let text = "";
  for (let part = 0; text.length < bytes; part += 1) text += hash("sha256", `part ${part}`, "base64url");
  return text.slice(0, bytes);
}

const idLength = 24;

function eventOf(id: string, note: string): string {
  return `{"id":"evt_${id}","object":"event","type":"invoice.paid","livemode":false,"data":{"object":{"id":"in_1","note":"${note}"}}}`;
}

export function stripeRequests(path: string, secret: string, bodyBytes: number): Requests {
  const note = filling(Math.max(0, bodyBytes - eventOf("0".repeat(idLength), "").length));
  const [before = "", after = ""] = eventOf("@", note).split("@");
  const head = Buffer.from(before);
  const tail = Buffer.from(after);
  const length = head.length + idLength + tail.length;
  return {
    next(id) {
      const body = Buffer.concat([head, Buffer.from(id.padStart(idLength, "0")), tail]);
      const time = String(Math.floor(Date.now() / 1000));
      const signature = createHmac("sha256", secret).update(`${time}.`).update(body).digest("hex");
      const lines =
        `POST ${path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n` +
        `Stripe-Signature: t=${time},v1=${signature}\r\n\r\n`;
      return Buffer.concat([Buffer.from(lines), body]);
    },
  };
}
